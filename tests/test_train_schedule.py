"""Minutes into steps. Truth: sums by hand."""

from __future__ import annotations

import pytest

from train.config import TrainConfig
from train.schedule import steps_within

CONFIG = TrainConfig(preview_every=250)


@pytest.mark.parametrize(
    ("seconds", "step_s", "preview_s", "steps"),
    [
        (100.0, 1.0, 0.0, 100),
        # 93 steps and the previews of steps 0, 10, 25, 50 and 93: 93 + 5 * 1.4 = 100.
        (100.0, 1.0, 1.4, 93),
        # 600 steps of 0.1 s; previews 0, 10, 25, 50, 100, 250, 500, 600.
        (60.0 + 8 * 0.5, 0.1, 0.5, 600),
        (0.5, 1.0, 10.0, 1),
        (-5.0, 1.0, 1.0, 1),
    ],
)
def test_what_fits_by_hand(seconds: float, step_s: float, preview_s: float, steps: int) -> None:
    assert steps_within(seconds, CONFIG, step_s=step_s, preview_s=preview_s) == steps


@pytest.mark.parametrize("seconds", [3.0, 77.7, 500.0, 12345.6])
def test_the_length_is_the_greatest_that_fits(seconds: float) -> None:
    """By invariant: it fits, and one step more does not."""

    def cost(steps: int) -> float:
        whole = CONFIG.replace(steps=steps)
        return steps * 0.37 + 0.9 * sum(whole.has_preview(step) for step in range(steps + 1))

    steps = steps_within(seconds, CONFIG, step_s=0.37, preview_s=0.9)
    assert cost(steps) <= seconds or steps == 1
    assert cost(steps + 1) > seconds

"""Minutes into steps: a few steps are measured, and the length that ends on time is found."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from itertools import pairwise

import torch
from torch import Tensor

from nst.losses import PerceptualLoss
from train.config import TrainConfig
from train.learner import Learner
from train.loop import StepRecord, fit

CALIBRATION_STEPS = 8
"""Steps that are measured and forgotten."""
WARM_UP = 2
"""The first of them, which do not count: memory is got, kernels are chosen and compiled."""


def measure_step(
    learner: Learner,
    criterion: PerceptualLoss,
    batches: Iterable[Tensor],
    config: TrainConfig,
    dtype: torch.dtype,
) -> float:
    """Return the seconds of one step, the median of a few.

    Args:
        learner: Is trained by these steps.
        criterion: The objective.
        batches: ``CALIBRATION_STEPS`` batches of crops.
        config: Settings of the training.
        dtype: Of the convolutions.
    """
    ends = [_end_of(record) for record in fit(learner, criterion, batches, config, dtype)]
    return statistics.median(b - a for a, b in pairwise(ends[WARM_UP - 1 :]))


def measure_once(action: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    started_at = time.perf_counter()
    action()
    return time.perf_counter() - started_at


def steps_within(seconds: float, config: TrainConfig, *, step_s: float, preview_s: float) -> int:
    """Return how many steps, with their previews, take no longer than some time; at least 1.

    Args:
        seconds: The time there is.
        config: Says when previews are made.
        step_s: Seconds of one step.
        preview_s: Seconds of one preview.
    """

    def over(steps: int) -> float:
        whole = config.replace(minutes=None, steps=steps)
        previews = sum(whole.has_preview(step) for step in range(steps + 1))
        return steps * step_s + previews * preview_s - seconds

    steps = max(1, int(seconds / step_s))
    while steps > 1 and (late := over(steps)) > 0:
        steps = max(1, steps - max(1, int(late / step_s)))
    while over(steps + 1) <= 0:  # that went too far: fewer steps have fewer previews
        steps += 1
    return steps


def _end_of(record: StepRecord) -> float:
    """Wait until a step is computed and return the time."""
    record.terms.content.sum().item()
    return time.perf_counter()

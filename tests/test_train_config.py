"""Settings of a training: bounds, choices that exclude each other, the way into a file and back."""

from __future__ import annotations

from typing import Any

import pytest

from nst.errors import UsageError
from nst.settings import from_toml, to_toml
from train.config import TrainConfig


@pytest.mark.parametrize(
    ("flag", "values"),
    [
        ("--width", {"width": 0}),
        ("--net", {"net": "unet"}),
        ("--net", {"net": "swift:blocks"}),
        ("--net", {"net": "swift:depth=3"}),
        ("--net", {"net": "swift:factor=3"}),
        ("--net", {"net": "swift:width=32", "width": 32}),
        ("--size", {"size": 63}),
        ("--size", {"size": 100}),
        ("--size", {"size": 2048}),
        ("--batch", {"batch": 0}),
        ("--steps", {"steps": 0}),
        ("--minutes", {"minutes": 0.0}),
        ("--learning-rate", {"learning_rate": 0.0}),
        ("--learning-rate", {"learning_rate": float("nan")}),
        ("--warmup", {"warmup": -1}),
        ("--style-strength", {"strength": 0.0}),
        ("--weights", {"weights": "heavy"}),
        ("--tv-weight", {"tv_weight": -1.0}),
        ("--density", {"style_size": 8}),
        ("--seed", {"seed": -1}),
        ("--precision", {"precision": "float16"}),
        ("--checkpoint-every", {"checkpoint_every": 0}),
        ("--preview-every", {"preview_every": 0}),
        ("--log-every", {"log_every": 0}),
    ],
)
def test_an_error_names_the_flag_in_one_line(flag: str, values: dict[str, Any]) -> None:
    """By hand: each value lies outside of what the help page allows."""
    with pytest.raises(UsageError) as caught:
        TrainConfig(**values)
    assert str(caught.value).startswith(flag)
    assert "\n" not in str(caught.value)


def test_steps_and_minutes_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="--steps and --minutes exclude each other"):
        TrainConfig(steps=10, minutes=1.0)


def test_the_length_is_ten_thousand_steps_where_nothing_is_asked_for() -> None:
    """By hand: what the help page of --steps says."""
    assert TrainConfig().length == 10000
    assert TrainConfig(steps=7).length == 7


def test_the_bounds_themselves_are_allowed() -> None:
    TrainConfig(width=8, size=64, batch=1, steps=1, warmup=0, seed=0)
    TrainConfig(width=32, size=1024, batch=256)


def test_settings_survive_a_file() -> None:
    """By invariant: what is written is what is read, unset values included."""
    config = TrainConfig(steps=12, vgg='a "quoted"\\path', style_layers="relu1_1,relu2_1/2")
    assert from_toml(TrainConfig, to_toml(config), source="config.toml") == config


def test_the_batch_suits_the_device() -> None:
    """By hand: few photographs at a time on a CPU, enough to fill a GPU, or what was asked for."""
    assert [TrainConfig().batch_on(kind) for kind in ("cpu", "cuda", "mps")] == [2, 16, 16]
    assert TrainConfig(batch=5).batch_on("cuda") == 5

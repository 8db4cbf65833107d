"""How fast the loss networks are beside each other: ``nst bench loss``."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from nst.commands.contest import Setting, seconds_of
from nst.losses import PerceptualLoss
from nst.presets import find_preset
from nst.runtime import autocast, choose_precision, tune
from nst.tensors import as_rgb
from nst.weights import VGGWeights
from train.config import TrainConfig
from train.learner import Learner
from train.loop import training_step

WARM_UP = 2
"""Repetitions of each before any is counted."""


@dataclass(frozen=True, slots=True)
class LossFigures:
    """One loss network; medians."""

    network: str
    loss_s: float
    """The objective of a batch alone: target, forward and backward to the pictures."""
    step_s: float
    """A whole step of training."""


def measure_losses(
    networks: Mapping[str, VGGWeights], setting: Setting, repetitions: int
) -> list[LossFigures]:
    """Measure loss networks in turns, as ``nst train`` uses them.

    Args:
        networks: Weights by the names under which they are shown.
        setting: Sizes, device and precision.
        repetitions: Of each that are counted.
    """
    device = torch.device(setting.device)
    dtype = choose_precision(setting.precision, device)
    tune(device, dtype)
    runs: dict[tuple[str, str], Callable[[], object]] = {}
    for name, weights in networks.items():
        criterion = PerceptualLoss(weights, setting.style(), preset=find_preset(setting.preset))
        criterion.to(memory_format=torch.channels_last)
        runs[name, "loss"] = _loss(criterion, setting, dtype)
        runs[name, "step"] = _step(criterion, setting, dtype)
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    for _ in range(WARM_UP + repetitions):
        for key, run in runs.items():
            seconds[key].append(seconds_of(run, device))
    medians = {key: statistics.median(times[WARM_UP:]) for key, times in seconds.items()}
    return [LossFigures(name, medians[name, "loss"], medians[name, "step"]) for name in networks]


def _loss(criterion: PerceptualLoss, setting: Setting, dtype: torch.dtype) -> Callable[[], object]:
    crops = torch.from_numpy(setting.crops()).to(setting.device)
    photographs = as_rgb(crops)
    output = photographs.flip(-1).requires_grad_()

    def run() -> object:
        with autocast(photographs.device, dtype):
            total = criterion(output, criterion.content_target(photographs)).total
        return torch.autograd.grad(total, output)

    return run


def _step(criterion: PerceptualLoss, setting: Setting, dtype: torch.dtype) -> Callable[[], object]:
    config = TrainConfig(
        net="johnson", width=setting.width, size=setting.size, batch=setting.batch, steps=1000
    )
    learner = Learner.new(config, torch.device(setting.device))
    crops = torch.from_numpy(setting.crops()).to(setting.device)
    return lambda: training_step(learner, criterion, crops, dtype)

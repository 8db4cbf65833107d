"""The training loop: it computes and yields records; printing and saving are the caller's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nst.losses import LossTerms, PerceptualLoss
from nst.runtime import autocast
from nst.tensors import to_tensor
from nst.transformer import TransformerNet
from train.config import TrainConfig


@dataclass(frozen=True, slots=True, eq=False)
class StepRecord:
    """One step of training; its tensors stay on the device until somebody asks."""

    step: int
    """Steps done, 1 after the first."""
    terms: LossTerms
    """Detached."""
    learning_rate: float


@dataclass(eq=False)
class Learner:
    """What a training changes: the network, its optimiser and the number of steps done."""

    network: TransformerNet
    optimizer: torch.optim.Adam
    step: int = 0

    @classmethod
    def new(cls, config: TrainConfig, device: torch.device) -> Learner:
        """Make a network with random weights from the seed, and its optimiser."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = TransformerNet(config.width)
        network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        is_fused = device.type == "cuda"
        return cls(network, torch.optim.Adam(network.parameters(), lr=0.0, fused=is_fused))

    @property
    def parameter_names(self) -> list[str]:
        """Names of the parameters in the order of the optimiser."""
        return [name for name, _ in self.network.named_parameters()]


def learning_rate(step: int, config: TrainConfig) -> float:
    """Return the rate of a step: a linear warm-up, then half a cosine down to 1 % of the peak.

    Args:
        step: Steps done before, from 0.
        config: ``learning_rate``, ``warmup`` and the length.
    """
    warmup = min(config.warmup, config.length // 10)
    if step < warmup:
        return config.learning_rate * (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, config.length - warmup)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def fit(
    learner: Learner,
    criterion: PerceptualLoss,
    batches: Iterable[NDArray[np.uint8] | Tensor],
    config: TrainConfig,
    dtype: torch.dtype,
) -> Iterator[StepRecord]:
    """Train and yield one record for each batch.

    Args:
        learner: Continues from its step; changed in place.
        criterion: The objective with the targets of the style image.
        batches: Crops, uint8 ``(B, S, S, 3)``, one for each step from ``learner.step`` on.
        config: Settings; only the learning rate's are used here.
        dtype: Of the convolutions; bfloat16 runs under autocast.
    """
    device = next(learner.network.parameters()).device
    learner.network.train()
    for crops in batches:
        photographs = to_tensor(crops, device)  # (B, 3, S, S), channels_last
        rate = learning_rate(learner.step, config)
        for group in learner.optimizer.param_groups:
            group["lr"] = rate
        terms = training_step(learner, criterion, photographs, dtype)
        learner.step += 1
        yield StepRecord(learner.step, terms, rate)


def training_step(
    learner: Learner, criterion: PerceptualLoss, photographs: Tensor, dtype: torch.dtype
) -> LossTerms:
    """Make one step of the optimiser on a batch, ``(B, 3, S, S)``; nothing waits for the device."""
    with autocast(photographs.device, dtype):
        target = criterion.content_target(photographs)
        terms: LossTerms = criterion(learner.network(photographs), target)
    learner.optimizer.zero_grad(set_to_none=True)
    terms.total.backward()  # type: ignore[no-untyped-call]
    learner.optimizer.step()
    return terms.detach()

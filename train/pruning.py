"""A narrower network to begin a distillation with, computed from the wide one without training.

Channel pruning with reconstruction (He, Zhang and Sun, "Channel pruning for accelerating very deep
neural networks", 2017), from the first layer on: the channels are kept that explain the others
best, and each convolution is fitted anew, by least squares, to what the pruned layers before it
give. Differs: channels are chosen by a pivoted Cholesky decomposition, in place of the lasso.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.encoder import VGG19
from nst.weights import VGGWeights

SAMPLES = 60_000
"""Positions of feature maps that each fit looks at."""
CHUNK = 4
"""Pictures that are looked at together."""
RIDGE = 1e-4
"""Added to the diagonal of each fit, as a share of its mean."""

INPUT_STD = 0.25
"""What divides RGB in [0, 1] before the narrow network."""


def prune(
    teacher: VGG19,
    weights: VGGWeights,
    pictures: Tensor,
    *,
    channels: Sequence[int],
    layers: Sequence[str],
    seed: int,
) -> tuple[VGGWeights, dict[str, Tensor]]:
    """Make a network of a fraction of the width that gives nearly the same features.

    Args:
        teacher: The wide network.
        weights: Its weights.
        pictures: RGB in [0, 1], ``(B, 3, S, S)``, S a multiple of 8.
        channels: Of each convolution of the narrow network, at most those of the teacher's.
        layers: Which features must be found again in those of the narrow network.
        seed: Of the positions that are looked at.

    Returns:
        The narrow network, and for each layer a matrix ``(N, n)`` from its n channels to the
        teacher's N.
    """
    inputs = 3
    tensors: dict[str, Tensor] = {}
    matrices: dict[str, Tensor] = {}
    generator = torch.Generator().manual_seed(seed)
    for name, count in zip(teacher.convolutions, channels, strict=True):
        # A convolution whose outputs are its nine times C inputs: padding and pooling included.
        probe = narrow(
            weights,
            tensors
            | {
                f"{name}.weight": torch.eye(9 * inputs).reshape(-1, inputs, 3, 3),
                f"{name}.bias": torch.zeros(9 * inputs),
            },
        )
        relu = name.replace("conv", "relu")
        patches, targets = _samples(
            [(VGG19(probe, deepest=name), name), (teacher, name)], pictures, generator
        )
        kept = _pivots(F.relu(targets), min(count, targets.shape[1]))
        patches = torch.cat([patches, torch.ones(len(patches), 1)], dim=1)
        fitted = _least_squares(patches, targets[:, kept])  # (9C + 1, n)
        tensors[f"{name}.weight"] = fitted[:-1].T.reshape(len(kept), inputs, 3, 3).contiguous()
        tensors[f"{name}.bias"] = fitted[-1].clone()
        if relu in layers:
            matrices[relu] = _least_squares(
                F.relu(patches @ fitted), F.relu(targets)
            ).T.contiguous()
        inputs = len(kept)
    return narrow(weights, tensors), matrices


def narrow(weights: VGGWeights, tensors: Mapping[str, Tensor]) -> VGGWeights:
    """Return weights of another width into which pictures enter with a deviation near 1.

    Adam's steps suit weights of every layer then.
    """
    return VGGWeights(
        tensors=dict(tensors),
        mean=weights.mean,
        std=(INPUT_STD,) * 3,
        padding="zeros",  # reflection would cost a tenth of the time
        pooling=weights.pooling,
        ceil_mode=weights.ceil_mode,
        source=f"distilled from {weights.source}",
        name="compact",
    )


def _samples(
    taps: Sequence[tuple[VGG19, str]], pictures: Tensor, generator: torch.Generator
) -> list[Tensor]:
    """Return the features of several networks at the same random positions: ``(P, N)`` each."""
    found: list[list[Tensor]] = [[] for _ in taps]
    chunks = pictures.split(CHUNK)  # type: ignore[no-untyped-call]
    for chunk in chunks:
        maps = [encoder(chunk, [layer])[layer] for encoder, layer in taps]
        flat = [features.permute(0, 2, 3, 1).flatten(0, 2) for features in maps]
        picked = torch.randint(len(flat[0]), (SAMPLES // len(chunks),), generator=generator)
        for rows, features in zip(found, flat, strict=True):
            rows.append(features[picked])
    return [torch.cat(rows) for rows in found]


def _pivots(features: Tensor, count: int) -> Tensor:
    """Choose the channels of ``(P, N)`` that leave least of the others unexplained, one by one."""
    residue = features.double().T @ features.double()  # (N, N)
    kept: list[int] = []
    for _ in range(count):
        explained = residue.square().sum(0) / residue.diagonal().clamp(min=1e-12)
        if kept:
            explained[kept] = -1
        best = int(explained.argmax())
        kept.append(best)
        column = residue[:, best].clone()
        residue -= torch.outer(column, column) / column[best].clamp(min=1e-12)
    return torch.tensor(sorted(kept))


def _least_squares(inputs: Tensor, targets: Tensor) -> Tensor:
    """Solve ``inputs X = targets`` for X: ``(P, N)`` and ``(P, K)`` to ``(N, K)``."""
    a, b = inputs.double(), targets.double()
    square = a.T @ a
    square.diagonal().add_(RIDGE * square.diagonal().mean())
    found: Tensor = torch.linalg.solve(square, a.T @ b).float()
    return found

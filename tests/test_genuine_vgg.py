"""The objective with genuine weights of VGG-19, which ``$NST_VGG19`` names; skipped without.

Truth: what holds for every set of genuine weights, torchvision's and rescaled ones alike.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from nst.config import OptimizeConfig
from nst.encoder import VGG19, depth_of
from nst.losses import PerceptualLoss
from nst.optimize import optimize
from nst.presets import PRESETS
from nst.tensors import to_tensor
from nst.weights import ENVIRONMENT, VGGWeights, find_weights

pytestmark = [
    pytest.mark.vgg,
    pytest.mark.skipif(
        not os.environ.get(ENVIRONMENT),
        reason=f"no genuine VGG-19: set ${ENVIRONMENT} to a weights file",
    ),
]


@pytest.fixture(scope="module")
def weights() -> VGGWeights:
    return find_weights()


@pytest.fixture(scope="module")
def criterion(weights: VGGWeights) -> PerceptualLoss:
    return PerceptualLoss(weights, painting(64, 96))


def painting(height: int, width: int) -> Tensor:
    """Diagonal strokes of two colours on a third, RGB in [0, 1]."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    image = torch.tensor([0.1, 0.2, 0.5]).reshape(3, 1, 1).repeat(1, height, width)
    image[:, (rows + columns) % 11 < 4] = torch.tensor([0.9, 0.8, 0.2]).reshape(3, 1)
    image[:, (rows - 2 * columns) % 23 < 5] = torch.tensor([0.7, 0.3, 0.1]).reshape(3, 1)
    return image[None]


@pytest.fixture
def photograph(photo: NDArray[np.uint8]) -> Tensor:
    return to_tensor(photo)


def test_the_layout_is_vgg19s(weights: VGGWeights) -> None:
    """64, 64, 128, 128, 256 ... kernels: Simonyan and Zisserman 2014, table 1, column E."""
    assert depth_of(weights.deepest_layer) >= depth_of("relu3_1")
    widths = [weights.tensors[f"{name}.weight"].shape[0] for name in weights.convolutions]
    assert widths == ([64] * 2 + [128] * 2 + [256] * 4 + [512] * 8)[: len(widths)]
    assert len(weights.sha256) == 64
    # RGB in [0, 1]: the mean of ImageNet is a brownish grey, red the brightest.
    red, green, blue = weights.mean
    assert 0.55 > red > green > blue > 0.35


def test_the_kernels_are_learnt(weights: VGGWeights) -> None:
    """Kernels that were learnt from photographs are smooth; random ones are not."""
    kernels = weights.tensors["conv1_1.weight"]  # (64, 3, 3, 3)

    def agreement(k: Tensor) -> float:
        right, down = k[..., :, 1:] * k[..., :, :-1], k[..., 1:, :] * k[..., :-1, :]
        return ((right.mean() + down.mean()) / (2 * k.square().mean())).item()

    random = torch.randn(kernels.shape, generator=torch.Generator().manual_seed(0))
    assert abs(agreement(random)) < 0.15
    assert agreement(kernels) > 0.2


def test_style_and_photograph_score_zero_against_themselves(
    criterion: PerceptualLoss, photograph: Tensor
) -> None:
    style = painting(64, 96)
    assert criterion(style, criterion.content_target(style)).style.item() == 0.0
    untouched = criterion(photograph, criterion.content_target(photograph))
    assert untouched.content.item() == 0.0
    assert untouched.style.item() > 0.02


def test_the_same_strokes_elsewhere_are_the_same_style(
    criterion: PerceptualLoss, photograph: Tensor
) -> None:
    """Style does not know places: another cut of the painting is nearer than a photograph."""
    target = criterion.content_target(photograph)
    other_cut = painting(96, 128)[..., 17 : 17 + 48, 31 : 31 + 64]
    same, far = criterion(other_cut, target), criterion(photograph, target)
    assert same.style.item() < 0.2 * far.style.item()
    assert same.content.item() > 0.1


def test_steps_down_the_gradient_lower_the_objective(
    criterion: PerceptualLoss, photograph: Tensor
) -> None:
    """Ten steps of Adam on the pixels lose at least a third of J."""
    target = criterion.content_target(photograph)
    image = photograph.clone().requires_grad_()
    optimizer = torch.optim.Adam([image], lr=0.03)
    values = []
    for _ in range(11):
        optimizer.zero_grad()
        total = criterion(image, target).total
        values.append(total.item())
        torch.autograd.backward(total)
        optimizer.step()
    assert values[-1] < values[0] * 2 / 3


def test_the_plain_sums_paint_with_their_defaults(weights: VGGWeights, photograph: Tensor) -> None:
    """By another objective, the balanced one: half of S is gone (with a beta of 1e3 a fifth).

    The photograph repeats itself, so that the picture is large enough for the sums to differ.
    """
    large, style = photograph.repeat(1, 1, 3, 3), painting(128, 192)
    config = OptimizeConfig(
        weights="gatys",
        content_layer="relu3_1",
        style_layers="relu1_1,relu2_1,relu3_1",
        evaluations=15,
        scales=1,
        tolerance=0,
    )
    *_, last = optimize(large, style, weights, config)
    judge = PerceptualLoss.from_config(weights, style, config.replace(weights="balanced"))
    target = judge.content_target(large)
    before, after = judge(large, target), judge(last.image, target)
    assert after.style.item() < 0.5 * before.style.item()


def test_the_preset_that_serves_every_file(weights: VGGWeights) -> None:
    assert depth_of(PRESETS["pyramid"].deepest_layer) == depth_of("relu3_3")
    if depth_of(weights.deepest_layer) >= depth_of("relu3_3"):
        VGG19(weights, deepest=PRESETS["pyramid"].deepest_layer)

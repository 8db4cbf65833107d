"""The objective in pieces. Truth: the objective of the whole picture."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from nst.config import ObjectiveConfig, OptimizeConfig
from nst.guidance import GuidedLoss, Guides
from nst.losses import PerceptualLoss
from nst.optimize import optimize
from nst.presets import Tap
from nst.tiled import TiledObjective, map_size
from nst.weights import VGGWeights

pytestmark = pytest.mark.usefixtures("one_thread")


def image(seed: int, height: int = 48, width: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64)


def whole(criterion: PerceptualLoss, photo: Tensor, painted: Tensor) -> tuple[Tensor, Tensor]:
    pixels = painted.clone().requires_grad_(True)
    total = criterion(pixels, criterion.content_target(photo)).total
    (gradient,) = torch.autograd.grad(total, pixels)
    return total.detach(), gradient


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({}, (200, 160)),
        ({}, (131, 187)),  # odd at every scale
        ({"weights": "gatys"}, (131, 187)),
        ({"preset": "gatys"}, (167, 205)),
        ({"content_layer": "relu2_2/4", "style_layers": "relu1_1/2"}, (150, 97)),
    ],
)
def test_values_and_gradients_are_those_of_the_whole(
    tiny_vgg: VGGWeights, settings: dict[str, Any], size: tuple[int, int], padding: Any
) -> None:
    weights = dataclasses.replace(tiny_vgg, padding=padding)
    config = ObjectiveConfig(tv_weight=0.5, **settings)
    criterion = PerceptualLoss.from_config(weights, image(1), config)
    photo, painted = image(2, *size), image(3, *size)
    expected, slopes = whole(criterion, photo, painted)
    tiled = TiledObjective(criterion, photo, torch.float32, piece=32)
    assert sum(map(len, tiled._pieces.values())) > 4
    found, gradient = tiled(painted)
    # Gram matrices and energies are float32 in float64 networks too.
    assert found == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(gradient, slopes, rtol=1e-4, atol=1e-5 * slopes.abs().max().item())
    assert tiled.terms is not None
    terms = criterion(painted, criterion.content_target(photo))
    for name in ("content", "style", "total_variation"):
        torch.testing.assert_close(
            getattr(tiled.terms, name).double(), getattr(terms, name).double(), rtol=1e-5, atol=1e-9
        )


def test_guided_styles_too(tiny_vgg: VGGWeights) -> None:
    masks = torch.zeros(2, 1, 131, 187, dtype=torch.float64)
    masks[0, ..., :90], masks[1, ..., 70:] = 1.0, 0.5
    styles = [image(1), image(4, 40, 72)]
    criterion = GuidedLoss(tiny_vgg, styles, ObjectiveConfig(), Guides([2.0, 1.0], masks))
    photo, painted = image(2, 131, 187), image(3, 131, 187)
    expected, slopes = whole(criterion, photo, painted)
    found, gradient = TiledObjective(criterion, photo, torch.float32, piece=32)(painted)
    assert found == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(gradient, slopes, rtol=1e-4, atol=1e-5 * slopes.abs().max().item())


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_optimising_in_pieces_ends_where_the_whole_does(
    tiny_vgg: VGGWeights, optimizer: Any
) -> None:
    config = OptimizeConfig(device="cpu", evaluations=6, tolerance=0.0, optimizer=optimizer)
    photo, style = image(2, 90, 110).float(), image(1).float()
    *_, one = optimize(photo, style, tiny_vgg, config)
    *_, other = optimize(photo, style, tiny_vgg, config.replace(tile=32))
    assert other.total == pytest.approx(one.total, rel=1e-3)


def test_the_size_of_a_map_by_hand() -> None:
    """131 px: 66 at half size, then 33 and 16 behind two poolings that cut, else 17."""
    assert map_size((131, 128), Tap("relu3_1", 2), ceil_mode=False) == (16, 16)
    assert map_size((131, 128), Tap("relu3_1", 2), ceil_mode=True) == (17, 16)
    assert map_size((131, 128), Tap("relu1_1", 1), ceil_mode=False) == (131, 128)

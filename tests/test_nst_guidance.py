"""Several style images for one picture. Truths: by hand, and the objective of one style image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nst.config import ObjectiveConfig, OptimizeConfig
from nst.guidance import GuidedLoss, Guides, objective_for
from nst.losses import PerceptualLoss
from nst.optimize import optimize
from nst.weights import VGGWeights

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = ObjectiveConfig()


def image(seed: int, height: int = 48, width: int = 64) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def halves(height: int = 48, width: int = 64) -> Tensor:
    masks = torch.zeros(2, 1, height, width)
    masks[0, ..., : width // 2] = 1.0
    masks[1, ..., width // 2 :] = 1.0
    return masks


def test_one_style_everywhere_is_the_plain_objective(tiny_vgg: VGGWeights) -> None:
    style, photo, painted = image(1), image(2), image(3)
    plain = PerceptualLoss.from_config(tiny_vgg, style, CONFIG)
    guided = GuidedLoss(tiny_vgg, [style], CONFIG, Guides([2.0], torch.ones(1, 1, 48, 64)))
    expected = plain(painted, plain.content_target(photo))
    found = guided(painted, guided.content_target(photo))
    torch.testing.assert_close(found.style, expected.style)
    torch.testing.assert_close(found.content, expected.content)


@pytest.mark.parametrize("weights", ["balanced", "gatys"])
def test_weights_add_up_what_each_asks(tiny_vgg: VGGWeights, weights: str) -> None:
    config = ObjectiveConfig(weights=weights)  # type: ignore[arg-type]
    styles, photo, painted = [image(1), image(4, 56, 72)], image(2), image(3)
    guided = GuidedLoss(tiny_vgg, styles, config, Guides([3.0, 1.0]))
    found = guided(painted, guided.content_target(photo)).style
    each = []
    for style in styles:
        alone = PerceptualLoss.from_config(tiny_vgg, style, config)
        each.append(alone(painted, alone.content_target(photo)).style)
    torch.testing.assert_close(found, 0.75 * each[0] + 0.25 * each[1])


def test_under_its_mask_a_style_sees_its_place_alone(tiny_vgg: VGGWeights) -> None:
    """By invariant: what is painted in the other half, far from the border, changes nothing."""
    config = ObjectiveConfig(style_layers="relu1_1")  # sees one pixel to each side
    guides = Guides([1.0, 0.0], halves())
    guided = GuidedLoss(tiny_vgg, [image(1), image(4)], config, guides)
    photo, painted = image(2), image(3)
    target = guided.content_target(photo)
    before = guided(painted, target).style
    other = painted.clone()
    other[..., 34:] = image(5)[..., 34:]
    torch.testing.assert_close(guided(other, target).style, before)
    other[..., 10:20] = 0.0
    assert guided(other, target).style != pytest.approx(before.item(), rel=1e-3)


def test_the_gram_matrix_under_a_mask_is_that_of_the_place(tiny_vgg: VGGWeights) -> None:
    """By hand: a picture whose half is the style image, repeated, has under that half its error of
    nothing, but for the seam; the other half is far off."""
    config = ObjectiveConfig(style_layers="relu1_1")
    style = image(1, 48, 32)
    painted = torch.cat((style, torch.zeros_like(style)), 3)
    left = GuidedLoss(tiny_vgg, [style, style], config, Guides([1.0, 0.0], halves()))
    right = GuidedLoss(tiny_vgg, [style, style], config, Guides([0.0, 1.0], halves()))
    target = left.content_target(image(2))
    assert left(painted, target).style.item() < 0.01
    assert right(painted, target).style.item() > 0.3


def test_shares_are_weights_times_areas() -> None:
    masks = torch.zeros(2, 1, 4, 8)
    masks[0, ..., :2] = 1.0
    masks[1] = 0.5
    assert Guides([2.0, 1.0], masks).shares() == pytest.approx([0.5, 0.5])


def test_guides_paint_each_half_in_its_own_style(tiny_vgg: VGGWeights) -> None:
    """By the definition of the aim: under its mask each half's Gram matrices come nearer to its own
    style with guidance than without."""
    config = OptimizeConfig(device="cpu", evaluations=40, tolerance=0.0, tv_weight=0.0)
    styles, photo = [image(1), 1 - image(4).square()], image(2) * 0.5 + 0.2
    found = {}
    for name, masks in (("guided", halves()), ("plain", None)):
        *_, last = optimize(photo, styles, tiny_vgg, config, guides=Guides([1.0, 1.0], masks))
        judge = objective_for(tiny_vgg, styles, config, Guides([1.0, 1.0], halves()))
        found[name] = judge(last.image, judge.content_target(photo)).style.item()
    assert found["guided"] < 0.8 * found["plain"]

"""The price on unsteadiness. Truths: by hand, and the judge's own motions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from nst.motion import Motion, move
from train.stability import (
    MARGIN_PX,
    MOST_ANGLE_DEG,
    MOST_SHIFT_PX,
    MOST_ZOOM,
    NOISE,
    _grid,
    _moved,
    stability_loss,
)


def photographs(batch: int = 2, height: int = 64, width: int = 80) -> Tensor:
    """Smooth ones, in the middle of the range."""
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(batch, 3, 8, 10, generator=generator) * 0.6 + 0.2
    return torch.nn.functional.interpolate(small, (height, width), mode="bicubic")


def test_what_moves_with_the_photograph_costs_the_noise_alone() -> None:
    """By hand: the identity gives back the noise that was added, whatever the motion."""
    found = stability_loss(lambda x: x, photographs(), photographs(), seed=0, first=3)
    assert found.shape == (2,)
    np.testing.assert_allclose(found.numpy(), NOISE**2, rtol=0.1)


def test_what_stays_on_the_screen_costs() -> None:
    """By hand: a pattern that does not move is far off its own moved self."""
    pattern = torch.rand(2, 3, 64, 80, generator=torch.Generator().manual_seed(1))
    found = stability_loss(lambda x: pattern, photographs(), pattern, seed=0, first=3)
    assert (found > 100 * NOISE**2).all()


def squared(images: Tensor, *, seed: int, first: int) -> Tensor:
    return stability_loss(lambda x: x**2, images, images, seed=seed, first=first)


def test_a_photograph_moves_by_its_number() -> None:
    """By invariant: alone, in a batch, here or in another process; another seed, another motion."""
    images = photographs()
    both = squared(images, seed=1, first=6)
    torch.testing.assert_close(both[1:], squared(images[1:], seed=1, first=7))
    assert not torch.equal(both, squared(images, seed=1, first=8))
    assert not torch.equal(both, squared(images, seed=2, first=6))


@pytest.mark.parametrize(
    ("drawn", "motion"),
    [
        ([0.0, 0.0, 0.5, -0.25], Motion(-0.5 * MOST_SHIFT_PX, 0.25 * MOST_SHIFT_PX)),
        ([1.0, 0.0, 0.0, 0.0], Motion(angle_deg=MOST_ANGLE_DEG)),
        ([0.0, -1.0, 0.0, 0.0], Motion(zoom=1 - MOST_ZOOM)),
    ],
)
def test_motions_are_those_of_the_judge(drawn: list[float], motion: Motion) -> None:
    """By the judge's own resampling, another program: shifts, turns and zooms go the same way."""
    image = photographs(1)
    grid = _grid(torch.tensor([[*drawn, 0.0]]), 64, 80)
    found = _moved(image, grid)[0].permute(1, 2, 0).numpy() * 255
    rgb = (image[0].permute(1, 2, 0).numpy() * 255).astype(np.float32)
    expected = move(rgb, motion)
    inner = (slice(MARGIN_PX, -MARGIN_PX),) * 2
    assert np.abs(found - expected)[inner].max() < 2.0  # cubics of another slope
    assert np.abs(found - rgb)[inner].max() > 4.0


def test_its_gradient_reaches_both_paintings() -> None:
    weight = torch.tensor(0.5, requires_grad=True)
    painted = weight * photographs()
    stability_loss(lambda x: weight * x, photographs(), painted, seed=0, first=1).sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert weight.grad.isfinite()

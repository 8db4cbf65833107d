"""The price on edges finer than the middle. Truths: by hand, by invariant."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nst.functional import EDGE_PX
from train.edges import edge_loss


def noise(*, batch: int = 1, seed: int = 0) -> Tensor:
    """As rough everywhere."""
    return torch.rand(batch, 3, 64, 96, generator=torch.Generator().manual_seed(seed))


def stripes() -> Tensor:
    """A grey picture, with rows of 0.2 and 0.8 in turns in its middle and of 0 and 1 on its left.

    Their second differences are 1.2 and 2, so that the left edge is 2.778 times as rough.
    """
    rows = torch.arange(64)[:, None] % 2
    image = (0.2 + 0.6 * rows).expand(64, 96).clone()
    image[:, :EDGE_PX] = rows
    return image.expand(1, 3, 64, 96).clone()


def test_a_comb_costs_by_how_much_it_is_rougher() -> None:
    """By hand; the other three edges are as rough as the middle or, from left to right, smooth."""
    grey = torch.full((1, 3, 64, 96), 0.5)
    expected = (4 / (1.44 + 1e-4) - 1) / 4
    assert edge_loss(stripes(), grey).tolist() == pytest.approx([expected], rel=1e-4)


def test_what_is_no_rougher_than_the_middle_or_the_photograph_is_free() -> None:
    image = 0.4 + 0.2 * noise()
    image[..., :EDGE_PX] = 0.5
    image[..., -EDGE_PX:] = 0.5
    image[..., :EDGE_PX, :] = 0.5
    image[..., -EDGE_PX:, :] = 0.5
    assert edge_loss(image, image * 0).tolist() == [0]
    assert edge_loss(stripes(), stripes()).tolist() == [0]


def test_only_edges_learn() -> None:
    """By invariant: a rougher middle would be no mend."""
    image = stripes().requires_grad_()
    edge_loss(image, torch.full((1, 3, 64, 96), 0.5)).sum().backward()  # type: ignore[no-untyped-call]
    assert image.grad is not None
    assert image.grad[..., :EDGE_PX].abs().sum() > 0
    assert image.grad[..., EDGE_PX:].abs().sum() == 0


def test_pictures_are_priced_one_by_one_and_both_ways_round() -> None:
    """By invariant."""
    batch = torch.cat([stripes(), 0.5 * noise(), stripes().flip(3)])
    found = edge_loss(batch, batch * 0)
    alone = [edge_loss(each[None], each[None] * 0) for each in batch]
    torch.testing.assert_close(found, torch.cat(alone))
    torch.testing.assert_close(edge_loss(batch.mT, batch.mT * 0), found)
    torch.testing.assert_close(found[0], found[2])
    half = edge_loss(batch.bfloat16(), batch.bfloat16() * 0)
    torch.testing.assert_close(half, found, rtol=0.03, atol=0.03)

"""Photographs with harder light. Truths: by hand, by invariant."""

from __future__ import annotations

import torch
from torch import Tensor

from train.levels import with_levels


def ramp(batch: int) -> Tensor:
    """All greys, once."""
    return torch.linspace(0, 1, 256).reshape(1, 1, 16, 16).repeat(batch, 3, 1, 1)


def test_half_of_the_photographs_stay_as_they_are() -> None:
    found = with_levels(ramp(400), 0.4, seed=0, first=0)
    kept = (found == ramp(400)).flatten(1).all(1)
    assert 160 < int(kept.sum()) < 240  # four deviations of a fair coin


def test_the_others_have_pure_black_and_white() -> None:
    """By hand: evenly drawn, so a fifth of a ramp is black on average and a fifth white."""
    found = with_levels(ramp(400), 0.4, seed=0, first=0)
    changed = found[(found != ramp(400)).flatten(1).any(1)]
    assert changed.min() == 0
    assert changed.max() == 1
    for end in (0, 1):
        share = (changed == end).flatten(1).float().mean(1)
        assert abs(float(share.mean()) - 0.2) < 0.02
        assert share.max() < 0.41


def test_what_lies_between_is_stretched_evenly() -> None:
    """By hand: what is neither is on a line through the black and the white point."""
    for found in with_levels(ramp(20), 0.4, seed=1, first=0):
        values = found[0].flatten()
        steps = values.diff()[(values[:-1] > 0) & (values[1:] < 1)]
        torch.testing.assert_close(steps, steps.mean().expand_as(steps), rtol=1e-3, atol=1e-5)
        assert 1 / 255 - 1e-6 < float(steps.mean()) < 5.01 / 255


def test_what_is_drawn_follows_from_the_number_of_the_photograph() -> None:
    """By invariant: alone, in a batch, here or in another process; another seed, other points."""
    whole = with_levels(ramp(8), 0.4, seed=1, first=6)
    torch.testing.assert_close(whole[3:], with_levels(ramp(5), 0.4, seed=1, first=9))
    assert not torch.equal(whole, with_levels(ramp(8), 0.4, seed=2, first=6))

"""Which styles, how much of each, and where: the one control of a network of several styles.

A mix is ``(M, K + 1, h, w)``: M is 1 or the batch, ``h x w`` any coarse grid over the picture, 1x1
for all of it. Channel 0 is ``original``, the photograph itself, the others are the K styles. Values
are at least 0 and count by their share; where all are 0 the photograph stays.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def normalized(mix: Tensor) -> Tensor:
    """Return shares: of the photograph in channel 0, of each style in the painting in the others.

    The painting's shares are without the photograph's: they add up to 1 in every cell. A cell that
    is all photograph takes those of the whole grid, so that the statistics of a picture, which
    are of all its places, are those of its styles.

    Args:
        mix: ``(M, K + 1, h, w)``, at least 0.

    Returns:
        The same shape; channel 0 within 0 and 1.
    """
    least = torch.finfo(mix.dtype).tiny
    total = mix.sum(1, keepdim=True)
    original = torch.where(total > 0, mix[:, :1] / total.clamp(min=least), torch.ones_like(total))
    styles = mix[:, 1:]
    painted = styles.sum(1, keepdim=True)
    everywhere = styles.mean((2, 3), keepdim=True)
    everywhere = everywhere / everywhere.sum(1, keepdim=True).clamp(min=least)
    shares = torch.where(painted > 0, styles / painted.clamp(min=least), everywhere)
    return torch.cat((original, shares), 1)


def is_global(mix: Tensor) -> bool:
    """Whether a mix is the same in all places."""
    return mix.shape[-2] == 1 and mix.shape[-1] == 1


def resized(mix: Tensor, height: int, width: int) -> Tensor:
    """Resize a mix to a map, between the middles of its cells, ``(M, K + 1, H, W)``."""
    return F.interpolate(mix, (height, width), mode="bilinear", align_corners=False)


def pure(styles: int, number: int) -> Tensor:
    """Return the mix of one style in full strength, ``(1, K + 1, 1, 1)``."""
    mix = torch.zeros(1, styles + 1, 1, 1)
    mix[:, 1 + number] = 1.0
    return mix

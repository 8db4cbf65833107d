"""An endless field of noise: a value for every place in the plane, the same at every run.

Where a photograph is flat, a network that works at a quarter of the size sees the same everywhere
and can only repeat one tile of as many pixels as its stride: a lattice. Noise beside the picture
tells places apart. It is computed from the place alone, without operators for random numbers, so
that a picture is painted alike every time and in every runtime.
"""

from __future__ import annotations

import random
from typing import cast

import torch
from torch import Tensor, nn

PERIODS = (61, 67)
"""Sides of the two tiles, px; prime, so that their product repeats after 61 * 67 = 4087 px only."""
STRIDES = (1009, 2003)
"""How far the field moves from one origin of ``origin_of`` to the next, downwards and across."""


class EndlessNoise(nn.Module):
    """White noise without a border.

    The product of a tile of random signs and a tile of random numbers, each repeated for ever. At
    a distance of one period the numbers are the same and the signs are not, or the other way
    round: what is seen is not correlated until both repeat.

    Args:
        deviation: Standard deviation of the values.
    """

    def __init__(self, deviation: float) -> None:
        super().__init__()
        # Python promises the numbers of a seed for ever, torch does not.
        draw = random.Random(0).random
        signs = [
            [1.0 if draw() < 0.5 else -1.0 for _ in range(PERIODS[0])] for _ in range(PERIODS[0])
        ]
        values = [[2 * draw() - 1 for _ in range(PERIODS[1])] for _ in range(PERIODS[1])]
        scale = deviation * 3**0.5  # of uniform numbers from -1 to 1
        self.register_buffer("signs", torch.tensor(signs), persistent=False)
        self.register_buffer("values", scale * torch.tensor(values), persistent=False)

    def forward(self, height: int, width: int, origin: Tensor | None = None) -> Tensor:
        """Return the field, ``(1, 1, height, width)``.

        Args:
            height: px.
            width: px.
            origin: Where its upper left corner lies, row and column, int64 ``(2,)``; None for the
                corner that every picture has.
        """
        field = _spread(cast(Tensor, self.signs), height, width, origin)
        return (field * _spread(cast(Tensor, self.values), height, width, origin))[None, None]


def origin_of(step: int, device: torch.device) -> Tensor:
    """Return where the field begins in a step of training: elsewhere in each, known from the step.

    Returns:
        int64 ``(2,)``.
    """
    period = PERIODS[0] * PERIODS[1]
    return torch.tensor([step * stride % period for stride in STRIDES], device=device)


def _spread(tile: Tensor, height: int, width: int, origin: Tensor | None) -> Tensor:
    """Repeat a square tile over ``(height, width)``."""
    side = tile.shape[0]
    rows, columns = (torch.arange(count, device=tile.device) for count in (height, width))
    if origin is not None:
        rows, columns = rows + origin[0], columns + origin[1]
    # Columns first, on few rows: whole rows are copied faster than single numbers.
    return tile.index_select(1, columns % side).index_select(0, rows % side)

"""Endless fields of noise: values for every place in the plane, the same at every run.

Where a photograph is flat, a network that works at a quarter of the size sees the same everywhere
and can only repeat one tile of as many pixels as its stride: a lattice. Noise beside the picture
tells places apart: white noise one pixel from the next, smooth noise one stroke from the next, so
that a plain sky is painted in strokes and not as one hatching. It is computed from the place alone,
without operators for random numbers, so that a picture is painted alike every time and in every
runtime.
"""

from __future__ import annotations

import random
from typing import cast

import torch
from torch import Tensor, nn

from nst.runtime import sent

PERIODS = (61, 67)
"""Sides of the two tiles, px; prime, so that their product repeats after 61 * 67 = 4087 px only."""
STRIDES = (1009, 2003)
"""How far the fields move from one origin of ``origin_of`` to the next, downwards and across."""
CELL_PX = 16
"""Between the values of the smooth field; those of its other places lie between."""
FIELDS = 2
"""White and smooth."""


class EndlessNoise(nn.Module):
    """White and smooth noise without a border.

    White noise is the product of a tile of random signs and a tile of random numbers, each repeated
    for ever. At a distance of one period the numbers are the same and the signs are not, or the
    other way round: what is seen is not correlated until both repeat. Smooth noise is the same with
    a cell for each pixel, interpolated linearly.

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
        """Return both fields, white and smooth, ``(1, 2, height, width)``.

        Args:
            height: px.
            width: px.
            origin: Where their upper left corner lies, row and column, int64 ``(2,)``; None for the
                corner that every picture has.
        """
        fields = self._white(height, width, origin), self._smooth(height, width, origin)
        return torch.stack(fields)[None]

    def _white(self, height: int, width: int, origin: Tensor | None) -> Tensor:
        field = _spread(cast(Tensor, self.signs), height, width, origin)
        return field * _spread(cast(Tensor, self.values), height, width, origin)

    def _smooth(self, height: int, width: int, origin: Tensor | None) -> Tensor:
        cell = None if origin is None else origin // CELL_PX
        # As many as the picture covers where it begins in the last pixel of a cell, and one behind.
        rows, columns = ((side + 2 * CELL_PX - 2) // CELL_PX + 1 for side in (height, width))
        nodes = self._white(rows, columns, cell) * 1.5  # linear weights leave 4/9 of the variance
        inside = (0, 0) if origin is None else origin % CELL_PX
        return _between(_between(nodes.mT, width, inside[1]).mT, height, inside[0])


def origin_of(step: int, device: torch.device) -> Tensor:
    """Return where the fields begin in a step of training: elsewhere in each, known from the step.

    Returns:
        int64 ``(2,)``.
    """
    period = PERIODS[0] * PERIODS[1]
    return sent(torch.tensor([step * stride % period for stride in STRIDES]), device)


def _spread(tile: Tensor, height: int, width: int, origin: Tensor | None) -> Tensor:
    """Repeat a square tile over ``(height, width)``."""
    side = tile.shape[0]
    rows, columns = (torch.arange(count, device=tile.device) for count in (height, width))
    if origin is not None:
        rows, columns = rows + origin[0], columns + origin[1]
    # Columns first, on few rows, and as rows: they are copied faster than single numbers.
    return tile.mT.index_select(0, columns % side).mT.index_select(0, rows % side)


def _between(nodes: Tensor, count: int, start: int | Tensor) -> Tensor:
    """Interpolate rows to ``count`` pixels, the first one ``start`` px behind its first node."""
    places = torch.arange(count, device=nodes.device) + start
    cells = places // CELL_PX
    share = (places % CELL_PX).to(nodes.dtype)[:, None] / CELL_PX
    before, behind = (nodes.index_select(0, cells + n) for n in (0, 1))
    return before + (behind - before) * share

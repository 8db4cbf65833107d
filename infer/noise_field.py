"""The noise of a network, ``nst.noise``, at any place of a picture, computed without torch.

A network carries its two tiles of random numbers and computes the noise of a picture from its upper
left corner on. A part of a picture needs the noise of its place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CELL_PX = 16
"""Between the values of the smooth field, as in ``nst.noise``."""
GAIN = np.float32(1.5)
"""Of the smooth field, as in ``nst.noise``."""


@dataclass(frozen=True, slots=True, eq=False)
class NoiseField:
    """White and smooth noise without a border.

    Attributes:
        signs: ``(61, 61)``, -1 or 1.
        values: ``(67, 67)``.
    """

    signs: NDArray[np.float32]
    values: NDArray[np.float32]

    def part(self, rows: tuple[int, int], columns: tuple[int, int]) -> NDArray[np.float32]:
        """Return both fields, white and smooth, ``(1, 2, h, w)``.

        Args:
            rows: First row and the one behind the last, px from the top of the picture.
            columns: The same from its left side.
        """
        y, x = np.arange(*rows), np.arange(*columns)
        fields = np.empty((1, 2, len(y), len(x)), np.float32)
        fields[0, 0] = self._white(y, x)
        first_y, first_x = y[0] // CELL_PX, x[0] // CELL_PX
        cells_y = np.arange(first_y, y[-1] // CELL_PX + 2)
        cells_x = np.arange(first_x, x[-1] // CELL_PX + 2)
        nodes = self._white(cells_y, cells_x) * GAIN
        across = _between(nodes.T, x, first_x).T
        fields[0, 1] = _between(across, y, first_y)
        return fields

    def _white(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float32]:
        return _spread(self.signs, rows, columns) * _spread(self.values, rows, columns)


def _spread(
    tile: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.float32]:
    spread: NDArray[np.float32] = tile[:, columns % tile.shape[1]][rows % tile.shape[0]]
    return spread


def _between(
    nodes: NDArray[np.float32], places: NDArray[np.int64], first: int
) -> NDArray[np.float32]:
    """Interpolate ``(cells, n)`` to ``(places, n)``; the first row is that of cell ``first``."""
    cells = places // CELL_PX - first
    share = ((places % CELL_PX).astype(np.float32) / np.float32(CELL_PX))[:, None]
    before = nodes[cells]
    between: NDArray[np.float32] = before + (nodes[cells + 1] - before) * share
    return between

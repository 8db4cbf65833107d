"""What a graph is given of a picture to compute one tile: pixels, noise and mix of its place."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from infer.kept_maps import Tile
from infer.tile_facts import Feeds, PlacedMix
from infer.tile_graphs import SEEN, START, STOP, TileGraphs
from infer.tile_plan import Span, TilePlan
from nst.contract import INPUT, MIX, TEXTURE


@dataclass(slots=True, eq=False)
class Feeder:
    """Cuts what belongs to a tile out of what belongs to the picture.

    Attributes:
        graphs: Of the model.
        image: RGB, uint8, (H, W, 3).
        plan: Its tiles.
        texture: What the noise is multiplied by.
        mix: Of a model with controls, as ``Session.run`` takes it.
    """

    graphs: TileGraphs
    image: NDArray[np.uint8]
    plan: TilePlan
    texture: float
    mix: NDArray[np.float32] | None
    _shares: Feeds | None = field(default=None, init=False)

    def feeds(self, tile: Tile, names: set[str]) -> Feeds:
        """Return those inputs of a tile that have these names."""
        row, column = tile
        found: Feeds = {
            START: np.array([span.start - span.seen_start for span in tile]),
            STOP: np.array([span.stop - span.seen_start for span in tile]),
            SEEN: np.array([span.seen for span in tile]),
            TEXTURE: np.array([self.texture], np.float32),
        }
        if INPUT in names:
            found[INPUT] = self._crop(row, column)[None]
        if self.mix is not None:
            found[MIX] = self.mix
        facts = self.graphs.facts
        if facts.noise is not None and facts.field in names:
            rows, columns = ((span.seen_start, span.seen_stop) for span in tile)
            found[facts.field] = facts.noise.part(rows, columns)
        for placed in facts.mixes:
            if placed.output in names:
                found[placed.output] = self._mix_at(placed, tile)
        return {name: value for name, value in found.items() if name in names}

    def _crop(self, row: Span, column: Span) -> NDArray[np.uint8]:
        """Return what is seen of a tile; beyond the picture its last row and column repeat."""
        height, width = self.image.shape[:2]
        rows = slice(row.seen_start, min(row.seen_stop, height))
        columns = slice(column.seen_start, min(column.seen_stop, width))
        below, right = row.seen_stop - rows.stop, column.seen_stop - columns.stop
        crop = self.image[rows, columns]
        if below or right:
            crop = np.pad(crop, ((0, below), (0, right), (0, 0)), mode="edge")
        return np.ascontiguousarray(crop)

    def _mix_at(self, placed: PlacedMix, tile: Tile) -> NDArray[np.float32]:
        """Return the mix as the network resizes it to a map, of the tile's place."""
        if self._shares is None:
            assert self.mix is not None
            self._shares = self.graphs.shares(self.mix)
        shares = self._shares[placed.shares]
        for axis, span in enumerate(tile):
            if placed.sides is None:
                places, side = np.arange(span.seen_start, span.seen_stop), self.image.shape[axis]
            else:
                part, of = placed.sides[axis]
                first, last = (at * part // of for at in (span.seen_start, span.seen_stop))
                places, side = np.arange(first, last), self.plan.padded[axis] * part // of
            shares = _resized(shares, axis + 2, places, side)
        return np.ascontiguousarray(shares)


def _resized(
    grid: NDArray[np.float32], axis: int, places: NDArray[np.int64], side: int
) -> NDArray[np.float32]:
    """Resize an axis linearly, between the middles of its cells, and return some places of it.

    One cell is left as it is: it holds for every place.
    """
    cells = grid.shape[axis]
    if cells == 1:
        return grid
    at = np.clip((places + 0.5) * (cells / side) - 0.5, 0, cells - 1)
    before = np.minimum(at.astype(np.int64), cells - 2)
    shape = [1] * grid.ndim
    shape[axis] = -1
    share = (at - before).astype(np.float32).reshape(shape)
    first = before[0]
    near = grid.take(range(first, before[-1] + 2), axis)
    low, high = near.take(before - first, axis), near.take(before - first + 1, axis)
    resized: NDArray[np.float32] = low + (high - low) * share
    return resized

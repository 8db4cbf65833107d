"""Painting a large picture in tiles, with the result of painting it as a whole.

Instance norms need mean and deviation of whole maps. So the tiles are seen once for each norm, by
the part of the network before it, with the norms before that already known; a last time they are
painted. Sums are float64.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.session import Session
from infer.tile_facts import Feeds, Norm, PlacedMix
from infer.tile_graphs import SEEN, START, STATISTICS, STOP, Affine
from infer.tile_plan import Span, TilePlan
from nst.contract import INPUT, MIX, OUTPUT, TEXTURE

Tile = tuple[Span, Span]


@dataclass(slots=True, eq=False)
class Moments:
    """Mean and squared deviations of the channels of a map, from parts (Chan et al. 1979)."""

    count: float = 0.0
    mean: Any = 0.0
    """float64 ``(C,)``."""
    squares: Any = 0.0
    """Sum of squares of what differs from the mean."""

    def add(self, means: NDArray[np.float32], squares: NDArray[np.float32], columns: int) -> None:
        """Add rows of a map: their means and squares, ``(C, h)``, each of so many columns."""
        rows = means.astype(np.float64)
        mean = rows.mean(1)
        inside = squares.sum(1, dtype=np.float64)
        inside += columns * np.square(rows - mean[:, None]).sum(1)
        count = float(columns * rows.shape[1])
        total, change = self.count + count, mean - self.mean
        self.squares = self.squares + inside + np.square(change) * (self.count * count / total)
        self.mean = self.mean + change * (count / total)
        self.count = total

    def affine(self, norm: Norm) -> Affine:
        """Return what the norm does to a map of these moments."""
        factor = norm.scale / np.sqrt(self.squares / self.count + norm.epsilon)
        term = norm.shift - self.mean * factor
        return Affine(factor.astype(np.float32), term.astype(np.float32))


@dataclass(slots=True, eq=False)
class Tiling:
    """One picture to be painted in tiles.

    Attributes:
        session: The model.
        image: RGB, uint8, (H, W, 3).
        plan: Its tiles.
        texture: What the noise is multiplied by.
        mix: Of a model with controls, as ``Session.run`` takes it.
        painted: RGB, uint8, (H, W, 3), when all tiles are painted.
    """

    session: Session
    image: NDArray[np.uint8]
    plan: TilePlan
    texture: float = 1.0
    mix: NDArray[np.float32] | None = None
    painted: NDArray[np.uint8] | None = field(default=None, init=False)
    _shares: Feeds | None = field(default=None, init=False)

    def predict_seconds(self) -> float:
        """Return how long it will take, from the first tile through the first and the last graph.

        Between them the time grows with the multiplications in a graph.
        """
        graphs = self.session.graphs
        neutral = [
            Affine(norm.scale, norm.shift) for norm in graphs.facts.norms
        ]  # mean 0, deviation 1
        tile = self.plan.tiles[0]
        of_tile = self.plan.seen_pixels / (tile[0].seen * tile[1].seen)
        last = self._time(graphs.painting(neutral), tile, [OUTPUT])
        if not graphs.facts.norms:
            return last * of_tile
        first = self._time(graphs.statistics([]), tile, list(STATISTICS))
        least = graphs.facts.norms[0].work
        slope = max(0.0, last - first) / max(1e-9, 1 - least)
        passes = [first + slope * (norm.work - least) for norm in graphs.facts.norms]
        return (sum(passes) + last) * of_tile

    def paint(self) -> Iterator[float]:
        """Yield the share of the work that is done after each tile; at last ``painted`` is there.

        Raises:
            InferenceError: A tile could not be painted, for want of memory as a rule.
        """
        graphs = self.session.graphs
        total, done = sum(norm.work for norm in graphs.facts.norms) + 1, 0.0
        known: list[Affine] = []
        tiles = self.plan.tiles
        for norm in graphs.facts.norms:
            part = self.session.derived(graphs.statistics(known))
            moments = Moments()
            for number, tile in enumerate(tiles, start=1):
                means, squares, (columns,) = self._run(part, tile, list(STATISTICS))
                moments.add(means[0, :, :, 0], squares[0, :, :, 0], int(columns))
                yield (done + norm.work * number / len(tiles)) / total
            done += norm.work
            known.append(moments.affine(norm))
        part = self.session.derived(graphs.painting(known))
        painted = np.empty_like(self.image)
        height, width = self.image.shape[:2]
        for number, (row, column) in enumerate(tiles, start=1):
            (seen,) = self._run(part, (row, column), [OUTPUT])
            y, x = row.start - row.seen_start, column.start - column.seen_start
            rows, columns = min(row.stop, height), min(column.stop, width)
            own = seen[0, y : y + rows - row.start, x : x + columns - column.start]
            painted[row.start : rows, column.start : columns] = own
            yield (done + number / len(tiles)) / total
        self.painted = painted

    def _time(self, graph: bytes, tile: Tile, outputs: list[str]) -> float:
        """Return the seconds of one tile; the first run of a graph is slower and not counted."""
        part = self.session.derived(graph)
        self._run(part, tile, outputs)
        started_at = time.perf_counter()
        self._run(part, tile, outputs)
        return time.perf_counter() - started_at

    def _run(self, part: Any, tile: Tile, outputs: list[str]) -> list[NDArray[Any]]:  # noqa: ANN401
        row, column = tile
        feeds: Feeds = {
            INPUT: self._crop(row, column)[None],
            START: np.array([span.start - span.seen_start for span in tile]),
            STOP: np.array([span.stop - span.seen_start for span in tile]),
            SEEN: np.array([span.seen for span in tile]),
            TEXTURE: np.array([self.texture], np.float32),
        }
        if self.mix is not None:
            feeds[MIX] = self.mix
        names = {value.name for value in part.get_inputs()}
        names |= {value.name for value in part.get_overridable_initializers()}
        facts = self.session.graphs.facts
        if facts.noise is not None and facts.field in names:
            rows, columns = ((span.seen_start, span.seen_stop) for span in tile)
            feeds[facts.field] = facts.noise.part(rows, columns)
        for placed in facts.mixes:
            if placed.output in names:
                feeds[placed.output] = self._mix_at(placed, tile)
        given = {name: value for name, value in feeds.items() if name in names}
        what = f"a tile of {column.seen}x{row.seen} px"
        return self.session.run_derived(part, outputs, given, what)

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
            self._shares = self.session.graphs.shares(self.mix)
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

"""Painting a large picture in tiles, with the result of painting it as a whole.

Instance norms need mean and deviation of whole maps. So the tiles are seen once for each norm, by
the part of the network before it, with the norms before that already known; a last time they are
painted. Sums are float64. Where there is memory for the maps between two norms, they are kept, and
no pass computes what an earlier one has computed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.kept_maps import KeptMap, Tile, most_values
from infer.session import Session
from infer.tile_facts import Norm
from infer.tile_feeds import Feeder
from infer.tile_graphs import STATISTICS, Affine
from infer.tile_plan import TilePlan
from nst.contract import OUTPUT


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


KEPT_OVERHEAD = 1.5
"""Of passes that keep maps, all together, over painting the tiles once."""


@dataclass(slots=True, eq=False)
class Tiling:
    """One picture to be painted in tiles.

    Attributes:
        session: The model.
        image: RGB, uint8, (H, W, 3).
        plan: Its tiles.
        texture: What the noise is multiplied by.
        mix: Of a model with controls, as ``Session.run`` takes it.
        keeps: Whether the maps between two norms are kept, see ``kept_bytes``.
        painted: RGB, uint8, (H, W, 3), when all tiles are painted.
    """

    session: Session
    image: NDArray[np.uint8]
    plan: TilePlan
    texture: float = 1.0
    mix: NDArray[np.float32] | None = None
    keeps: bool = False
    painted: NDArray[np.uint8] | None = field(default=None, init=False)
    _kept: dict[str, tuple[KeptMap, NDArray[np.float32]]] = field(init=False, default_factory=dict)
    _feeder: Feeder = field(init=False)

    def __post_init__(self) -> None:
        graphs = self.session.graphs
        self._feeder = Feeder(graphs, self.image, self.plan, self.texture, self.mix)

    def predict_seconds(self) -> float:
        """Return how long it will take, from the first tile through the first and the last graph.

        Between them the time grows with the multiplications in a graph.
        """
        graphs, norms = self.session.graphs, self.session.graphs.facts.norms
        neutral = [Affine(norm.scale, norm.shift) for norm in norms]  # mean 0, deviation 1
        tile = self.plan.tiles[0]
        of_tile = self.plan.seen_pixels / (tile[0].seen * tile[1].seen)
        last = self._time(graphs.painting(neutral), tile, [OUTPUT])
        if not norms or self.keeps:
            return last * of_tile * (KEPT_OVERHEAD if norms else 1)
        first = self._time(graphs.statistics([]), tile, list(STATISTICS))
        slope = max(0.0, last - first) / max(1e-9, 1 - norms[0].work)
        passes = [first + slope * (norm.work - norms[0].work) for norm in norms]
        return (sum(passes) + last) * of_tile

    def paint(self) -> Iterator[float]:
        """Yield the share of the work that is done after each tile; at last ``painted`` is there.

        Raises:
            InferenceError: A tile could not be painted, for want of memory as a rule.
        """
        graphs, tiles = self.session.graphs, self.plan.tiles
        works = [norm.work for norm in graphs.facts.norms] + [1.0]
        if self.keeps:
            works = np.diff(works, prepend=0).tolist()
        total, done = sum(works), 0.0
        known: list[Affine] = []
        for work, norm in zip(works, graphs.facts.norms, strict=False):
            maps = self._new_maps(len(known))
            wanted = [each.name for each, _ in maps]
            part = self.session.derived(graphs.statistics(known, list(self._kept), wanted))
            moments = Moments()
            for number, tile in enumerate(tiles, start=1):
                found = self._run(part, tile, [*STATISTICS, *wanted])
                means, squares, (columns,) = found[:3]
                moments.add(means[0, :, :, 0], squares[0, :, :, 0], int(columns))
                for (each, whole), seen in zip(maps, found[3:], strict=True):
                    each.put(whole, seen, tile)
                yield (done + work * number / len(tiles)) / total
            self._let_go(len(known), maps)
            done += work
            known.append(moments.affine(norm))
        part = self.session.derived(graphs.painting(known, list(self._kept)))
        painted = np.empty_like(self.image)
        for number, tile in enumerate(tiles, start=1):
            (seen,) = self._run(part, tile, [OUTPUT])
            self._put(painted, seen[0], tile)
            yield (done + works[-1] * number / len(tiles)) / total
        self._kept.clear()
        self.painted = painted

    def _new_maps(self, number: int) -> list[tuple[KeptMap, NDArray[np.float32]]]:
        """Return the maps that are first computed before a norm, with room for each."""
        maps = self.session.graphs.facts.kept[number] if self.keeps else ()
        new = [each for each in maps if each.name not in self._kept]
        return [(each, each.empty(self.plan.padded)) for each in new]

    def _let_go(self, number: int, new: list[tuple[KeptMap, NDArray[np.float32]]]) -> None:
        """Keep what is needed behind a norm, and nothing else."""
        all_maps = [*self._kept.values(), *new]
        needed = self.session.graphs.facts.kept[number] if self.keeps else ()
        self._kept = {each.name: (each, whole) for each, whole in all_maps if each in needed}

    def _put(self, painted: NDArray[np.uint8], seen: NDArray[np.uint8], tile: Tile) -> None:
        """Write what belongs to a tile, of what is seen of it; what was padded is left out."""
        row, column = tile
        y, x = row.start - row.seen_start, column.start - column.seen_start
        rows, columns = min(row.stop, len(painted)), min(column.stop, painted.shape[1])
        own = seen[y : y + rows - row.start, x : x + columns - column.start]
        painted[row.start : rows, column.start : columns] = own

    def _time(self, graph: bytes, tile: Tile, outputs: list[str]) -> float:
        """Return the seconds of one tile; the first run of a graph is slower and not counted."""
        part = self.session.derived(graph)
        self._run(part, tile, outputs)
        started_at = time.perf_counter()
        self._run(part, tile, outputs)
        return time.perf_counter() - started_at

    def _run(self, part: Any, tile: Tile, outputs: list[str]) -> list[NDArray[Any]]:  # noqa: ANN401
        names = {value.name for value in part.get_inputs()}
        names |= {value.name for value in part.get_overridable_initializers()}
        feeds = self._feeder.feeds(tile, names)
        feeds |= {
            name: each.part(whole, tile)
            for name, (each, whole) in self._kept.items()
            if name in names
        }
        what = f"a tile of {tile[1].seen}x{tile[0].seen} px"
        return self.session.run_derived(part, outputs, feeds, what)


def kept_bytes(session: Session, plan: TilePlan) -> int | None:
    """Return what it takes to keep the maps between norms, bytes; None where that is no use."""
    kept = session.graphs.facts.kept
    height, width = plan.padded
    return int(4 * most_values(kept) * height * width) if kept else None

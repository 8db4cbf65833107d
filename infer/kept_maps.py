"""The maps between two norms, kept of a whole picture: tiles then go on where the last pass ended.

Without them each pass computes the network from the picture on, up to the norm that it serves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto

from infer.tile_plan import Span
from nst.contract import INPUT

Tile = tuple[Span, Span]


@dataclass(frozen=True, slots=True)
class KeptMap:
    """A map that is computed before a norm and needed behind it.

    Attributes:
        name: Of the tensor.
        channels: C.
        sides: Height and width over those of the padded picture, as fractions.
    """

    name: str
    channels: int
    sides: tuple[tuple[int, int], tuple[int, int]]

    @property
    def values(self) -> float:
        """Values for each pixel of the picture."""
        (part_y, of_y), (part_x, of_x) = self.sides
        return self.channels * part_y / of_y * part_x / of_x

    def empty(self, padded: tuple[int, int]) -> NDArray[np.float32]:
        """Return room for all of it, ``(C, H, W)``, of a padded picture of that size, px."""
        height, width = (
            side * part // of for side, (part, of) in zip(padded, self.sides, strict=True)
        )
        return np.empty((self.channels, height, width), np.float32)

    def part(self, whole: NDArray[np.float32], tile: Tile) -> NDArray[np.float32]:
        """Return what is seen of a tile, ``(1, C, h, w)``."""
        rows, columns = (
            slice(span.seen_start * part // of, span.seen_stop * part // of)
            for span, (part, of) in zip(tile, self.sides, strict=True)
        )
        return np.ascontiguousarray(whole[None, :, rows, columns])

    def put(self, whole: NDArray[np.float32], seen: NDArray[np.float32], tile: Tile) -> None:
        """Write what belongs to a tile, of ``(1, C, h, w)`` that is seen of it."""
        own, place = [], []
        for span, (part, of) in zip(tile, self.sides, strict=True):
            start, stop, first = (
                at * part // of for at in (span.start, span.stop, span.seen_start)
            )
            place.append(slice(start, stop))
            own.append(slice(start - first, stop - first))
        whole[:, place[0], place[1]] = seen[0][:, own[0], own[1]]


def most_values(kept: Sequence[Sequence[KeptMap]]) -> float:
    """Return the most values that are kept at once, for each pixel of the picture.

    Args:
        kept: Of each norm. While those of one are made, those of the one before it are there.
    """
    pairs = zip(((), *kept), (*kept, ()), strict=True)
    return max(sum(each.values for each in {*before, *behind}) for before, behind in pairs)


def crossing(graph: GraphProto, norms: Iterable[NodeProto]) -> list[list[str]]:
    """Return for each norm the maps that are computed before it and needed behind it.

    Maps are what convolutions of the picture make, and what is made of that; other things are
    computed anew, which costs nothing.

    Args:
        graph: Of the model.
        norms: In its order.
    """
    producers = {output: node for node in graph.node for output in node.output}
    is_picture, is_map = {INPUT}, set[str]()
    for node in graph.node:
        if node.op_type == "Shape":
            continue
        if is_picture.intersection(node.input):
            is_picture.update(node.output)
            if node.op_type == "Conv" or is_map.intersection(node.input):
                is_map.update(node.output)
    found = []
    for norm in norms:
        before: set[str] = set()
        todo = [norm.input[0]]
        while todo:
            name = todo.pop()
            if name in before or name not in producers:
                continue
            before.update(producers[name].output)
            todo += producers[name].input
        behind = [node for node in graph.node if not before.intersection(node.output)]
        needed = dict.fromkeys(name for node in behind for name in node.input)
        found.append([name for name in needed if name in before and name in is_map])
    return found

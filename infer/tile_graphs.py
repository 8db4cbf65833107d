"""The graphs that paint a picture in tiles, derived from the file of a model.

What a network computes at one place depends on the whole picture in three ways: through the
statistics of its norms, through the noise, which is that of the place, and through a mix that
differs from place to place. In the graphs made here a norm whose statistics are known is a
multiplication and an addition, and noise and mix are inputs. The last norm of a graph of statistics
is replaced by sums over the part of the map that belongs to the tile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from infer.tile_facts import NORM, Feeds, Run, TileFacts, any_shape, extract
from nst.contract import INPUT, MIX

START, STOP, SEEN = "tile.start", "tile.stop", "tile.seen"
"""Inputs of a graph of statistics, int64 ``(2,)``, px of the crop: where the part that belongs to
the tile begins and ends, and how large the crop is."""
STATISTICS = ("tile.means", "tile.squares", "tile.columns")
"""Its outputs: for each channel and row of that part the mean ``(1, C, h, 1)`` and the sum of
squares of what differs from it, and how many columns there are."""


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """A norm whose statistics are known: ``x * factor + term``, each ``(C,)``."""

    factor: NDArray[np.float32]
    term: NDArray[np.float32]


class TileGraphs:
    """The graphs of a model.

    Args:
        facts: What is known of it.
        run: Loads a graph on the CPU and runs it.
    """

    def __init__(self, facts: TileFacts, run: Run) -> None:
        self.facts = facts
        self._run = run

    def statistics(
        self,
        known: Sequence[Affine],
        given: Sequence[str] = (),
        wanted: Sequence[str] = (),
    ) -> bytes:
        """Return the graph that adds up what the norm behind the known ones has to know.

        Args:
            known: The norms before it, with their statistics.
            given: Maps that are inputs, where the graph begins.
            wanted: Maps that are outputs, behind the sums.
        """
        normed = self.facts.norms[len(known)].given
        axes = [
            helper.make_tensor("tile.2_3", TensorProto.INT64, [2], [2, 3]),
            helper.make_tensor("tile.3", TensorProto.INT64, [1], [3]),
        ]
        means, squares, columns = STATISTICS
        nodes = [
            helper.make_node("Shape", [normed], ["tile.sides"], start=2),
            helper.make_node("Mul", ["tile.sides", START], ["tile.start_scaled"]),
            helper.make_node("Div", ["tile.start_scaled", SEEN], ["tile.first"]),
            helper.make_node("Mul", ["tile.sides", STOP], ["tile.stop_scaled"]),
            helper.make_node("Div", ["tile.stop_scaled", SEEN], ["tile.last"]),
            helper.make_node(
                "Slice", [normed, "tile.first", "tile.last", "tile.2_3"], ["tile.own"]
            ),
            helper.make_node("ReduceMean", ["tile.own", "tile.3"], [means], keepdims=1),
            helper.make_node("Sub", ["tile.own", means], ["tile.rest"]),
            helper.make_node("ReduceSumSquare", ["tile.rest", "tile.3"], [squares], keepdims=1),
            helper.make_node("Shape", ["tile.own"], [columns], start=3),
        ]
        places = [
            helper.make_tensor_value_info(n, TensorProto.INT64, [2]) for n in (START, STOP, SEEN)
        ]
        outputs = [any_shape(means), any_shape(squares), any_shape(columns, TensorProto.INT64)]
        outputs += [any_shape(name) for name in wanted]
        return self._derived(known, given, outputs, nodes, axes, places)

    def painting(self, known: Sequence[Affine], given: Sequence[str] = ()) -> bytes:
        """Return the graph that paints a tile, when the statistics of all norms are known."""
        return self._derived(known, given, list(self.facts.model.graph.output))

    def shares(self, mix: NDArray[np.float32]) -> Feeds:
        """Return the mix as the network resizes it, by the names in ``mixes``, each normalized."""
        names = list(dict.fromkeys(placed.shares for placed in self.facts.mixes))
        if not names:
            return {}
        pixel = np.zeros((1, 1, 1, 3), np.uint8)
        outputs = [any_shape(n) for n in names]
        found = self._run(extract(self.facts.model, outputs), {INPUT: pixel, MIX: mix})
        return dict(zip(names, found, strict=True))

    def _derived(
        self,
        known: Sequence[Affine],
        given: Sequence[str],
        outputs: Sequence[ValueInfoProto],
        nodes: Iterable[NodeProto] = (),
        constants: Iterable[TensorProto] = (),
        inputs: Iterable[ValueInfoProto] = (),
    ) -> bytes:
        """Return the file with some norms known, noise and mix as inputs, and what is behind."""
        graph = self.facts.model.graph
        norms = dict(zip([norm.output for norm in self.facts.norms], known, strict=False))
        changed: list[NodeProto] = []
        numbers = list(constants)
        for node in graph.node:
            affine = norms.get(node.output[0]) if node.op_type == NORM else None
            if affine is None:
                changed.append(node)
                continue
            out = node.output[0]
            for end, value in ((".factor", affine.factor), (".term", affine.term)):
                numbers.append(numpy_helper.from_array(value[None, :, None, None], out + end))
            changed += [
                helper.make_node("Mul", [node.input[0], out + ".factor"], [out + ".scaled"]),
                helper.make_node("Add", [out + ".scaled", out + ".term"], [out]),
            ]
        cuts = [
            name
            for name in (self.facts.field, *(m.output for m in self.facts.mixes), *given)
            if name
        ]
        places = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None] * 4) for n in cuts]
        return extract(
            self.facts.model,
            outputs,
            nodes=[*changed, *nodes],
            constants=numbers,
            inputs=[*places, *inputs],
        )

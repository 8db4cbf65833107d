"""What is changed in a traced graph: names, sides, and what the exporter notes beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from export.graph_check import norm_nodes
from nst.contract import DIMENSIONS, MIX, NORM_NAME


def strip(model: ModelProto) -> None:
    """Remove what the exporter notes beside the graph: stack traces with local paths, mostly."""
    graph = model.graph
    computed = {name for node in graph.node for name in node.output}
    kept = [value for value in graph.value_info if value.name in computed]
    del graph.value_info[:]
    graph.value_info.extend(kept)
    everything: Iterable[Any] = (
        model,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
    )
    for part in everything:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def name_norms(graph: GraphProto) -> None:
    """Name the norms by their order; only the names of nodes change, no tensor's."""
    for index, node in enumerate(norm_nodes(graph)):
        node.name = NORM_NAME.format(index)


def name_output_size(graph: GraphProto) -> None:
    """Call the free sides of the output what they are: the input's, which it is cropped to.

    The exporter writes them as a formula of padding and cropping that nobody can match.
    """
    for axis, name in enumerate(DIMENSIONS):
        graph.output[0].type.tensor_type.shape.dim[axis].dim_param = name


def leave_single_cells(graph: GraphProto) -> None:
    """Let a mix of one cell, or of one row or column, be one beside maps of every size.

    Scales and shifts are then numbers of a channel and not maps, which is as exact and costs what
    ``global`` does. A side of a resized mix is ``1 + (side - 1) * min(cells - 1, 1)``: of
    elementwise operators alone, as TensorRT wants it of a size.
    """
    sizes = {node.input[3]: node.output[0] for node in graph.node if node.op_type == "Resize"}
    one = numpy_helper.from_array(np.ones(1, np.int64), "mix.one")

    def made(operator: str, given: Sequence[str], name: str, **attributes: Any) -> NodeProto:  # noqa: ANN401
        return helper.make_node(operator, given, [name], name=name, **attributes)

    nodes = [
        made("Shape", [MIX], "mix.cells", start=2),
        made("Sub", ["mix.cells", one.name], "mix.beyond"),
        made("Min", ["mix.beyond", one.name], "mix.is_resized"),
    ]
    for node in graph.node:
        resized = sizes.get(node.output[0])
        if resized is not None:  # joins the mix's own two axes and the map's sides
            sides, own = node.input[1], f"{resized}.sides"
            nodes += [
                made("Sub", [sides, one.name], f"{own}.beyond"),
                made("Mul", [f"{own}.beyond", "mix.is_resized"], f"{own}.added"),
                made("Add", [f"{own}.added", one.name], own),
            ]
            node.input[1] = own
        nodes.append(node)
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    graph.initializer.append(one)
    _forget_sides(graph, set(sizes.values()))


def _forget_sides(graph: GraphProto, names: set[str]) -> None:
    """Remove from the notes of shapes the sides of some maps and of what is made of them alone."""
    fixed = {tensor.name for tensor in graph.initializer}
    changed = set(names)
    for node in graph.node:
        given = set(filter(None, node.input))
        if given <= fixed:
            fixed.update(node.output)
        elif given <= fixed | changed:
            changed.update(node.output)
    for value in graph.value_info:
        if value.name in changed:
            for side in value.type.tensor_type.shape.dim[2:]:
                side.Clear()

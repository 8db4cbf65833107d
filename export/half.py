"""A float32 model as one of half precision: weights and convolutions in float16, norms in float32.

Between two convolutions maps stay in float16, where a norm does not need more: its statistics, over
millions of pixels, its scale and its shift are float32, and so are noise, mixes and both borders.
``Cast`` nodes join the parts; names of nodes and of weights stay.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from nst.contract import INPUT

_MAPS = ("Relu", "Pad", "Resize", "DepthToSpace", "Add")
"""Operators besides Conv that take float16 maps, where they stand between convolutions."""
_INEXACT = ("Conv", "Add")
"""Operators whose result in float16 is another than in float32."""


def to_half(model: ModelProto) -> ModelProto:
    """Return a copy whose convolutions, and what lies between them, compute in float16.

    Args:
        model: As ``export.to_onnx.to_model`` returns it, float32.
    """
    half = ModelProto()
    half.CopyFrom(model)
    graph = half.graph
    chosen = _half_nodes(graph)
    users = _users(graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    narrow: dict[str, str] = {}  # what a tensor is called in float16
    wide: dict[str, str] = {}
    nodes: list[NodeProto] = []

    def narrowed(name: str) -> str:
        if name not in narrow:
            if name in constants and all(_takes_half(n, name, chosen) for n in users[name]):
                constants[name].CopyFrom(_as_half(constants[name]))
                narrow[name] = name
            else:
                narrow[name] = f"{name}.half"
                nodes.append(_cast(name, narrow[name], TensorProto.FLOAT16))
        return narrow[name]

    def widened(name: str) -> str:
        if name not in wide:
            wide[name] = f"{name}.wide"
            nodes.append(_cast(name, wide[name], TensorProto.FLOAT))
        return wide[name]

    for node in graph.node:
        places = _half_inputs(node) if node.output[0] in chosen else ()
        for place in places:
            if node.input[place]:  # an input may be left out
                node.input[place] = narrowed(node.input[place])
        if node.op_type != "Shape":
            for place, name in enumerate(node.input):
                if place not in places and narrow.get(name) == name and name not in constants:
                    node.input[place] = widened(name)
        if places:
            narrow[node.output[0]] = node.output[0]
        nodes.append(node)
    for value in graph.value_info:
        if narrow.get(value.name) == value.name:
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
    kept = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    return half


def rounded_twin(half: ModelProto) -> ModelProto:
    """Return a float32 model that rounds where a GPU rounds that runs ``half``.

    On the CPU ONNX Runtime computes float16 nodes in float32 and leaves out the rounding between
    them, so that the file itself would hide an overflow there. A GPU sums in float32 and rounds the
    sum, and so does this one.

    Args:
        half: What ``to_half`` returned.
    """
    twin = ModelProto()
    twin.CopyFrom(half)
    graph = twin.graph
    narrow = set()
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            narrow.add(tensor.name)
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    nodes: list[NodeProto] = []
    for node in graph.node:
        is_narrowing = node.op_type == "Cast" and _target(node) == TensorProto.FLOAT16
        is_half = node.op_type not in ("Cast", "Shape") and bool(narrow.intersection(node.input))
        nodes.append(node)
        if not is_narrowing and not is_half:
            continue
        output = node.output[0]
        narrow.add(output)
        if is_narrowing or node.op_type in _INEXACT:
            exact, rounded = f"{output}.exact", f"{output}.rounded"
            if is_narrowing:
                nodes.pop()
                exact = node.input[0]
            else:
                node.output[0] = exact
            nodes.append(_cast(exact, rounded, TensorProto.FLOAT16))
            nodes.append(_cast(rounded, output, TensorProto.FLOAT))
    del graph.value_info[:]
    kept = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    return twin


def _half_nodes(graph: GraphProto) -> set[str]:
    """Return the first outputs of the nodes that shall compute in float16."""
    of_picture = {INPUT}
    behind: set[str] = set()  # a convolution of the picture
    convolutions = set()
    for node in graph.node:
        if node.op_type == "Shape" or not of_picture.intersection(node.input):
            continue
        of_picture.update(node.output)
        if node.op_type == "Conv" and node.input[0] in of_picture:
            convolutions.add(node.output[0])
        if node.output[0] in convolutions or behind.intersection(node.input):
            behind.update(node.output)
    users, chosen = _users(graph), set(convolutions)
    leads_on: set[str] = set()  # to a convolution
    for node in reversed(graph.node):
        output = node.output[0]
        leads_on.update(node.input if output in convolutions or output in leads_on else ())
        if node.op_type not in _MAPS or output not in leads_on:
            continue
        if any(node.input[place] not in of_picture for place in _half_inputs(node)):
            continue  # a mix
        feeds = [user for user in users[output] if user.op_type != "Shape"]
        if output in behind or all(user.output[0] in chosen for user in feeds):
            chosen.add(output)
    return chosen


def _half_inputs(node: NodeProto) -> tuple[int, ...]:
    """Return which inputs of a node are float16 where it computes in float16."""
    return tuple(range(len(node.input))) if node.op_type in _INEXACT else (0,)


def _takes_half(node: NodeProto, name: str, chosen: set[str]) -> bool:
    places = _half_inputs(node) if node.output[0] in chosen else ()
    return all(place in places for place, given in enumerate(node.input) if given == name)


def _users(graph: GraphProto) -> dict[str, list[NodeProto]]:
    """Return by the name of a tensor the nodes that are given it."""
    users: dict[str, list[NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            users[name].append(node)
    return users


def _as_half(tensor: TensorProto) -> TensorProto:
    with np.errstate(over="ignore"):  # infinite weights are found by what they paint
        values = numpy_helper.to_array(tensor).astype(np.float16)
    return numpy_helper.from_array(values, tensor.name)


def _cast(name: str, output: str, kind: int) -> NodeProto:
    return helper.make_node("Cast", [name], [output], name=f"cast_{output}", to=kind)


def _target(cast: NodeProto) -> int:
    return next(int(a.i) for a in cast.attribute if a.name == "to")

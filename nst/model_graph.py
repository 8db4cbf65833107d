"""Whether the graph of a model keeps to itself and has the border of ``nst.contract``. Torch-free.

Export asks before a file is written, inference before ONNX Runtime sees one: a model comes from
anywhere. Tensors outside the file are a fault because ONNX Runtime would read them, through a hard
link even from a foreign folder.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from onnx import (
    GraphProto,
    ModelProto,
    TensorProto,
    ValueInfoProto,
    load_model_from_string,
)

from nst.contract import DIMENSIONS, INPUT, MIX, OUTPUT, TEXTURE, Controls
from nst.errors import in_one_line

NOT_LEARNT = (TEXTURE, "noise.signs", "noise.values", "falls_on")
"""How the names of constants end that are no parameters of a network."""
STANDARD_DOMAINS = ("", "ai.onnx")


def graph_faults(model: ModelProto) -> Iterator[str]:
    """Yield what the contract forbids, in words that follow the name of the model.

    Looked at are operators that are not standard ONNX, weights in another file, in every place
    that can hold one, and the border: one uint8 ``(batch, height, width, 3)`` tensor of any size
    in, one out, and perhaps ``texture``, which has a value of its own, and ``mix``. Opset,
    metadata and what an operator means are not.
    """
    if model.functions:
        yield "defines operators of its own"
    for graph in _graphs(model.graph):
        for node in graph.node:
            if node.domain not in STANDARD_DOMAINS:
                name = f"{in_one_line(node.domain)}.{in_one_line(node.op_type)}"
                yield f"needs the operator {name}, which is not standard ONNX"
        for tensor in _tensors(graph):
            if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
                yield "keeps weights in another file"
    inputs = [
        value
        for value in model.graph.input
        if not _is_texture(value, model.graph) and not _is_mix(value)
    ]
    yield from _border_faults(inputs, INPUT, "input")
    yield from _border_faults(model.graph.output, OUTPUT, "output")


def has_texture(graph: GraphProto) -> bool:
    """Whether the network has noise, whose amplitude can be set."""
    return any(_is_texture(value, graph) for value in graph.input)


def controls_of(graph: GraphProto) -> tuple[Controls, int]:
    """Return which control the input ``mix`` gives, and for how many styles; none and 0 without."""
    for value in graph.input:
        if _is_mix(value):
            _, channels, *grid = sides_of(value)
            assert isinstance(channels, int)
            return "global" if grid == [1, 1] else "regional", channels - 1
    return "none", 0


def sides_of(value: ValueInfoProto) -> tuple[str | int, ...]:
    """Return the sides of a tensor: a number where fixed, a name where free, "?" where nameless."""
    return tuple(d.dim_value or d.dim_param or "?" for d in value.type.tensor_type.shape.dim)


def count_numbers(model: bytes) -> int:
    """Return how many floating-point numbers an ONNX file has learnt: its parameters."""
    kinds = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)
    tensors = load_model_from_string(model).graph.initializer
    learnt = (t for t in tensors if t.data_type in kinds and not t.name.endswith(NOT_LEARNT))
    return sum(math.prod(t.dims) for t in learnt)


def _is_texture(value: ValueInfoProto, graph: GraphProto) -> bool:
    kind = value.type.tensor_type.elem_type
    is_number = kind == TensorProto.FLOAT and sides_of(value) == (1,)
    has_value = any(t.name == TEXTURE and list(t.dims) == [1] for t in graph.initializer)
    return value.name == TEXTURE and is_number and has_value


def _is_mix(value: ValueInfoProto) -> bool:
    sides = sides_of(value)
    if value.name != MIX or value.type.tensor_type.elem_type != TensorProto.FLOAT:
        return False
    if len(sides) != 4 or not isinstance(sides[1], int) or sides[1] < 2:
        return False
    is_global = sides[2:] == (1, 1)
    return isinstance(sides[0], str) and (
        is_global or all(isinstance(side, str) for side in sides[2:])
    )


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """Yield a graph and those inside its nodes; the parser has limited the depth."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer or inner.sparse_initializer:
                    yield from _graphs(inner)


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    sparse = list(graph.sparse_initializer)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            sparse += [attribute.sparse_tensor, *attribute.sparse_tensors]
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)


def _border_faults(found: Sequence[ValueInfoProto], expected: str, kind: str) -> Iterator[str]:
    if [value.name for value in found] != [expected]:
        names = ", ".join(in_one_line(value.name) for value in found) or "none"
        yield f"must have the {kind} `{expected}` alone, found {names}"
        return
    sides, number = sides_of(found[0]), found[0].type.tensor_type.elem_type
    is_free = len(sides) == 4 and not any(isinstance(side, int) for side in sides[:3])
    if number != TensorProto.UINT8 or not is_free or sides[3] != 3:
        names_of = {number: name.lower() for name, number in TensorProto.DataType.items()}
        yield (
            f"must have the {kind} `{expected}` as uint8 ({', '.join(DIMENSIONS)}, 3) of any size,"
            f" found {names_of.get(number, f'type {number}')}"
            f" ({', '.join(map(in_one_line, sides))})"
        )

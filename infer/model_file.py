"""Checking a model file before ONNX Runtime sees it.

A model comes from anywhere. What is checked is read once into memory, and the same bytes go to the
runtime, so that nothing can change in between. Tensors outside the file are refused here because
ONNX Runtime would read them, through a hard link even from a foreign folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto

from nst.contract import DIMENSIONS, INPUT, OUTPUT, ModelInfo
from nst.errors import ModelError
from nst.files import describe

MAX_BYTES = 200_000_000
"""A larger file is no style model; ours are a few megabytes."""

STANDARD_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file that follows the contract."""

    name: str
    """What to call it in a message."""
    data: bytes
    """All of the file."""
    info: ModelInfo
    """Its metadata."""


def read_model(model: str | Path | bytes) -> ModelFile:
    """Read a model and check everything that can be checked without running it.

    Args:
        model: The file, or its content.

    Raises:
        ModelError: It cannot be read, is no ONNX file, needs data or operators from outside the
            file and the standard, or does not follow ``nst.contract``.
    """
    if isinstance(model, bytes):
        name, data = "the model", model
    else:
        name, data = str(model), _read(Path(model))
    if len(data) > MAX_BYTES:
        raise ModelError(
            f"{name} is no style model: larger than {MAX_BYTES // 1_000_000} MB, the most accepted"
        )
    try:
        proto = onnx.load_model_from_string(data)
    except DecodeError:
        raise ModelError(
            f"{name} is no ONNX file, or it is damaged; get or export it again"
        ) from None
    _check_graph(proto, name)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    info = ModelInfo.from_metadata(metadata, source=name)
    if info.controls != "none":
        raise ModelError(
            f"{name} has run-time controls ({info.controls}), which this program cannot set yet;"
            " use a model without them"
        )
    _check_border(list(proto.graph.input), INPUT, "input", name)
    _check_border(list(proto.graph.output), OUTPUT, "output", name)
    return ModelFile(name, data, info)


def in_one_line(text: object) -> str:
    """Return words from a foreign file as they can be shown: printable, one line, not too long."""
    # A damaged name is not even text: the parser hands it out as bytes.
    line = "".join(c if c.isprintable() else "?" for c in " ".join(str(text).split()))
    return line if len(line) <= 200 else line[:200] + "…"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read, {describe(error)}") from None


def _check_graph(proto: ModelProto, name: str) -> None:
    """Refuse what reaches outside the file: external tensors, foreign operators, functions."""
    if proto.functions:
        raise ModelError(f"{name} defines operators of its own; only standard ONNX is accepted")
    for graph in _graphs(proto.graph):
        for node in graph.node:
            if node.domain not in STANDARD_DOMAINS:
                raise ModelError(
                    f"{name} needs the operator {in_one_line(node.domain)}."
                    f"{in_one_line(node.op_type)}; only standard ONNX is accepted"
                )
        for tensor in _tensors(graph):
            if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
                raise ModelError(
                    f"{name} keeps weights in another file; only models in one file are accepted,"
                    " export it again with `nst export`"
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


def _check_border(found: list[ValueInfoProto], expected: str, kind: str, name: str) -> None:
    """Compare the inputs or the outputs with the one uint8 (batch, height, width, 3) tensor."""
    if [value.name for value in found] != [expected]:
        names = ", ".join(in_one_line(value.name) for value in found) or "none"
        raise ModelError(f"{name}: the {kind} must be `{expected}` alone, found {names}")
    tensor = found[0].type.tensor_type
    shape = [d.dim_value or d.dim_param or "?" for d in tensor.shape.dim]
    is_free = len(shape) == 4 and not any(isinstance(d, int) for d in shape[:3])
    if tensor.elem_type != TensorProto.UINT8 or not is_free or shape[3] != 3:
        kinds = {number: kind.lower() for kind, number in TensorProto.DataType.items()}
        kind_found = kinds.get(tensor.elem_type, f"type {tensor.elem_type}")
        raise ModelError(
            f"{name}: the {kind} `{expected}` must be uint8 ({', '.join(DIMENSIONS)}, 3)"
            f" of any size, found {kind_found} ({', '.join(map(in_one_line, shape))})"
        )

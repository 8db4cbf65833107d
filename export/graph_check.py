"""Whether the bytes of a model follow ``nst.contract`` and tell nothing about who made them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx import GraphProto, ModelProto, NodeProto

from nst.contract import DIMENSIONS, MIX, NORM_NAME, TEXTURE, ModelInfo
from nst.errors import ExportError
from nst.model_graph import STANDARD_DOMAINS, controls_of, graph_faults, sides_of
from nst.seal import KEY, MARK, is_sealed

LEAST_OPSET = 18
NORM_OPERATOR = "InstanceNormalization"

_TRACES = re.compile(r"\.pyc?\b|site-packages|stack_trace|pkg\.torch")
"""What the exporter's notes hold, and nothing else in a model."""
_ABSOLUTE = re.compile(r"(/|~|[A-Za-z]:[\\/]|\\\\)")
"""How a path begins that means something on one computer only."""


def check_graph(data: bytes, *, source: str) -> ModelInfo:
    """Check everything about a model that can be checked without running it.

    Args:
        data: The content of the ONNX file.
        source: What to call it in an error.

    Returns:
        The metadata as a reader finds it.

    Raises:
        ExportError: The model is not valid ONNX, needs other files, operators or types than the
            contract's, or holds a local path.
        ModelError: The metadata is not that of the contract.
    """
    model = onnx.load_model_from_string(data)
    faults = list(_faults(model))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    info = ModelInfo.from_metadata(metadata, source=source)
    if info.to_metadata() | {k: v for k, v in metadata.items() if k in (KEY, MARK)} != metadata:
        faults.append("its metadata changes when it is read and written")
    found = controls_of(model.graph)
    if found != (info.controls, 0 if info.controls == "none" else len(info.styles)):
        faults.append(f"its input mix gives {found}, not {info.controls} for {info.styles}")
    faults += _local_paths(model, metadata)
    if not is_sealed(data, source=source):
        faults.append("it carries no hash")
    if faults:
        raise ExportError(
            f"{source}: not exported, {faults[0]}; this version of torch or onnx"
            " writes another file than expected, try the one that nst was made for"
        )
    return info


def norm_nodes(graph: GraphProto) -> list[NodeProto]:
    """Return the instance norms in graph order."""
    return [node for node in graph.node if node.op_type == NORM_OPERATOR]


def _faults(model: ModelProto) -> Iterator[str]:
    """Yield what is wrong with the graph, in words that follow the name of the file."""
    try:
        onnx.checker.check_model(model, full_check=True)  # with shape inference, strict
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        yield f"it is not valid ONNX ({' '.join(str(error).split())[:200]})"
    yield from (f"it {fault}" for fault in graph_faults(model))
    graph = model.graph
    for value in (*graph.input, *graph.output):
        if value.name not in (TEXTURE, MIX) and sides_of(value) != (*DIMENSIONS, 3):
            yield f"{value.name} is {sides_of(value)}, not {(*DIMENSIONS, 3)}"
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if foreign := sorted(set(opsets) - set(STANDARD_DOMAINS)):
        yield f"it imports operators that are not standard ONNX ({', '.join(foreign)})"
    if opsets.get("", 0) < LEAST_OPSET:
        yield f"its opset is {opsets.get('', 0)}, not at least {LEAST_OPSET}"
    names = [node.name for node in norm_nodes(graph)]
    if not names or names != [NORM_NAME.format(i) for i in range(len(names))]:
        yield f"its norms are not named {NORM_NAME.format(0)}, ... in order (found {names[:3]})"
    if len({node.name for node in graph.node}) < len(graph.node):
        yield "two of its nodes have the same name"


def _local_paths(model: ModelProto, metadata: dict[str, str]) -> Iterator[str]:
    """Yield every trace of the computer that the model was made on."""
    text = _text_of(model)
    if match := _TRACES.search(text):
        yield f"it tells where it was made ({match.group()})"
    for place in {Path.home(), Path.cwd(), Path(sys.prefix), Path(__file__).parents[1]}:
        if place != Path(place.anchor) and str(place) in text:
            yield f"it holds a local path ({place})"
    for key, value in metadata.items():
        for word in _strings(json.loads(value)):
            if _ABSOLUTE.match(word):
                yield f"its metadata {key} holds a local path ({word[:80]})"


def _text_of(model: ModelProto) -> str:
    """Return all of a model but its weights, in which any few bytes turn up by chance."""
    copy = ModelProto()
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        tensor.ClearField("raw_data")
    data: bytes = copy.SerializeToString()
    return data.decode("utf-8", errors="replace")


def _strings(value: Any) -> Iterator[str]:  # noqa: ANN401
    """Yield every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)

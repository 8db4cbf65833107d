"""From a network to the ONNX model of ``nst.contract``: traced, named and stripped of its origin.

Nothing is written here: what ``to_model`` returns has been neither checked nor compared yet.
"""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from onnx import GraphProto, ModelProto, NodeProto
from torch import Tensor, nn

from nst import __version__
from nst.contract import DIMENSIONS, INPUT, NORM_NAME, OUTPUT, ModelInfo
from nst.transformer import TransformerNet

OPSET = 18
"""The oldest that the exporter writes, for the sake of old runtimes."""

NORM_OPERATOR = "InstanceNormalization"

TRACED_SIZE = (2, 37, 45, 3)
"""Batch, height and width that are all free, odd and none of those of ``export.parity``."""


class BytesToBytes(nn.Module):
    """The network between the borders of the ONNX file.

    Args:
        network: RGB in [0, 1], ``(B, 3, H, W)``, to the same.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Paint RGB pictures, uint8 ``(N, H, W, 3)``, as RGB pictures of the same kind and size."""
        x = image.permute(0, 3, 1, 2).float() / 255  # (N, 3, H, W)
        painted: Tensor = self.network(x) * 255
        # A cast cuts off, so rounding comes first.
        return painted.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)  # (N, H, W, 3)


def to_model(network: TransformerNet) -> ModelProto:
    """Trace a network into a model of any batch, height and width from 1.

    The same weights give the same bytes, and nothing in the model tells where it was made. The
    exporter's own lines and warnings are held back; its errors are not.

    Args:
        network: In evaluation mode, on the CPU, float32.
    """
    example = torch.zeros(TRACED_SIZE, dtype=torch.uint8)
    free = {axis: torch.export.Dim(name) for axis, name in enumerate(DIMENSIONS)}
    with _quiet():
        program = torch.onnx.export(
            BytesToBytes(network).eval(),
            (example,),
            dynamo=True,
            external_data=False,
            verbose=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={"image": free},
        )
    assert program is not None
    model: ModelProto = program.model_proto
    _strip(model)
    _name_norms(model.graph)
    _name_output_size(model.graph)
    model.producer_name, model.producer_version = "nst", __version__
    return model


def write_info(model: ModelProto, info: ModelInfo) -> bytes:
    """Put the metadata into the model and return the bytes of its file."""
    del model.metadata_props[:]
    for key, value in sorted(info.to_metadata().items()):
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString(deterministic=True)


def norm_nodes(graph: GraphProto) -> list[NodeProto]:
    """Return the instance norms in graph order."""
    return [node for node in graph.node if node.op_type == NORM_OPERATOR]


def _strip(model: ModelProto) -> None:
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


def _name_norms(graph: GraphProto) -> None:
    """Name the norms by their order; only the names of nodes change, no tensor's."""
    for index, node in enumerate(norm_nodes(graph)):
        node.name = NORM_NAME.format(index)


def _name_output_size(graph: GraphProto) -> None:
    """Call the free sides of the output what they are: the input's, which it is cropped to.

    The exporter writes them as a formula of padding and cropping that nobody can match.
    """
    for axis, name in enumerate(DIMENSIONS):
        graph.output[0].type.tensor_type.shape.dim[axis].dim_param = name


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what the exporter prints, warns and logs below an error."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            open(os.devnull, "w") as nowhere,  # noqa: PTH123, it is no path
            contextlib.redirect_stdout(nowhere),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

"""From a network to the ONNX file of ``nst.contract``: traced, compared, checked, written."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxscript.optimizer
import torch
from onnx import ModelProto, numpy_helper
from torch import Tensor, nn

from export.graph_check import check_graph
from export.graph_edit import leave_single_cells, name_norms, name_output_size, strip
from export.half import to_half
from export.half_parity import check_half
from export.parity import CASES, Case, check_parity
from nst import __version__
from nst.checkpoint import NETWORK_PREFIX
from nst.contract import (
    DIMENSIONS,
    INPUT,
    MIX,
    MIX_DIMENSIONS,
    OUTPUT,
    TEXTURE,
    Controls,
    FilePrecision,
    ModelInfo,
)
from nst.errors import OutputError
from nst.files import atomic_write
from nst.network import StyleNetwork
from nst.seal import sealed, unsealed

OPSET = 18
"""The oldest that the exporter writes, for the sake of old runtimes."""

TRACED_SIZE = (2, 37, 45, 3)
"""Batch, height and width that are all free, odd and none of those of ``export.parity``."""
TRACED_GRID = (5, 7)
"""Of a mix that differs from place to place."""
GLOBAL_SHARE = 1.4
"""What a run with one mix for all places takes of the memory of one style, times, at most."""


class BytesToBytes(nn.Module):
    """The network between the borders of the ONNX file.

    Args:
        network: RGB in [0, 1], ``(B, 3, H, W)``, to the same.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, image: Tensor, texture: Tensor | None = None, mix: Tensor | None = None
    ) -> Tensor:
        """Paint RGB pictures, uint8 ``(N, H, W, 3)``, as RGB pictures of the same kind and size.

        ``texture`` is given to a network with noise, ``(1,)``; ``mix`` to one of several styles.
        """
        x = image.permute(0, 3, 1, 2).float() / 255  # (N, 3, H, W)
        painted: Tensor = self.network(x, texture, mix=mix)
        painted = painted * 255
        # A cast cuts off, so rounding comes first.
        return painted.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)  # (N, H, W, 3)


def export_network(
    network: StyleNetwork,
    path: Path,
    *,
    styles: Sequence[str],
    style_sha256: Sequence[str],
    training: Mapping[str, Any],
    controls: Controls = "none",
    precision: FilePrecision = "float32",
    sketches: Sequence[str] = (),
    overwrite: bool = False,
    cases: Sequence[Case] = CASES,
) -> ModelInfo:
    """Write a network as one ONNX file, once it has been compared with torch.

    Args:
        network: In evaluation mode, on the CPU, float32.
        path: The file; its folder is made when missing.
        styles: Names of the styles.
        style_sha256: SHA-256 of each style image file.
        training: Settings of the training as JSON values, without local paths.
        controls: What the file can be told at run time, see ``to_model``.
        precision: Of weights and convolutions; float16 is compared with float32 besides.
        sketches: What each style looks like, see ``nst.critic``.
        overwrite: Whether a file that exists may be replaced.
        cases: The pictures on which both are compared.

    Returns:
        The metadata in the file, parity receipt included.

    Raises:
        ParityError: ONNX Runtime paints something else than torch, or float16 something else than
            float32; nothing is written.
        ExportError: The graph does not follow the contract; nothing is written.
        OutputError: The file exists, or cannot be written.
    """
    refuse_existing(path, overwrite=overwrite)
    model = to_model(network, controls)
    data = model.SerializeToString()
    found = check_parity(network, data, cases, controls=controls, source=str(path))
    receipt = [parity.to_json() for parity in found]
    if precision == "float16":
        exact, model = model, to_half(model)
        compared = check_half(network, exact, model, cases, controls=controls, source=str(path))
        receipt += [parity.to_json() for parity in compared]
    info = ModelInfo(
        styles=tuple(styles),
        style_sha256=tuple(style_sha256),
        network=network.dimensions.network,
        width=network.dimensions.width,
        dimensions=dataclasses.asdict(network.dimensions),
        reach_px=network.reach_px,
        size_multiple=network.size_multiple,
        bytes_per_pixel=_bytes_per_pixel(network, controls),
        controls=controls,
        sketches=tuple(sketches),
        training=dict(training),
        parity=tuple(receipt),
        precision=precision,
        made_with=f"nst {__version__}, torch {torch.__version__}",
    )
    data = write_info(model, info)
    info = check_graph(data, source=str(path))
    with atomic_write(path) as file:
        file.write(data)
    return info


def _bytes_per_pixel(network: StyleNetwork, controls: Controls) -> int:
    shares = {"none": 1.0, "global": GLOBAL_SHARE, "regional": network.regional_share}
    return round(network.bytes_per_pixel * shares[controls])


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Ask before anything long begins whether a file may be written.

    Raises:
        OutputError: It exists and may not be replaced, or it is a folder.
    """
    if path.is_dir():
        raise OutputError(f"{path}: it is a folder; name a file, {path / 'style.onnx'}")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; replace it with --overwrite or name another with -o")


def to_model(network: StyleNetwork, controls: Controls = "none") -> ModelProto:
    """Trace a network into a model of any batch, height and width from 1.

    The same weights give the same bytes, and nothing in the model tells where it was made. The
    exporter's own lines and warnings are held back; its errors are not.

    Args:
        network: In evaluation mode, on the CPU, float32.
        controls: ``none`` for a network of one style; of one that mixes several ``global``, one
            mix for all of a picture, or ``regional``, from place to place.
    """
    has_texture = network.noise is not None
    image = torch.zeros(TRACED_SIZE, dtype=torch.uint8)
    given: dict[str, Tensor] = {}
    free: dict[str, Any] = {INPUT: dict(enumerate(map(torch.export.Dim, DIMENSIONS)))}
    if has_texture:
        given[TEXTURE], free[TEXTURE] = torch.ones(1), None
    if network.styles:
        grid = TRACED_GRID if controls == "regional" else (1, 1)
        given[MIX], free[MIX] = torch.ones(1, network.styles + 1, *grid), None
    if controls == "regional":
        free[MIX] = dict(enumerate(map(torch.export.Dim, MIX_DIMENSIONS[1:]), start=2))
    with quiet():
        program = torch.onnx.export(
            BytesToBytes(network).eval(),
            (image,),
            kwargs=given,
            dynamo=True,
            external_data=False,
            verbose=False,
            opset_version=OPSET,
            input_names=[INPUT, *given],
            output_names=[OUTPUT],
            dynamic_shapes=free,
            optimize=False,
        )
        assert program is not None
        onnxscript.optimizer.optimize_ir(program.model, should_fold=_is_folded)
    model: ModelProto = program.model_proto
    strip(model)
    name_norms(model.graph)
    name_output_size(model.graph)
    if controls == "regional":
        leave_single_cells(model.graph)
    if network.styles:  # one for all pictures, or one for each: every operator takes both
        model.graph.input[-1].type.tensor_type.shape.dim[0].dim_param = MIX_DIMENSIONS[0]
    if has_texture:  # an input that has a value may be left out
        model.graph.initializer.append(numpy_helper.from_array(np.ones(1, np.float32), TEXTURE))
    model.producer_name, model.producer_version = "nst", __version__
    return model


def _is_folded(node: Any) -> bool | None:  # noqa: ANN401
    """Say no where a weight would be computed with and lose its name: who loads it looks for that.

    ONNX Runtime computes it when it loads the file. None leaves the decision to the exporter.
    """
    names = [value.name or "" for value in node.inputs if value is not None]
    return False if any(name.startswith(NETWORK_PREFIX) for name in names) else None


def write_info(model: ModelProto, info: ModelInfo) -> bytes:
    """Return the bytes of a model with its metadata, and their hash; the model itself stays."""
    copy = unsealed(model)
    del copy.metadata_props[:]
    for key, value in sorted(info.to_metadata().items()):
        copy.metadata_props.add(key=key, value=value)
    return sealed(copy)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
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

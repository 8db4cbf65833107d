"""A trained network to start from, in place of random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from nst.checkpoint import load_checkpoint, load_network, load_newest
from nst.contract import ModelInfo
from nst.errors import ModelError, UsageError
from nst.samples import ASSETS
from nst.transformer import TransformerNet

TRUNK = "trunk-{}.safetensors"
"""In ``nst/assets``, by width; made by ``docs/trunk.py``."""


def start_from(network: TransformerNet, init: str | None, announce: Callable[[str], None]) -> None:
    """Give a network the weights of a trained one.

    Args:
        network: Changed in place.
        init: ``auto`` for the embedded trunk of its width, ``none`` or None for the weights that it
            has, else a run folder, a checkpoint or an ONNX file of ``nst export``.
        announce: Told what ``auto`` found, and where it is not the last checkpoint of a run.

    Raises:
        CheckpointError: There is no checkpoint there.
        ModelError: The ONNX file is no style model.
        UsageError: Its width is another one.
    """
    if init == "auto":
        _start_from_trunk(network, announce)
        return
    if init is None or init == "none":
        return
    path = Path(init)
    if path.suffix == ".onnx":
        trained = _network_of_onnx(path)
    else:
        checkpoint, source, note = load_newest(path)
        if note:
            announce(note)
        trained = load_network(checkpoint, source=str(source))
    if trained.dimensions != network.dimensions:
        raise UsageError(
            f"--init {path}: its network has width {trained.dimensions.width}; give"
            f" --width {trained.dimensions.width}"
        )
    network.load_state_dict(trained.state_dict())


def _start_from_trunk(network: TransformerNet, announce: Callable[[str], None]) -> None:
    width = network.dimensions.width
    path = ASSETS / TRUNK.format(width)
    if not path.is_file():
        announce(f"start: random weights, no trunk of width {width} is embedded")
        return
    trained = load_network(load_checkpoint(path), source=str(path))
    network.load_state_dict(trained.state_dict())
    announce("start: the embedded trunk, trained for other styles; --init none starts from nothing")


def _network_of_onnx(path: Path) -> TransformerNet:
    """Rebuild a network from the weights in an exported file, which keep their names."""
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf has an error of its own for a damaged file
        raise ModelError(f"--init {path}: cannot be read as an ONNX file ({error})") from None
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    info = ModelInfo.from_metadata(metadata, source=f"--init {path}")
    network = TransformerNet(info.width)
    weights = {
        tensor.name.removeprefix("network."): torch.from_numpy(
            np.array(onnx.numpy_helper.to_array(tensor), np.float32)
        )
        for tensor in model.graph.initializer
        if tensor.name.startswith("network.")
    }
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(f"--init {path}: holds another network ({reason})") from None
    return network

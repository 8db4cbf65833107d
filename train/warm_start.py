"""A trained network to start from, in place of random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from nst.checkpoint import NETWORK_PREFIX, load_checkpoint, load_network, load_newest
from nst.contract import ModelInfo
from nst.dimensions import dimensions_from
from nst.errors import ModelError, UsageError
from nst.nets import build_network
from nst.network import StyleNetwork
from nst.samples import ASSETS

TRUNK = "trunk-{0.network}-{0.width}.safetensors"
"""In ``nst/assets``, by dimensions; made by ``docs/trunk.py``."""


def start_from(network: StyleNetwork, init: str | None, announce: Callable[[str], None]) -> None:
    """Give a network the weights of a trained one.

    Args:
        network: Changed in place.
        init: ``auto`` for the embedded trunk of its dimensions, ``none`` or None for the weights
            that it has, else a run folder, a checkpoint or an ONNX file of ``nst export``.
        announce: Told what ``auto`` found, and where it is not the last checkpoint of a run.

    Raises:
        CheckpointError: There is no checkpoint there.
        ModelError: The ONNX file is no style model.
        UsageError: Its network is another one.
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
        name = trained.dimensions.name
        raise UsageError(f"--init {path}: its network is another one; give --net {name}")
    network.load_state_dict(trained.state_dict())


def _start_from_trunk(network: StyleNetwork, announce: Callable[[str], None]) -> None:
    dimensions = network.dimensions
    path = ASSETS / TRUNK.format(dimensions)
    trained = load_network(load_checkpoint(path), source=str(path)) if path.is_file() else None
    if trained is None or trained.dimensions != dimensions:
        announce(f"start: random weights, no trunk of {dimensions.name} is embedded")
        return
    network.load_state_dict(trained.state_dict())
    announce("start: the embedded trunk, trained for other styles; --init none starts from nothing")


def _network_of_onnx(path: Path) -> StyleNetwork:
    """Rebuild a network from the weights in an exported file, which keep their names."""
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf has an error of its own for a damaged file
        raise ModelError(f"--init {path}: cannot be read as an ONNX file ({error})") from None
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    info = ModelInfo.from_metadata(metadata, source=f"--init {path}")
    named = dict(info.dimensions) or {"network": info.network, "width": info.width}
    try:
        network = build_network(dimensions_from(named))
    except UsageError as error:
        raise ModelError(f"--init {path}: {error}") from None
    constants = {name for name, _ in network.named_buffers()} - set(network.state_dict())
    weights = {
        name: torch.from_numpy(np.array(onnx.numpy_helper.to_array(tensor), np.float32))
        for tensor in model.graph.initializer
        if (name := tensor.name.removeprefix(NETWORK_PREFIX)) != tensor.name
        and name not in constants
    }
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(f"--init {path}: holds another network ({reason})") from None
    return network

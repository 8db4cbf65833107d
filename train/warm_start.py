"""A trained network to start from, in place of random weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nst.checkpoint import (
    NETWORK_PREFIX,
    Checkpoint,
    load_checkpoint,
    load_network,
    load_newest,
    styles_of,
)
from nst.contract import ModelInfo
from nst.dimensions import dimensions_from
from nst.errors import ModelError, UsageError
from nst.files import describe
from nst.folding import adapted
from nst.nets import build_network
from nst.network import StyleNetwork
from nst.registry import chosen, named
from nst.samples import ASSETS
from nst.seal import is_sealed
from train.run import run_of

TRUNK = "trunk-{0.network}-{0.width}.safetensors"
"""In ``nst/assets``, by dimensions; made by ``docs/trunk.py``."""


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A network that was trained, and what it paints."""

    network: StyleNetwork
    styles: Sequence[str]
    """Their names, in its order."""
    style_sha256: Sequence[str]
    sketches: Sequence[str] = ()
    """What they look like, see ``nst.critic``; or nothing."""
    style_files: Sequence[Path] = ()
    """Images of all its styles, where a run folder has them."""


def start_from(network: StyleNetwork, init: str | None, announce: Callable[[str], None]) -> None:
    """Give a network the weights of a trained one.

    One that mixes another number of styles gets what ``nst.folding.adapted`` makes of them.

    Args:
        network: Changed in place.
        init: ``auto`` for the embedded trunk of its dimensions, ``none`` or None for the weights
            that it has, else a run folder, a checkpoint, an ONNX file of ``nst export`` or a name
            of the registry.
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
    place = chosen(init, announce)
    if _is_onnx(place):
        trained = _trained_in_onnx(place).network
    else:
        trained, _, _ = _network_at(Path(place), announce)
    if trained.dimensions != network.dimensions:
        name = trained.dimensions.name
        raise UsageError(f"--init {init}: its network is another one; give --net {name}")
    network.load_state_dict(adapted(trained, network.styles))


def _network_at(
    path: Path, announce: Callable[[str], None]
) -> tuple[StyleNetwork, Checkpoint, Path]:
    """Read the network of a run folder or a checkpoint; return it with what it was read from."""
    checkpoint, source, note = load_newest(path)
    if note:
        announce(note)
    return load_network(checkpoint, source=str(source)), checkpoint, source


def trained_at(place: str | Path, announce: Callable[[str], None]) -> Trained:
    """Read a trained network: a run folder, a checkpoint or an ONNX file of ``nst export``.

    As a string it may be the name of a model of the registry too.

    Raises:
        CheckpointError: There is no checkpoint there.
        ModelError: The ONNX file is no style model, or not the one that the registry knows.
    """
    if isinstance(place, str):
        place = chosen(place)  # start_from, which comes later, says where a file is called so too
    if _is_onnx(place):
        return _trained_in_onnx(place)
    path = Path(place)
    network, checkpoint, source = _network_at(path, announce)
    styles, style_sha256 = styles_of(checkpoint.header, source=source)
    files: Sequence[Path] = ()
    if path.is_dir():
        run = run_of(path, checkpoint.header)
        files = [run.style_file(number) for number in range(len(styles))]
    whole = all(file.is_file() for file in files)
    sketches = checkpoint.header.get("sketches", [])
    return Trained(network, styles, style_sha256, sketches, files if whole else ())


def _start_from_trunk(network: StyleNetwork, announce: Callable[[str], None]) -> None:
    dimensions = network.dimensions
    path = ASSETS / TRUNK.format(dimensions)
    trained = load_network(load_checkpoint(path), source=str(path)) if path.is_file() else None
    if trained is None or trained.dimensions != dimensions:
        announce(f"start: random weights, no trunk of {dimensions.name} is embedded")
        return
    network.load_state_dict(adapted(trained, network.styles))
    announce("start: the embedded trunk, trained for other styles; --init none starts from nothing")


def _is_onnx(place: str | Path) -> bool:
    """Whether it is a model and no checkpoint: a name of the registry, or a file by its suffix."""
    return isinstance(place, str) or place.suffix == ".onnx"


def _trained_in_onnx(path: str | Path) -> Trained:
    """Rebuild a network from the weights in an exported file, which keep their names."""
    import onnx

    entry = named(path) if isinstance(path, str) else None
    try:
        data = Path(path).read_bytes() if entry is None else entry.read()
    except OSError as error:
        raise ModelError(f"--init {path}: cannot be read, {describe(error)}") from None
    is_sealed(data, source=f"--init {path}")
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf has an error of its own for a damaged file
        raise ModelError(f"--init {path}: cannot be read as an ONNX file ({error})") from None
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    info = ModelInfo.from_metadata(metadata, source=f"--init {path}")
    own = dict(info.dimensions) or {"network": info.network, "width": info.width}
    try:
        styles = 0 if info.controls == "none" else len(info.styles)
        network = build_network(dimensions_from(own), styles)
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
    header = {"styles": list(info.styles), "style_sha256": list(info.style_sha256)}
    names, hashes = styles_of(header, source=Path(path))  # names become those of files
    return Trained(network, names, hashes, info.sketches)

"""Checkpoints: tensors in safetensors, everything else in a JSON header. No pickle.

A file is written under a temporary name, flushed and renamed, so a kill at any moment leaves the
old one or the new one. The header carries a hash of the tensors and of itself, because neither
safetensors nor a file system notices a flipped bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from nst.dimensions import dimensions_from
from nst.errors import CheckpointError, UsageError, in_one_line
from nst.files import atomic_write
from nst.nets import build_network
from nst.network import StyleNetwork
from nst.weights import hash_of_tensors

SCHEMA = 1
LAST = "last.safetensors"
PREVIOUS = "prev.safetensors"
HEADER_KEY = "nst"
NETWORK_PREFIX = "network."


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Tensors by name and a header of plain JSON values."""

    tensors: Mapping[str, Tensor]
    header: Mapping[str, Any] = field(default_factory=dict)


def save_checkpoint(
    path: Path, checkpoint: Checkpoint, *, keep_previous: Path | None = None
) -> None:
    """Write a checkpoint so that ``path`` holds the old one or the new one at any moment.

    Args:
        path: The file.
        checkpoint: What it shall hold; every value must be finite.
        keep_previous: Where the file that is replaced stays. A damaged one does not: what is there
            from before may be the last good checkpoint of the run.

    Raises:
        CheckpointError: A tensor is not finite; nothing is written.
        OutputError: The disk is full; the old file is kept.
    """
    for name, tensor in checkpoint.tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise CheckpointError(f"{path}: not written, {name} holds values that are not finite")
    tensors = {name: t.detach().cpu().contiguous() for name, t in checkpoint.tensors.items()}
    header = {**checkpoint.header, "schema": SCHEMA, "tensors_sha256": hash_of_tensors(tensors)}
    header["header_sha256"] = _hash_of_header(header)
    data = save(tensors, metadata={HEADER_KEY: json.dumps(header, sort_keys=True)})
    if keep_previous is not None and not _is_sound(path):
        keep_previous = None
    with atomic_write(path, keep_previous=keep_previous) as file:
        file.write(data)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and check the hash of its tensors.

    Raises:
        CheckpointError: The file is missing, damaged, no checkpoint of ours or of a newer schema.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            names = list(file.keys())
            # Copies: Windows lets no file be replaced that a tensor still maps.
            tensors = {name: file.get_tensor(name).clone() for name in names}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged or no safetensors file ({error})") from None
    if HEADER_KEY not in metadata:
        raise CheckpointError(f"{path}: safetensors, but no checkpoint of this program")
    try:
        header = json.loads(metadata[HEADER_KEY])
    except (ValueError, RecursionError):  # the last: nested without end
        header = None
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: damaged, its header is no JSON object")
    if header.get("schema") != SCHEMA:
        found = in_one_line(header.get("schema"))
        raise CheckpointError(f"{path}: schema {found}, this program reads schema {SCHEMA}")
    if header.pop("header_sha256", None) != _hash_of_header(header):
        raise CheckpointError(f"{path}: damaged, its header does not have the hash that it names")
    if hash_of_tensors(tensors) != header.get("tensors_sha256"):
        raise CheckpointError(f"{path}: damaged, its tensors do not have the hash that it names")
    return Checkpoint(tensors, header)


def network_tensors(network: StyleNetwork) -> dict[str, Tensor]:
    """Return the weights of a network under the names that they have in a checkpoint."""
    return {NETWORK_PREFIX + name: tensor for name, tensor in network.state_dict().items()}


def load_network(checkpoint: Checkpoint, *, source: str) -> StyleNetwork:
    """Rebuild the network of a checkpoint, in evaluation mode.

    Raises:
        CheckpointError: It holds no network, or one of another architecture.
    """
    found = checkpoint.header.get("dimensions")
    try:
        dimensions = dimensions_from(found if isinstance(found, dict) else {})
        network = build_network(dimensions, int(checkpoint.header.get("mixed_styles", 0)))
    except (UsageError, ValueError, TypeError, OverflowError):
        raise CheckpointError(
            f"{source}: holds no network of this program (found {in_one_line(found)})"
        ) from None
    weights = {
        name.removeprefix(NETWORK_PREFIX): tensor
        for name, tensor in checkpoint.tensors.items()
        if name.startswith(NETWORK_PREFIX)
    }
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"{source}: its weights do not fit the network ({first})") from None
    return network.eval()


def styles_of(header: Mapping[str, Any], *, source: Path) -> tuple[list[str], list[str]]:
    """Return the names of the styles of a run, which become parts of file names, and their hashes.

    Raises:
        CheckpointError: The header names none.
    """
    found = header.get("styles", [header.get("style_name")])  # one, before there were several
    sha256 = header.get("style_sha256")
    names, hashes = _texts(found), _texts([sha256] if isinstance(sha256, str) else sha256)
    are_files = all(name and Path(name).name == name for name in names)
    if not names or not are_files or len(names) != len(hashes):
        raise CheckpointError(f"{source}: its header names no style (found {found!r})")
    return names, hashes


def _texts(found: Any) -> list[str]:  # noqa: ANN401
    """Return a list of texts, or an empty one where it is anything else."""
    is_list = isinstance(found, list) and all(isinstance(text, str) for text in found)
    return list(found) if is_list else []


def load_newest(run: Path) -> tuple[Checkpoint, Path, str]:
    """Read the newest checkpoint of a run folder that is whole, or the file itself when it is one.

    Returns:
        The checkpoint, its file, and what to say where that is not the last one, or nothing.

    Raises:
        CheckpointError: There is none.
    """
    if run.is_file():
        return load_checkpoint(run), run, ""
    if not run.is_dir():
        raise CheckpointError(f"{run}: no such run folder")
    last, previous = run / LAST, run / PREVIOUS
    try:
        return load_checkpoint(last), last, ""
    except CheckpointError as error:
        if not previous.is_file():
            hint = "" if last.is_file() else "; train one with `nst train`"
            raise CheckpointError(f"{error}{hint}") from None
        try:
            return load_checkpoint(previous), previous, f"{error}; going on from {PREVIOUS}"
        except CheckpointError as worse:
            raise CheckpointError(f"{error}; {worse}; nothing is left, begin anew") from None


def optimizer_tensors(optimizer: torch.optim.Optimizer, names: list[str]) -> dict[str, Tensor]:
    """Return the state of an optimiser as tensors: ``optimizer.<parameter>.<entry>``."""
    found = {}
    for name, parameter in zip(names, _parameters(optimizer), strict=True):
        for entry, value in optimizer.state.get(parameter, {}).items():
            found[f"optimizer.{name}.{entry}"] = torch.as_tensor(value)
    return found


def restore_optimizer(
    optimizer: torch.optim.Optimizer,
    names: list[str],
    tensors: Mapping[str, Tensor],
    *,
    must_have_stepped: bool = False,
) -> None:
    """Put back what ``optimizer_tensors`` returned.

    Args:
        optimizer: Of the same kind, over the same parameters.
        names: Their names, in order.
        tensors: Those of the checkpoint.
        must_have_stepped: Whether every parameter must have a state; before the first step an
            optimiser has none.

    Raises:
        CheckpointError: The state of a parameter is missing.
    """
    is_fused = bool(optimizer.defaults.get("fused"))
    for name, parameter in zip(names, _parameters(optimizer), strict=True):
        prefix = f"optimizer.{name}."
        state = {
            key.removeprefix(prefix): _like(value, parameter, is_fused=is_fused)
            for key, value in tensors.items()
            if key.startswith(prefix)
        }
        if not state and must_have_stepped:
            raise CheckpointError(f"the checkpoint holds no optimiser state of {name}")
        optimizer.state[parameter] = state


def _is_sound(path: Path) -> bool:
    try:
        load_checkpoint(path)
    except CheckpointError:
        return False
    return True


def _hash_of_header(header: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _like(value: Tensor, parameter: Tensor, *, is_fused: bool) -> Tensor:
    """Give a state tensor the device and memory format of its parameter.

    Step counts stay on the CPU, but a fused optimiser reads them on the device.
    """
    if value.shape == parameter.shape:
        return torch.empty_like(parameter).copy_(value)
    return value.to(parameter.device if is_fused else "cpu", copy=True)

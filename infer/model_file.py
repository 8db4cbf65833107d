"""Checking a model file before ONNX Runtime sees it.

What is checked is read once into memory, and the same bytes go to the runtime, so that nothing can
change in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from nst.contract import ModelInfo
from nst.errors import ModelError
from nst.files import describe
from nst.model_graph import controls_of, graph_faults, has_texture
from nst.registry import named
from nst.seal import is_sealed

MAX_BYTES = 200_000_000
"""A larger file is no style model; ours are a few megabytes."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file that follows the contract."""

    name: str
    """What to call it in a message."""
    data: bytes
    """All of the file."""
    info: ModelInfo
    """Its metadata."""
    has_texture: bool
    """Whether the amplitude of its noise can be set."""
    is_sealed: bool
    """Whether it carries a hash of itself or the registry has one: damage would be found."""


def read_model(model: str | Path | bytes | ModelFile) -> ModelFile:
    """Read a model and check everything that can be checked without running it.

    Args:
        model: The file, its content, a run folder with one exported file, or as a string the name
            of a model of the registry, which goes before a file that is called so. One that was
            read before is returned as it is.

    Raises:
        ModelError: It cannot be read, is not the file that the registry knows, is no ONNX file,
            needs data or operators from outside the file and the standard, does not follow
            ``nst.contract``, or is damaged.
    """
    if isinstance(model, ModelFile):
        return model
    entry = named(model) if isinstance(model, str) else None
    if isinstance(model, bytes):
        name, data = "the model", model
    elif entry is not None:
        name, data = entry.name, entry.read()
    else:
        path = exported_at(Path(model))
        name, data = str(path), _read(path)
    if len(data) > MAX_BYTES:
        raise ModelError(
            f"{name} is no style model: larger than {MAX_BYTES // 1_000_000} MB, the most accepted"
        )
    has_hash = is_sealed(data, source=name) or entry is not None
    try:
        proto = onnx.load_model_from_string(data)
    except DecodeError:
        raise ModelError(
            f"{name} is no ONNX file, or it is damaged; get or export it again"
        ) from None
    metadata = {each.key: each.value for each in proto.metadata_props}
    info = ModelInfo.from_metadata(metadata, source=name)
    expected = info.controls, 0 if info.controls == "none" else len(info.styles)
    if controls_of(proto.graph) != expected:
        raise ModelError(
            f"{name}: its input mix is not that of {expected[1]} styles, {info.controls}, as its"
            " metadata says; export it again with `nst export`"
        )
    if fault := next(graph_faults(proto), ""):
        raise ModelError(f"{name} {fault}; export it again with `nst export`")
    return ModelFile(name, data, info, has_texture(proto.graph), has_hash)


def exported_at(path: Path) -> Path:
    """Return the one ONNX file of a run folder; a path that is no folder as it is.

    Raises:
        ModelError: There is none in the folder, or there are several.
    """
    if not path.is_dir():
        return path
    files = exported_in(path)
    if not files:
        raise ModelError(f"{path}: no model in this folder; `nst export` writes one from a run")
    if len(files) > 1:
        raise ModelError(
            f"{path}: {len(files)} models in this folder, such as {files[0].name}; name one"
        )
    return files[0]


def exported_in(folder: Path) -> list[Path]:
    """Return the ONNX files of a folder, by their names."""
    return sorted(folder.glob("*.onnx"))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read, {describe(error)}") from None

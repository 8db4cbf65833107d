"""Models by name: those of the user, and those that are embedded. Torch-free.

A model of the user is two files in ``models_folder()``: the ONNX file, whose name ends in the first
digits of its hash, and ``NAME.json``, its record. The record is written last and goes first, so
that a model is there with all that is known of it, or not at all. Those that are embedded share one
index, ``models.json`` in ``nst/assets/models``. What is read is compared with its SHA-256.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from nst.contract import ModelInfo
from nst.errors import ModelError, OutputError, UsageError
from nst.files import atomic_write, describe, sha256_of
from nst.model_entry import NAME, Entry, check_name, entry_from, entry_of
from nst.samples import ASSETS

EMBEDDED = ASSETS / "models"
"""The folder of the embedded models and their index."""
INDEX = "models.json"


def models_folder() -> Path:
    """Return where the user's models lie: ``$NST_DATA/models``, else below the user's data."""
    if place := os.environ.get("NST_DATA"):
        return Path(place) / "models"
    home = os.environ.get("APPDATA" if os.name == "nt" else "XDG_DATA_HOME", "")
    if Path(home).is_absolute():  # one that is not is to be passed over, says the XDG standard
        return Path(home) / "nst" / "models"
    local = "Library/Application Support" if sys.platform == "darwin" else ".local/share"
    return Path.home() / local / "nst" / "models"


def named(name: str) -> Entry | None:
    """Return the model of a name, the user's before an embedded one; None where there is none.

    Raises:
        ModelError: Its record is damaged.
    """
    if not NAME.fullmatch(name) or name.endswith(".onnx"):
        return None
    record = _record(name)
    if record.is_file():
        return _read_record(record)
    return next((entry for entry in embedded() if entry.name == name), None)


def chosen(text: str, announce: Callable[[str], object] = lambda line: None) -> str | Path:
    """Return what a word for a model means: a name of the registry as it is, else a path.

    Args:
        text: As it was typed.
        announce: Told where a file is called so too.

    Raises:
        ModelError: The record of that name is damaged.
    """
    if named(text) is None:
        return Path(text)
    if Path(text).exists():
        announce(f"{text}: the model of the registry, not what is called so here; that is ./{text}")
    return text


def identity(text: str) -> dict[str, str]:
    """Return name and SHA-256 of a model as it was typed, for the record of a run."""
    entry = named(text)
    if entry is not None:
        return {"name": entry.name, "sha256": entry.sha256}
    return {"name": Path(text).name, "sha256": sha256_of(Path(text))}


def entries(announce: Callable[[str], object] | None = None) -> list[Entry]:
    """Return all models: the user's by their names, then those embedded, in the index's order.

    An embedded one whose name the user has given to another is left out.

    Args:
        announce: Told of a record that is damaged, which is left out then.

    Raises:
        ModelError: A record is damaged, and nobody is told.
    """
    found = []
    names = sorted(path.name.removesuffix(".json") for path in models_folder().glob("*.json"))
    for name in names:
        if not NAME.fullmatch(name):
            continue
        try:
            found.append(_read_record(_record(name)))
        except ModelError as error:
            if announce is None:
                raise
            announce(f"left out: {error}")
    return found + [entry for entry in embedded() if entry.name not in names]


def embedded() -> list[Entry]:
    """Return the models that came with the program.

    Raises:
        ModelError: Their index is damaged.
    """
    index = EMBEDDED / INDEX
    values = _read_json(index)
    models = values.get("models") if isinstance(values, dict) else None
    known = models if isinstance(models, list) else [None]
    found = [entry_from(each, EMBEDDED, is_embedded=True) for each in known]
    whole = [entry for entry in found if entry is not None]
    if len(whole) < len(known):
        raise ModelError(f"{index} is missing or damaged; install nst again")
    return whole


def add(data: bytes, info: ModelInfo, name: str, *, overwrite: bool = False) -> Entry:
    """Keep a model of the user under a name.

    Args:
        data: The ONNX file, checked.
        info: Its metadata.
        name: How it is called from now on.
        overwrite: Whether one of that name may be replaced.

    Raises:
        UsageError: No model can be called so, or an embedded one is.
        OutputError: One is called so already, or the file cannot be written.
    """
    check_name(name)
    if any(entry.name == name for entry in embedded()):
        raise UsageError(f"an embedded model is called {name}; give another --name")
    record = _record(name)
    if record.exists() and not overwrite:
        raise OutputError(
            f"there is a model {name} already; --overwrite to replace it, or give another --name"
        )
    folder = record.parent
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made, {describe(error)}") from None
    entry = entry_of(data, info, name, folder)
    with atomic_write(entry.file) as file:
        file.write(data)
    with atomic_write(record) as file:
        file.write((json.dumps(entry.to_record(), indent=1) + "\n").encode())
    _remove_files(name, but=entry.file)
    return entry


def remove(name: str) -> None:
    """Take a model of the user away, one with a damaged record too.

    Raises:
        UsageError: There is none of that name, or it is embedded.
        OutputError: It cannot be removed.
    """
    record = _record(name) if NAME.fullmatch(name) else None
    if record is None or not record.exists():
        entry = named(name)
        if entry is not None:
            raise UsageError(f"the model {name} came with the program and cannot be removed")
        raise UsageError(f"no model {name}; {listed(entries(lambda line: None))}")
    try:
        record.unlink()
    except OSError as error:
        raise OutputError(f"{record}: cannot be removed, {describe(error)}") from None
    _remove_files(name)


def listed(models: list[Entry]) -> str:
    """Return which models there are, in words for an error."""
    names = ", ".join(entry.name for entry in models)
    return f"there are {names}" if names else "there is none yet, `nst models add FILE` adds one"


def _record(name: str) -> Path:
    return models_folder() / f"{name}.json"


def _remove_files(name: str, but: Path | None = None) -> None:
    """Remove the ONNX files of a name; one that another program holds open stays, unused."""
    for file in models_folder().glob(f"{name}-{'[0-9a-f]' * 12}.onnx"):
        if file != but:
            with suppress(OSError):
                file.unlink()


def _read_record(path: Path) -> Entry:
    entry = entry_from(_read_json(path), path.parent)
    name = path.name.removesuffix(".json")
    if entry is None or entry.name != name:
        raise ModelError(f"{path} is damaged; `nst models remove {name}` and add the model again")
    return entry


def _read_json(path: Path) -> object:
    """Return what a file holds; nothing where that cannot be read."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):  # the last: nested without end
        return None

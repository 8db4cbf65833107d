"""One model of the registry: what is known of it, and its file, checked. Torch-free."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst.contract import ModelInfo
from nst.errors import ModelError, UsageError
from nst.files import describe

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""What a model can be called."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_BYTES = 1 << 40
"""More than any file that is read."""
RESERVED = ("auto", "none")
"""Words of ``nst train --init``."""

_KINDS = {
    **dict.fromkeys(("name", "file", "sha256", "net"), str),
    **dict.fromkeys(("bytes", "width"), int),
    "styles": list,
}
"""What JSON makes of a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model of the registry."""

    name: str
    """By which it is asked for; matches ``NAME``."""
    file: Path
    """The ONNX file."""
    sha256: str
    """Of the file, 64 hexadecimal digits."""
    size: int
    """Of the file, bytes."""
    styles: tuple[str, ...]
    """Names of the styles, in the order of the network."""
    net: str
    """Architecture, ``johnson`` or ``swift``."""
    width: int
    """Its channels."""
    is_embedded: bool = False
    """Whether it came with the program; else the user added it."""

    def read(self) -> bytes:
        """Return the ONNX file, checked.

        Raises:
            ModelError: It cannot be read, or is another file than that of the record.
        """
        remedy = f"add it again: nst models add FILE --name {self.name} --overwrite"
        if self.is_embedded:
            remedy = "install nst again"
        try:
            with self.file.open("rb") as file:
                data = file.read(self.size + 1)
        except OSError as error:
            raise ModelError(
                f"model {self.name}: {self.file} cannot be read, {describe(error)}; {remedy}"
            ) from None
        if hashlib.sha256(data).hexdigest() != self.sha256:
            came = "embedded" if self.is_embedded else "added"
            raise ModelError(
                f"model {self.name}: {self.file} is not the file that was {came}, its SHA-256 is"
                f" not {self.sha256[:16]}…; {remedy}"
            )
        return data

    def to_record(self) -> dict[str, Any]:
        """Return what ``NAME.json`` and the index hold of it."""
        return {
            "name": self.name,
            "file": self.file.name,
            "sha256": self.sha256,
            "bytes": self.size,
            "styles": list(self.styles),
            "net": self.net,
            "width": self.width,
        }


def entry_of(data: bytes, info: ModelInfo, name: str, folder: Path) -> Entry:
    """Return the entry of a model that is to lie in a folder."""
    sha256 = hashlib.sha256(data).hexdigest()
    return Entry(
        name=name,
        file=folder / f"{name}-{sha256[:12]}.onnx",
        sha256=sha256,
        size=len(data),
        styles=info.styles,
        net=info.network,
        width=info.width,
    )


def entry_from(values: object, folder: Path, *, is_embedded: bool = False) -> Entry | None:
    """Return what a record tells; None where it is damaged."""
    if not isinstance(values, Mapping):
        return None
    if any(not isinstance(values.get(key), kind) for key, kind in _KINDS.items()):
        return None
    styles = tuple(values["styles"])
    has_names = NAME.fullmatch(values["name"]) and all(isinstance(s, str) for s in styles)
    is_file = Path(values["file"]).name == values["file"] and values["file"].isprintable()
    is_known = _SHA256.fullmatch(values["sha256"]) and 0 <= values["bytes"] <= _MOST_BYTES
    if not has_names or not styles or not is_file or not is_known:
        return None
    return Entry(
        name=values["name"],
        file=folder / values["file"],
        sha256=values["sha256"],
        size=values["bytes"],
        styles=styles,
        net=values["net"],
        width=values["width"],
        is_embedded=is_embedded,
    )


def check_name(name: str) -> None:
    """Refuse what no model can be called.

    Raises:
        UsageError: It is such a name.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"no model can be called {name}: a name is 1 to 64 of a-z, 0-9, . _ - and begins with a"
            " letter or a digit"
        )
    if name in RESERVED or name.endswith(".onnx"):
        raise UsageError(
            f"no model can be called {name}, which means something else; give another --name"
        )

"""What export writes and infer reads: the ONNX file, schema 1.

One file without external data. Input ``image``, uint8 ``(batch, height, width, 3)``, RGB, any size
from 1 px, and for some networks ``texture``, which may be left out; output ``stylized``, uint8, the
same shape. Scaling, padding, cropping and rounding happen inside the graph. Everything else that a
reader must know stands in the metadata, which ``ModelInfo`` writes and reads; a hash of all of it
at the end of the file is that of ``nst.seal``. Torch-free.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from nst.errors import ModelError, in_one_line

SCHEMA = 1
"""Version of this contract; a file of a higher version is refused."""

INPUT = "image"
OUTPUT = "stylized"
TEXTURE = "texture"
"""Input of a network with noise, which is multiplied by it: float32 ``(1,)``. It may be left out,
since an initializer of the same name holds a value, 1."""
MIX = "mix"
"""Input of a file with controls: how much of the photograph and of each of K styles, float32
``(mixes, K + 1, grid_height, grid_width)``, at least 0. ``mixes`` is 1 or the batch; the grid lies
over the whole picture and is 1x1 where controls are ``global``. See ``nst.mix``."""
MIX_DIMENSIONS = ("mixes", "grid_height", "grid_width")
"""Names of its free dimensions."""
DIMENSIONS = ("batch", "height", "width")
"""Names of the free dimensions of both tensors; the fourth is 3, RGB."""

NORM_NAME = "norm_{:02d}"
"""Name of the i-th InstanceNormalization node, in graph order."""

PREFIX = "nst."
"""Every metadata key starts with this."""

Controls = Literal["none", "global", "regional"]

FilePrecision = Literal["float32", "float16"]
"""Of weights and convolutions; norms, noise, mixes and both borders are float32 in both."""

_JSON_KINDS = {
    "tuple": list,
    "str": str,
    "int": int,
    "Controls": str,
    "FilePrecision": str,
    "Mapping": dict,
}
"""What JSON makes of a field, by the first word of its annotation."""

_NEWER: Mapping[str, Any] = {"dimensions": {}, "sketches": [], "precision": "float32"}
"""What older files of this schema lack, and what is read in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """The metadata of an exported style model."""

    styles: tuple[str, ...]
    """Names of the styles, in the order of the network."""
    style_sha256: tuple[str, ...]
    """SHA-256 of each style image file."""
    network: str
    """Architecture, ``johnson`` or ``swift``."""
    width: int
    """Channels, as the architecture counts them."""
    reach_px: int
    """How far an input pixel changes the output when the statistics are fixed."""
    size_multiple: int
    """The graph pads height and width to a multiple of this and crops again."""
    bytes_per_pixel: int
    """Peak memory of a run on the CPU, bytes for each pixel of the picture."""
    controls: Controls = "none"
    """Which run-time control the file has: an input ``mix`` or none."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the training as in ``config.toml``, with ``step`` and ``loss_network``."""
    parity: tuple[Mapping[str, Any], ...] = ()
    """The receipt: sizes compared with torch, largest difference in grey levels; of a float16 file
    also with the float32 one, in dB."""
    dimensions: Mapping[str, Any] = field(default_factory=dict)
    """All that rebuilds the network, see ``nst.dimensions``; empty in a file from before them."""
    sketches: tuple[str, ...] = ()
    """What each style looks like to the embedded loss network, see ``nst.critic``; or nothing."""
    made_with: str = ""
    """Name and version of the program that wrote the file."""
    precision: FilePrecision = "float32"
    """Of weights and convolutions."""
    schema: int = SCHEMA

    def to_metadata(self) -> dict[str, str]:
        """Return the metadata properties of the ONNX file: JSON values under ``nst.`` keys."""
        return {
            PREFIX + f.name: json.dumps(getattr(self, f.name), sort_keys=True) for f in fields(self)
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], *, source: str) -> ModelInfo:
        """Read what ``to_metadata`` wrote.

        Args:
            metadata: The custom metadata of an ONNX file.
            source: What to call the file in an error.

        Raises:
            ModelError: The file carries no such metadata, damaged metadata or a newer schema.
        """
        if PREFIX + "schema" not in metadata:
            raise ModelError(
                f"{source} is not a style model of this program (it carries no nst metadata);"
                " export one with `nst export`"
            )
        values: dict[str, Any] = {}
        for f in fields(cls):
            if f.name in _NEWER and PREFIX + f.name not in metadata:
                values[f.name] = _NEWER[f.name]
                continue
            try:
                values[f.name] = json.loads(metadata[PREFIX + f.name])
            except (KeyError, ValueError, RecursionError):  # the last: nested without end
                raise ModelError(
                    f"{source}: metadata {PREFIX + f.name} is missing or damaged"
                ) from None
        if values["schema"] != SCHEMA:
            raise ModelError(
                f"{source} follows schema {in_one_line(values['schema'])}, this program reads"
                f" schema {SCHEMA}; update nst or export the model again"
            )
        for f in fields(cls):
            if not isinstance(values[f.name], _JSON_KINDS[str(f.type).partition("[")[0]]):
                raise ModelError(f"{source}: metadata {PREFIX + f.name} is missing or damaged")
        for name in ("styles", "style_sha256", "parity", "sketches"):
            values[name] = tuple(values[name])
        info = cls(**values)
        if not info.styles or info.controls not in get_args(Controls):
            raise ModelError(f"{source}: metadata names no style or an unknown control")
        if info.precision not in get_args(FilePrecision):
            raise ModelError(f"{source}: metadata names an unknown precision")
        if len(info.style_sha256) != len(info.styles):
            raise ModelError(f"{source}: metadata names as many styles as it has no hashes of")
        has_names = all(isinstance(name, str) for name in info.styles)
        is_sized = min(info.size_multiple, info.bytes_per_pixel) >= 1 and info.reach_px >= 0
        if not has_names or not is_sized:
            raise ModelError(f"{source}: metadata is damaged, a style's name or a size is none")
        return info


def joint_name(styles: Sequence[str]) -> str:
    """Return what a model of some styles is called: ``starry-night``, ``udnie-and-2-more``."""
    more = len(styles) - 1
    return f"{styles[0]}-and-{more}-more" if more else styles[0]


def safe_name(text: str) -> str:
    """Return a style's name as a part of file names: letters and digits of any script, hyphens.

    At most 64 characters; empty where nothing is left. ``Große Welle (1)`` is ``Große-Welle-1``.
    """
    # M: the vowel signs of Devanagari and the like, which belong to the letter before them.
    normal = unicodedata.normalize("NFC", text)
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in normal)
    return "-".join("".join(kept).split())[:64].strip("-")

"""The models that a studio offers, by name: sessions, thumbnails, what the page must know."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.memory import Claims
from infer.session import Session, open_session
from nst.contract import joint_name
from nst.errors import UsageError
from nst.image import encode_image, fit_short_side, load_image, resize_image
from nst.samples import photographs
from nst.settings import Provider

THUMBNAIL_PX = 144
"""Side of a thumbnail: the embedded photograph of a cat, painted."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """One model on the shelf."""

    name: str
    """By which a client asks for it; matches ``nst.model_entry.NAME``."""
    data: bytes
    """The ONNX file."""
    session: Session
    thumbnails: tuple[bytes, ...]
    """A JPEG for each style."""
    claims: Claims
    """What is painted with at this moment; one for all models of a shelf."""

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the styles."""
        return self.session.info.styles

    def paint(
        self, rgb: NDArray[np.uint8], *, mix: NDArray[np.float32] | None, texture: float
    ) -> NDArray[np.uint8]:
        """Paint a picture at its own size.

        Args:
            rgb: uint8 ``(H, W, 3)``.
            mix: For a model with controls and only for it.
            texture: What the noise is multiplied by.

        Raises:
            InferenceError: It is too large for the free memory, or the run failed.
            UsageError: The mix does not suit the model.
        """
        with nullcontext() if self.session.has_own_memory else self._claim(*rgb.shape[:2]):
            painted: NDArray[np.uint8] = self.session.run(rgb[None], mix=mix, texture=texture)[0]
        return painted

    def _claim(self, height: int, width: int) -> AbstractContextManager[None]:
        """Hold the memory that a painting takes."""
        return self.claims.claim(
            self.session.info,
            height,
            width,
            name="the picture",
            give_back=self.session.give_memory_back,  # taken by pictures of another size
        )

    def describe(self) -> dict[str, Any]:
        """Return what the page must know, as JSON can hold it; addresses are relative."""
        return {
            "name": self.name,
            "title": joint_name(self.styles),
            "file": f"models/{self.name}.onnx",
            "bytes": len(self.data),
            "controls": self.session.info.controls,
            "has_texture": self.session.has_texture,
            "styles": [
                {"name": style, "thumbnail": f"thumbnails/{self.name}/{number}.jpg"}
                for number, style in enumerate(self.styles)
            ],
        }


class Shelf:
    """Models by name, in the order in which they were named.

    Args:
        models: At least one; no two of the same name.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        self._models = {model.name: model for model in models}

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def get(self, name: object) -> Model:
        """Return a model.

        Raises:
            UsageError: There is none of that name.
        """
        model = self._models.get(name) if isinstance(name, str) else None
        if model is None:
            raise UsageError(f"no model of that name; there are {', '.join(self._models)}")
        return model

    @property
    def first(self) -> Model:
        """The one that was named first."""
        return next(iter(self))


def open_shelf(
    paths: Sequence[str | Path],
    provider: Provider = "auto",
    *,
    threads: int = 0,
    announce: Callable[[str], object] = lambda line: None,
) -> Shelf:
    """Load models and paint their thumbnails.

    Args:
        paths: Model files, and as strings names of the registry; two of the same name are told
            apart by a number.
        provider: Where they run.
        threads: Of a run on the CPU; 0 leaves it to ONNX Runtime.
        announce: Told in one line what is amiss with a model.

    Raises:
        ModelError: A file is no style model.
        InferenceError: The provider was named and cannot be had.
    """
    sample = load_image(photographs()[-1]).rgb
    height, width = fit_short_side(sample.shape[0], sample.shape[1], THUMBNAIL_PX)
    left = (width - THUMBNAIL_PX) // 2
    square = resize_image(sample, height, width)[:THUMBNAIL_PX, left : left + THUMBNAIL_PX]
    models: list[Model] = []
    claims = Claims()
    for path in paths:
        session = open_session(path, provider, threads=threads, announce=announce)
        stem = path if isinstance(path, str) else path.stem
        name = registry_name(stem, taken={model.name for model in models})
        thumbnails = _thumbnails(session, square)
        models.append(Model(name, session.model.data, session, thumbnails, claims))
    return Shelf(models)


def registry_name(stem: str, taken: set[str]) -> str:
    """Return what a model is called in addresses: ``Große Welle (1)`` is ``grosse-welle-1``.

    Args:
        stem: The name of its file without the suffix.
        taken: Names that are given away.
    """
    plain = unicodedata.normalize("NFKD", stem.casefold()).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9._]+", "-", plain).strip("-._")[:60].rstrip("-._") or "model"
    numbered, number = name, 2
    while numbered in taken:
        numbered, number = f"{name}-{number}", number + 1
    return numbered


def _thumbnails(session: Session, square: NDArray[np.uint8]) -> tuple[bytes, ...]:
    styles = len(session.info.styles)
    made = []
    for channel in range(1, styles + 1):
        mix = None
        if session.has_mix:
            mix = np.zeros((1, styles + 1, 1, 1), np.float32)
            mix[0, channel] = 1
        painted = session.run(square[None], mix=mix)[0]
        made.append(encode_image(painted, format="jpg", quality=85))
    return tuple(made)

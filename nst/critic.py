"""A quick judge without torch: the compact loss network in ONNX Runtime.

Its S and C are those of ``nst.losses`` with the compact network, the Gram matrices of the widest
layer seen through a fixed projection: a style is then a few thousand numbers, which a model
carries in its metadata. Good for putting styles in an order, not for figures to be compared.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nst.config import CONTENT_FLOOR, ENERGY_FLOOR, STYLE_FACTOR
from nst.contract import INPUT
from nst.errors import ModelError
from nst.image import fit_long_side, load_image, resize_image
from nst.ort import create_session
from nst.samples import ASSETS

NETWORK = ASSETS / "compact.onnx"
WIDEST = 48
"""Gram matrices of more channels are projected to so many."""
MULTIPLE = 8
LEAST_PX = 32


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the network sees of a picture."""

    content: NDArray[np.float32]
    """``(N, h, w)``."""
    grams: Sequence[NDArray[np.float32]]
    """Of each tap the upper triangle of the Gram matrix, so scaled that squares add up."""


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """What is asked of a painting in a style."""

    grams: Sequence[NDArray[np.float32]]
    content_energy: float
    """A position."""

    def to_text(self) -> str:
        """Return it in half precision, base64."""
        values = np.concatenate(self.grams)
        largest = float(np.abs(values).max()) or 1.0
        # Half precision has a short range: values are stored in proportion to the largest.
        head = np.array([self.content_energy, largest], "<f4").tobytes()
        data = head + (values / largest).astype("<f2").tobytes()
        return base64.urlsafe_b64encode(data).decode()  # no slash: it must not look like a path

    @classmethod
    def from_text(cls, text: str) -> Sketch:
        """Read what ``to_text`` wrote.

        Raises:
            ModelError: It is something else.
        """
        try:
            data = base64.b64decode(text, b"-_", validate=True)
            content_energy, largest = np.frombuffer(data[:8], "<f4").tolist()
            values = np.frombuffer(data[8:], "<f2").astype(np.float32) * np.float32(largest)
        except (ValueError, binascii.Error):
            raise ModelError("a sketch of a style is damaged") from None
        sizes = [_triangle(channels).shape[1] for channels in _critic_channels()]
        if len(values) != sum(sizes) or not np.isfinite(values).all():
            raise ModelError("a sketch of a style is damaged, or of another loss network")
        ends = np.cumsum(sizes)[:-1]
        return cls(np.split(values, ends), float(content_energy))


@dataclass(frozen=True, slots=True)
class Verdict:
    """J, S and C of a painting."""

    total: float
    style: float
    content: float


class Critic:
    """The compact network in ONNX Runtime."""

    def __init__(self) -> None:
        self._session: Any = create_session(NETWORK.read_bytes(), ["CPUExecutionProvider"])

    def see(self, rgb: NDArray[np.uint8]) -> Seen:
        """Look at a picture, uint8 ``(H, W, 3)``; sides are cut to multiples of 8."""
        height, width = (side // MULTIPLE * MULTIPLE for side in rgb.shape[:2])
        outputs = self._session.run(None, {INPUT: rgb[None, :height, :width]})
        content, *grams = (output[0] for output in outputs)
        return Seen(content, [_flat(gram) for gram in grams])

    def sketch(self, rgb: NDArray[np.uint8]) -> Sketch:
        """Take the style from a picture, uint8 ``(H, W, 3)``."""
        seen = self.see(rgb)
        energy = float(np.square(seen.content, dtype=np.float64).sum())
        return Sketch(seen.grams, energy / seen.content[0].size)

    def sketch_of(self, path: Path, long_side: int) -> Sketch:
        """Take the style from an image file, reduced as a training reduces it.

        Raises:
            ImageError: It cannot be read.
        """
        picture = load_image(path)
        height, width = fit_long_side(picture.height, picture.width, long_side)
        return self.sketch(resize_image(picture.rgb, height, width))


def judge(painted: Seen, photograph: Seen, style: Sketch) -> Verdict:
    """Score a painting of a photograph in a style.

    Raises:
        ModelError: The sketch is of another loss network.
    """
    if [gram.shape for gram in painted.grams] != [gram.shape for gram in style.grams]:
        raise ModelError("a sketch of a style is of another loss network")
    energies = np.array([np.square(gram, dtype=np.float64).sum() for gram in style.grams])
    energies = np.maximum(energies, ENERGY_FLOOR * energies.max())
    errors = [
        np.square(found - wanted, dtype=np.float64).sum()
        for found, wanted in zip(painted.grams, style.grams, strict=True)
    ]
    floor = CONTENT_FLOOR * style.content_energy * photograph.content[0].size
    energy = max(float(np.square(photograph.content, dtype=np.float64).sum()), floor)
    difference = painted.content - photograph.content
    content = float(np.square(difference, dtype=np.float64).sum()) / energy
    style_error = float(np.mean(np.array(errors) / energies))
    return Verdict(STYLE_FACTOR * style_error + content, style_error, content)


def _flat(gram: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the upper triangle of a Gram matrix, projected where it is wide."""
    if len(gram) > WIDEST:
        projection = _projection(len(gram))
        gram = (projection @ gram @ projection.T).astype(np.float32)
    rows, columns = _triangle(len(gram))
    weights = np.where(rows == columns, 1.0, np.sqrt(2.0)).astype(np.float32)
    flat: NDArray[np.float32] = gram[rows, columns] * weights
    return flat


@lru_cache
def _projection(channels: int) -> NDArray[np.float32]:
    """Return orthonormal rows, ``(WIDEST, channels)``, always the same."""
    drawn = np.random.default_rng(channels).normal(size=(channels, WIDEST))
    basis, _ = np.linalg.qr(drawn)
    return np.ascontiguousarray(basis.T, np.float32)


@lru_cache
def _triangle(channels: int) -> NDArray[np.int64]:
    return np.array(np.triu_indices(min(channels, WIDEST)))


@lru_cache
def _critic_channels() -> tuple[int, ...]:
    """Return the channels of each Gram matrix of the network."""
    import onnx

    outputs = onnx.load(NETWORK).graph.output[1:]
    return tuple(output.type.tensor_type.shape.dim[-1].dim_value for output in outputs)

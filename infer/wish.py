"""What a client of the studio wishes for: plain values from outside, checked, and then painted."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.mixture import lightened, mixture_of
from infer.shelf import Model, Shelf
from nst.color import blend, with_original_colors
from nst.errors import UsageError
from nst.image import encode_image, fit_long_side, resize_image
from nst.settings import MOST_TEXTURE

MOST_SIZE = 2048
"""The largest long side that a client may ask the network to see, px."""
MOST_CELLS = 64
"""Of a side of the grid for regions."""
_IN_QUERY: Mapping[str, Callable[[str], Any]] = {
    **{"strength": float, "texture": float, "size": int, "quality": int},
    "original_colors": lambda text: {"true": True, "false": False}[text.lower()],
}
FORMATS = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
"""What a painting is sent as."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Wish:
    """How to paint."""

    model: Model
    size: int
    """Long side that the network sees, px; none is enlarged."""
    strength: float = 1.0
    """0, the photograph, to 1; of a model with controls it is in the mix already."""
    original_colors: bool = False
    texture: float = 1.0
    mix: NDArray[np.float32] | None = None
    """``(1, K + 1, h, w)``, of a model with controls."""
    format: str = "jpeg"
    quality: int = 90
    """Of JPEG and WebP, 1 to 100."""

    def paint(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Paint a picture, ``(H, W, 3)``, reduced to ``size``.

        Raises:
            InferenceError: There is not memory enough, or the run failed.
        """
        height, width = fit_long_side(rgb.shape[0], rgb.shape[1], self.size)
        seen = rgb if (height, width) == rgb.shape[:2] else resize_image(rgb, height, width)
        painted = self.model.paint(seen, mix=self.mix, texture=self.texture)
        if self.original_colors:
            painted = with_original_colors(painted, seen)
        if self.mix is None and self.strength < 1:
            painted = blend(seen, painted, self.strength)
        return painted

    def encode(self, rgb: NDArray[np.uint8]) -> bytes:
        """Return a painting as the file that was asked for; it holds no metadata."""
        return encode_image(rgb, format=self.format, quality=self.quality)


def wish_from_text(text: str, shelf: Shelf, *, size: int) -> Wish:
    """Read a wish from JSON; see ``wish_of``.

    Raises:
        UsageError: It is no JSON object, or ``wish_of`` refuses it.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise UsageError("controls must be one JSON object")
    return wish_of(values, shelf, size=size)


def wish_from_query(query: Iterable[tuple[str, str]], shelf: Shelf, *, size: int) -> Wish:
    """Read a wish from the query of an address, where every value is a text; see ``wish_of``.

    Raises:
        UsageError: A text is no number where one is needed, or ``wish_of`` refuses it.
    """
    values: dict[str, Any] = {"format": "png"}
    for name, text in query:
        try:
            values[name] = _IN_QUERY.get(name, str)(text)
        except (KeyError, ValueError):
            raise UsageError(f"{name}: not understood, {text[:40]!a}") from None
    return wish_of(values, shelf, size=size)


def wish_of(values: Mapping[str, Any], shelf: Shelf, *, size: int) -> Wish:
    """Check what came from outside.

    Args:
        values: ``model`` (a name), ``style`` (a recipe, as ``wave:0.7,scream:0.3``) or ``mix``
            (``{"height", "width", "values"}``, K + 1 planes of shares, row by row), ``strength``,
            ``original_colors``, ``texture``, ``size``, ``format``, ``quality``; each may be
            missing.
        shelf: The models there are.
        size: Long side where none is asked for, px.

    Raises:
        UsageError: One line that names what is wrong.
    """
    known = (
        *("model", "style", "mix", "strength", "original_colors", "texture"),
        *("size", "format", "quality"),
    )
    if unknown := sorted(set(values) - set(known)):
        raise UsageError(f"no control is called {unknown[0][:40]!a}; there are {', '.join(known)}")
    model = shelf.get(values["model"]) if "model" in values else shelf.first
    strength = _number(values, "strength", 1.0, 0.0, 1.0)
    texture = _number(values, "texture", 1.0, 0.0, MOST_TEXTURE)
    if texture != 1 and not model.session.has_texture:
        raise UsageError(f"texture: {model.name} has no noise whose amplitude could be set")
    original_colors = values.get("original_colors", False)
    if not isinstance(original_colors, bool):
        raise UsageError("original_colors must be true or false")
    format = values.get("format", "jpeg")
    if not isinstance(format, str) or format not in FORMATS:
        raise UsageError(f"format must be one of {', '.join(FORMATS)}")
    return Wish(
        model=model,
        size=_whole(values, "size", size, 1, MOST_SIZE),
        strength=strength,
        original_colors=original_colors,
        texture=texture,
        mix=_mix(values, model, strength),
        format=format,
        quality=_whole(values, "quality", 90, 1, 100),
    )


def _number(values: Mapping[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = values.get(name, default)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        raise UsageError(f"{name} must be a number from {low:g} to {high:g}")
    return float(value)


def _whole(values: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    value = values.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise UsageError(f"{name} must be a whole number from {low} to {high}")
    return value


def _mix(values: Mapping[str, Any], model: Model, strength: float) -> NDArray[np.float32] | None:
    """Return the mix with the strength in it; None for a model without controls."""
    style, mix = values.get("style"), values.get("mix")
    if style is not None and mix is not None:
        raise UsageError("style and mix exclude each other")
    if style is not None and not isinstance(style, str):
        raise UsageError("style must be a text, as in wave:0.7,scream:0.3")
    info = model.session.info
    if mix is None:
        mixture = mixture_of(info, model=model.name, style=style, dashes="")
        if mixture is None:
            return None
        return mixture.grid(1, 1, strength=strength, name="the picture")
    if info.controls == "none":
        raise UsageError(f"mix: {model.name} has one style and no run-time control")
    return lightened(_grid(mix, model), strength)


def _grid(mix: object, model: Model) -> NDArray[np.float64]:
    """Return the shares that a grid holds, ``(K + 1, h, w)``, in each cell adding up to 1."""
    if not isinstance(mix, dict) or set(mix) != {"height", "width", "values"}:
        raise UsageError("mix must be an object of height, width and values")
    most = MOST_CELLS if model.session.info.controls == "regional" else 1
    height = _whole(mix, "height", 0, 1, most)
    width = _whole(mix, "width", 0, 1, most)
    planes = len(model.styles) + 1
    numbers = mix["values"]
    if not isinstance(numbers, list) or len(numbers) != planes * height * width:
        raise UsageError(f"mix: {model.name} needs {planes} planes of {height} x {width} values")
    for number in numbers:
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if not is_number or not 0 <= number <= 1e6 or not math.isfinite(number):
            raise UsageError("mix: values must be numbers from 0 to 1000000")
    grid: NDArray[np.float64] = np.array(numbers, np.float64).reshape(planes, height, width)
    grid[0] += grid.sum(0) <= 0  # a cell of zeros is the photograph
    grid /= grid.sum(0)
    return grid

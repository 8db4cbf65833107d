"""What a procedural photograph is painted on: surfaces laid over each other, lit from one side."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from train.procedural import textures
from train.procedural.palette import Material, Palette
from train.procedural.silhouettes import Polygon

_PLAIN_PX = 10
"""Surfaces smaller than this, in a picture of 288 px, get one colour and no relief."""


class Scene:
    """A picture in the making.

    Args:
        random: Of everything that is drawn in it.
        size: Side, px.
    """

    def __init__(self, random: np.random.Generator, size: int) -> None:
        self.random = random
        self.size = size
        self.unit = size / 288
        """Pixels to one of a picture of 288 px, in which textures and line widths are given."""
        self.palette = Palette.draw(random)
        self.pixels = np.zeros((size, size, 3), np.float32)
        """RGB in [0, 1]."""
        angle = random.uniform(math.pi * 1.1, math.pi * 1.9)
        self.light = np.array([math.cos(angle), math.sin(angle)])
        """Where light comes from: from above, x and y."""
        self.shade = random.uniform(0.1, 0.75)
        """How dark cast shadows are."""

    def cover(self, material: Material, *, ramp: float = 0.0) -> None:
        """Lay a surface over everything, lighter towards the light by a share ``ramp``."""
        piece = material.cut(self.random, self.size, self.size, self.unit)
        self.pixels[:] = piece * self._ramp(self.size, self.size, ramp)

    def put(
        self,
        polygons: Sequence[Polygon],
        material: Material,
        *,
        relief: float = 0.0,
        ramp: float | None = None,
        shadow: float = 0.0,
        soft: float = 0.0,
        alpha: float = 1.0,
    ) -> None:
        """Lay a surface over what is there.

        Args:
            polygons: Its outline, px.
            material: What it is made of.
            relief: How round it looks; 0 is flat.
            ramp: By what share it is lighter towards the light; drawn when left out.
            shadow: How far its shadow falls, px; 0 for none.
            soft: Blur of its outline, px.
            alpha: 1 is opaque.
        """
        frame = self._frame(polygons, 1.5 + 2 * soft)
        if frame is None:
            return
        top, left, height, width = frame
        if shadow > 0.7 and max(height, width) > _PLAIN_PX * self.unit:
            self.darken(polygons, shadow)
        mask = _mask(polygons, frame)
        view = self.pixels[top : top + height, left : left + width]
        if soft > 0.3:
            mask = mask.filter(ImageFilter.GaussianBlur(float(soft)))
        share = np.asarray(mask, np.float32)[..., None] * np.float32(alpha / 255)
        if max(height, width) <= _PLAIN_PX * self.unit:
            view += share * (material.colour - view)
            return
        piece = material.cut(self.random, height, width, self.unit)
        if ramp is None:
            ramp = self.random.normal(0, 0.18)
        light = self._ramp(height, width, ramp)
        if relief and min(height, width) > _PLAIN_PX * self.unit:
            light = light * _relief(mask, self.light, relief)
        piece *= light
        piece -= view
        piece *= share
        view += piece

    def darken(self, polygons: Sequence[Polygon], reach: float) -> None:
        """Cast the shadow of an outline, away from the light by ``reach`` px."""
        moved = [points - self.light * reach for points in polygons]
        frame = self._frame(moved, 1.5 + 1.5 * reach)
        if frame is None:
            return
        top, left, height, width = frame
        mask = _mask(moved, frame).filter(ImageFilter.BoxBlur(float(0.3 + 0.5 * reach)))
        view = self.pixels[top : top + height, left : left + width]
        view *= 1 - np.asarray(mask, np.float32)[..., None] * np.float32(self.shade / 255)

    def weather(self, kind: str, contrast: float, scale: float) -> None:
        """Let light and dirt vary over the whole picture, relative deviation ``contrast``."""
        grey = textures.piece(
            kind, self.random, self.size, self.size, scale=scale / self.unit, angle=0.0
        )
        table = np.exp(contrast * (np.arange(256) - 128) / 50).astype(np.float32)
        self.pixels *= table[grey][..., None]

    def glow(self, x: float, y: float, radius: float, strength: float) -> None:
        """Add a soft light."""
        r = math.ceil(2 * radius)
        top, bottom = max(0, int(y) - r), min(self.size, int(y) + r + 1)
        left, right = max(0, int(x) - r), min(self.size, int(x) + r + 1)
        if top >= bottom or left >= right:
            return
        rows, columns = np.arange(top, bottom)[:, None] - y, np.arange(left, right)[None] - x
        bell = np.exp(-(rows**2 + columns**2) * (1.5 / radius**2))
        view = self.pixels[top:bottom, left:right]
        view += (1 - view) * (strength * bell).astype(np.float32)[..., None]

    def blur(self, radius: float) -> None:
        """Put what is there out of focus."""
        if radius < 0.3:
            return
        image = Image.fromarray((self.pixels.clip(0, 1) * 255 + 0.5).astype(np.uint8))
        image = image.filter(ImageFilter.GaussianBlur(float(radius)))
        self.pixels[:] = np.asarray(image, np.float32) / 255

    def _frame(
        self, polygons: Sequence[Polygon], margin: float
    ) -> tuple[int, int, int, int] | None:
        """Top, left, height and width of the part of the picture that is touched."""
        points = polygons[0] if len(polygons) == 1 else np.concatenate(polygons)
        low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
        left, top = (max(0, math.floor(v)) for v in low)
        right, bottom = (min(self.size, math.ceil(v)) for v in high)
        if left >= right or top >= bottom:
            return None
        return top, left, bottom - top, right - left

    def _ramp(self, height: int, width: int, amount: float) -> NDArray[np.float32]:
        """Light that changes evenly, (height, width, 1) around 1."""
        rows = _even(height) * np.float32(amount * self.light[1]) + np.float32(1)
        columns = _even(width) * np.float32(amount * self.light[0])
        return (rows[:, None] + columns)[..., None]


def _even(count: int) -> NDArray[np.float32]:
    """From -1 to 1 in even steps, (count,)."""
    return np.arange(count, dtype=np.float32) * np.float32(2 / max(1, count - 1)) - np.float32(1)


def _mask(polygons: Sequence[Polygon], frame: tuple[int, int, int, int]) -> Image.Image:
    """Grey picture of an outline within a frame, drawn twice as large for smooth edges."""
    top, left, height, width = frame
    image = Image.new("L", (2 * width, 2 * height))
    draw = ImageDraw.Draw(image)
    for points in polygons:
        draw.polygon((2 * (points - (left, top))).ravel().tolist(), fill=255)
    return image.reduce(2)


def _relief(mask: Image.Image, light: NDArray[np.float64], strength: float) -> NDArray[np.float32]:
    """Light on a body that is round towards its outline, (height, width, 1) around 1."""
    width, height = mask.size
    small = (max(4, min(40, width // 3)), max(4, min(40, height // 3)))
    blur = max(1.0, min(small) / 5)
    bump = mask.resize(small, Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(float(blur)))
    height_of = np.asarray(bump, np.float32)
    slope = np.zeros_like(height_of)
    slope[:, 1:-1] = (height_of[:, :-2] - height_of[:, 2:]) * np.float32(light[0])
    slope[1:-1] += (height_of[:-2] - height_of[2:]) * np.float32(light[1])
    slope *= np.float32(blur / 256)
    image = Image.fromarray((128 + 127 * np.clip(slope, -1, 1)).astype(np.uint8))
    lit = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float32)
    return np.maximum(0.1, 1 + np.float32(strength) * (lit - 128) / 64)[..., None]

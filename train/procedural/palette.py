"""Colours of procedural photographs: what surfaces are made of and how they vary.

Colours are a luma Y and two differences, B - Y and R - Y, as in BT.601: in photographs the
differences are small, lean to orange and blue (correlation -0.6), have heavy tails, and a
picture has a tint of its own. The figures were taken from photographs of MS-COCO.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from train.procedural import textures
from train.procedural.fields import KINDS

_AXES = np.array([(0.82, -0.57), (0.57, 0.82)])
"""Orange to blue, green to magenta."""


def to_rgb(y: NDArray[np.float64], chroma: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return RGB in [0, 1], ``(..., 3)``; what lies outside loses colour, not light."""
    blue, red = chroma[..., 0], chroma[..., 1]
    y = np.clip(y, 0, 1)
    away = np.stack([red, -(0.299 * red + 0.114 * blue) / 0.587, blue], axis=-1)
    room = np.where(away > 0, 1 - y[..., None], y[..., None])
    share = np.min(room / np.maximum(np.abs(away), 1e-6), axis=-1, keepdims=True)
    rgb = y[..., None] + away * np.minimum(1, share)
    return np.asarray(np.clip(rgb, 0, 1), np.float32)


@dataclass(frozen=True, eq=False)
class Material:
    """What a surface is made of."""

    y: float
    chroma: NDArray[np.float64]
    """(2,) B - Y and R - Y."""
    kind: str
    """Texture, one of ``train.procedural.fields.KINDS``."""
    contrast: float
    """Relative deviation of the luma."""
    other: NDArray[np.float64] | None = None
    """(3,) Y and chroma of a second colour, where the texture is bright."""
    scale: float = 1.0
    """Texture pixels to a pixel of a picture of 288 px."""
    angle: float = 0.0
    """Of the texture, radians."""

    @cached_property
    def ramp(self) -> NDArray[np.float32]:
        """Colour for each grey level of the texture, (256, 3)."""
        t = (np.arange(256) - 128) / 50
        if self.other is None:
            y = self.y * np.exp(self.contrast * t)
            chroma = self.chroma * (1 + 0.4 * self.contrast * t)[:, None]
        else:
            share = 1 / (1 + np.exp(-3 * t))
            y = (self.y + (self.other[0] - self.y) * share) * np.exp(0.4 * self.contrast * t)
            chroma = self.chroma + (self.other[1:] - self.chroma) * share[:, None]
        return to_rgb(y, chroma)

    @property
    def colour(self) -> NDArray[np.float32]:
        """The middle one, (3,)."""
        colour: NDArray[np.float32] = self.ramp[128]
        return colour

    def cut(
        self, random: np.random.Generator, height: int, width: int, unit: float
    ) -> NDArray[np.float32]:
        """Return a piece of the surface, RGB, ``(height, width, 3)``.

        Args:
            random: Where it is cut.
            height: Rows.
            width: Columns.
            unit: Pixels of the picture to one of 288 px.
        """
        if self.contrast < 0.004:
            return np.broadcast_to(self.colour, (height, width, 3)).copy()
        grey = textures.piece(
            self.kind, random, height, width, scale=self.scale / unit, angle=self.angle
        )
        return self.ramp[grey]


@dataclass(frozen=True, eq=False)
class Palette:
    """What the colours of one picture have in common."""

    tint: NDArray[np.float64]
    """(2,) chroma of the light."""
    saturation: float
    """Deviation of the chroma along orange to blue."""
    key: float
    """Mean luma."""
    spread: float
    """Deviation of the luma."""
    hues: NDArray[np.float64]
    """(n, 2) chroma that comes back in the picture."""

    @classmethod
    def draw(cls, random: np.random.Generator) -> Palette:
        """Draw one."""
        tint = np.array([-0.035, 0.02]) + random.normal(0, (0.05, 0.02)) @ _AXES
        saturation = float(np.clip(random.lognormal(np.log(0.08), 0.5), 0.0, 0.25))
        count = int(random.integers(2, 6))
        hues = _chroma(random, saturation, count)
        key = float(np.clip(random.normal(0.46, 0.07), 0.25, 0.7))
        spread = float(np.clip(random.normal(0.25, 0.05), 0.12, 0.35))
        return cls(tint, saturation, key, spread, hues)

    def chroma(self, random: np.random.Generator) -> NDArray[np.float64]:
        """Draw a chroma, (2,): one that comes back, or a new one."""
        if random.random() < 0.6:
            chosen = self.hues[int(random.integers(len(self.hues)))]
            return np.asarray(self.tint + chosen * random.uniform(0.6, 1.3))
        return np.asarray(self.tint + _chroma(random, self.saturation, 1)[0])

    def luma(self, random: np.random.Generator) -> float:
        """Draw a luma."""
        return float(np.clip(random.normal(self.key, self.spread), 0.015, 0.985))

    def material(
        self,
        random: np.random.Generator,
        kinds: tuple[str, ...] = (),
        *,
        y: float | None = None,
        chroma: NDArray[np.float64] | None = None,
        contrast: float | None = None,
        upright: bool = False,
    ) -> Material:
        """Draw a material.

        Args:
            random: Where from.
            kinds: Textures to choose from; all when empty.
            y: Luma; drawn when left out.
            chroma: The same.
            contrast: The same.
            upright: Whether the texture is not turned.
        """
        kinds = kinds or ALL
        if contrast is None:
            plain = random.random() < 0.33
            contrast = 0.03 * random.lognormal(0, 0.6) if plain else random.lognormal(-1.25, 0.42)
        other = None
        if random.random() < 0.2:
            other = np.array([self.luma(random), *self.chroma(random)])
        return Material(
            self.luma(random) if y is None else y,
            self.chroma(random) if chroma is None else chroma,
            kinds[int(random.integers(len(kinds)))],
            min(float(contrast), 0.8),
            other,
            scale=float(np.exp(random.uniform(np.log(0.5), np.log(3.2)))),
            angle=float(
                random.normal(0, 0.1)
                if upright or random.random() < 0.5
                else random.uniform(0, 2 * np.pi)
            ),
        )


ALL = tuple(KINDS)
CLOTH = ("folds", "weave", "stripes", "plaid", "plaster", "dots", "ribs", "clouds", "fur")
LEAVES = ("foliage", "bush", "thicket", "crumbs", "grass")
SKIN = ("clouds", "haze", "plaster")
HARD = ("clouds", "haze", "plaster", "brushed", "marble", "stone", "sand")
FRONTS = ("windows", "offices", "bricks", "plaster", "stone", "city", "planks")
COATS = ("fur", "hair", "plaster", "stone", "grass")


def _chroma(random: np.random.Generator, saturation: float, count: int) -> NDArray[np.float64]:
    """Draw chroma with heavy tails, (count, 2)."""
    size = np.minimum(random.gamma(1.2, 1 / 1.2, (count, 1)), 2.5) * saturation
    drawn: NDArray[np.float64] = (random.standard_normal((count, 2)) * (1.35, 0.5) * size) @ _AXES
    return drawn

"""Colour drift: how far a painting's colours are from the photograph's and the style image's.

In CIELAB, where a distance of 1 is about what an eye can just tell apart. Torch-free.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from nst.image import resize_image

_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
"""Linear sRGB to CIE XYZ (IEC 61966-2-1)."""
_WHITE = _TO_XYZ.sum(axis=1)
"""D65, the white of sRGB."""
CELL_PX = 16
"""Colours of places are compared as means of squares of this side."""
QUANTILES = 256


@dataclass(frozen=True, slots=True)
class ColorDrift:
    """Distances in CIELAB (CIE 1976), 0 and more."""

    of_places: float
    """Mean distance between the painting and the photograph, each place with itself."""
    from_style: float
    """Distance between the palettes of the painting and the style image, wherever colours lie."""
    unstyled: float
    """Distance between the palettes of the photograph and the style image."""


def color_drift(
    painted: NDArray[np.uint8],
    photograph: NDArray[np.uint8],
    style_palette: NDArray[np.float64],
) -> ColorDrift:
    """Measure how colours moved.

    Args:
        painted: uint8 ``(H, W, 3)``.
        photograph: The same size.
        style_palette: ``palette`` of the style image.
    """
    height, width = (max(1, side // CELL_PX) for side in painted.shape[:2])
    cells = [to_lab(resize_image(rgb, height, width)) for rgb in (painted, photograph)]
    return ColorDrift(
        float(np.linalg.norm(cells[0] - cells[1], axis=-1).mean()),
        palette_distance(palette(painted), style_palette),
        palette_distance(palette(photograph), style_palette),
    )


def to_lab(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return sRGB, uint8 ``(..., 3)``, as CIELAB: L in [0, 100], a and b around 0."""
    share = rgb / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T / _WHITE
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def palette(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return quantiles of the colours of a picture along 13 directions of CIELAB, ``(13, 256)``.

    The directions are the edges, faces and corners of a cube.
    """
    shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
    lab = to_lab(rgb).reshape(-1, 3)
    return np.stack([np.quantile(lab @ direction, shares) for direction in _directions()])


def palette_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the sliced Wasserstein distance between two palettes, wherever colours lie.

    The mean difference between quantiles, over all directions (Rabin et al. 2011, with fixed
    directions in place of random ones).
    """
    return float(np.abs(one - other).mean())


def _directions() -> list[NDArray[np.float64]]:
    """Return one of each pair of opposite directions to the neighbours in a lattice."""
    steps = [np.array(step, np.float64) for step in product((-1, 0, 1), repeat=3)]
    return [step / np.linalg.norm(step) for step in steps[len(steps) // 2 + 1 :]]

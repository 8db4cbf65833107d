"""Bringing a painting back to the size of its photograph, with the edges that it has. Torch-free.

A guided filter (He, Sun and Tang, "Guided Image Filtering", 2013; at a small size as in He and Sun,
"Fast Guided Filter", 2015): in every small window the painting is a line over the photograph's
light and dark, ``painted = a * light + b``. Both numbers are enlarged and meet the light and dark
of the large photograph, which has the edges. What no line explains, the strokes, is enlarged as it
is; a painting that is not enlarged comes back as it was.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nst.color import luminance
from nst.image import resize_image

RADIUS = 2
"""Of the windows, px of the painting."""
SMOOTHNESS = 30.0**2
"""Variance of light and dark, grey levels squared, below which a window has no edge."""


def restored(
    painted: NDArray[np.uint8],
    seen: NDArray[np.uint8],
    photograph: NDArray[np.uint8],
    kept: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """Return a painting in the size of the photograph.

    Args:
        painted: (h, w, 3).
        seen: What was painted: the photograph, (h, w, 3).
        photograph: The photograph, (H, W, 3).
        kept: How much of the photograph is in the painting, on any grid, (a, b) within 0 and 1:
            that much of its detail comes back, all of it where there is nothing else.
    """
    if kept is None or not kept.any():
        return _restored(painted, seen, photograph)
    height, width = photograph.shape[:2]
    share = _resized(kept, height, width)[..., None]
    lost = photograph.astype(np.float32) - _restored(seen, seen, photograph)
    found = _restored(painted, seen, photograph) + share * lost
    whole: NDArray[np.uint8] = np.rint(np.clip(found, 0, 255)).astype(np.uint8)
    return whole


def _restored(
    painted: NDArray[np.uint8], seen: NDArray[np.uint8], photograph: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    height, width = photograph.shape[:2]
    if painted.shape[0] >= height and painted.shape[1] >= width:
        return resize_image(painted, height, width)
    light = luminance(seen)  # (h, w)
    mean = _mean(light)
    variance = _mean(light * light) - mean * mean
    large = luminance(photograph)
    result = np.empty_like(photograph)
    for channel in range(3):
        color = painted[..., channel].astype(np.float32)
        color_mean = _mean(color)
        steep = (_mean(light * color) - mean * color_mean) / (variance + np.float32(SMOOTHNESS))
        slope, shift = _mean(steep), _mean(color_mean - steep * mean)
        strokes = color - (slope * light + shift)
        enlarged = _enlarged(slope, height, width) * large
        enlarged += _enlarged(shift + strokes, height, width)
        result[..., channel] = np.rint(np.clip(enlarged, 0, 255))
    return result


def _mean(plane: NDArray[Any]) -> NDArray[Any]:
    """Return the mean of the window around each place; at the sides of the part that is there."""
    for axis in (0, 1):
        length = plane.shape[axis]
        sums = np.cumsum(plane, axis=axis, dtype=np.float64)
        sums = np.concatenate((np.zeros_like(sums.take([0], axis)), sums), axis)
        places = np.arange(length)
        last, first = np.minimum(places + RADIUS + 1, length), np.maximum(places - RADIUS, 0)
        counts = np.expand_dims(last - first, 1 - axis)
        plane = ((sums.take(last, axis) - sums.take(first, axis)) / counts).astype(np.float32)
    return plane


def _resized(plane: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Return a grid in another size, between the middles of its cells."""
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.array(image.resize((width, height), Image.Resampling.BILINEAR), np.float32)


def _enlarged(plane: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.array(image.resize((width, height), Image.Resampling.BICUBIC), np.float32)

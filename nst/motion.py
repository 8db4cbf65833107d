"""Steadiness: whether a painting moves with its photograph. Torch-free.

A photograph is moved in a known way and painted, the painting of the unmoved one is moved in the
same way, and the two are compared: the warping error of video stylisation (Lai et al. 2018)
without the errors of an optical flow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MARGIN_PX = 16
"""At each side; what comes in from there is mirrored, and it is not compared."""


@dataclass(frozen=True, slots=True)
class Motion:
    """Turned and enlarged about the centre, then shifted."""

    right_px: float = 0.0
    down_px: float = 0.0
    zoom: float = 1.0
    angle_deg: float = 0.0

    def inverse(self) -> Motion:
        """Return the motion back; exact for a shift alone, or for none."""
        turn = math.radians(self.angle_deg)
        right = math.cos(turn) * self.right_px + math.sin(turn) * self.down_px
        down = -math.sin(turn) * self.right_px + math.cos(turn) * self.down_px
        return Motion(-right / self.zoom, -down / self.zoom, 1 / self.zoom, -self.angle_deg)


MOTIONS = {
    "shift": Motion(right_px=2.5, down_px=1.25),
    "zoom": Motion(zoom=1.02),
    "rotation": Motion(angle_deg=1.0),
}


@dataclass(frozen=True, slots=True)
class Steadiness:
    """Root mean square errors in grey levels of 255; 0 is perfectly steady."""

    shift: float
    zoom: float
    rotation: float
    mean: float
    floor: float
    """Of the photograph moved there and back: what resampling alone does to it."""
    painted_floor: float
    """Of the painting moved there and back."""


def steadiness(
    paint: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    photograph: NDArray[np.uint8],
    painted: NDArray[np.uint8],
) -> Steadiness:
    """Measure how a painting follows three small motions.

    Args:
        paint: What is judged.
        photograph: uint8 ``(H, W, 3)``.
        painted: What ``paint`` made of it.
    """
    errors: dict[str, float] = {}
    floors: list[float] = []
    painted_floors: list[float] = []
    for name, motion in MOTIONS.items():
        moved, painted_moved = move(photograph, motion), move(painted, motion)
        errors[name] = _rmse(paint(to_uint8(moved)), painted_moved)
        floors.append(_rmse(move(moved, motion.inverse()), photograph))
        painted_floors.append(_rmse(move(painted_moved, motion.inverse()), painted))
    return Steadiness(
        errors["shift"],
        errors["zoom"],
        errors["rotation"],
        float(np.mean(list(errors.values()))),
        float(np.mean(floors)),
        float(np.mean(painted_floors)),
    )


def move(rgb: NDArray[np.uint8] | NDArray[np.float32], motion: Motion) -> NDArray[np.float32]:
    """Return a picture, ``(H, W, 3)`` in [0, 255], as it looks after a motion.

    Interpolated by the cubic convolution of Keys 1981 (a = -1/2), and clipped: Pillow's own has
    a = -1, which is exact on no slope. What comes in at the sides is mirrored.
    """
    height, width = rgb.shape[:2]
    sides = ((MARGIN_PX, MARGIN_PX), (MARGIN_PX, MARGIN_PX), (0, 0))
    padded = np.pad(rgb.astype(np.float32), sides, mode="symmetric")
    # Where each pixel of the result comes from: the inverse about the centre.
    turn = math.radians(motion.angle_deg)
    rows, columns = np.mgrid[:height, :width] + 0.5
    x, y = columns - width / 2 - motion.right_px, rows - height / 2 - motion.down_px
    source_x = (math.cos(turn) * x + math.sin(turn) * y) / motion.zoom + width / 2
    source_y = (-math.sin(turn) * x + math.cos(turn) * y) / motion.zoom + height / 2
    left, across = _taps(source_x + MARGIN_PX - 0.5, padded.shape[1])
    above, down = _taps(source_y + MARGIN_PX - 0.5, padded.shape[0])
    moved = np.zeros((height, width, 3), np.float32)
    first = above * padded.shape[1] + left
    pixels = padded.reshape(-1, 3)
    for j in range(4):
        for i in range(4):
            found = pixels.take(first + (j * padded.shape[1] + i), axis=0)
            moved += (down[j] * across[i])[..., None] * found
    return np.clip(moved, 0, 255)


def _taps(
    position: NDArray[np.float64], length: int
) -> tuple[NDArray[np.int64], list[NDArray[np.float32]]]:
    """Return the first of four neighbours along one axis, and what each counts."""
    position = np.clip(position, 1, length - 2.001)
    before = np.floor(position)
    t = (position - before).astype(np.float32)
    counts = [
        t * (-0.5 + t * (1 - 0.5 * t)),
        1 + t * t * (-2.5 + 1.5 * t),
        t * (0.5 + t * (2 - 1.5 * t)),
        t * t * (-0.5 + 0.5 * t),
    ]
    return before.astype(np.int64) - 1, counts


def to_uint8(rgb: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round and clip a picture to 8 bits."""
    return np.rint(np.clip(rgb, 0, 255)).astype(np.uint8)


def _rmse(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the root mean square difference, a margin left out where there is room for it."""
    margin = min(MARGIN_PX, (min(one.shape[:2]) - 1) // 2)
    rows, columns = slice(margin, one.shape[0] - margin), slice(margin, one.shape[1] - margin)
    difference = one[rows, columns].astype(np.float64) - other[rows, columns]  # uint8 would wrap
    return float(np.sqrt(np.mean(difference**2)))

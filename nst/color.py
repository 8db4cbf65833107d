"""Keeping the photograph's own colours, and mixing it with its painting. Torch-free."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of R, G, B in Y: ITU-R BT.601, full range, as in JPEG (JFIF 1.02)."""

_ROWS = 256
"""Rows done at a time, so that the memory for float32 stays small beside the picture."""


def with_original_colors(
    painted: NDArray[np.uint8], photograph: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return the light and dark of the painting with the colours of the photograph.

    Y is the painting's, Cb and Cr are the photograph's (luminance-only transfer, Gatys et al.
    2016, "Preserving Color in Neural Artistic Style Transfer"; there in YIQ, whose Y is the
    same). R - Y, G - Y and B - Y depend on Cb and Cr alone, so a change of Y adds the same to
    all three. Results outside [0, 255] are clipped.

    Args:
        painted: (H, W, 3).
        photograph: (H, W, 3), the same size.

    Raises:
        ValueError: The sizes differ.
    """
    _check_same_shape(painted, photograph)
    result = np.empty_like(photograph)
    for start in range(0, len(photograph), _ROWS):
        rows = slice(start, start + _ROWS)
        original = photograph[rows].astype(np.float32)
        change = (painted[rows] - original) @ _LUMINANCE
        result[rows] = np.rint(np.clip(original + change[..., None], 0, 255))
    return result


def blend(
    photograph: NDArray[np.uint8], painted: NDArray[np.uint8], strength: float
) -> NDArray[np.uint8]:
    """Return ``strength * painted + (1 - strength) * photograph``, rounded.

    Args:
        photograph: Any shape.
        painted: The same shape.
        strength: 0, the photograph, to 1, the painting.

    Raises:
        ValueError: The sizes differ, or ``strength`` is not in [0, 1].
    """
    _check_same_shape(painted, photograph)
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be from 0 to 1, got {strength}")
    result = np.empty_like(photograph)
    for start in range(0, len(photograph), _ROWS):
        rows = slice(start, start + _ROWS)
        original = photograph[rows].astype(np.float32)
        result[rows] = np.rint(original + np.float32(strength) * (painted[rows] - original))
    return result


def _check_same_shape(painted: NDArray[np.uint8], photograph: NDArray[np.uint8]) -> None:
    if painted.shape != photograph.shape:
        raise ValueError(
            f"painting {painted.shape} and photograph {photograph.shape} differ in size"
        )

"""Keeping the photograph's own colours, and mixing it with its painting. Torch-free."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LUMINANCE_WEIGHTS = (0.299, 0.587, 0.114)
"""Of R, G and B in Y: ITU-R BT.601, full range, as in JPEG (JFIF 1.02)."""
_LUMINANCE = np.array(LUMINANCE_WEIGHTS, np.float32)

_ROWS = 256
"""Rows done at a time, so that the memory for float32 stays small beside the picture."""


def luminance(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return Y of a picture, ``(H, W, 3)`` to ``(H, W)``, in [0, 255]."""
    light = np.empty(rgb.shape[:2], np.float32)
    for start in range(0, len(rgb), _ROWS):
        rows = slice(start, start + _ROWS)
        light[rows] = rgb[rows].astype(np.float32) @ _LUMINANCE
    return light


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


def with_matched_colors(
    painted: NDArray[np.uint8], photograph: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return the painting with the mean and the covariance of the photograph's colours.

    The linear map between two Gaussians that moves colours least (Pitie and Kokaram, "The linear
    Monge-Kantorovitch linear colour mapping", 2007)::

        T = A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2        A, B: covariance of painting, photograph

    Light and dark follow too, and colours that the photograph lacks are turned into its own, where
    ``with_original_colors`` takes the photograph's colour at every place.

    Args:
        painted: (H, W, 3), any size.
        photograph: (h, w, 3), any size.

    Returns:
        (H, W, 3); results outside [0, 255] are clipped.
    """
    mean, covariance = _statistics(painted)
    target_mean, target_covariance = _statistics(photograph)
    root = _power(covariance, 0.5)
    inverse = _power(covariance, -0.5)
    change = inverse @ _power(root @ target_covariance @ root, 0.5) @ inverse
    result = np.empty_like(painted)
    for start in range(0, len(painted), _ROWS):
        rows = slice(start, start + _ROWS)
        moved = (painted[rows] - mean) @ change.T + target_mean
        result[rows] = np.rint(np.clip(moved, 0, 255))
    return result


def _statistics(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and covariance of colours, ``(3,)`` and ``(3, 3)``.

    A grey level is added in each axis: the covariance of a picture of one colour is none.
    """
    sums, products = np.zeros(3), np.zeros((3, 3))
    for start in range(0, len(rgb), _ROWS):
        pixels = rgb[start : start + _ROWS].reshape(-1, 3).astype(np.float64)
        sums += pixels.sum(0)
        products += pixels.T @ pixels
    count = rgb.shape[0] * rgb.shape[1]
    mean = sums / count
    covariance: NDArray[np.float64] = products / count - np.outer(mean, mean) + np.eye(3)
    return mean, covariance


def _power(matrix: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """Return a power of a symmetric positive matrix."""
    values, vectors = np.linalg.eigh(matrix)
    power: NDArray[np.float64] = (vectors * np.maximum(values, 1e-12) ** exponent) @ vectors.T
    return power


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

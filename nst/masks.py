"""Masks: pictures that say where something shall be. Torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nst.color import luminance
from nst.errors import ImageError
from nst.image import load_image

OPAQUE = 255
TOLERANCE = 0.02
"""How far the proportions of a mask may be off those of the picture."""


def load_mask(path: Path | str) -> NDArray[np.uint8]:
    """Return how white a picture is, ``(h, w)``; of one that is opaque in places, how opaque.

    Raises:
        ImageError: It cannot be read, or the mask is empty.
    """
    picture = load_image(path)
    light: NDArray[Any] = luminance(picture.rgb)
    if picture.alpha is not None and picture.alpha.min() < OPAQUE:
        light = picture.alpha
    if light.max() < 1:
        raise ImageError(f"{path}: the mask is empty: black, or transparent everywhere")
    mask: NDArray[np.uint8] = np.rint(light).astype(np.uint8)
    return mask


def check_proportions(
    mask: NDArray[np.uint8], mask_name: str, height: int, width: int, *, name: str
) -> None:
    """Refuse a mask that would have to be stretched.

    Raises:
        ImageError: Its proportions are not those of the picture.
    """
    tall, wide = mask.shape
    # A pixel of the smaller one is what rounding may have cost.
    tolerance = max(TOLERANCE, 1 / min(tall, wide, height, width))
    if abs(np.log(wide * height / (tall * width))) > tolerance:
        raise ImageError(
            f"{name}: {width}x{height}, and the mask {mask_name} has other proportions,"
            f" {wide}x{tall}; make it {width}x{height}, or of that shape"
        )

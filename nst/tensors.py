"""Between arrays, uint8 (H, W, 3), and tensors, RGB in [0, 1] (B, 3, H, W)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nst.color import LUMINANCE_WEIGHTS
from nst.errors import ImageError
from nst.image import Picture, fit_long_side, load_image, resize_image

SIZE_MULTIPLE = 8
"""Style images, and pictures that are judged, are cropped to a multiple of this."""
LEAST_STYLE_PX = 32
"""The pyramid's quarter-size pass needs a picture of this side to reach relu3_1."""


def to_tensor(images: NDArray[np.uint8], device: torch.device | str = "cpu") -> Tensor:
    """Return pictures, uint8 ``(H, W, 3)`` or ``(B, H, W, 3)``, as RGB in [0, 1].

    Returns:
        float32 ``(B, 3, H, W)`` in channels_last order, which costs no copy.
    """
    # An array that cannot be written, as Pillow lends it, is copied: torch knows no such tensors.
    batch = np.require(images if images.ndim == 4 else images[None], requirements=("C", "W"))
    return as_rgb(torch.from_numpy(batch).to(device))


def as_rgb(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return pictures, uint8 ``(B, H, W, 3)``, as RGB in [0, 1], ``(B, 3, H, W)``.

    The order in memory stays as it is, which makes it channels_last.
    """
    return images.permute(0, 3, 1, 2).to(dtype) / 255


def to_uint8(image: Tensor) -> NDArray[np.uint8]:
    """Return RGB in [0, 1], ``(B, 3, H, W)``, as uint8 ``(B, H, W, 3)``, rounded and clipped."""
    rounded = (image.detach() * 255).round().clamp(0, 255).to(torch.uint8)
    return rounded.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def with_luminance_of(painted: Tensor, photograph: Tensor) -> Tensor:
    """Return the photograph with the light and dark of its painting, both ``(B, 3, H, W)``.

    The same as ``nst.color.with_original_colors``, for pictures in [0, 1] of any depth.
    """
    weights = painted.new_tensor(LUMINANCE_WEIGHTS)[:, None, None]
    change = ((painted - photograph) * weights).sum(1, keepdim=True)
    return (photograph + change).clamp(0, 1)


def crop_to_multiple(rgb: NDArray[np.uint8], multiple: int = SIZE_MULTIPLE) -> NDArray[np.uint8]:
    """Cut a picture, uint8 ``(H, W, 3)``, at the right and below to a multiple of ``multiple``."""
    height, width = (side // multiple * multiple for side in rgb.shape[:2])
    return rgb[:height, :width]


def load_style(path: Path | str, long_side: int) -> tuple[Tensor, Picture]:
    """Read a style image, reduce it to a long side and cut it to multiples of 8.

    Args:
        path: An image file.
        long_side: px; a smaller image is left as it is.

    Returns:
        RGB in [0, 1], ``(1, 3, H, W)``, and the picture as it was read.

    Raises:
        ImageError: It cannot be read or is too small to take a style from.
    """
    picture = load_image(path)
    height, width = fit_long_side(picture.height, picture.width, long_side)
    if min(height, width) < LEAST_STYLE_PX:
        size = f"{picture.width}x{picture.height} px"
        if (height, width) != (picture.height, picture.width):
            size += f", reduced to {width}x{height} px,"
        raise ImageError(
            f"{path}: {size} is too small for a style image;"
            f" give one of at least {LEAST_STYLE_PX}x{LEAST_STYLE_PX} px"
        )
    rgb = crop_to_multiple(resize_image(picture.rgb, height, width))
    return to_tensor(rgb), picture

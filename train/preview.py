"""Preview strips: photographs, the style image and what the network makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nst.files import atomic_write
from nst.image import encode_image, resize_image
from nst.network import StyleNetwork
from nst.tensors import to_tensor, to_uint8

GAP_PX = 4


def preview_strip(
    network: StyleNetwork, photographs: Sequence[NDArray[np.uint8]], style: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Paint photographs and lay each beside the style image and its result.

    Args:
        network: Used in evaluation mode, left in the mode it was in.
        photographs: uint8 ``(H, W, 3)``, all of one size.
        style: uint8 ``(h, w, 3)``, any size.

    Returns:
        uint8, one row for each photograph: photograph, style, result.
    """
    height, width = photographs[0].shape[:2]
    swatch = fill_frame(style, height, width)
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            painted = [to_uint8(network(to_tensor(photo, device)))[0] for photo in photographs]
    finally:
        network.train(was_training)
    gap = np.full((height, GAP_PX, 3), 255, np.uint8)
    rows = [
        np.concatenate([photo, gap, swatch, gap, result], axis=1)
        for photo, result in zip(photographs, painted, strict=True)
    ]
    line = np.full((GAP_PX, rows[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([part for row in rows for part in (row, line)][:-1], axis=0)


def save_preview(path: Path, strip: NDArray[np.uint8]) -> None:
    """Write a strip as JPEG, replacing an older one of the same step.

    Raises:
        OutputError: The disk is full.
    """
    with atomic_write(path) as file:
        file.write(encode_image(strip, format="jpeg", quality=90))


def fill_frame(rgb: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Reduce a picture and cut its middle so that it fills ``height`` x ``width``."""
    scale = max(height / rgb.shape[0], width / rgb.shape[1])
    tall, wide = (max(height, round(rgb.shape[0] * scale)), max(width, round(rgb.shape[1] * scale)))
    whole = resize_image(rgb, tall, wide)
    top, left = (tall - height) // 2, (wide - width) // 2
    return whole[top : top + height, left : left + width]

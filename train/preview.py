"""Preview strips: photographs, the style image and what the network makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nst.files import atomic_write
from nst.image import encode_image, resize_image
from nst.mix import pure
from nst.network import StyleNetwork
from nst.tensors import to_tensor, to_uint8

GAP_PX = 4


def preview_strip(
    network: StyleNetwork,
    photographs: Sequence[NDArray[np.uint8]],
    styles: Mapping[int, NDArray[np.uint8]],
) -> NDArray[np.uint8]:
    """Paint photographs and lay each beside the style image and its result.

    Args:
        network: Used in evaluation mode, left in the mode it was in.
        photographs: uint8 ``(H, W, 3)``, all of one size.
        styles: Style images, uint8 ``(h, w, 3)``, any size, by their number in the network.

    Returns:
        uint8. Of one style a row for each photograph: photograph, style, result. Of several a row
        of style images, and below it a row for each photograph: photograph, results.
    """
    height, width = photographs[0].shape[:2]
    swatches = [fill_frame(style, height, width) for style in styles.values()]
    was_training = network.training
    network.eval()
    try:
        painted = [[_painted(network, photo, style) for style in styles] for photo in photographs]
    finally:
        network.train(was_training)
    pairs = zip(photographs, painted, strict=True)
    if len(swatches) == 1:
        return _laid([[photo, *swatches, *results] for photo, results in pairs])
    empty = np.full((height, width, 3), 255, np.uint8)
    return _laid([[empty, *swatches], *([photo, *results] for photo, results in pairs)])


def _painted(network: StyleNetwork, photograph: NDArray[np.uint8], style: int) -> NDArray[np.uint8]:
    device = next(network.parameters()).device
    mix = pure(network.styles, style).to(device) if network.styles else None
    with torch.inference_mode():
        painted: NDArray[np.uint8] = to_uint8(network(to_tensor(photograph, device), mix=mix))[0]
    return painted


def _laid(rows: Sequence[Sequence[NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """Lay pictures of one size in rows, with white between them."""
    height = rows[0][0].shape[0]
    gap = np.full((height, GAP_PX, 3), 255, np.uint8)
    wide = [np.concatenate([p for part in row for p in (part, gap)][:-1], axis=1) for row in rows]
    line = np.full((GAP_PX, wide[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([part for row in wide for part in (row, line)][:-1], axis=0)


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

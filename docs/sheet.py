"""Sheets of pictures for these pages: cells of one size in rows on white, words below them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from nst.image import resize_image

GAP_PX, WORDS_PX = 6, 20

Pixels = NDArray[np.uint8]
Cell = tuple[Pixels | None, str]
"""A picture, or None for an empty place, and the words below it."""


def sheet(cells: Sequence[Cell], *, columns: int, height: int, width: int) -> Pixels:
    """Lay pictures in rows, each resized to one size; a row without words has no place for them."""
    rows = [cells[n : n + columns] for n in range(0, len(cells), columns)]
    return np.concatenate([_row(row, columns, height, width) for row in rows])[:-GAP_PX]


def middle(rgb: Pixels) -> Pixels:
    """Return the square in the middle of a picture."""
    least = min(rgb.shape[:2])
    top, left = ((side - least) // 2 for side in rgb.shape[:2])
    return rgb[top : top + least, left : left + least]


def _row(cells: Sequence[Cell], columns: int, height: int, width: int) -> Pixels:
    step = width + GAP_PX
    below = WORDS_PX if any(words for _, words in cells) else 0
    row = Image.new("RGB", (columns * step - GAP_PX, height + below + GAP_PX), "white")
    draw, font = ImageDraw.Draw(row), ImageFont.load_default(12)
    for number, (rgb, words) in enumerate(cells):
        if rgb is not None:
            row.paste(Image.fromarray(resize_image(rgb, height, width)), (number * step, 0))
        draw.text((number * step + 2, height + 2), words, fill=(40, 40, 40), font=font)
    return np.asarray(row)

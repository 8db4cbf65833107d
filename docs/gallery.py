"""Make the pictures of docs/gallery: every style of a model on photographs that may be published.

python docs/gallery.py gallery-swift --styles PAINTINGS -o docs/gallery/swift.jpg

A row for each photograph: itself, then its paintings; above them the style images, where a folder
of them is given, by the names that the styles have. Without --photos the three embedded ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from infer.model_file import read_model
from infer.stylizer import Stylizer
from nst.image import find_images, load_image, resize_image, save_image
from nst.registry import chosen
from nst.samples import photographs
from nst.terminal import border, result
from train.run import style_name_of

GAP_PX, CAPTION_PX = 4, 18
Pixels = NDArray[np.uint8]


def main() -> None:
    """Paint every photograph in every style and lay them out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="A file, or a name of `nst models list`.")
    parser.add_argument("--styles", type=Path, help="Folder of the style images.")
    parser.add_argument("--photos", type=Path, nargs="*", default=photographs())
    parser.add_argument("--cell", type=int, default=240, help="Side of a picture on the sheet, px.")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    model = read_model(chosen(asked.model))
    images = {} if asked.styles is None else _by_style(asked.styles)
    head = [np.full((asked.cell, asked.cell, 3), 255, np.uint8)]
    rows = [[load_image(photo).rgb] for photo in asked.photos]
    for style in model.info.styles:
        file = images.get(style)
        head.append(head[0] if file is None else load_image(file).rgb)
        paint = Stylizer(model.data, style=None if model.info.controls == "none" else style)
        for row in rows:
            row.append(paint(row[0]).rgb)
    lines = [_row(row, asked.cell) for row in ([head, *rows] if images else rows)]
    names = ["the photograph", *model.info.styles]
    save_image(asked.output, np.concatenate([*lines, _captions(names, asked.cell)]), overwrite=True)
    result(f"{asked.output}: {len(rows)} photographs in {len(model.info.styles)} styles")


def _by_style(folder: Path) -> dict[str, Path]:
    return {style_name_of(file): file for file in find_images(folder)}


def _row(pictures: list[Pixels], side: int) -> Pixels:
    """Return pictures side by side, each cut to a square."""
    gap = np.full((side, GAP_PX, 3), 255, np.uint8)
    cells = [part for picture in pictures for part in (_square(picture, side), gap)]
    line = np.concatenate(cells[:-1], 1)
    return np.concatenate([line, np.full((GAP_PX, line.shape[1], 3), 255, np.uint8)])


def _square(rgb: Pixels, side: int) -> Pixels:
    height, width = rgb.shape[:2]
    least = min(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    return resize_image(rgb[top : top + least, left : left + least], side, side)


def _captions(names: list[str], side: int) -> Pixels:
    width = len(names) * (side + GAP_PX) - GAP_PX
    line = Image.new("RGB", (width, CAPTION_PX), "white")
    draw, font = ImageDraw.Draw(line), ImageFont.load_default(12)
    for number, name in enumerate(names):
        draw.text((number * (side + GAP_PX) + 2, 1), name, fill=(40, 40, 40), font=font)
    return np.asarray(line)


if __name__ == "__main__":
    with border():
        main()

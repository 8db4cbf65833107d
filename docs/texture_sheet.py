"""Make docs/texture.jpg: an embedded photograph, painted with more and more of the noise.

python docs/texture_sheet.py runs/starry-night-1/starry-night.onnx -o docs/texture.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sheet import Cell, sheet

from infer.stylizer import Stylizer
from nst.image import load_image, save_image
from nst.samples import photographs

TEXTURES = (0.0, 0.5, 1.0, 2.0)
HEIGHT_PX, WIDTH_PX = 300, 380


def main() -> None:
    """Lay two photographs beside their paintings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    cells: list[Cell] = []
    for file in photographs()[:2]:
        photograph = load_image(file).rgb[:HEIGHT_PX, :WIDTH_PX]
        painted = [Stylizer(asked.model, texture=each)(photograph).rgb for each in TEXTURES]
        cells += [(rgb, "") for rgb in (photograph, *painted)]
    laid = sheet(cells, columns=1 + len(TEXTURES), height=HEIGHT_PX, width=WIDTH_PX)
    save_image(asked.output, laid, overwrite=True, quality=78)


if __name__ == "__main__":
    main()

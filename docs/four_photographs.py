"""Make sheets of four photographs that may be published, and what models make of each.

    python docs/four_photographs.py MODEL -o four.jpg
    python docs/four_photographs.py MODEL OTHER --side 288 -o docs/synthetic-painted.jpg

The photographs come with scikit-image (the ``dev`` extra): astronaut (NASA, public domain), coffee
(Rachel Michetti, CC0), chelsea (Stefan van der Walt, CC0) and rocket (SpaceX, CC0).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sheet import Cell, Pixels, middle, sheet
from skimage import data

from infer.stylizer import Stylizer
from nst.image import fit_short_side, resize_image, save_image

NAMES = ("astronaut", "coffee", "chelsea", "rocket")


def main() -> None:
    """Paint the four with each model: a row of photographs, a row for each model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--side", type=int, default=384, help="Short side of a photograph, px.")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    photos = [reduced(getattr(data, name)()[..., :3], asked.side) for name in NAMES]
    paints = [Stylizer(model, provider="cpu", size=None) for model in asked.models]
    shown = [*photos, *(paint(photo).rgb for paint in paints for photo in photos)]
    cells: list[Cell] = [(middle(rgb), "") for rgb in shown]  # all is painted, the middle is shown
    laid = sheet(cells, columns=len(NAMES), height=asked.side, width=asked.side)
    save_image(asked.output, laid, overwrite=True, quality=88)


def reduced(rgb: Pixels, side: int) -> Pixels:
    """Return a photograph with a short side of so many pixels."""
    height, width = fit_short_side(rgb.shape[0], rgb.shape[1], side)
    return resize_image(np.ascontiguousarray(rgb), height, width)


if __name__ == "__main__":
    main()

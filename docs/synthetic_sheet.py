"""Make docs/synthetic.jpg: the first procedural pictures of `--data synthetic` on a sheet.

python docs/synthetic_sheet.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from nst.image import resize_image, save_image
from train.procedural.picture import procedural_picture
from train.synthetic import SEED

MADE_PX = 288
SHOWN_PX = 150
GAP_PX = 4
ROWS = 4
COLUMNS = 7


def main() -> None:
    """Make the pictures, reduce them, lay them out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(__file__).parent / "synthetic.jpg"
    )
    arguments = parser.parse_args()
    step = SHOWN_PX + GAP_PX
    sheet = np.full((ROWS * step - GAP_PX, COLUMNS * step - GAP_PX, 3), 255, np.uint8)
    for index in range(ROWS * COLUMNS):
        top, left = (step * place for place in divmod(index, COLUMNS))
        made = procedural_picture(SEED, index, MADE_PX)
        shown = resize_image(made, SHOWN_PX, SHOWN_PX)
        sheet[top : top + SHOWN_PX, left : left + SHOWN_PX] = shown
    save_image(arguments.output, sheet, overwrite=True, quality=82)


if __name__ == "__main__":
    main()

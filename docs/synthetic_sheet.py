"""Make docs/synthetic.jpg: the first procedural pictures of `--data synthetic` on a sheet.

python docs/synthetic_sheet.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sheet import Cell, sheet

from nst.image import save_image
from train.procedural.picture import procedural_picture
from train.synthetic import SEED

MADE_PX = 288
SHOWN_PX = 150
ROWS = 4
COLUMNS = 7


def main() -> None:
    """Make the pictures, reduce them, lay them out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(__file__).parent / "synthetic.jpg"
    )
    arguments = parser.parse_args()
    made = (procedural_picture(SEED, index, MADE_PX) for index in range(ROWS * COLUMNS))
    cells: list[Cell] = [(rgb, "") for rgb in made]
    laid = sheet(cells, columns=COLUMNS, height=SHOWN_PX, width=SHOWN_PX)
    save_image(arguments.output, laid, overwrite=True, quality=82)


if __name__ == "__main__":
    main()

"""Make docs/synthetic-painted.jpg: photographs, and what two models make of each.

    python docs/synthetic_painted.py TRAINED-ON-PHOTOGRAPHS.onnx TRAINED-ON-SYNTHETIC.onnx

The photographs come with scikit-image (the ``dev`` extra): astronaut (NASA, public domain), coffee
(Rachel Michetti, CC0), chelsea (Stefan van der Walt, CC0) and rocket (SpaceX, CC0).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from skimage import data

from infer.stylizer import Stylizer
from nst.image import resize_image, save_image

SIDE_PX = 288
GAP_PX = 6
NAMES = ("astronaut", "coffee", "chelsea", "rocket")


def main() -> None:
    """Paint the photographs with both and lay them out: photographs, one model, the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs=2)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(__file__).parent / "synthetic-painted.jpg"
    )
    arguments = parser.parse_args()
    paints = [Stylizer(model, provider="cpu", size=None) for model in arguments.models]
    step = SIDE_PX + GAP_PX
    sheet = np.full((3 * step - GAP_PX, len(NAMES) * step - GAP_PX, 3), 255, np.uint8)
    for column, name in enumerate(NAMES):
        photo = np.ascontiguousarray(getattr(data, name)()[..., :3])
        scale = SIDE_PX / min(photo.shape[:2])
        height, width = (round(side * scale) for side in photo.shape[:2])
        photo = resize_image(photo, height, width)
        top, left = (height - SIDE_PX) // 2, (width - SIDE_PX) // 2
        for row, shown in enumerate([photo, *(paint(photo).rgb for paint in paints)]):
            middle = shown[top : top + SIDE_PX, left : left + SIDE_PX]
            place = np.s_[
                row * step : row * step + SIDE_PX, column * step : column * step + SIDE_PX
            ]
            sheet[place] = middle
    save_image(arguments.output, sheet, overwrite=True, quality=82)


if __name__ == "__main__":
    main()

"""Make docs/first-light.jpg: four photographs that may be published, each above its painting.

    python docs/first_light.py MODEL.onnx

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

SIDE_PX = 384
GAP_PX = 8
NAMES = ("astronaut", "coffee", "chelsea", "rocket")


def main() -> None:
    """Paint the four photographs and lay them out: photographs above, paintings below."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(__file__).parent / "first-light.jpg"
    )
    arguments = parser.parse_args()
    paint = Stylizer(arguments.model, provider="cpu", size=None)
    columns = []
    for name in NAMES:
        photo = np.ascontiguousarray(getattr(data, name)()[..., :3])
        scale = SIDE_PX / min(photo.shape[:2])
        height, width = (round(side * scale) for side in photo.shape[:2])
        photo = resize_image(photo, height, width)
        top, left = (height - SIDE_PX) // 2, (width - SIDE_PX) // 2
        painted = paint(photo).rgb  # the whole picture is painted, its middle is shown
        middle = np.s_[top : top + SIDE_PX, left : left + SIDE_PX]
        gap = np.full((GAP_PX, SIDE_PX, 3), 255, np.uint8)
        columns.append(np.concatenate([photo[middle], gap, painted[middle]]))
    line = np.full((columns[0].shape[0], GAP_PX, 3), 255, np.uint8)
    parts = [part for column in columns for part in (column, line)][:-1]
    save_image(arguments.output, np.concatenate(parts, axis=1), overwrite=True, quality=90)


if __name__ == "__main__":
    main()

"""Make docs/texture.jpg: an embedded photograph, painted with more and more of the noise.

python docs/texture_sheet.py runs/starry-night-1/starry-night.onnx -o docs/texture.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from infer.stylizer import Stylizer
from nst.image import load_image, save_image
from nst.samples import photographs

TEXTURES = (0.0, 0.5, 1.0, 2.0)
GAP_PX = 6


def main() -> None:
    """Lay two photographs beside their paintings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    rows = []
    for file in photographs()[:2]:
        photograph = load_image(file).rgb[:300, :380]
        painted = [Stylizer(asked.model, texture=each)(photograph).rgb for each in TEXTURES]
        gap = np.full((photograph.shape[0], GAP_PX, 3), 255, np.uint8)
        parts = [part for picture in (photograph, *painted) for part in (picture, gap)]
        rows += [np.concatenate(parts[:-1], axis=1)]
    line = np.full((GAP_PX, rows[0].shape[1], 3), 255, np.uint8)
    save_image(asked.output, np.concatenate([rows[0], line, rows[1]]), overwrite=True, quality=78)


if __name__ == "__main__":
    main()

"""Make docs/controls.jpg: an embedded photograph under every control of a model of several styles.

python docs/controls_sheet.py runs/eight-1/eight.onnx FIRST SECOND -o docs/controls.jpg

FIRST and SECOND are styles of the model, which needs regional controls.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sheet import Cell, sheet

from infer.stylizer import Stylizer
from nst.image import fit_long_side, load_image, save_image
from nst.samples import photographs

LONG_PX = 320
COLUMNS = 4


def main() -> None:
    """Paint them all and lay them out with their flags."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    photograph = load_image(photographs()[2]).rgb
    height, width = fit_long_side(photograph.shape[0], photograph.shape[1], LONG_PX)
    cells: list[Cell] = [(photograph, "the photograph")]
    with TemporaryDirectory() as folder:
        mask = Path(folder) / "mask.png"
        save_image(mask, _disc(*photograph.shape[:2]))
        for flags, settings in _controls(asked.first, asked.second, mask):
            cells.append((Stylizer(asked.model, **settings)(photograph).rgb, flags))
    laid = sheet(cells, columns=COLUMNS, height=height, width=width)
    save_image(asked.output, laid, overwrite=True, quality=80)


def _controls(first: str, second: str, mask: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    yield f"--style {first}", {"style": first}
    yield f"--style {second}", {"style": second}
    both = f"{first}:0.5,{second}:0.5"
    yield f"--style {both}", {"style": both}
    for strength in (0.25, 0.5, 0.75):
        yield f"--strength {strength}", {"style": first, "strength": strength}
    both = f"{first},{second}"
    yield f"--gradient {both}", {"gradient": both}
    yield f"--region disc.png={second}", {"style": first, "regions": [(mask, second)]}
    yield "--region disc.png=original", {"style": first, "regions": [(mask, "original")]}
    for brush in (0.5, 2.0):
        yield f"--brush {brush:g}", {"style": first, "brush": brush, "size": 512}
    yield "--original-colors", {"style": first, "original_colors": True}
    yield (
        "--color-transfer statistics",
        {"style": first, "original_colors": True, "color_transfer": "statistics"},
    )


def _disc(height: int, width: int) -> NDArray[np.uint8]:
    """Return a soft white disc on black, ``(H, W, 3)``."""
    y, x = np.mgrid[:height, :width]
    far = np.hypot(y - height / 2, x - width / 2) / (0.35 * height)
    light = np.clip((1.1 - far) / 0.2, 0, 1) * 255
    return np.repeat(light.astype(np.uint8)[..., None], 3, axis=2)


if __name__ == "__main__":
    main()

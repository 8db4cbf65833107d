"""Make docs/knobs.jpg: one photograph under the knobs that are set before a training.

    python docs/knobs_sheet.py STYLE -o docs/knobs.jpg

Painted by the slow method, which has the same objective as a training: what a network would learn
to do, without training one for each knob. By VGG-19, since the slow method finds patterns that the
compact network does not see.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from sheet import Cell, sheet

from nst.canvas import load_canvas
from nst.config import OptimizeConfig
from nst.image import fit_long_side, load_image, save_image
from nst.loss_network import find_loss_network
from nst.optimize import optimize
from nst.samples import photographs
from nst.tensors import to_uint8
from nst.terminal import border, progress, say

PAINTED_PX, SHOWN_PX = 384, 320
STRENGTHS = (0.1, 1.0, 10.0)
DENSITIES = (192, 512, 1024)


def main() -> None:
    """Paint with each knob, those of one knob in a row."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("style", type=Path)
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    photo = photographs()[1]
    config = OptimizeConfig(size=PAINTED_PX, evaluations=asked.evaluations)
    weights = find_loss_network("vgg19", announce=say, bars=progress)
    knobs = [(f"--style-strength {x:g}", replace(config, strength=x)) for x in STRENGTHS]
    knobs += [(f"--density {x}", replace(config, style_size=x)) for x in DENSITIES]
    cells: list[Cell] = []
    for words, now in knobs:
        canvas = load_canvas(photo, asked.style, now)
        *_, last = optimize(canvas.photograph, canvas.styles, weights, now)
        say(f"{words}: S {last.style:.3f}, C {last.content:.3f}")
        cells.append((to_uint8(last.image)[0], words))
    picture = load_image(photo)
    height, width = fit_long_side(picture.height, picture.width, SHOWN_PX)
    laid = sheet(cells, columns=len(STRENGTHS), height=height, width=width)
    save_image(asked.output, laid, overwrite=True, quality=82)


if __name__ == "__main__":
    with border():
        main()

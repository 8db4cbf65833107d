"""Measure how steadily models paint a generated clip: each picture moves on from the last one.

python docs/steady_clip.py plain.onnx steady.onnx

The clip is a photograph under a camera that pans, turns and comes nearer, with noise of 2 grey
levels of its own in every picture. The motion is known, so that each painting can be compared
with the one before it, moved in the same way: the warping error of docs/judging.md, grey levels.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infer.stylizer import Stylizer
from nst.image import load_image
from nst.motion import MARGIN_PX, Motion, move, to_uint8
from nst.samples import photographs
from nst.terminal import border, result

STEP = Motion(right_px=1.3, down_px=-0.7, zoom=1.004, angle_deg=0.2)
NOISE_LEVELS = 2.0


def main() -> None:
    """Paint the clip of every photograph with every model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--style", help="Of models of several styles.")
    parser.add_argument("--photos", type=Path, nargs="*", default=photographs())
    parser.add_argument("--frames", type=int, default=24)
    asked = parser.parse_args()
    clips = [_clip(load_image(photo).rgb, asked.frames) for photo in asked.photos]
    result(f"nothing painted: {np.mean([_error(clip) for clip in clips]):.2f}")
    for model in asked.models:
        paint = Stylizer(model, style=asked.style)
        errors = [_error([paint(picture).rgb for picture in clip]) for clip in clips]
        result(f"{model}: {np.mean(errors):.2f}, {', '.join(f'{error:.2f}' for error in errors)}")


def _clip(photograph: NDArray[np.uint8], frames: int) -> list[NDArray[np.uint8]]:
    """Return the pictures of a clip; each is resampled once, from the photograph."""
    generator = np.random.default_rng(0)
    pictures, motion = [], Motion()
    for _ in range(frames):
        moved = move(photograph, motion)
        pictures.append(to_uint8(moved + generator.normal(0, NOISE_LEVELS, moved.shape)))
        motion = _after(motion)
    return pictures


def _after(motion: Motion) -> Motion:
    """Return a motion with one step more."""
    turn = np.radians(STEP.angle_deg)
    right = STEP.zoom * (np.cos(turn) * motion.right_px - np.sin(turn) * motion.down_px)
    down = STEP.zoom * (np.sin(turn) * motion.right_px + np.cos(turn) * motion.down_px)
    return Motion(
        float(right + STEP.right_px),
        float(down + STEP.down_px),
        motion.zoom * STEP.zoom,
        motion.angle_deg + STEP.angle_deg,
    )


def _error(pictures: list[NDArray[np.uint8]]) -> float:
    """Return the root mean square error of each picture against the one before, moved."""
    # What came in from outside is mirrored and moves the other way: the border is left out.
    margin = 4 * MARGIN_PX
    inner = slice(margin, -margin), slice(margin, -margin)
    errors = [
        np.square(move(one, STEP)[inner] - other[inner].astype(np.float32)).mean()
        for one, other in itertools.pairwise(pictures)
    ]
    return float(np.sqrt(np.mean(errors)))


if __name__ == "__main__":
    with border():
        main()

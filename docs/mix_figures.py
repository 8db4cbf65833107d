"""Measure what the mix of a model does: strength, half strength, halves of a picture.

    python docs/mix_figures.py MODEL STYLE... --photos FOLDER --vgg WEIGHTS

MODEL is an ONNX file with regional controls, the STYLEs are its images in the order of the file. By
the measuring protocol: photographs at 384 px, style images at 512 px, VGG-19, 8-bit paintings. For
each style:

* S over strength 0, 0.25, 0.5, 0.75, 1, which must fall;
* J at half strength with the style term halved, and that of a 50:50 blend of photograph and
  painting, which must be higher: a lighter painting is no double exposure;
* halves, the style to the left and the next one to the right: of each half, away from the middle
  eighth, how much nearer it is to its own pure painting than to the other, dB, the least of all;
* the style in every cell of a grid against the style everywhere: grey levels, the most of all.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.session import Session, open_session
from nst.color import blend
from nst.commands.subject import named_photographs
from nst.config import STYLE_FACTOR
from nst.image import load_image
from nst.judge import Score, fit_photograph, judge, mean_score
from nst.losses import PerceptualLoss
from nst.tensors import load_style
from nst.terminal import result, result_json, say
from nst.weights import find_weights

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
STYLE_PX = 512
CELLS = 64
"""Of a grid, to each side."""

Image = NDArray[np.uint8]
Mix = NDArray[np.float32]


def main() -> None:
    """Print a line for each style; with --json one object instead."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("styles", type=Path, nargs="+")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--vgg")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    session = open_session(asked.model)
    names = session.info.styles
    if len(names) != len(asked.styles):
        parser.error(f"{asked.model} has {len(names)} styles, {len(asked.styles)} images are given")
    photographs = [
        fit_photograph(load_image(path).rgb) for path in named_photographs(asked.photos).values()
    ]
    weights = find_weights(asked.vgg, announce=say)
    found = {}
    for number, (name, style) in enumerate(zip(names, asked.styles, strict=True)):
        criterion = PerceptualLoss(weights, load_style(style, STYLE_PX)[0])
        row = found[name] = figures(session, number, photographs, criterion)
        if not asked.json:
            falling = " ".join(f"{value:.4f}" for value in row["style"])
            result(
                f"{name:<24} S {falling}  J {row['total']:.3f}  half {row['half']:.3f}"
                f"  blend {row['blend']:.3f}  halves {row['halves_db']:.1f} dB"
                f"  grid {row['levels']} levels"
            )
    if asked.json:
        result_json(found)


def figures(
    session: Session, number: int, photographs: Sequence[Image], criterion: PerceptualLoss
) -> dict[str, Any]:
    """Return the figures of one style as plain values."""
    styles = len(session.info.styles)
    other = (number + 1) % styles
    painted = {
        share: [paint(session, p, mix(styles, number, share)) for p in photographs]
        for share in STRENGTHS
    }
    scores = {share: score(photographs, painted[share], criterion) for share in STRENGTHS}
    pure = painted[1.0]
    pure_other = [paint(session, p, mix(styles, other)) for p in photographs]
    blends = [blend(p, q, 0.5) for p, q in zip(photographs, pure, strict=True)]
    left, right = (np.repeat(mix(styles, n), CELLS // 2, axis=3) for n in (number, other))
    halves = [paint(session, p, np.concatenate([left, right], axis=3)) for p in photographs]
    cells = np.tile(mix(styles, number), (1, 1, CELLS, CELLS))
    gridded = [paint(session, p, cells) for p in photographs]
    return {
        "style": [scores[share].style for share in STRENGTHS],
        "total": scores[1.0].total,
        "half": halved(scores[0.5]),
        "blend": halved(score(photographs, blends, criterion)),
        "halves_db": min(map(nearer_db, halves, pure, pure_other)),
        "levels": max(
            int(np.abs(a.astype(int) - b).max()) for a, b in zip(gridded, pure, strict=True)
        ),
    }


def mix(styles: int, number: int, share: float = 1.0) -> Mix:
    """Return the mix of one style and the photograph, the same everywhere, ``(1, K + 1, 1, 1)``."""
    found = np.zeros((1, styles + 1, 1, 1), np.float32)
    found[0, 0], found[0, 1 + number] = 1 - share, share
    return found


def paint(session: Session, photograph: Image, mix: Mix) -> Image:
    """Paint one photograph."""
    painted: Image = session.run(photograph[None], mix=mix)[0]
    return painted


def score(
    photographs: Sequence[Image], painted: Sequence[Image], criterion: PerceptualLoss
) -> Score:
    """Return the mean score of paintings."""
    left = iter(painted)
    return mean_score(judge(lambda photograph: next(left), photographs, criterion))


def halved(score: Score) -> float:
    """Return J with the style term halved."""
    return STYLE_FACTOR * score.style / 2 + score.content


def nearer_db(halves: Image, pure: Image, other: Image) -> float:
    """Return how much nearer each half is to its own painting than to the other one, dB.

    The middle eighth is left out; the lesser of both halves counts.
    """
    width = halves.shape[1]
    edge = round(width * 7 / 16)
    left, right = np.s_[:, :edge], np.s_[:, width - edge :]
    return min(
        distance_db(halves[left], other[left]) - distance_db(halves[left], pure[left]),
        distance_db(halves[right], pure[right]) - distance_db(halves[right], other[right]),
    )


def distance_db(a: Image, b: Image) -> float:
    """Return the mean square difference, dB."""
    return float(10 * np.log10(np.square(a.astype(np.float64) - b).mean() + 1e-9))


if __name__ == "__main__":
    main()

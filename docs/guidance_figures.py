"""Measure what masks do in the slow method: two styles, one for each half of a photograph.

    python docs/guidance_figures.py PHOTO LEFT RIGHT --vgg WEIGHTS -o painted.png

Painted twice with as many evaluations: each style under its mask (Gatys et al. 2017, section 4),
and both everywhere. Of each half, the error S of the Gram matrices under its mask against its own
style, and how many times lower it is with guidance.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from nst.canvas import load_canvas
from nst.config import OptimizeConfig
from nst.guidance import Guides, objective_for
from nst.image import save_image
from nst.optimize import optimize
from nst.runtime import keep_freed_memory
from nst.tensors import to_uint8
from nst.terminal import progress, result, say
from nst.weights import find_weights


def main() -> None:
    """Print both errors of both halves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path)
    parser.add_argument("styles", type=Path, nargs=2)
    parser.add_argument("--vgg")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--evaluations", type=int, default=150)
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    keep_freed_memory()
    config = OptimizeConfig(
        size=asked.size, evaluations=asked.evaluations, tolerance=0.0, vgg=asked.vgg
    )
    canvas = load_canvas(asked.photo, asked.styles, config)
    weights = find_weights(asked.vgg, announce=say, bars=progress)
    height, width = canvas.photograph.shape[-2:]
    masks = torch.zeros(2, 1, height, width, device=canvas.photograph.device)
    masks[0, ..., : width // 2] = 1.0
    masks[1, ..., width // 2 :] = 1.0
    painted, errors = {}, {}
    for name, guides in (("guided", Guides([1, 1], masks)), ("everywhere", Guides([1, 1]))):
        with progress(f"{name}, evaluations", asked.evaluations) as bar:
            for record in optimize(
                canvas.photograph, canvas.styles, weights, config, guides=guides
            ):
                bar.update(record.evaluations, f"J {record.total:.3f}")
        painted[name] = record.image
        for side, shares in (("left", [1.0, 0.0]), ("right", [0.0, 1.0])):
            judge = objective_for(weights, canvas.styles, config, Guides(shares, masks))
            with torch.inference_mode():
                terms = judge(record.image, judge.content_target(canvas.photograph))
            errors[name, side] = float(terms.style)
    for side in ("left", "right"):
        own, other = errors["guided", side], errors["everywhere", side]
        result(f"{side:<6} S {own:.4f} guided, {other:.4f} everywhere: {other / own:.1f} times")
    if asked.output is not None:
        both = torch.cat([painted["guided"], painted["everywhere"]], dim=3)
        save_image(asked.output, to_uint8(both)[0], overwrite=True)


if __name__ == "__main__":
    main()

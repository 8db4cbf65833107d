"""Textures for procedural photographs: grey fields that surfaces are covered with.

Each is made once a process from a seed of its own, 512 px wide, and mirrored so that it can be
continued without a seam. A surface cuts a piece out of one, scaled and turned.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from train.procedural.fields import KINDS, SIDE


def piece(
    kind: str, random: np.random.Generator, height: int, width: int, *, scale: float, angle: float
) -> NDArray[np.uint8]:
    """Cut a piece out of a texture at a random place, uint8 ``(height, width)``.

    Args:
        kind: One of ``KINDS``.
        random: Where from.
        height: Rows.
        width: Columns.
        scale: Texture pixels to a pixel of the piece; above 1 it is reduced without aliasing.
        angle: By which it is turned, radians.
    """
    scale = min(scale, 1.9 * SIDE / math.hypot(height, width))
    level = min(3, max(0, math.floor(math.log2(scale) + 0.5)))
    image = _levels(kind)[level]
    step = scale / 2**level
    reach = step * math.hypot(height, width) / 2
    x, y = (random.uniform(min(reach, s / 2), max(s - reach, s / 2)) for s in image.size)
    a, b = step * math.cos(angle), step * math.sin(angle)
    start = (x - (a * width + b * height) / 2, y - (-b * width + a * height) / 2)
    matrix = (a, b, start[0], -b, a, start[1])
    cut = image.transform(
        (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    return np.asarray(cut)


def plane(
    kind: str, random: np.random.Generator, height: int, width: int, *, far: float, near: float
) -> NDArray[np.uint8]:
    """Cut a piece as of a plane that recedes upwards, uint8 ``(height, width)``.

    Args:
        kind: One of ``KINDS``.
        random: Where from.
        height: Rows.
        width: Columns.
        far: Texture pixels to a pixel in the first row.
        near: The same in the last row.
    """
    far = min(far, 1.8 * SIDE / width)
    near = min(near, far)
    level = min(3, max(0, math.floor(math.log2(0.7 * far) + 0.5)))
    image = _levels(kind)[level]
    far, near = far / 2**level, near / 2**level
    # One pixel below the horizon lies at 1 / (1 + g y): its scale falls as the square of depth.
    g = (far / near - 1) / height
    middle = image.size[0] / 2 + random.uniform(-0.05, 0.05) * SIDE
    top = random.uniform(0.05, 0.95) * (image.size[1] - min(far * height, image.size[1]))
    depth = min(far * height, image.size[1] - top - 1)
    # u = middle + far (x - width / 2) / (1 + g y), v = top + depth (1 - 1 / (1 + g y)) / (...)
    share = depth / (1 - 1 / (1 + g * height)) if g > 0 else depth
    matrix = (
        far,
        middle * g,
        middle - far * width / 2,
        0.0,
        (top + share) * g if g > 0 else depth / height,
        top,
        0.0,
        g,
    )
    cut = image.transform(
        (width, height), Image.Transform.PERSPECTIVE, matrix, Image.Resampling.BILINEAR
    )
    return np.asarray(cut)


@lru_cache(maxsize=256)
def _levels(kind: str) -> list[Image.Image]:
    """The texture and its reductions by 2, 4 and 8."""
    kinds = list(KINDS)
    random = np.random.default_rng((7, kinds.index(kind)))
    field = KINDS[kind](random)
    field = field - field.mean()
    field *= 50 / max(float(field.std()), 1e-6)
    quarter = np.clip(field + 128, 0, 255).astype(np.uint8)
    half = np.concatenate([quarter, quarter[:, ::-1]], axis=1)
    whole = Image.fromarray(np.concatenate([half, half[::-1]]))
    return [whole, *(whole.reduce(2**n) for n in (1, 2, 3))]

"""Procedural photographs: each picture a pure function of seed, index and size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from train.procedural.backdrops import BACKDROPS, paint_landscape
from train.procedural.lens import expose
from train.procedural.scene import Scene
from train.procedural.things import THINGS

VERSION = 1
"""Raised when any picture changes, so that no cache holds those of another version."""

T = TypeVar("T")


def procedural_picture(seed: int, index: int, size: int) -> NDArray[np.uint8]:
    """Return picture ``index`` of a series, uint8 ``(size, size, 3)``.

    Args:
        seed: Of the series.
        index: Which one, from 0.
        size: Side, px; things grow with it, so that another size is nearly the same picture.
    """
    random = np.random.default_rng((seed, index))
    scene = Scene(random, size)
    backdrop = _choose(random, BACKDROPS)
    horizon = backdrop(scene)
    focus = random.choice([0, 0, 0, 0, 1, 1.5, 3]) * scene.unit
    scene.blur(focus)
    count = int(np.clip(random.lognormal(np.log(14), 0.6), 2, 50))
    largest, smallest = size * random.uniform(0.15, 0.5), size * 0.012
    # Each octave of sizes is equally frequent; what stands lower is nearer and comes later.
    radii = np.exp(random.uniform(np.log(smallest * 2.5), np.log(largest), count))
    rows = np.sort(random.uniform(horizon * 0.8, size * 1.05, count))
    mixed = backdrop is not paint_landscape or random.random() < 0.3
    chosen = [_choose(random, THINGS) for _ in range(int(random.integers(2, 8)))]
    for number, (y, r) in enumerate(zip(rows, radii, strict=True)):
        if number == count * 2 // 3:
            scene.blur(0.5 * focus)
        thing = chosen[int(random.integers(len(chosen)))]
        x = random.uniform(-0.05, 1.05) * size
        row = random.uniform(0, size) if mixed and random.random() < 0.5 else y - 0.8 * r
        thing(scene, x, row, r)
    scene.weather("clouds", random.uniform(0.03, 0.16), random.uniform(0.5, 1.7))
    fine = ("stone", "plaster", "sand", "crumbs")[int(random.integers(4))]
    scene.weather(fine, random.choice([0.0, 0.02, 0.05]), random.uniform(0.8, 1.7))
    return expose(random, scene.pixels)


def _choose(random: np.random.Generator, table: Sequence[tuple[T, float]]) -> T:
    """Return one of several, each with its weight."""
    weights = np.array([weight for _, weight in table])
    return table[int(random.choice(len(table), p=weights / weights.sum()))][0]

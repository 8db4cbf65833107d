"""Procedural photographs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from train.backdrops import BACKDROPS, paint_landscape
from train.lens import expose
from train.scene import Scene
from train.things import THINGS

VERSION = 1


def synthetic_picture(seed: int, index: int, size: int) -> NDArray[np.uint8]:
    """Return picture ``index`` of a series, uint8 ``(size, size, 3)``."""
    random = np.random.default_rng((seed, index))
    scene = Scene(random, size)
    backdrop = _choose(random, BACKDROPS)
    horizon = backdrop(scene)
    focus = random.choice([0, 0, 0, 0, 1, 1.5, 3]) * scene.unit
    scene.blur(focus)
    count = int(np.clip(random.lognormal(np.log(14), 0.7), 1, 60))
    largest, smallest = size * random.uniform(0.15, 0.5), size * 0.012
    radii = (largest**-2 + random.uniform(0, 1, count) * (smallest**-2 - largest**-2)) ** -0.5
    # Sizes fall as the cube, and each octave is equally present; the far ones come first.
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
    return expose(random, scene.pixels)


def _choose(random, table):
    weights = np.array([weight for _, weight in table])
    return table[int(random.choice(len(table), p=weights / weights.sum()))][0]

"""Small things of procedural photographs, and how often each kind of thing comes.

A thing paints itself around a place, of a few surfaces, those behind first.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from train.procedural.creatures import put_animal, put_face, put_figure
from train.procedural.palette import HARD, LEAVES, SKIN
from train.procedural.scene import Scene
from train.procedural.silhouettes import (
    any_shape,
    arc,
    blob,
    box,
    ellipse,
    limb,
    moved,
    shard,
    turned,
)
from train.procedural.structures import (
    put_building,
    put_fence,
    put_panel,
    put_poles,
    put_tree,
    put_vehicle,
)

Thing = Callable[[Scene, float, float, float], None]
"""Paints itself around x, y with a radius, px."""


def put_shape(scene: Scene, x: float, y: float, r: float) -> None:
    """A plain shape of any material, with parts on it."""
    random = scene.random
    at = np.array((x, y))
    outline = any_shape(random) * r
    relief = random.choice([0, 0.4, 0.8])
    scene.put(
        [outline + at],
        scene.palette.material(random),
        relief=relief,
        shadow=r * random.uniform(0, 0.2),
    )
    _add_parts(scene, x, y, r)


def _add_parts(scene: Scene, x: float, y: float, r: float) -> None:
    """Smaller shapes within a shape, as often as it has room for them."""
    random = scene.random
    if r < 9 * scene.unit or random.random() < 0.35:
        return
    material = scene.palette.material(random)
    for _ in range(int(random.integers(1, 6))):
        if random.random() < 0.4:
            material = scene.palette.material(random)
        small = r * random.uniform(0.06, 0.4)
        place = np.array((x, y)) + random.uniform(-0.55, 0.55, 2) * r
        scene.put([any_shape(random) * small + place], material, relief=random.choice([0, 0.5]))


def put_ball(scene: Scene, x: float, y: float, r: float) -> None:
    """A ball, a fruit, a cup from above: round, with a highlight."""
    random = scene.random
    at = np.array((x, y))
    outline = turned(ellipse(random.uniform(0.7, 1)) * r, random.uniform(0, 3))
    material = scene.palette.material(random, HARD, contrast=random.uniform(0.02, 0.15))
    scene.put([outline + at], material, relief=random.uniform(0.5, 1), shadow=0.25 * r)
    if random.random() < 0.5:
        scene.put([outline * 0.6 + at], scene.palette.material(random), relief=-0.5)
    spot = at + scene.light * r * 0.45
    scene.glow(spot[0], spot[1], r * random.uniform(0.08, 0.35), random.uniform(0.2, 0.9))


def put_bottle(scene: Scene, x: float, y: float, r: float) -> None:
    """Something turned on a wheel: bottle, glass, vase, lamp."""
    random = scene.random
    heights = np.linspace(-1, 1, 14)
    width = 0.2 + 0.3 * np.abs(np.cumsum(random.normal(0, 0.35, 14)))
    width = np.clip(np.convolve(width, np.ones(3) / 3, "same"), 0.1, 0.7)
    right = np.stack([width, heights], axis=1)
    outline = np.concatenate([right, (right * (-1, 1))[::-1]]) * r + (x, y)
    material = scene.palette.material(random, HARD, contrast=random.uniform(0.01, 0.1))
    alpha = random.choice([1, 1, 1, 0.5])
    scene.put([outline], material, relief=0.9, shadow=0.2 * r, alpha=alpha)
    band = random.uniform(-0.3, 0.3)
    label = box(0.5) * (0.9 * width[7] * r, 0.4 * r) + (x, y + band * r)
    if random.random() < 0.5:
        scene.put([label], scene.palette.material(random, ("letters", "plaster", "dots")))
    shine = box(8) * (0.03 * r, 0.06 * r) + (x + scene.light[0] * width[7] * r * 0.6, y)
    scene.put([shine], scene.palette.material(random, y=0.95, contrast=0), soft=0.03 * r, alpha=0.6)


def put_flower(scene: Scene, x: float, y: float, r: float) -> None:
    """Petals around a middle, on a stalk."""
    random = scene.random
    at, count = np.array((x, y)), int(random.integers(5, 14))
    green = scene.palette.material(random, LEAVES, y=0.3, chroma=np.array([-0.15, -0.02]))
    stalk = arc(at, moved(at, random.normal(0, 0.4) * r, 2.2 * r), random.normal(0, 0.1))
    scene.put([limb(stalk, 0.1 * r, 0.1 * r)], green)
    petals = scene.palette.material(random, SKIN, contrast=0.08)
    for n in range(count):
        petal = ellipse(random.uniform(0.2, 0.4), 20) * 0.5 + (0.55, 0)
        scene.put([turned(petal * r, n * 2 * math.pi / count) + at], petals, relief=0.5)
    scene.put([ellipse() * 0.25 * r + at], scene.palette.material(random, ("crumbs", "pebbles")))


def put_plate(scene: Scene, x: float, y: float, r: float) -> None:
    """A plate, a bowl, a pan, seen at a slant, with something in it."""
    random = scene.random
    at, ratio = np.array((x, y)), random.uniform(0.35, 1)
    rim = scene.palette.material(random, HARD, y=random.choice([0.15, 0.85]), contrast=0.03)
    for share, relief in ((1.0, 0.5), (0.85, -0.4), (0.7, -0.2)):
        scene.put([ellipse(ratio) * r * share + at], rim, relief=relief, shadow=0.1 * r * share)
    for _ in range(int(random.integers(1, 9))):
        place = at + random.normal(0, 0.25, 2) * (r, r * ratio)
        food = scene.palette.material(random)
        outline = blob(random, 1.3) * r * random.uniform(0.08, 0.4)
        scene.put([outline * (1, max(ratio, 0.6)) + place], food, relief=0.8, shadow=0.05 * r)


def put_many(scene: Scene, x: float, y: float, r: float) -> None:
    """Many of a kind side by side: fruit, books, people, stones, flowers."""
    random = scene.random
    thing = SINGLE[int(random.integers(len(SINGLE)))]
    materials = [scene.palette.material(random) for _ in range(int(random.integers(1, 5)))]
    small = r * random.uniform(0.08, 0.3)
    kind, relief = random.random(), random.choice([0, 0.5, 0.9])
    base = any_shape(random)
    for _ in range(int(random.integers(8, 30))):
        place = np.array((x, y)) + random.normal(0, 0.5, 2) * r
        size = small * random.lognormal(0, 0.25)
        if kind < 0.25:
            thing(scene, place[0], place[1], size * 1.6)
            continue
        outline = turned(base, random.normal(0, 0.3) if kind < 0.6 else random.uniform(0, 6))
        material = materials[int(random.integers(len(materials)))]
        scene.put([outline * size + place], material, relief=relief, shadow=0.2 * size)


def put_litter(scene: Scene, x: float, y: float, r: float) -> None:
    """Many small flat pieces drawn at once: leaves, pebbles, confetti, distant crowds."""
    random = scene.random
    for _ in range(int(random.integers(2, 6))):
        material = scene.palette.material(random)
        pieces = []
        count, small = int(random.integers(10, 70)), r * random.uniform(0.015, 0.06)
        base = shard(random) if random.random() < 0.4 else ellipse(random.uniform(0.2, 1), 12)
        for place, angle in zip(
            random.normal(0, 0.45, (count, 2)), random.uniform(0, 6, count), strict=True
        ):
            size = max(small, 0.7 * scene.unit) * random.lognormal(0, 0.5)
            pieces.append(turned(base * size, angle) + place * r + (x, y))
        scene.put(pieces, material)


SINGLE: tuple[Thing, ...] = (put_ball, put_figure, put_bottle, put_flower, put_panel, put_vehicle)
"""Of which there may be many side by side."""

THINGS: tuple[tuple[Thing, float], ...] = (
    (put_shape, 5),
    (put_ball, 1),
    (put_figure, 1.6),
    (put_face, 0.8),
    (put_tree, 1.2),
    (put_building, 1),
    (put_panel, 1.4),
    (put_poles, 2),
    (put_fence, 0.7),
    (put_bottle, 1),
    (put_animal, 0.9),
    (put_vehicle, 0.8),
    (put_many, 1),
    (put_litter, 1.6),
    (put_flower, 0.5),
    (put_plate, 0.7),
)
"""Each with how often it is chosen."""

"""What stands behind the things of a procedural photograph: landscape, room, wall, table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from train.procedural import textures
from train.procedural.palette import FRONTS, HARD, LEAVES, Material
from train.procedural.scene import Scene
from train.procedural.silhouettes import blob, box, moved
from train.procedural.structures import put_building, put_tree

GROUNDS = (
    *("grass", "meadow", "sand", "pebbles", "water", "stone", "straw", "cobbles", "tiles"),
    *("planks", "plaster", "haze", "mosaic"),
)
FLOORS = ("planks", "tiles", "plaster", "grain", "weave", "mosaic", "clouds", "marble", "haze")
WALLS = ("clouds", "plaster", "haze", "tiles", "bricks", "stripes", "planks", "mosaic", "folds")


def lay_ground(scene: Scene, material: Material, horizon: float) -> None:
    """Cover what lies below a row with a plane that recedes."""
    top = int(np.clip(horizon, 0, scene.size - 4))
    height = scene.size - top
    near = scene.random.uniform(0.25, 1.1) / scene.unit
    far = near * scene.random.uniform(1.5, 7)
    grey = textures.plane(material.kind, scene.random, height, scene.size, far=far, near=near)
    light = 1 + scene.random.normal(0, 0.2) * np.linspace(-1, 1, height, dtype=np.float32)
    scene.pixels[top:] = material.ramp[grey] * light[:, None, None].astype(np.float32)


def paint_landscape(scene: Scene) -> float:
    """Sky, perhaps clouds, something far away, ground; returns the row of the horizon."""
    random, size = scene.random, scene.size
    horizon = size * float(np.clip(random.normal(0.45, 0.17), 0.08, 0.9))
    y = float(np.clip(random.normal(0.75, 0.22), 0.03, 0.99))
    blue = scene.palette.tint * 0.5 + np.array([0.16, -0.1]) * random.choice([0, 0.2, 0.7, 1, 1.5])
    if random.random() < 0.15:
        blue = scene.palette.chroma(random)
    cloudy = random.choice([0, 0, 0.03, 0.12, 0.25])
    sky = scene.palette.material(
        random, ("clouds", "haze", "clouds", "folds"), y=y, chroma=blue, contrast=cloudy
    )
    scene.cover(sky)
    glow = np.linspace(0, 1, size, dtype=np.float32)[:, None, None] ** 2
    scene.pixels += (np.float32(random.uniform(-0.1, 0.5)) * glow) * (1 - scene.pixels)
    for _ in range(int(random.integers(0, 4))):  # hills, one before the other
        ridge = np.cumsum(random.normal(0, 0.02, 40)) * size
        columns = np.linspace(-5, size + 5, 40)
        rise = horizon - abs(random.normal(0, 0.08)) * size - ridge + ridge.mean()
        line = np.stack([columns, rise], axis=1)
        foot = np.array([(size + 5, size), (-5, size)])
        haze = random.uniform(0.2, 0.6)
        hill = scene.palette.material(random, (*LEAVES, "stone", "haze"), y=haze, upright=True)
        scene.put([np.concatenate([line, foot])], hill)
    ground = scene.palette.material(random, GROUNDS, upright=True)
    if ground.kind in ("grass", "meadow", "straw") and random.random() < 0.7:
        chroma = np.array([-0.16, random.uniform(-0.05, 0.06)]) * random.uniform(0.4, 1.2)
        ground = scene.palette.material(
            random, (ground.kind,), y=random.uniform(0.2, 0.55), chroma=chroma + scene.palette.tint
        )
    lay_ground(scene, ground, horizon)
    row = put_tree if random.random() < 0.6 else put_building
    if random.random() < 0.75:
        tall = size * random.uniform(0.04, 0.25)
        x = random.uniform(-0.2, 0.5) * size
        for _ in range(int(random.integers(2, 9))):
            r = tall * random.lognormal(0, 0.3)
            row(scene, x, horizon - r * 0.8, r)
            x += r * random.uniform(0.6, 2)
    return horizon


def paint_room(scene: Scene) -> float:
    """Two walls, a floor, perhaps a window and a lamp; returns the row where the floor begins."""
    random, size = scene.random, scene.size
    horizon = size * random.uniform(0.45, 0.85)
    wall = scene.palette.material(random, WALLS, y=random.uniform(0.25, 0.9), upright=True)
    scene.cover(wall, ramp=random.normal(0, 0.2))
    corner = size * random.uniform(-0.2, 1.2)
    slant = size * random.normal(0, 0.15)
    side = np.array([(corner, -5), (size + 5, -5), (size + 5, horizon + slant), (corner, horizon)])
    scene.put([side], scene.palette.material(random, WALLS, y=wall.y * 0.75, chroma=wall.chroma))
    lay_ground(scene, scene.palette.material(random, FLOORS, upright=True), horizon)
    edge = np.array([(-5, horizon - 3), (size + 5, horizon - 3 + slant * 0.2)])
    band = np.concatenate([edge, moved(edge[::-1], 0, random.uniform(2, 8) * scene.unit)])
    scene.put([band], scene.palette.material(random, HARD))
    if random.random() < 0.5:
        x, y = random.uniform(0.1, 0.9) * size, random.uniform(0.1, 0.4) * size
        frame = box(random.uniform(0.7, 1.8)) * size * random.uniform(0.08, 0.22) + (x, y)
        scene.put([(frame - (x, y)) * 1.12 + (x, y)], scene.palette.material(random, HARD))
        view = scene.palette.material(random, (*LEAVES, "clouds", "city"), y=0.9)
        scene.put([frame], view)
        scene.glow(x, y, size * 0.25, random.uniform(0, 0.5))
    return horizon


def paint_wall(scene: Scene) -> float:
    """One surface seen from the front or from above."""
    random = scene.random
    kinds = (*WALLS, *FRONTS, *LEAVES, *FLOORS)
    scene.cover(scene.palette.material(random, kinds, upright=True), ramp=random.normal(0, 0.3))
    return 0.0


def paint_table(scene: Scene) -> float:
    """A plane that fills the picture almost to its top."""
    random = scene.random
    scene.cover(scene.palette.material(random), ramp=random.normal(0, 0.2))
    horizon = scene.size * random.uniform(0.0, 0.35)
    lay_ground(scene, scene.palette.material(random, FLOORS, upright=True), horizon)
    return horizon


def paint_clutter(scene: Scene) -> float:
    """Nothing but shapes that cover each other."""
    random = scene.random
    scene.cover(scene.palette.material(random))
    for _ in range(int(random.integers(6, 16))):
        r = scene.size * random.uniform(0.15, 0.5)
        at = random.uniform(0, scene.size, 2)
        scene.put([blob(random, random.uniform(0.8, 2)) * r + at], scene.palette.material(random))
    return 0.0


Backdrop = Callable[[Scene], float]

BACKDROPS: tuple[tuple[Backdrop, float], ...] = (
    (paint_landscape, 3),
    (paint_room, 2.5),
    (paint_wall, 1),
    (paint_table, 1),
    (paint_clutter, 1.5),
)
"""Each with how often it is chosen."""

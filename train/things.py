"""Things in procedural photographs: each is a few surfaces around a place."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from train.palette import Material
from train.scene import Scene
from train.silhouettes import any_shape, arc, blob, box, ellipse, limb, shard, turned

CLOTH = ("folds", "weave", "stripes", "plaid", "plaster", "dots", "ribs", "clouds", "fur")
LEAVES = ("foliage", "bush", "thicket", "crumbs", "grass")
SKIN = ("clouds", "haze", "plaster")
HARD = ("clouds", "haze", "plaster", "brushed", "marble", "stone", "sand")
FRONTS = ("windows", "offices", "bricks", "plaster", "stone", "city", "planks")
COATS = ("fur", "hair", "plaster", "stone", "grass")

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


def put_figure(scene: Scene, x: float, y: float, r: float) -> None:
    """Somebody who stands or sits: legs, trunk, arms, a head with hair."""
    random = scene.random

    def place(points: np.ndarray) -> np.ndarray:
        return points * (r * side, r) + (x, y)

    side = random.choice([-1.0, 1.0])
    tone = random.uniform(0.3, 0.85)
    skin = scene.palette.material(
        random,
        SKIN,
        y=tone,
        chroma=scene.palette.tint + np.array([-0.14, 0.13]) * random.uniform(0.5, 1.1),
        contrast=0.06,
    )
    top, legs = scene.palette.material(random, CLOTH), scene.palette.material(random, CLOTH)
    hair = scene.palette.material(random, ("hair", "fur"), y=random.choice([0.05, 0.1, 0.2, 0.6]))
    lean = random.normal(0, 0.08)
    hip, neck = np.array((0.0, 0.05)), np.array((lean, -0.62))
    for foot in (-1, 1):
        knee = hip + (foot * random.uniform(0.05, 0.25), 0.42)
        ankle = knee + (random.normal(0, 0.12), 0.48)
        line = np.array([hip + (foot * 0.08, 0), knee, ankle])
        scene.put([place(limb(line, 0.24, 0.12))], legs, relief=0.7)
        scene.put([place(box(0.4) * 0.09 + ankle + (0.03, 0.03))], hair)
    trunk = np.array(
        [(-0.2, -0.56), (0.2, -0.56), (0.19, -0.2), (0.18, 0.12), (-0.18, 0.12), (-0.19, -0.2)]
    )
    trunk[:2] += (lean, 0)
    scene.put([place(trunk * (random.uniform(0.8, 1.3), 1))], top, relief=0.8, shadow=0.04 * r)
    for hand in (-1, 1):
        shoulder = neck + (hand * 0.2, 0.08)
        elbow = shoulder + (hand * random.uniform(-0.02, 0.25), random.uniform(0.1, 0.32))
        wrist = elbow + random.uniform((-0.3, -0.25), (0.3, 0.3))
        line = np.array([shoulder, elbow, wrist])
        bare = random.random() < 0.4
        scene.put([place(limb(line, 0.13, 0.08))], skin if bare else top, relief=0.7)
        scene.put([place(ellipse(0.8, 12) * 0.06 + wrist)], skin)
    put_face(scene, *(place(neck[None] - (0, 0.17))[0]), r * 0.17, skin, hair)


def put_face(
    scene: Scene,
    x: float,
    y: float,
    r: float,
    skin: Material | None = None,
    hair: Material | None = None,
) -> None:
    """A head: hair behind, eyes, a mouth, shadow under the nose."""
    random = scene.random
    at = np.array((x, y))
    skin = skin or scene.palette.material(
        random,
        SKIN,
        y=random.uniform(0.35, 0.85),
        chroma=scene.palette.tint + np.array([-0.14, 0.13]) * random.uniform(0.3, 1.1),
        contrast=0.05,
    )
    hair = hair or scene.palette.material(random, ("hair", "fur"), contrast=0.4)
    scene.put([blob(random, 1.3) * (r * 0.98, r * 1.12) + at - (0, 0.2 * r)], hair, relief=0.5)
    scene.put([ellipse(1.3) * r * 0.78 + at], skin, relief=0.6)
    if r < 6 * scene.unit:
        return
    dark = scene.palette.material(random, SKIN, y=0.07, contrast=0.01)
    turn = random.normal(0, 0.15) * r
    for side in (-1, 1):
        eye = at + (turn + side * 0.3 * r, -0.12 * r)
        scene.put([ellipse(0.45, 16) * 0.17 * r + eye], skin, ramp=-0.5, soft=0.05 * r)
        if r > 14 * scene.unit:
            white = scene.palette.material(random, SKIN, y=0.85, contrast=0.01)
            scene.put([ellipse(0.5, 16) * 0.14 * r + eye], white)
        scene.put([ellipse(1, 14) * 0.07 * r + eye], dark)
        scene.put([box(0.16) * 0.18 * r + eye - (0, 0.18 * r)], hair, soft=0.02 * r)
    nose = np.array([(-0.08, -0.05), (0.02, -0.05), (0.12, 0.32), (-0.12, 0.32)]) * r + at
    scene.put([nose + (turn, 0)], skin, relief=0.9, soft=0.04 * r)
    lips = scene.palette.material(random, SKIN, y=skin.y * 0.65, chroma=skin.chroma * 1.5)
    scene.put([ellipse(0.3, 20) * 0.26 * r + at + (turn, 0.55 * r)], lips, soft=0.02 * r)


def put_tree(scene: Scene, x: float, y: float, r: float) -> None:
    """A trunk, boughs, and clumps of leaves, those behind darker."""
    random = scene.random
    foot, crown = np.array((x, y + r)), np.array((x, y - 0.3 * r))
    wood = scene.palette.material(random, ("bark", "grain"), y=random.uniform(0.1, 0.4))
    trunk = arc(foot, crown, random.normal(0, 0.06))
    scene.put([limb(trunk, 0.18 * r, 0.06 * r)], wood, relief=0.8, shadow=0.08 * r)
    chroma = scene.palette.tint + np.array([-0.17, random.uniform(-0.06, 0.06)]) * random.uniform(
        0.3, 1.2
    )
    if random.random() < 0.2:
        chroma = scene.palette.chroma(random)
    light = random.uniform(0.15, 0.5)
    boughs = []
    for _ in range(int(random.integers(3, 9))):
        end = crown + random.normal(0, 0.4, 2) * (r, 0.7 * r)
        boughs.append(limb(arc(trunk[-4], end, random.normal(0, 0.15)), 0.07 * r, 0.015 * r))
    scene.put(boughs, wood)
    if random.random() < 0.15:
        return
    for depth in np.linspace(0.55, 1.15, int(random.integers(4, 10))):
        leaves = scene.palette.material(
            random, LEAVES, y=light * depth, chroma=chroma, contrast=random.uniform(0.25, 0.6)
        )
        place = crown + random.normal(0, 0.33, 2) * (r, 0.7 * r)
        clump = blob(random, 0.55) * (r * random.uniform(0.25, 0.55)) * (1, 0.8)
        scene.put([clump + place], leaves, relief=0.5)


def put_building(scene: Scene, x: float, y: float, r: float) -> None:
    """A block with two faces, a roof and rows of windows."""
    random = scene.random
    ratio = random.uniform(0.5, 2)
    w, h = r * min(1, 1 / ratio), r * min(1, ratio)
    front = scene.palette.material(random, FRONTS, upright=True)
    depth, slant = random.uniform(0, 0.7) * w, random.uniform(-0.2, 0.2) * h
    corner = np.array([(x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h)])
    scene.put([corner], front)
    side = np.array(
        [
            (x + w, y - h),
            (x + w + depth, y - h + slant),
            (x + w + depth, y + h - abs(slant)),
            (x + w, y + h),
        ]
    )
    scene.put([side], scene.palette.material(random, FRONTS, y=front.y * 0.6, chroma=front.chroma))
    if random.random() < 0.5:
        roof = np.array([(x - 1.1 * w, y - h), (x, y - h * 1.6), (x + 1.1 * w, y - h)])
        scene.put([roof], scene.palette.material(random, ("bricks", "ribs", "tiles", "planks")))
    _grid(scene, x, y, 0.8 * w, 0.85 * h)


def _grid(scene: Scene, x: float, y: float, w: float, h: float) -> None:
    """Rows of rectangles alike: windows, shelves, keys, slats."""
    random = scene.random
    step = max(5 * scene.unit, min(w, h) * random.uniform(0.15, 0.8))
    columns, rows = (max(1, min(14, int(2 * side / step))) for side in (w, h))
    dark = scene.palette.material(random, HARD)
    pane_w, pane_h = w / columns * random.uniform(0.4, 0.9), h / rows * random.uniform(0.4, 0.9)
    panes = [
        box(1) * (pane_w, pane_h) + (x + w * (2 * i + 1 - columns) / columns, y + h * v)
        for i in range(columns)
        for v in (2 * np.arange(rows) + 1 - rows) / rows
    ]
    scene.put(panes, dark)
    if random.random() < 0.4:
        scene.put([p * (1, 1) + (0, pane_h * 0.3) for p in panes[::2]], dark, ramp=0.4)


def put_panel(scene: Scene, x: float, y: float, r: float) -> None:
    """A sign, a screen, a page, a poster, a window: a frame and something in it."""
    random = scene.random
    ratio, turn = random.uniform(0.3, 1), random.normal(0, 0.1)
    lean = np.array([(1, random.normal(0, 0.12)), (random.normal(0, 0.12), 1)])
    at = np.array((x, y))
    outline = turned(box(ratio, random.choice([0, 0, 0.1])) * r, turn) @ lean
    scene.put([outline + at], scene.palette.material(random, HARD), shadow=0.06 * r)
    bright = random.choice([0.05, 0.2, 0.8, 0.95])
    inside = scene.palette.material(random, y=bright) if random.random() < 0.5 else None
    inside = inside or scene.palette.material(random)
    scene.put([outline * random.uniform(0.8, 0.95) + at], inside)
    ink = scene.palette.material(random, HARD, contrast=0.02)
    lines = []
    for v in np.linspace(-0.6, 0.6, int(random.integers(1, 7))) * ratio:
        u = -0.7
        while u < 0.6:
            length = random.uniform(0.04, 0.3)
            mark = box(random.uniform(0.02, 0.12) / length) * length / 2 + (u + length / 2, v)
            lines.append(turned(mark * r, turn) @ lean + at)
            u += length * random.uniform(1.1, 2)
    scene.put(lines, ink)


def put_poles(scene: Scene, x: float, y: float, r: float) -> None:
    """Poles, wires, rails, twigs: long and thin."""
    random = scene.random
    material = scene.palette.material(random, HARD, contrast=0.08)
    angle = random.choice([0, math.pi / 2, random.uniform(0, math.pi)])
    count, lines = int(random.choice([1, 1, 2, 3, 8])), []
    gap = random.uniform(0.05, 0.4)
    sag, thin = random.normal(0, 0.06), random.uniform(0.7, 5) * scene.unit
    for n in range(count):
        away = (n - count / 2) * gap * r
        ends = np.array([(-1.5 * r, away), (1.5 * r, away + random.normal(0, 0.1) * r)])
        line = turned(arc(ends[0], ends[1], sag), angle) + (x, y)
        lines.append(limb(line, thin, thin * random.uniform(0.5, 1)))
    scene.put(lines, material, shadow=random.choice([0, 2 * scene.unit]))


def put_fence(scene: Scene, x: float, y: float, r: float) -> None:
    """Bars and rails, a net, a chair's back."""
    random = scene.random
    material = scene.palette.material(random, HARD)
    count, thin = int(random.integers(4, 14)), random.uniform(0.02, 0.08) * r
    ratio, turn = random.uniform(0.3, 1), random.choice([0, 0, math.pi / 4])
    bars = []
    for v in np.linspace(-1, 1, count):
        bars.append(box(ratio * r / thin) * thin + (v * r, 0))
        if random.random() < (0.9 if turn else 0.25):
            bars.append(box(thin / r * 0.7) * r + (0, v * r * ratio))
    scene.put([turned(bar, turn) + (x, y) for bar in bars], material, shadow=1.5 * scene.unit)


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
    scene.put(
        [shine], scene.palette.material(random, y=0.95, contrast=0), soft=0.03 * r, alpha=0.6
    )


def put_animal(scene: Scene, x: float, y: float, r: float) -> None:
    """Something on four legs with a coat."""
    random = scene.random
    side = random.choice([-1.0, 1.0])
    coat = scene.palette.material(random, COATS, contrast=random.uniform(0.1, 0.4))

    def place(points: np.ndarray) -> np.ndarray:
        return points * (side * r, r) + (x, y)

    for foot in (-0.55, -0.4, 0.4, 0.55):
        knee = np.array((foot + random.normal(0, 0.08), 0.5))
        line = np.array([(foot, 0.0), knee, knee + (random.normal(0, 0.08), 0.4)])
        scene.put([place(limb(line, 0.2, 0.09))], coat, relief=0.6, ramp=-0.2)
    body = blob(random, 2.2) * (0.75, 0.38)
    scene.put([place(body)], coat, relief=0.7)
    neck = np.array([(0.55, -0.1), (0.75, random.uniform(-0.6, 0.0))])
    scene.put([place(limb(neck, 0.4, 0.28))], coat, relief=0.5)
    head = neck[1] + (0.1, 0)
    for ear in (-0.12, 0.04):
        scene.put([place(turned(ellipse(0.45, 14) * 0.14, -1.2) + head + (ear, -0.2))], coat)
    scene.put([place(blob(random, 2.2) * (0.26, 0.2) + head)], coat, relief=0.6)
    dark = scene.palette.material(random, SKIN, y=0.05, contrast=0.01)
    scene.put([place(ellipse(1, 12) * 0.035 + head + (0.05, -0.05))], dark)
    scene.put([place(ellipse(0.8, 12) * 0.05 + head + (0.24, 0.03))], dark)
    if random.random() < 0.4:
        spots = scene.palette.material(random, COATS)
        marks = [
            place(blob(random, 1.5) * random.uniform(0.05, 0.16) + random.normal(0, 0.22, 2))
            for _ in range(6)
        ]
        scene.put(marks, spots)


def put_vehicle(scene: Scene, x: float, y: float, r: float) -> None:
    """A body with windows, wheels and lights."""
    random = scene.random
    h = random.uniform(0.35, 0.6)
    paint = scene.palette.material(random, HARD, contrast=0.04)
    dark = scene.palette.material(random, HARD, y=0.06, contrast=0.1)
    glass = scene.palette.material(random, ("clouds", "city", "haze"), y=random.uniform(0.1, 0.5))
    scene.darken([ellipse(0.15) * r + (x, y + h * r)], 0.05 * r)
    scene.put([box(h * 0.6, 0.3) * r + (x, y + 0.25 * h * r)], paint, relief=0.6)
    cabin = np.array([(-0.75, -0.1), (-0.55, -1), (0.45, -1), (0.8, -0.1)]) * (r, h * r)
    scene.put([cabin + (x, y)], paint, relief=0.3)
    for left, right in ((-0.6, -0.1), (-0.03, 0.55)):
        pane = np.array([(left, -0.15), (left + 0.08, -0.85), (right - 0.08, -0.85), (right, -0.15)])
        scene.put([pane * (r, h * r) + (x, y)], glass)
    for wheel in (-0.58, 0.58):
        at = np.array((x + wheel * r, y + 0.8 * h * r))
        scene.put([ellipse() * 0.22 * r + at], dark)
        scene.put([ellipse() * 0.12 * r + at], scene.palette.material(random, HARD, y=0.6))
    for side in (-0.95, 0.95):
        scene.glow(x + side * r, y + 0.2 * h * r, 0.07 * r, random.uniform(0.3, 0.9))


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


def put_flower(scene: Scene, x: float, y: float, r: float) -> None:
    """Petals around a middle, on a stalk."""
    random = scene.random
    at, count = np.array((x, y)), int(random.integers(5, 14))
    green = scene.palette.material(random, LEAVES, y=0.3, chroma=np.array([-0.15, -0.02]))
    stalk = arc(at, at + (random.normal(0, 0.4) * r, 2.2 * r), random.normal(0, 0.1))
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
    (put_poles, 1.5),
    (put_fence, 0.7),
    (put_bottle, 1),
    (put_animal, 0.9),
    (put_vehicle, 0.8),
    (put_many, 1),
    (put_litter, 1),
    (put_flower, 0.5),
    (put_plate, 0.7),
)
"""Each with how often it is chosen."""

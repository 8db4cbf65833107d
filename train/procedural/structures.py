"""Trees, buildings, panels, poles, fences, vehicles: what stands in procedural photographs."""

from __future__ import annotations

import math

import numpy as np

from train.procedural.palette import FRONTS, HARD, LEAVES
from train.procedural.scene import Scene
from train.procedural.silhouettes import arc, blob, box, ellipse, limb, moved, turned


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
        line = moved(turned(arc(ends[0], ends[1], sag), angle), x, y)
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
    scene.put([moved(turned(bar, turn), x, y) for bar in bars], material, shadow=1.5 * scene.unit)


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
    scene.put([moved(cabin, x, y)], paint, relief=0.3)
    for left, right in ((-0.6, -0.1), (-0.03, 0.55)):
        pane = np.array(
            [(left, -0.15), (left + 0.08, -0.85), (right - 0.08, -0.85), (right, -0.15)]
        )
        scene.put([pane * (r, h * r) + (x, y)], glass)
    for wheel in (-0.58, 0.58):
        at = np.array((x + wheel * r, y + 0.8 * h * r))
        scene.put([ellipse() * 0.22 * r + at], dark)
        scene.put([ellipse() * 0.12 * r + at], scene.palette.material(random, HARD, y=0.6))
    for side in (-0.95, 0.95):
        scene.glow(x + side * r, y + 0.2 * h * r, 0.07 * r, random.uniform(0.3, 0.9))

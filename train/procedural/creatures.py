"""People, faces and animals of procedural photographs, in a few strokes each."""

from __future__ import annotations

import numpy as np

from train.procedural.palette import CLOTH, COATS, SKIN, Material
from train.procedural.scene import Scene
from train.procedural.silhouettes import Polygon, blob, box, ellipse, limb, moved, turned


def put_figure(scene: Scene, x: float, y: float, r: float) -> None:
    """Somebody who stands or sits: legs, trunk, arms, a head with hair."""
    random = scene.random

    def place(points: Polygon) -> Polygon:
        return moved(points * (r * side, r), x, y)

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
        knee = moved(hip, foot * random.uniform(0.05, 0.25), 0.42)
        ankle = moved(knee, random.normal(0, 0.12), 0.48)
        line = np.array([moved(hip, foot * 0.08, 0), knee, ankle])
        scene.put([place(limb(line, 0.24, 0.12))], legs, relief=0.7)
        scene.put([place(box(0.4) * 0.09 + ankle + (0.03, 0.03))], hair)
    trunk = np.array(
        [(-0.2, -0.56), (0.2, -0.56), (0.19, -0.2), (0.18, 0.12), (-0.18, 0.12), (-0.19, -0.2)]
    )
    trunk[:2] += (lean, 0)
    scene.put([place(trunk * (random.uniform(0.8, 1.3), 1))], top, relief=0.8, shadow=0.04 * r)
    for hand in (-1, 1):
        shoulder = moved(neck, hand * 0.2, 0.08)
        elbow = moved(shoulder, hand * random.uniform(-0.02, 0.25), random.uniform(0.1, 0.32))
        wrist = elbow + random.uniform((-0.3, -0.25), (0.3, 0.3))
        line = np.array([shoulder, elbow, wrist])
        bare = random.random() < 0.4
        scene.put([place(limb(line, 0.13, 0.08))], skin if bare else top, relief=0.7)
        scene.put([place(ellipse(0.8, 12) * 0.06 + wrist)], skin)
    head_x, head_y = place(moved(neck, 0, -0.17)).tolist()
    put_face(scene, head_x, head_y, r * 0.17, skin, hair)


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
        eye = moved(at, turn + side * 0.3 * r, -0.12 * r)
        scene.put([ellipse(0.45, 16) * 0.17 * r + eye], skin, ramp=-0.5, soft=0.05 * r)
        if r > 14 * scene.unit:
            white = scene.palette.material(random, SKIN, y=0.85, contrast=0.01)
            scene.put([ellipse(0.5, 16) * 0.14 * r + eye], white)
        scene.put([ellipse(1, 14) * 0.07 * r + eye], dark)
        scene.put([box(0.16) * 0.18 * r + eye - (0, 0.18 * r)], hair, soft=0.02 * r)
    nose = np.array([(-0.08, -0.05), (0.02, -0.05), (0.12, 0.32), (-0.12, 0.32)]) * r + at
    scene.put([moved(nose, turn, 0)], skin, relief=0.9, soft=0.04 * r)
    lips = scene.palette.material(random, SKIN, y=skin.y * 0.65, chroma=skin.chroma * 1.5)
    scene.put([ellipse(0.3, 20) * 0.26 * r + at + (turn, 0.55 * r)], lips, soft=0.02 * r)


def put_animal(scene: Scene, x: float, y: float, r: float) -> None:
    """Something on four legs with a coat."""
    random = scene.random
    side = random.choice([-1.0, 1.0])
    coat = scene.palette.material(random, COATS, contrast=random.uniform(0.1, 0.4))

    def place(points: Polygon) -> Polygon:
        return moved(points * (side * r, r), x, y)

    for foot in (-0.55, -0.4, 0.4, 0.55):
        knee = np.array((foot + random.normal(0, 0.08), 0.5))
        line = np.array([(foot, 0.0), knee, moved(knee, random.normal(0, 0.08), 0.4)])
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

"""Make nst/assets/sundown.jpg, the style of ``nst quickstart``: a sunset in thick strokes of oil.

    python docs/sundown.py

A scene is drawn as flat colours and as a direction at every place: eddies of air around a low sun,
hills, three cypresses. Brush strokes then follow the directions, broad ones first. A stroke is a
bundle of bristles, each a line of its own colour that leaves a ridge of its own height; light from
the upper left falls on the ridges. Everything is drawn from one seed.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Field = NDArray[np.float64]
"""(H, W), or (H, W, 3) in colours 0 to 255; places are in sides of the picture, y downwards."""

SIDE_PX = 672
FINENESS = 2
"""The canvas is so many times larger than the picture."""
MARGIN = 0.06
"""Painted beyond each edge and cut off, in sides: strokes run over the edge."""
SEED = 20
QUALITY = 79
GROUND = (112, 62, 44)
"""What shines through between strokes."""

INDIGO, BLUE, TURQUOISE, MINT = "141b52", "1f55a4", "2a93a8", "8fcfba"
CREAM, GOLD, ORANGE, VERMILION = "fff0bd", "f9c23c", "f08a24", "c63d22"
PLUM, PINE, NIGHT = "5a2a5e", "1c5a58", "0c2233"

SUN = (0.63, 0.31)
EDDIES = (  # centre, radius, turn
    (*SUN, 0.20, 1.6),
    (0.22, 0.20, 0.15, -1.5),
    (0.43, 0.06, 0.08, 1.2),
    (0.94, 0.08, 0.11, -1.3),
    (0.37, 0.42, 0.09, 1.1),
    (0.97, 0.47, 0.10, 1.0),
    (0.03, 0.47, 0.09, -1.0),
)
HILLS = (  # ridge, its rise, waves across, their phase, furrows, the two colours
    (0.60, 0.030, 5.0, 0.3, 60, PLUM, VERMILION),
    (0.68, 0.040, 4.0, 1.7, 52, BLUE, TURQUOISE),
    (0.77, 0.035, 5.0, 3.1, 44, VERMILION, GOLD),
    (0.88, 0.045, 3.5, 4.6, 36, INDIGO, PINE),
)
CYPRESSES = ((0.16, 0.97, 0.60, 0.060), (0.285, 0.98, 0.36, 0.048), (0.88, 0.98, 0.27, 0.038))
"""Axis, foot, height, half width."""


@dataclass(frozen=True)
class Brush:
    """One layer of paint; px of the picture."""

    spacing: float
    half_width: float
    length: float
    cover: float
    """1 covers everything about twice."""


BRUSHES = (
    Brush(42, 21, 172, 1.0),
    Brush(26, 13.5, 114, 1.0),
    Brush(16, 9, 81, 0.9),
    Brush(11, 6, 57, 0.4),
)
JOINTS = 12
"""Pieces of the line that a bristle draws."""


def paint(side: int = SIDE_PX) -> NDArray[np.uint8]:
    """Return the picture, uint8 ``(side, side, 3)``; the composition is the same at any size."""
    random = np.random.default_rng(SEED)
    whole = round(side * FINENESS * (1 + 2 * MARGIN))
    scene, angle = draw_scene(random, whole)
    colors = Image.fromarray(as_bytes(0.5 * scene + 0.5 * np.array(GROUND)))
    ridges = Image.new("L", colors.size, 60)
    for brush in BRUSHES:
        lay(random, brush, scene, angle, colors, ridges)
    lit = light_up(np.asarray(colors, float), np.asarray(ridges, float))
    lit += 2.0 * noise(random, whole, 6 * FINENESS, 2)[..., None]  # the canvas
    cut = (whole - side * FINENESS) // 2
    picture = Image.fromarray(as_bytes(lit)).crop((cut, cut, whole - cut, whole - cut))
    return np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS))


def draw_scene(random: np.random.Generator, whole: int) -> tuple[Field, Field]:
    """Return the colours under the strokes and the direction of the strokes, radians."""
    span = np.linspace(-MARGIN, 1 + MARGIN, whole)
    x, y = np.meshgrid(span, span)
    rough = noise(random, whole, whole / 5, 2)
    scene, angle = draw_sky(random, x, y, rough)
    for ridge, rise, waves, phase, furrows, dark, bright in HILLS:
        line = ridge + rise * (
            np.sin(x * waves + phase) + 0.4 * np.sin(x * waves * 2.3 + 2 * phase)
        )
        slope = (
            rise * waves * (np.cos(x * waves + phase) + 0.92 * np.cos(x * waves * 2.3 + 2 * phase))
        )
        depth = y - line
        earth = mixed(color(dark), color(bright), 0.5 + 0.5 * np.sin(depth * furrows + rough))
        earth = mixed(earth, color(CREAM), 0.55 * np.exp(-((depth / 0.007) ** 2)))  # against light
        inside = depth > 0
        scene = np.where(inside[..., None], earth, scene)
        angle = np.where(inside, np.arctan(slope) + 0.15 * rough, angle)
    for axis, foot, height, half_width in CYPRESSES:
        rise_ = np.clip((foot - y) / height, 0, 1)
        outline = half_width * np.sin(np.pi * rise_**0.55) ** 0.8 * (1.05 - 0.75 * rise_)
        across = (x - axis - 0.010 * np.sin(y * 19 + axis * 30)) / half_width
        flames = np.sin(across * 4 + y * 34)
        inside = np.abs(across) * half_width < outline * (1 + 0.16 * flames)
        inside &= (y < foot) & (y > foot - height)
        tree = mixed(color(NIGHT), color(PINE), smoothstep(-0.4, 1.0, flames))
        tree = mixed(tree, color(GOLD), 0.5 * smoothstep(0.45, 0.95, across))  # where the sun is
        near = np.abs(across) * half_width < outline + 0.006
        near &= (y < foot) & (y > foot - height - 0.01)
        scene = np.where(inside[..., None], tree, scene)
        angle = np.where(near, np.pi / 2 + 0.30 * np.sin(y * 26 + 2 * across), angle)
    return scene, angle


def draw_sky(random: np.random.Generator, x: Field, y: Field, rough: Field) -> tuple[Field, Field]:
    """Return colours and directions of the air and of the sun in it."""
    stops = np.array([-0.06, 0.16, 0.33, 0.46, 0.55, 0.64])
    hues = np.stack([color(name) for name in (INDIGO, BLUE, TURQUOISE, MINT, GOLD, ORANGE)])
    heights = y + 0.04 * noise(random, len(y), len(y) / 4, 3)
    sky = np.stack([np.interp(heights, stops, hues[:, c]) for c in range(3)], -1)
    radius = np.hypot(x - SUN[0], y - SUN[1])
    sky = mixed(sky, color(ORANGE), np.exp(-((radius / 0.17) ** 2)))
    rings = 0.5 + 0.5 * np.cos(radius * 2 * np.pi / 0.075 + 0.6 * rough)
    sky = mixed(sky, color(GOLD), 0.85 * rings * smoothstep(0.30, 0.10, radius))
    sky = mixed(sky, color(CREAM), smoothstep(0.085, 0.06, radius))
    along, down = np.ones_like(x), 0.25 * np.sin(7 * x + 4 * y)
    for number, (left, top, size, turn) in enumerate(EDDIES):
        dx, dy = x - left, y - top
        pull = 3 * turn / size * np.exp(-(dx**2 + dy**2) / (2 * size**2))
        along, down = along - dy * pull, down + dx * pull
        if number == 0:
            continue  # the sun has its colours
        distance = np.hypot(dx, dy) / size
        spiral = 0.5 + 0.5 * np.cos(np.sign(turn) * np.arctan2(dy, dx) + 7 * distance)
        crest = color(CREAM if turn < 0 else MINT)
        sky = mixed(sky, crest, 0.78 * spiral * np.exp(-(distance**2)))
    return sky, np.arctan2(down, along)


def lay(
    random: np.random.Generator,
    brush: Brush,
    scene: Field,
    angle: Field,
    colors: Image.Image,
    ridges: Image.Image,
) -> None:
    """Paint one layer of strokes onto the canvas."""
    whole = len(angle)
    half_width, length = brush.half_width * FINENESS, brush.length * FINENESS
    count = round((whole / (brush.spacing * FINENESS)) ** 2 * 1.7 * brush.cover)
    steps = length / JOINTS * (0.6 + 0.7 * random.random(count))
    path = np.empty((count, JOINTS + 1, 2))
    path[:, 0] = whole * random.random((count, 2))
    for joint in range(JOINTS):
        column, row = np.clip(path[:, joint], 0, whole - 1).astype(int).T
        turn = angle[row, column]
        path[:, joint + 1] = path[:, joint] + steps[:, None] * np.stack(
            [np.cos(turn), np.sin(turn)], -1
        )
    column, row = np.clip(path[:, JOINTS // 2], 0, whole - 1).astype(int).T
    hue = scene[row, column]  # (count, 3)
    hue = hue * (0.74 + 0.50 * random.random((count, 1))) + 50 * (random.random((count, 3)) - 0.5)
    odd = random.random(count) < 0.08  # a touch of the other side of the colour circle
    hue[odd] = 0.4 * hue[odd] + 0.6 * hue[odd][:, ::-1]

    along = np.gradient(path, axis=1)
    along /= np.linalg.norm(along, axis=2, keepdims=True) + 1e-9
    sideways = np.stack([-along[..., 1], along[..., 0]], -1)
    belly = 0.25 + 0.75 * np.sqrt(1 - np.abs(np.linspace(-1, 1, JOINTS + 1)) ** 4)
    bristles = max(4, round(0.6 * brush.half_width))
    offsets = np.linspace(-1, 1, bristles)
    tones = np.clip(hue[:, None] * (0.80 + 0.40 * random.random((count, bristles, 1))), 0, 255)
    heights = random.random((count, bristles))
    widths = np.rint(2 * half_width / bristles * (0.9 + 0.5 * heights)).astype(int)
    levels = (70 + 150 * heights) * (1 - 0.55 * np.abs(offsets) ** 3) + 30
    first = (2.5 * random.random((count, bristles))).astype(int)  # bristles touch and leave
    last = JOINTS + 1 - (4 * random.random((count, bristles))).astype(int)
    draw, draw_ridge = ImageDraw.Draw(colors), ImageDraw.Draw(ridges)
    fills = tones.astype(int)
    for stroke in range(count):
        for bristle in range(bristles):
            joints = slice(first[stroke, bristle], last[stroke, bristle])
            shift = half_width * offsets[bristle] * belly[joints, None] * sideways[stroke, joints]
            line = (path[stroke, joints] + shift).ravel().tolist()
            width = max(1, int(widths[stroke, bristle]))
            draw.line(line, fill=tuple(fills[stroke, bristle].tolist()), width=width)
            draw_ridge.line(line, fill=min(255, int(levels[stroke, bristle])), width=width)


def light_up(colors: Field, ridges: Field) -> Field:
    """Let light fall on the ridges from the upper left; colours 0 to 255."""
    down, right = np.gradient(blurred(ridges, 1.1 * FINENESS))
    light = np.tanh(-0.7 * (down + right) / (14 * FINENESS) * 2)[..., None]
    return colors * (1 + 0.55 * np.minimum(light, 0)) + (255 - colors) * 0.40 * np.maximum(light, 0)


def noise(random: np.random.Generator, whole: int, cell: float, octaves: int) -> Field:
    """Return smooth noise of mean 0 and deviation 1, ``(whole, whole)``.

    Args:
        random: The source of chance.
        whole: Side, px.
        cell: Size of the largest features, px.
        octaves: Layers, each half as large and half as strong as the one before.
    """
    total = np.zeros((whole, whole))
    for octave in range(octaves):
        size = max(2, round(cell / 2**octave))
        cells = whole // size + 3
        grid = Image.fromarray(random.random((cells, cells)).astype(np.float32))
        large = np.asarray(grid.resize((cells * size, cells * size), Image.Resampling.BICUBIC))
        total += large[size : size + whole, size : size + whole] / 2**octave
    result: Field = (total - total.mean()) / total.std()
    return result


def blurred(field: Field, deviation: float) -> Field:
    """Blur ``(H, W)`` with a Gaussian; edges wrap, and lie in the margin."""
    rows, columns = np.fft.fftfreq(field.shape[0])[:, None], np.fft.rfftfreq(field.shape[1])
    kernel = np.exp(-2 * (np.pi * deviation) ** 2 * (rows**2 + columns**2))
    return np.fft.irfft2(np.fft.rfft2(field) * kernel, s=field.shape)


def mixed(one: Field, other: Field, share: Field) -> Field:
    """Return colours between two; ``share`` of the other, ``(H, W)``."""
    return one + (other - one) * share[..., None]


def smoothstep(start: float, end: float, value: Field) -> Field:
    """Return 0 before ``start``, 1 behind ``end`` and a smooth step between."""
    share: Field = np.clip((value - start) / (end - start), 0, 1)
    return share * share * (3 - 2 * share)


def color(name: str) -> Field:
    """Return ``rrggbb`` as three numbers."""
    return np.array([int(name[i : i + 2], 16) for i in (0, 2, 4)], float)


def as_bytes(field: Field) -> NDArray[np.uint8]:
    """Round colours to bytes."""
    return np.clip(np.rint(field), 0, 255).astype(np.uint8)


def write(path: Path) -> None:
    """Write the picture as JPEG, colours at full resolution."""
    Image.fromarray(paint()).save(
        path, "JPEG", quality=QUALITY, subsampling=0, optimize=True, progressive=True
    )


def main() -> None:
    """Write the JPEG where it is embedded."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).parents[1] / "nst" / "assets" / "sundown.jpg"
    parser.add_argument("-o", "--output", type=Path, default=default)
    write(parser.parse_args().output)


if __name__ == "__main__":
    main()

"""Fields that textures are made of: noise, leaves, strokes, cells, bricks, cloth, letters.

Each kind has a seed of its own, so that a texture is the same in every picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Field = NDArray[np.float32]
"""(H, W), any range."""

SIDE = 512
"""Of a field, px."""


def _noise(
    random: np.random.Generator, slope: float, *, stretch: float = 1.0, low: float = 0.0
) -> Field:
    """Gaussian noise whose amplitude falls as ``frequency ** -slope``.

    Args:
        random: Where from.
        slope: 0 is white; 1 that of photographs.
        stretch: How many times longer along the columns than across.
        low: Frequencies below are left out, cycles in the texture.
    """
    rows = np.fft.fftfreq(SIDE)[:, None] * SIDE * stretch
    columns = np.fft.rfftfreq(SIDE)[None, :] * SIDE
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = 1
    amplitude = frequency**-slope * (frequency > low)
    spectrum = np.fft.rfft2(random.standard_normal((SIDE, SIDE)))
    return np.fft.irfft2(spectrum * amplitude, (SIDE, SIDE)).astype(np.float32)


def _unit(field: Field) -> Field:
    return np.asarray((field - field.mean()) / field.std(), np.float32)


def _grain(random: np.random.Generator) -> Field:
    """Wood: stretched noise, and years as a sine of it."""
    years = _unit(_noise(random, 1.6, stretch=8))
    return np.asarray(np.sin(9 * years) + _unit(_noise(random, 0.7, stretch=24)), np.float32)


def _folds(random: np.random.Generator) -> Field:
    """Cloth: soft ridges."""
    ridges = np.abs(_unit(_noise(random, 2.0, stretch=2.5, low=1)))
    return np.asarray(-(ridges**0.7), np.float32)


def _water(random: np.random.Generator) -> Field:
    """Ripples that lie level."""
    ripples = _unit(_noise(random, 1.1, stretch=0.25, low=3))
    return np.asarray(np.abs(ripples) + 0.5 * _unit(_noise(random, 0.8, stretch=0.2)), np.float32)


def _marble(random: np.random.Generator) -> Field:
    """Veins."""
    return np.asarray(-np.log(0.03 + np.abs(_unit(_noise(random, 1.5)))), np.float32)


def _cells(random: np.random.Generator, count: int, *, has_tones: bool) -> Field:
    """Pebbles and scales: distances to the two nearest of random points."""
    points = random.uniform(0, SIDE, (count, 2))
    around = np.concatenate(
        [points + np.array((i, j)) * SIDE for i in (-1, 0, 1) for j in (-1, 0, 1)]
    )
    tones = np.tile(random.standard_normal(count), 9)
    reach = 3 * SIDE / math.sqrt(count)
    near = ((around > -reach) & (around < SIDE + reach)).all(axis=1)
    around, tones = around[near], tones[near]
    first = np.full((SIDE, SIDE), 1e9, np.float32)
    second = first.copy()
    tone = np.zeros((SIDE, SIDE), np.float32)
    for (y, x), value in zip(around, tones, strict=True):
        t, b = max(0, int(y - reach)), min(SIDE, int(y + reach))
        le, r = max(0, int(x - reach)), min(SIDE, int(x + reach))
        if t >= b or le >= r:
            continue
        box = np.s_[t:b, le:r]
        d = np.hypot(np.arange(t, b)[:, None] - y, np.arange(le, r)[None] - x).astype(np.float32)
        is_nearer = d < first[box]
        second[box] = np.minimum(second[box], np.maximum(d, first[box]))
        tone[box] = np.where(is_nearer, np.float32(value), tone[box])
        first[box] = np.minimum(first[box], d)
    edge = np.clip((second - first) / 5, 0, 1)
    round_ = 1 - first * math.sqrt(count) / SIDE
    return np.asarray(1.6 * edge + round_ + (0.6 * tone if has_tones else 0), np.float32)


def _leaves(
    random: np.random.Generator,
    outline: Callable[[np.random.Generator], NDArray[np.float64]],
    *,
    smallest: float,
    largest: float,
    count: int,
) -> Field:
    """Shapes that cover each other, their sizes falling as the cube (Ruderman 1997)."""
    image = Image.fromarray((_unit(_noise(random, 1)) * 20 + 60).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    share = random.uniform(0, 1, count)
    radii = (smallest**-2 + share * (largest**-2 - smallest**-2)) ** -0.5
    for radius in radii if count < 2000 else np.sort(radii)[::-1]:
        tone = float(np.clip(random.normal(128, 55), 0, 255))
        points = outline(random) * radius
        centre = random.uniform(0, SIDE, 2)
        draw.polygon((points + centre).ravel().tolist(), fill=int(tone))
        lit = points * 0.6 - radius * 0.15
        draw.polygon((lit + centre).ravel().tolist(), fill=int(min(255, tone * 1.25)))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)), np.float32)


def _oval(random: np.random.Generator) -> NDArray[np.float64]:
    return _ellipse(random.uniform(0.4, 1), random.uniform(0, math.pi))


def _blade(random: np.random.Generator) -> NDArray[np.float64]:
    return _ellipse(random.uniform(0.2, 0.45), random.uniform(0, math.pi))


def _slab(random: np.random.Generator) -> NDArray[np.float64]:
    h = random.uniform(0.3, 1)
    box = np.array([(-1, -h), (1, -h), (1, h), (-1, h)])
    return _turned(box, random.normal(0, 0.08))


def _shard(random: np.random.Generator) -> NDArray[np.float64]:
    angles = np.sort(random.uniform(0, 2 * math.pi, 5))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _ellipse(ratio: float, angle: float) -> NDArray[np.float64]:
    angles = np.linspace(0, 2 * math.pi, 14, endpoint=False)
    return _turned(np.stack([np.cos(angles), ratio * np.sin(angles)], axis=1), angle)


def _turned(points: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    c, s = math.cos(angle), math.sin(angle)
    return np.asarray(points @ np.array([(c, s), (-s, c)]), np.float64)


def _strokes(
    random: np.random.Generator, *, count: int, length: float, spread: float, width: int
) -> Field:
    """Grass and fur: lines along one direction that bends slowly."""
    image = Image.new("L", (SIDE, SIDE), 60)
    draw = ImageDraw.Draw(image)
    bend = _unit(_noise(random, 2))
    for x, y in random.uniform(-20, SIDE + 20, (count, 2)):
        turn = spread * float(bend[int(y) % SIDE, int(x) % SIDE]) + random.normal(0, spread / 2)
        reach = length * random.uniform(0.5, 1.5)
        end = (x + reach * math.sin(turn), y - reach * math.cos(turn))
        tone = int(np.clip(random.normal(128, 60), 0, 255))
        draw.line([(x, y), end], fill=tone, width=int(random.integers(1, width + 1)))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(0.6)), np.float32)


def _bricks(random: np.random.Generator, *, rows: int, columns: int, shift: float) -> Field:
    """Bricks and tiles: joints, tones of their own, a rough face."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE
    row = np.floor(y * rows).astype(int)
    along = x * columns + shift * (row % 2)
    column = np.floor(along).astype(int)
    tones = random.standard_normal((rows, columns + 2))[row, column]
    down, right = y * rows - row, along - column
    down, right = np.minimum(down, 1 - down) / rows, np.minimum(right, 1 - right) / columns
    joint = (np.minimum(down, right) * SIDE < 2.5).astype(np.float32)
    sign = random.choice([-1, 1])
    field = 0.6 * tones + 3 * sign * joint + 0.4 * _unit(_noise(random, 0.8))
    return _soft(field.astype(np.float32), 0.8)


def _soft(field: Field, radius: float) -> Field:
    low, high = float(field.min()), float(field.max())
    image = Image.fromarray(((field - low) / (high - low) * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32)


def _stripes(random: np.random.Generator, *, count: int, is_crossed: bool) -> Field:
    """Stripes or a plaid, bent a little as cloth is."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE
    x = x + 0.02 * _unit(_noise(random, 2))
    tones = random.standard_normal(count * 2 + 8).astype(np.float32)
    tones[::2] += 0.8
    field = tones[np.floor((x % 1.0) * count * 2).astype(int)]
    if is_crossed:
        y = y + 0.02 * _unit(_noise(random, 2))
        field = field + tones[np.floor((y % 1.0) * count * 2).astype(int)]
    return _soft(field + 0.15 * _noise(random, 0), 0.7)


def _weave(random: np.random.Generator) -> Field:
    """Threads over and under."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) * (2 * math.pi / SIDE)
    over = np.sin(48 * x) * np.sin(48 * y)
    return np.asarray(over + 0.8 * _unit(_noise(random, 0.8)), np.float32)


def _letters(random: np.random.Generator) -> Field:
    """Lines of marks like letters."""
    image = Image.new("L", (SIDE, SIDE), 220)
    draw = ImageDraw.Draw(image)
    y = 6.0
    while y < SIDE:
        height = random.choice([9, 9, 12, 26])
        x = random.uniform(4, 60)
        while x < SIDE - 20:
            for _ in range(int(random.integers(2, 8))):
                w = height * random.uniform(0.4, 0.7)
                for _ in range(int(random.integers(2, 4))):
                    a, b = random.integers(0, 3, (2, 2)) / 2
                    line = [(x + a[0] * w, y + a[1] * height), (x + b[0] * w, y + b[1] * height)]
                    draw.line(line, fill=30, width=max(1, int(height / 8)))
                x += w * 1.4
            x += height * 0.6
        y += height * random.uniform(1.4, 2)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(0.5)), np.float32)


def _windows(random: np.random.Generator, *, rows: int, columns: int) -> Field:
    """A front with windows, some lit, with frames."""
    image = Image.fromarray((_unit(_noise(random, 1)) * 8 + 150).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    h, w = SIDE / rows, SIDE / columns
    inset_y, inset_x = random.uniform(0.12, 0.3, 2)
    for row in range(rows):
        for column in range(columns):
            box = (
                (column + inset_x) * w,
                (row + inset_y) * h,
                (column + 1 - inset_x) * w,
                (row + 1 - inset_y) * h,
            )
            draw.rectangle(box, fill=int(random.choice([25, 40, 60, 60, 110, 235])))
            draw.rectangle(box, outline=210, width=2)
            draw.line([((column + 0.5) * w, box[1]), ((column + 0.5) * w, box[3])], 200, 2)
        draw.line([(0, row * h), (SIDE, row * h)], fill=int(random.choice([90, 150, 190])), width=3)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(0.6)), np.float32)


def _spots(random: np.random.Generator, *, count: int, radius: float) -> Field:
    """Lights out of focus, blossoms, dots."""
    image = Image.fromarray((_unit(_noise(random, 1.4)) * 15 + 60).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for x, y in random.uniform(0, SIDE, (count, 2)):
        r = radius * random.lognormal(0, 0.4)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=int(random.uniform(110, 255)))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(1)), np.float32)


def _mixed(random: np.random.Generator, parts: Sequence[Field]) -> Field:
    """Some parts, each where a slow noise is highest."""
    slow = np.stack([_noise(random, 1.8) for _ in parts]).argmax(axis=0)
    return np.asarray(np.choose(slow, [_unit(part) for part in parts]), np.float32)


KINDS: dict[str, Callable[[np.random.Generator], Field]] = {
    "clouds": lambda r: _noise(r, 1.9),
    "haze": lambda r: _noise(r, 1.5),
    "plaster": lambda r: _noise(r, 1.1),
    "stone": lambda r: _noise(r, 0.8, low=3),
    "sand": lambda r: _noise(r, 0.45, low=6),
    "speckle": lambda r: np.maximum(_unit(_noise(r, 0.6, low=10)), 0.3),
    "grain": _grain,
    "brushed": lambda r: _noise(r, 0.7, stretch=12, low=2),
    "bark": lambda r: np.abs(_unit(_noise(r, 0.9, stretch=4, low=3))),
    "folds": _folds,
    "water": _water,
    "marble": _marble,
    "pebbles": lambda r: _cells(r, 700, has_tones=True),
    "cobbles": lambda r: _cells(r, 130, has_tones=True),
    "scales": lambda r: _cells(r, 1800, has_tones=False),
    "foliage": lambda r: _leaves(r, _blade, smallest=3, largest=26, count=6000),
    "bush": lambda r: _leaves(r, _blade, smallest=5, largest=40, count=2500),
    "heap": lambda r: _leaves(r, _oval, smallest=4, largest=70, count=1900),
    "crumbs": lambda r: _leaves(r, _oval, smallest=2, largest=16, count=5000),
    "city": lambda r: _leaves(r, _slab, smallest=4, largest=80, count=1900),
    "shards": lambda r: _leaves(r, _shard, smallest=4, largest=70, count=1900),
    "grass": lambda r: _strokes(r, count=10000, length=26, spread=0.25, width=2),
    "fur": lambda r: _strokes(r, count=11000, length=18, spread=0.9, width=1),
    "hair": lambda r: _strokes(r, count=9000, length=90, spread=0.15, width=1),
    "straw": lambda r: _strokes(r, count=5000, length=50, spread=1.6, width=3),
    "bricks": lambda r: _bricks(r, rows=22, columns=9, shift=0.5),
    "tiles": lambda r: _bricks(r, rows=10, columns=10, shift=0),
    "mosaic": lambda r: _bricks(r, rows=36, columns=36, shift=0),
    "planks": lambda r: _bricks(r, rows=12, columns=2, shift=0.37) + 12 * _unit(_grain(r).T),
    "stripes": lambda r: _stripes(r, count=14, is_crossed=False),
    "ribs": lambda r: _stripes(r, count=40, is_crossed=False),
    "plaid": lambda r: _stripes(r, count=12, is_crossed=True),
    "weave": _weave,
    "letters": _letters,
    "windows": lambda r: _windows(r, rows=10, columns=12),
    "offices": lambda r: _windows(r, rows=18, columns=8),
    "bokeh": lambda r: _spots(r, count=160, radius=14),
    "dots": lambda r: _spots(r, count=900, radius=4),
    "meadow": lambda r: _mixed(
        r, [_strokes(r, count=10000, length=14, spread=0.3, width=2), _noise(r, 0.8)]
    ),
    "thicket": lambda r: _mixed(
        r,
        [
            _leaves(r, _blade, smallest=2, largest=14, count=5000),
            _leaves(r, _blade, smallest=6, largest=40, count=3000),
            _noise(r, 1),
        ],
    ),
}
"""How each texture is made."""

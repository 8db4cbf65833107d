"""Outlines for procedural photographs: polygons around the origin with a radius of about 1.

x to the right, y down; a silhouette is a list of polygons ``(N, 2)`` that are filled together.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float64]
"""(N, 2) x and y."""


def turned(points: Polygon, angle: float) -> Polygon:
    """Turn around the origin."""
    c, s = math.cos(angle), math.sin(angle)
    result: Polygon = points @ np.array([(c, s), (-s, c)])
    return result


def moved(points: Polygon, x: float, y: float) -> Polygon:
    """Shift to the right and down."""
    result: Polygon = points + np.array((x, y))
    return result


def ellipse(ratio: float = 1.0, count: int = 40) -> Polygon:
    """Width 2, height twice ``ratio``."""
    angles = np.linspace(0, 2 * math.pi, count, endpoint=False)
    return np.stack([np.cos(angles), ratio * np.sin(angles)], axis=1)


def box(ratio: float, corner: float = 0.0) -> Polygon:
    """Width 2, height twice ``ratio``; corners cut off round by a share of the shorter side."""
    r = corner * min(1.0, ratio)
    if r <= 0:
        return np.array([(-1, -ratio), (1, -ratio), (1, ratio), (-1, ratio)], float)
    quarter = np.linspace(0, math.pi / 2, 6)
    arc = np.stack([np.cos(quarter), np.sin(quarter)], axis=1) * r
    corners = [(1 - r, ratio - r), (r - 1, ratio - r), (r - 1, r - ratio), (1 - r, r - ratio)]
    return np.concatenate([turned(arc, n * math.pi / 2) + c for n, c in enumerate(corners)])


def blob(random: np.random.Generator, rough: float, count: int = 72) -> Polygon:
    """A closed curve whose radius wanders.

    Args:
        random: Where from.
        rough: How slowly its harmonics fall: 0.6 a bush, 2.5 a pebble.
        count: Points.
    """
    harmonics = np.arange(1, min(30, count // 3))
    size = random.standard_normal(len(harmonics)) * harmonics**-rough * random.uniform(0.15, 0.4)
    phase = random.uniform(0, 2 * math.pi, len(harmonics))
    angles = np.linspace(0, 2 * math.pi, count, endpoint=False)
    radius = 1 + (size * np.cos(angles[:, None] * harmonics + phase)).sum(axis=1)
    radius = np.clip(radius, 0.25, 1.8)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.asarray(circle * radius[:, None])


def shard(random: np.random.Generator) -> Polygon:
    """A polygon of three to seven corners."""
    angles = np.sort(random.uniform(0, 2 * math.pi, int(random.integers(3, 8))))
    radius = random.uniform(0.6, 1.1, (len(angles), 1))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius


def limb(points: Polygon, start: float, end: float) -> Polygon:
    """A line with a width.

    Args:
        points: The line, ``(N, 2)``.
        start: Width where it begins.
        end: Width where it ends.
    """
    along = np.gradient(points, axis=0)
    along /= np.maximum(np.hypot(along[:, :1], along[:, 1:]), 1e-9)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    half = np.linspace(start, end, len(points))[:, None] / 2
    return np.concatenate([points + across * half, (points - across * half)[::-1]])


def arc(start: Polygon, end: Polygon, sag: float, count: int = 12) -> Polygon:
    """A bent line between two points; ``sag`` as a share of its length, ``(count, 2)``."""
    t = np.linspace(0, 1, count)[:, None]
    way = end - start
    return np.asarray(start + way * t + np.array([-way[1], way[0]]) * (4 * sag * t * (1 - t)))


def any_shape(random: np.random.Generator) -> Polygon:
    """One of the plain shapes, turned."""
    kind = random.random()
    angle = random.uniform(0, 2 * math.pi)
    if kind < 0.3:
        return turned(ellipse(random.uniform(0.3, 1)), angle)
    if kind < 0.5:
        turn = random.normal(0, 0.12) if random.random() < 0.7 else angle
        return turned(box(random.uniform(0.15, 1), random.choice([0, 0, 0.15, 0.5])), turn)
    if kind < 0.8:
        points = blob(random, random.uniform(0.9, 2.5))
        return turned(points * (1, random.uniform(0.4, 1)), angle)
    return shard(random)

"""The parts of a plot in SVG: ticks, lines and words. Torch-free."""

from __future__ import annotations

import math
from html import escape

LINE_PX = 13
"""From one label to the next."""


def ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten between two numbers."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return [tick for tick in found if low <= tick <= high]


def apart(ends: list[tuple[float, str, str]], lowest: float) -> list[tuple[float, str, str]]:
    """Move labels apart that would cover each other.

    Args:
        ends: Height in px from above, class and words of each.
        lowest: Where the lowest one may stand.

    Returns:
        The same in order from above.
    """
    placed: list[tuple[float, str, str]] = []
    for at, kind, label in sorted(ends):
        placed.append((max(at, placed[-1][0] + LINE_PX) if placed else at, kind, label))
    below = max(0.0, placed[-1][0] - lowest)
    return [(at - below, kind, label) for at, kind, label in placed]


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    """Return a line of a class of the page."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(x: float, y: float, text: str, anchor: str) -> str:
    """Return words at a place; ``anchor``: start, middle or end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'

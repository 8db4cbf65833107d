"""A plot of the slow method's curves as SVG, in the colours of the page. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 440, 260
LEFT, RIGHT, TOP, BOTTOM = 46, 116, 14, 34


def curve_plot(name: str, curves: Mapping[str, Sequence[float]], found: Mapping[str, Any]) -> str:
    """Return J over evaluations, both axes logarithmic, with the J of a painting as a line.

    Args:
        name: Of the photograph.
        curves: J after 1, 2, ... evaluations, by what they begin with.
        found: The figures of the photograph: ``total``, and ``slow`` with ``k`` by start.
    """
    total = float(found["total"])
    values = [total, *(value for totals in curves.values() for value in totals)]
    values = [value for value in values if value > 0]
    low, high = min(values) / 1.15, max(values) * 1.15
    most = max(len(totals) for totals in curves.values())

    def x(evaluation: float) -> float:
        share = math.log(evaluation) / math.log(max(most, 2))
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        share = math.log(max(value, low) / low) / math.log(high / low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [f"<figcaption>{escape(name)}</figcaption>"]
    parts.append(f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role=img aria-label="{_words(found)}">')
    for tick in (t for t in _ticks(1, most) if t <= most):
        parts.append(_line("grid", x(tick), TOP, x(tick), HEIGHT - BOTTOM))
        parts.append(_text(x(tick), HEIGHT - BOTTOM + 15, f"{tick:g}", "middle"))
    for tick in _ticks(low, high):
        parts.append(_line("grid", LEFT, y(tick), WIDTH - RIGHT, y(tick)))
        parts.append(_text(LEFT - 6, y(tick) + 4, f"{tick:g}", "end"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(_text(middle, HEIGHT - 4, "evaluations", "middle"))
    parts.append(_text(6, TOP + 2, "J", "start"))
    ends: list[tuple[float, str, str]] = [(y(total), "model", f"painting {total:.3g}")]
    parts.append(_line("model", LEFT, y(total), WIDTH - RIGHT, y(total)))
    for start, totals in curves.items():
        points = " ".join(f"{x(n):.1f},{y(value):.1f}" for n, value in enumerate(totals, 1))
        parts.append(f'<polyline class="curve {start}" points="{points}"/>')
        ends.append((y(totals[-1]), start, f"{start} {totals[-1]:.3g}"))
        if (k := found["slow"][start]["k"]) is not None:
            parts.append(f'<circle class={start} cx="{x(k):.1f}" cy="{y(total):.1f}" r="3.5"/>')
    parts += [
        f'<text class={kind} x="{WIDTH - RIGHT + 6}" y="{at + 4:.1f}">{escape(label)}</text>'
        for at, kind, label in _apart(ends)
    ]
    return f"<figure class=plot>{''.join(parts)}</svg></figure>"


def _words(found: Mapping[str, Any]) -> str:
    reached = [
        f"{start} k {each['k']:.1f}" if each["k"] else f"{start} not reached"
        for start, each in found["slow"].items()
    ]
    return f"J {found['total']:.3f}; {'; '.join(reached)}"


def _ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten between two numbers."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return [tick for tick in found if low <= tick <= high]


def _apart(ends: list[tuple[float, str, str]], least: float = 13) -> list[tuple[float, str, str]]:
    """Return labels in order from above, none nearer than ``least`` to the one before it."""
    placed: list[tuple[float, str, str]] = []
    for at, kind, label in sorted(ends):
        placed.append((max(at, placed[-1][0] + least) if placed else at, kind, label))
    below = max(0.0, placed[-1][0] - (HEIGHT - BOTTOM))
    return [(at - below, kind, label) for at, kind, label in placed]


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class={kind} x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor={anchor}>{escape(text)}</text>'

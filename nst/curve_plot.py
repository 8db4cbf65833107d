"""A plot of the slow method's curves as SVG, in the colours of the page. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from nst.svg import apart, line, text, ticks

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
    for tick in (t for t in ticks(1, most) if t <= most):
        parts.append(line("grid", x(tick), TOP, x(tick), HEIGHT - BOTTOM))
        parts.append(text(x(tick), HEIGHT - BOTTOM + 15, f"{tick:g}", "middle"))
    for tick in ticks(low, high):
        parts.append(line("grid", LEFT, y(tick), WIDTH - RIGHT, y(tick)))
        parts.append(text(LEFT - 6, y(tick) + 4, f"{tick:g}", "end"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(text(middle, HEIGHT - 4, "evaluations", "middle"))
    parts.append(text(6, TOP + 2, "J", "start"))
    ends: list[tuple[float, str, str]] = [(y(total), "model", f"painting {total:.3g}")]
    parts.append(line("model", LEFT, y(total), WIDTH - RIGHT, y(total)))
    for start, totals in curves.items():
        points = " ".join(f"{x(n):.1f},{y(value):.1f}" for n, value in enumerate(totals, 1))
        parts.append(f'<polyline class="curve {start}" points="{points}"/>')
        ends.append((y(totals[-1]), start, f"{start} {totals[-1]:.3g}"))
        if (k := found["slow"][start]["k"]) is not None:
            parts.append(f'<circle class={start} cx="{x(k):.1f}" cy="{y(total):.1f}" r="3.5"/>')
    parts += [
        f'<text class={kind} x="{WIDTH - RIGHT + 6}" y="{at + 4:.1f}">{escape(label)}</text>'
        for at, kind, label in apart(ends, HEIGHT - BOTTOM)
    ]
    return f"<figure class=plot>{''.join(parts)}</svg></figure>"


def _words(found: Mapping[str, Any]) -> str:
    reached = [
        f"{start} k {each['k']:.1f}" if each["k"] else f"{start} not reached"
        for start, each in found["slow"].items()
    ]
    return f"J {found['total']:.3f}; {'; '.join(reached)}"

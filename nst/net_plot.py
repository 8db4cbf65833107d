"""A plot of networks: J against the time of a picture, and the lattice below it. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from nst.svg import line, text, ticks

WIDTH, UPPER, LOWER = 860, 420, 190
LEFT, RIGHT, TOP, GAP, BOTTOM = 56, 24, 16, 34, 40
LINE = 17
"""From one name of a network to the next, px."""

STYLE = """
svg { font: 12px system-ui, sans-serif; background: #fff }
text { fill: #333 } .title { font-weight: 600 }
.grid { stroke: #ddd } .one { stroke: #999; stroke-dasharray: 4 3 }
.johnson { fill: #888 } .swift { fill: #1f6feb }
.leader { stroke: #bbb }
"""


def net_plot(rows: Sequence[Mapping[str, Any]], *, loss: str) -> str:
    """Return an SVG file.

    Args:
        rows: ``net``, ``ms``, ``mean_total`` and ``grid``, for each network; numbered in order.
        loss: What the J is of, in words.
    """
    height = TOP + UPPER + GAP + LOWER + BOTTOM + LINE * math.ceil(len(rows) / 2)
    times = [row["ms"] for row in rows]
    low, high = min(times) / 1.15, max(times) * 1.15

    def x(ms: float) -> float:
        return LEFT + math.log(ms / low) / math.log(high / low) * (WIDTH - LEFT - RIGHT)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">',
        f"<style>{STYLE}</style>",
    ]
    panels = (
        (TOP, UPPER, "mean_total", loss),
        (TOP + UPPER + GAP, LOWER, "grid", "lattice in flat areas, 1: like the style image"),
    )
    for top, tall, key, title in panels:
        shown = [(n, row) for n, row in enumerate(rows, 1) if row[key] is not None]
        values = [row[key] for _, row in shown]
        if not values:
            continue
        least, most = min(values) / 1.08, max(values) * 1.08

        def y(
            value: float,
            top: float = top,
            tall: float = tall,
            least: float = least,
            most: float = most,
        ) -> float:
            return top + tall * (1 - math.log(value / least) / math.log(most / least))

        for tick in ticks(low, high):
            parts.append(line("grid", x(tick), top, x(tick), top + tall))
            parts.append(text(x(tick), top + tall + 15, f"{tick:g} ms", "middle"))
        for tick in _fine_ticks(least, most):
            parts.append(line("grid", LEFT, y(tick), WIDTH - RIGHT, y(tick)))
            parts.append(text(LEFT - 6, y(tick) + 4, f"{tick:g}", "end"))
        parts.append(f'<text class="title" x="{LEFT + 6}" y="{top + 14}">{escape(title)}</text>')
        for number, row in shown:
            kind = row["net"].partition(":")[0]
            at_x, at_y = x(row["ms"]), y(row[key])
            parts.append(f'<circle class="{kind}" cx="{at_x:.1f}" cy="{at_y:.1f}" r="4.5"/>')
            parts.append(text(at_x + 7, at_y - 5, str(number), "start"))
    first = TOP + UPPER + GAP + LOWER + BOTTOM
    half = math.ceil(len(rows) / 2)
    for number, row in enumerate(rows, 1):
        column, place = divmod(number - 1, half)
        at = LEFT + column * (WIDTH - LEFT) / 2
        parts.append(text(at, first + place * LINE, f"{number}  {row['net']}", "start"))
    return "".join(parts) + "</svg>\n"


def _fine_ticks(low: float, high: float) -> list[float]:
    """Return ticks of which a range of less than a factor of ten has several."""
    if high / low > 8:
        return ticks(low, high)
    step = 10 ** math.floor(math.log10(high - low))
    step = step if (high - low) / step >= 4 else step / 2 if (high - low) / step >= 2 else step / 5
    count = math.floor(high / step) - math.ceil(low / step) + 1
    return [round((math.ceil(low / step) + n) * step, 10) for n in range(count)]

"""A plot of networks: J against the time of a picture, and the lattice below it. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from nst.svg import line, text, ticks

WIDTH, UPPER, LOWER = 860, 420, 190
LEFT, RIGHT, TOP, GAP, BOTTOM = 56, 24, 26, 52, 40
LINE = 17
"""From one name of a network to the next, px."""

STYLE = """
svg { font: 12px system-ui, sans-serif; background: #fff }
text { fill: #333 } .title { font-weight: 600 }
.grid { stroke: #ddd }
.johnson { fill: #888 } .swift { fill: #1f6feb }
"""


def net_plot(rows: Sequence[Mapping[str, Any]], *, loss: str) -> str:
    """Return an SVG file.

    Args:
        rows: ``net``, ``ms``, ``mean_total`` and ``grid``, for each network; numbered in order.
        loss: What the J is of, in words.
    """
    names_at = TOP + UPPER + GAP + LOWER + BOTTOM
    in_column = math.ceil(len(rows) / 2)
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg"'
        f' viewBox="0 0 {WIDTH} {names_at + LINE * in_column}">',
        f"<style>{STYLE}</style>",
        *_panel(rows, "mean_total", loss, TOP, UPPER),
    ]
    if any(row["grid"] is not None for row in rows):
        title = "lattice in flat areas, 1: like the style image"
        parts += _panel(rows, "grid", title, TOP + UPPER + GAP, LOWER)
    for number, row in enumerate(rows, 1):
        column, place = divmod(number - 1, in_column)
        at = LEFT + column * (WIDTH - LEFT) / 2
        parts.append(text(at, names_at + place * LINE, f"{number}  {row['net']}", "start"))
    return "".join(parts) + "</svg>\n"


def _panel(
    rows: Sequence[Mapping[str, Any]], key: str, title: str, top: float, tall: float
) -> list[str]:
    """Draw one figure of all networks against their time, both on logarithmic axes.

    Args:
        rows: As ``net_plot`` has them; those without the figure are left out.
        key: Of the figure.
        title: Above the panel.
        top: Where it begins, px.
        tall: Its height, px.
    """
    low, high = min(row["ms"] for row in rows) / 1.15, max(row["ms"] for row in rows) * 1.15
    values = [row[key] for row in rows if row[key] is not None]
    least, most = min(values) / 1.08, max(values) * 1.08

    def x(ms: float) -> float:
        return LEFT + math.log(ms / low) / math.log(high / low) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return top + tall * (1 - math.log(value / least) / math.log(most / least))

    parts = [f'<text class="title" x="{LEFT}" y="{top - 8}">{escape(title)}</text>']
    for tick in ticks(low, high):
        parts.append(line("grid", x(tick), top, x(tick), top + tall))
        parts.append(text(x(tick), top + tall + 15, f"{tick:g} ms", "middle"))
    for tick in _fine_ticks(least, most):
        parts.append(line("grid", LEFT, y(tick), WIDTH - RIGHT, y(tick)))
        parts.append(text(LEFT - 6, y(tick) + 4, f"{tick:g}", "end"))
    for number, row in enumerate(rows, 1):
        if row[key] is None:
            continue
        kind = row["net"].partition(":")[0]
        at_x, at_y = x(row["ms"]), y(row[key])
        parts.append(f'<circle class="{kind}" cx="{at_x:.1f}" cy="{at_y:.1f}" r="4.5"/>')
        parts.append(text(at_x + 7, at_y - 5, str(number), "start"))
    return parts


def _fine_ticks(low: float, high: float) -> list[float]:
    """Return ticks of which a range of less than a factor of ten has several."""
    if high / low > 8:
        return ticks(low, high)
    step = 10 ** math.floor(math.log10(high - low))
    step = step if (high - low) / step >= 4 else step / 2 if (high - low) / step >= 2 else step / 5
    count = math.floor(high / step) - math.ceil(low / step) + 1
    return [round((math.ceil(low / step) + n) * step, 10) for n in range(count)]

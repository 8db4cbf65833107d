"""The card of a model: what was measured on it, as ``card.json`` and as a page. Torch-free.

The page is one file that asks for nothing outside itself. Pictures stand in it once; the blind
comparison takes them from there.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nst.curve_plot import curve_plot
from nst.files import atomic_write
from nst.samples import ASSETS

SCHEMA = 1
"""Version of ``card.json``."""
MOST_PICTURES = 16
"""More photographs than this are not shown on the page; the figures are those of all."""
WEBP_QUALITY = 88

_SIDES = ("left", "right", "top", "bottom")
_NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """What the page shows of one photograph; uint8 ``(H, W, 3)``, all of one size."""

    photograph: NDArray[np.uint8]
    painted: NDArray[np.uint8]
    slow: NDArray[np.uint8] | None = None
    """Of the slow method."""
    against: NDArray[np.uint8] | None = None
    """Of the second model or folder."""


def write_card(folder: Path, card: Mapping[str, Any], pictures: Mapping[str, Pictures]) -> None:
    """Write ``card.json`` and ``card.html``; what stood there before is replaced.

    Args:
        folder: Where; made when missing.
        card: Plain values, as ``nst.commands.evaluate`` puts them together.
        pictures: By the names that ``card["photographs"]`` has.

    Raises:
        OutputError: A file cannot be written.
    """
    with atomic_write(folder / "card.json") as file:
        file.write((json.dumps(card, indent=1, allow_nan=False) + "\n").encode())
    with atomic_write(folder / "card.html") as file:
        file.write(page(card, pictures).encode())


def headline(card: Mapping[str, Any]) -> str:
    """Return the sentence that says how near the slow method a model comes, or that nobody knows.

    ``as good as 34 steps of the slow method from the photograph (41 from noise), in 0.03 s instead
    of 12``.
    """
    slow, speed = card["mean"]["slow"], card["speed"]
    if slow is None:
        return "not compared with the slow method"
    first, second = slow["photograph"], slow["noise"]
    words = {name: steps(each["k"], each["evaluations"]) for name, each in slow.items()}
    text = (
        f"as good as {words['photograph']} steps of the slow method from the photograph"
        f" ({words['noise']} from noise)"
    )
    if speed is not None:
        fast = seconds(speed["ms"][card["speed"]["judged"]] / 1000)
        reached = first["k"] or first["evaluations"]
        than = "" if first["k"] else "more than "
        text += f", in {fast} instead of {than}{seconds(reached * first['seconds_each'])}"
    if first["k"] == 1 and second["k"] == 1:
        return "not better than what the slow method begins with"
    return text


def steps(k: float | None, evaluations: int) -> str:
    """Return a number of evaluations as people write it; ``> 500`` where it was not reached."""
    return f"> {evaluations}" if k is None else f"{k:.0f}" if k >= 10 else f"{k:.1f}"


def seconds(value: float) -> str:
    """Return seconds with two figures, or whole ones."""
    return f"{value:.0f} s" if value >= 10 else f"{value:.2g} s"


def rows(card: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the figures of all photographs together: name, value, what it means."""
    mean, speed, slow = card["mean"], card["speed"], card["mean"]["slow"]
    found = [
        ("J", f"{mean['total']:.3f}", f"4.5 S + C; 0 is perfect, {card['count']} photographs"),
        ("S", f"{mean['style']:.4f}", f"style missed; unstyled {mean['unstyled']:.3f}"),
        ("C", f"{mean['content']:.3f}", "content lost"),
    ]
    if slow is None:
        found.append(("k, excess", _NOT_MEASURED, "the slow method was left out"))
    else:
        for start, each in slow.items():
            evaluations, few = each["evaluations"], _photographs(each["photographs"])
            found += [
                (
                    f"k from {start}",
                    steps(each["k"], evaluations),
                    f"steps of the slow method to be as good; median, {few}",
                ),
                (
                    f"excess, {start}",
                    f"{each['excess']:.2f}",
                    f"J over the slow method's after {evaluations} evaluations",
                ),
            ]
    color, texture, steady = mean["color"], mean["texture"], mean["steadiness"]
    found += [
        ("colour drift", f"{color['of_places']:.1f}", "CIELAB, from the photograph's places"),
        (
            "palette",
            f"{color['from_style']:.1f}",
            f"CIELAB, from the style image's; unstyled {color['unstyled']:.1f}",
        ),
    ]
    if texture is None:
        found.append(("grid, dots", _NOT_MEASURED, "no photograph is flat anywhere"))
    else:
        lattices = ", ".join(f"{p} px {texture[f'grid_{p}']:.1f}" for p in (2, 4, 8))
        found += [
            ("grid", f"{texture['grid']:.2f}", f"peaks over the style image's own; {lattices}"),
            ("dots", f"{texture['dots']:.2f}", f"the same anywhere; {texture['windows']} windows"),
        ]
    parts = ", ".join(f"{side} {mean['edges'][side]:.1f}" for side in _SIDES)
    found.append(
        (
            "edges",
            f"{roughest_edge(mean):.2f}",
            f"the roughest over the middle; {parts}; unstyled {mean['edges']['unstyled']:.1f}",
        )
    )
    if steady is None:
        found.append(("steadiness", _NOT_MEASURED, "pictures alone do not move"))
    else:
        parts = ", ".join(f"{name} {steady[name]:.1f}" for name in ("shift", "zoom", "rotation"))
        found.append(
            (
                "warping error",
                f"{steady['mean']:.1f}",
                f"grey levels; {parts}; floors: photograph {steady['floor']:.1f},"
                f" painting {steady['painted_floor']:.1f}",
            )
        )
    if speed is None:
        found.append(("speed", _NOT_MEASURED, "there is no model"))
    else:
        found += [
            (f"ms at {size}", f"{ms:.1f}", f"median, {speed['provider']}")
            for size, ms in speed["ms"].items()
        ]
        subject = card["subject"]
        found.append(("size", f"{subject['bytes']:,}", f"bytes; {subject['parameters']:,} numbers"))
    return found


def roughest_edge(mean: Mapping[str, Any]) -> float:
    """Return the greatest of the figures that a card has for edges."""
    return max(float(mean["edges"][side]) for side in _SIDES)


def page(card: Mapping[str, Any], pictures: Mapping[str, Pictures]) -> str:
    """Return the card as one HTML file.

    Args:
        card: What ``card.json`` holds.
        pictures: By the names of the photographs; ``MOST_PICTURES`` of them are shown.
    """
    shown = dict(list(pictures.items())[:MOST_PICTURES])
    subject, style = card["subject"], card["style"]
    title, sentence = escape(subject["name"]), headline(card)
    network = card["loss_network"]["network"]
    parts = [
        f"<h1>{title}</h1>",
        f"<p class=lead>{escape(sentence[0].upper() + sentence[1:])}.</p>",
        f"<p>In the style of {escape(style['name'])}; {card['count']} photographs at"
        f" {card['settings']['photo_size']} px, judged by {escape(network)}.</p>",
        "<h2>Figures</h2>",
        _table(rows(card)),
        _plots(card),
        "<h2>Side by side</h2>",
        *(_figure(number, name, card, shown[name]) for number, name in enumerate(shown)),
    ]
    if len(pictures) > len(shown):
        parts.append(f"<p>The first {len(shown)} of {len(pictures)} photographs.</p>")
    parts += [_blind(card, shown), "<h2>Settings and provenance</h2>", _provenance(card)]
    css, script = (_asset(name) for name in ("card.css", "card.js"))
    return (
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
        '<meta name=viewport content="width=device-width, initial-scale=1">\n'
        '<meta name=color-scheme content="light dark">\n'
        f"<title>{title}: card</title>\n<style>\n{css}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + f"\n</main>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _table(lines: list[tuple[str, str, str]]) -> str:
    cells = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td><td>{escape(note)}</td></tr>"
        for name, value, note in lines
    )
    return f"<table class=figures>{cells}</table>"


def _plots(card: Mapping[str, Any]) -> str:
    plots = [
        curve_plot(name, {start: each["totals"] for start, each in found["slow"].items()}, found)
        for name, found in card["photographs"].items()
        if found["slow"]
    ]
    if not plots:
        return ""
    return (
        "<h2>The slow method</h2><p>J after every evaluation, and the painting's J as a line"
        f" across.</p><div class=plots>{''.join(plots)}</div>"
    )


def _figure(number: int, name: str, card: Mapping[str, Any], pictures: Pictures) -> str:
    found = card["photographs"][name]
    label = f"J {found['total']:.3f}, S {found['style']:.4f}, C {found['content']:.3f}"
    slow = found["slow"]["photograph"] if found["slow"] else None
    captions = {
        "photograph": "photograph",
        "painted": f"{card['subject']['name']}: {label}",
        "slow": "" if slow is None else f"slow method, {slow['painted_after']} evaluations",
        "against": "" if card["against"] is None else card["against"]["name"],
    }
    shown = [
        f"<figure><img id=p{number}-{kind} src={_data_uri(rgb)} width={rgb.shape[1]}"
        f' height={rgb.shape[0]} alt="{escape(captions[kind])}">'
        f"<figcaption>{escape(captions[kind])}</figcaption></figure>"
        for kind in captions
        if (rgb := getattr(pictures, kind)) is not None
    ]
    return f"<section class=row><h3>{escape(name)}</h3><div>{''.join(shown)}</div></section>"


def _blind(card: Mapping[str, Any], shown: Mapping[str, Pictures]) -> str:
    """Return the blind comparison: painting against slow method or second subject, or nothing."""
    pairs = [
        {"number": number, "photograph": name, "other": kind}
        for number, (name, pictures) in enumerate(shown.items())
        for kind in ("against", "slow")
        if getattr(pictures, kind) is not None
    ]
    if not pairs:
        return ""
    names = {"painted": card["subject"]["name"], "slow": "the slow method"}
    if card["against"] is not None:
        names["against"] = card["against"]["name"]
    data = {"pairs": pairs, "names": names, "subject_sha256": card["subject"]["sha256"]}
    # A name could close the element: "<" is written as JSON can.
    text = json.dumps(data).replace("<", "\\u003c")
    return (
        "<h2>Blind comparison</h2><p>Two paintings of one photograph, in an order drawn anew each"
        " time. Which is better? Click it, or press 1 or 2; 0 says alike. What was what is shown"
        " in the end.</p><div id=blind></div>"
        f'<script type="application/json" id=pairs>{text}</script>'
    )


def _provenance(card: Mapping[str, Any]) -> str:
    left_out = {"mean", "photographs", "slow"}
    return "".join(
        f"<details{' open' if name == 'settings' else ''}><summary>{escape(name)}</summary>"
        f"<pre>{escape(_plain(value))}</pre></details>"
        for name, value in card.items()
        if isinstance(value, Mapping) and name not in left_out
    ) + "".join(
        f"<p>{escape(name)}: {escape(str(value))}</p>"
        for name, value in card.items()
        if isinstance(value, str | int)
    )


def _plain(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)


def _photographs(count: int) -> str:
    return "1 photograph" if count == 1 else f"{count} photographs"


def _data_uri(rgb: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "WEBP", quality=WEBP_QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _asset(name: str) -> str:
    return (ASSETS / name).read_text("utf-8")

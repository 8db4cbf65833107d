"""Make the pictures of docs/gallery: every style of a model on photographs that may be published.

    python docs/gallery.py gallery-swift --styles PAINTINGS --cards CARDS -o docs/gallery/swift.jpg

A row for each photograph: itself, then its paintings; above them the style images, where a folder
of them is given, by the names that the styles have. Without --photos the three embedded ones.
With --cards the table of the page is printed: CARDS/STYLE/card.json are cards of nst evaluate.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sheet import Cell, Pixels, middle, sheet

from infer.model_file import read_model
from infer.stylizer import Stylizer
from nst.card import roughest_edge
from nst.image import find_images, load_image, save_image
from nst.registry import chosen
from nst.samples import photographs
from nst.terminal import border, result
from train.run import style_name_of


def main() -> None:
    """Paint every photograph in every style and lay them out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="A file, or a name of `nst models list`.")
    parser.add_argument("--styles", type=Path, help="Folder of the style images.")
    parser.add_argument("--photos", type=Path, nargs="*", default=photographs())
    parser.add_argument("--cards", type=Path, help="Folder of the cards, one for each style.")
    parser.add_argument("--cell", type=int, default=240, help="Side of a picture on the sheet, px.")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    model = read_model(chosen(asked.model))
    styles = model.info.styles
    is_choice = model.info.controls != "none"
    paints = [Stylizer(model, style=style if is_choice else None) for style in styles]
    photos = [load_image(photo).rgb for photo in asked.photos]
    rows: list[list[Pixels | None]] = [[p, *(paint(p).rgb for paint in paints)] for p in photos]
    if asked.styles is not None:
        files = _by_style(asked.styles)
        rows.insert(0, [None, *(load_image(files[s]).rgb if s in files else None for s in styles)])
    words = ["the photograph", *styles]
    cells: list[Cell] = []
    for row in rows:
        squares = [None if rgb is None else middle(rgb) for rgb in row]
        cells += zip(squares, words if row is rows[-1] else [""] * len(row), strict=True)
    laid = sheet(cells, columns=len(words), height=asked.cell, width=asked.cell)
    save_image(asked.output, laid, overwrite=True, quality=82)
    result(f"{asked.output}: {len(photos)} photographs in {len(styles)} styles")
    if asked.cards is not None:
        result("\n".join(_table(asked.cards, styles)))


def _table(cards: Path, styles: Sequence[str]) -> list[str]:
    """Return lines of Markdown: the means of every card, and what it has of the slow method."""
    lines = [
        "| style | J | S | C | unsteadiness | grid | edges | k, photograph | k, noise | excess |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for style in styles:
        mean = json.loads((cards / style / "card.json").read_bytes())["mean"]
        texture, slow = mean["texture"], mean["slow"] or {}
        grid = "" if texture is None else f"{texture['grid']:.1f}"
        figures = [f"{mean[term]:.3f}" for term in ("total", "style", "content")]
        figures += [f"{mean['steadiness']['mean']:.1f}", grid, f"{roughest_edge(mean):.1f}"]
        figures += [_k(slow.get(start)) for start in ("photograph", "noise")]
        figures += [f"{slow['noise']['excess']:.2f}" if slow else ""]
        lines.append(f"| {style} | {' | '.join(figures)} |")
    return lines


def _k(slow: dict[str, Any] | None) -> str:
    if slow is None:
        return ""
    return f"> {slow['evaluations']}" if slow["k"] is None else f"{slow['k']:.1f}"


def _by_style(folder: Path) -> dict[str, Path]:
    return {style_name_of(file): file for file in find_images(folder)}


if __name__ == "__main__":
    with border():
        main()

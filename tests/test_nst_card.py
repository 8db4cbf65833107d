"""The card: one page that asks for nothing outside itself. Truth: parsers of HTML and JSON."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from nst.card import MOST_PICTURES, Pictures, headline, page, rows, steps, write_card
from nst.curve_plot import curve_plot

VOID = ("meta", "img", "br")
NASTY = "a<b>\"&'</script>.png"
"""A file may be called so."""


class Page(HTMLParser):
    """Every element with its attributes, the text, and whether all is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif "style" not in self.open:
            self.text += data

    def attributes(self, tag: str, name: str) -> list[str]:
        return [str(a[name]) for t, a in self.elements if t == tag and name in a]


def score(total: float) -> dict[str, Any]:
    return {"total": total, "style": 0.1, "content": 0.4, "unstyled": 0.9}


def distance(k: float | None) -> dict[str, Any]:
    return {
        "k": k,
        "excess": 2.5,
        "evaluations": 4,
        "painted_after": 4,
        "seconds": 2.0,
        "seconds_each": 0.5,
        "photographs": 1,
        "device": "an abacus",
        "totals": [4.0, 2.0, 1.0, 0.5],
    }


@pytest.fixture
def card() -> dict[str, Any]:
    """Two photographs, the first compared with the slow method; a nasty name."""
    figures: dict[str, Any] = {
        **score(0.85),
        "color": {"of_places": 20.0, "from_style": 5.0, "unstyled": 17.0},
        "texture": {
            **{"grid": 1.5, "grid_2": 1.1, "grid_4": 1.5, "grid_8": 1.2},
            **{"dots": 0.9, "windows": 7},
        },
        "steadiness": {
            **{"shift": 3.0, "zoom": 4.0, "rotation": 5.0, "mean": 4.0},
            **{"floor": 1.0, "painted_floor": 2.0},
        },
        "edges": {"left": 0.4, "right": 6.28, "top": 0.2, "bottom": 0.5, "unstyled": 0.5},
        "slow": {"photograph": distance(3.3), "noise": distance(None)},
    }
    return {
        "schema": 1,
        "made_with": "nst 0",
        "subject": {
            **{"kind": "model", "name": NASTY, "sha256": "1" * 64},
            **{"bytes": 1720161, "parameters": 424105},
        },
        "against": None,
        "style": {"name": "starry.jpg"},
        "settings": {"evaluations": 4, "photo_size": 48},
        "loss_network": {"network": "compact"},
        "count": 2,
        "mean": figures,
        "speed": {"provider": "CPU", "judged": "48x32", "ms": {"48x32": 12.3, "640x360": 98.7}},
        "photographs": {NASTY: figures, "two.png": {**figures, "slow": None}},
    }


@pytest.fixture
def pictures() -> dict[str, Pictures]:
    rows, columns = np.mgrid[:32, :48]
    ramp = np.stack([5 * columns, 7 * rows, 200 - 4 * columns], axis=-1).astype(np.uint8)
    made = [ramp, 255 - ramp, ramp[::-1]]
    return {NASTY: Pictures(*made), "two.png": Pictures(made[1], made[2])}


def test_a_page_asks_for_nothing_outside(
    card: dict[str, Any], pictures: dict[str, Pictures]
) -> None:
    """By its parser: sources are data, nothing is linked, no address stands anywhere."""
    text = page(card, pictures)
    found = Page(text)
    assert found.open == []
    assert "In the style of starry.jpg; 2 photographs at 48 px, judged by compact." in text
    sources = found.attributes("img", "src")
    assert len(sources) == 5
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"link", "iframe", "base", "object"}
    assert not [name for _, attributes in found.elements for name in attributes if name == "href"]
    assert not re.search(r"(?:https?:)?//[a-z]", re.sub(r"base64,[\w+/=]+", "", text))
    assert "@import" not in text
    assert "url(" not in text


def test_pictures_stand_in_it_once_and_whole(
    card: dict[str, Any], pictures: dict[str, Pictures]
) -> None:
    """By Pillow: close to what was put in; ids are those that the blind comparison asks for."""
    found = Page(page(card, pictures))
    ids = found.attributes("img", "id")
    assert ids == ["p0-photograph", "p0-painted", "p0-slow", "p1-photograph", "p1-painted"]
    data = base64.b64decode(found.attributes("img", "src")[0].partition(",")[2])
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert shown.shape == (32, 48, 3)
    assert np.abs(shown.astype(int) - pictures[NASTY].photograph).mean() < 4


def test_names_cannot_leave_their_place(
    card: dict[str, Any], pictures: dict[str, Pictures]
) -> None:
    """By its parser: what is between the tags is the name as it is, in text and in JSON."""
    found = Page(page(card, pictures))
    assert found.text.count(NASTY) >= 3
    data = json.loads(found.scripts[0])
    assert data["pairs"] == [{"number": 0, "photograph": NASTY, "other": "slow"}]
    assert data["names"] == {"painted": NASTY, "slow": "the slow method"}
    assert len(found.scripts) == 2


def test_two_subjects_are_compared_on_every_photograph(
    card: dict[str, Any], pictures: dict[str, Pictures]
) -> None:
    card["against"] = {"name": "other.onnx", "mean": score(1.0)}
    both = {
        name: Pictures(p.photograph, p.painted, p.slow, p.painted) for name, p in pictures.items()
    }
    data = json.loads(Page(page(card, both)).scripts[0])
    assert [pair["other"] for pair in data["pairs"]] == ["against", "slow", "against"]
    assert data["names"]["against"] == "other.onnx"


def test_without_a_rival_there_is_no_blind_comparison(
    card: dict[str, Any], pictures: dict[str, Pictures]
) -> None:
    alone = {name: Pictures(p.photograph, p.painted) for name, p in pictures.items()}
    found = Page(page(card, alone))
    assert "Blind comparison" not in found.text
    assert len(found.scripts) == 1


def test_more_pictures_than_a_page_shows(card: dict[str, Any]) -> None:
    flat = np.zeros((8, 8, 3), np.uint8)
    names = [f"{n}.png" for n in range(MOST_PICTURES + 3)]
    card["photographs"] = dict.fromkeys(names, card["photographs"]["two.png"])
    found = Page(page(card, {name: Pictures(flat, flat) for name in names}))
    assert len(found.attributes("img", "src")) == 2 * MOST_PICTURES
    assert f"The first {MOST_PICTURES} of {len(names)} photographs." in found.text


def test_the_headline_by_hand(card: dict[str, Any]) -> None:
    """3.3 steps of half a second are 1.65 s, which has two figures; 12.3 ms are 0.012 s."""
    expected = "as good as 3.3 steps of the slow method from the photograph (> 4 from noise)"
    assert headline(card) == f"{expected}, in 0.012 s instead of 1.6 s"
    slow = card["mean"]["slow"]
    slow["photograph"]["k"], slow["noise"]["k"] = None, 34.4
    assert headline(card).startswith("as good as > 4 steps of the slow method from the photograph")
    assert headline(card).endswith("(34 from noise), in 0.012 s instead of more than 2 s")
    slow["photograph"]["k"] = slow["noise"]["k"] = 1.0
    assert headline(card) == "not better than what the slow method begins with"
    card["mean"]["slow"] = None
    assert headline(card) == "not compared with the slow method"


def test_what_was_not_measured_says_so(card: dict[str, Any]) -> None:
    values = {name: value for name, value, _ in rows(card)}
    assert values["J"] == "0.850"
    assert values["k from noise"] == "> 4"
    assert values["edges"] == "6.28"  # the roughest
    assert "not measured" not in values.values()
    card["speed"] = card["mean"]["slow"] = card["mean"]["steadiness"] = None
    card["mean"]["texture"] = None
    values = {name: value for name, value, _ in rows(card)}
    missing = {name for name, value in values.items() if value == "not measured"}
    assert missing == {"k, excess", "grid, dots", "steadiness", "speed"}


@pytest.mark.parametrize(
    ("k", "expected"), [(None, "> 500"), (3.14, "3.1"), (9.96, "10.0"), (34.4, "34")]
)
def test_steps_in_words(k: float | None, expected: str) -> None:
    assert steps(k, 500) == expected


def test_files_are_written_and_replaced(
    card: dict[str, Any], pictures: dict[str, Pictures], tmp_path: Path
) -> None:
    for count in (2, 3):
        card["count"] = count
        write_card(tmp_path / "card", card, pictures)
        found = json.loads((tmp_path / "card" / "card.json").read_text())
        assert found == card
    html = (tmp_path / "card" / "card.html").read_text()
    assert "3 photographs" in html
    assert sorted(p.name for p in (tmp_path / "card").iterdir()) == ["card.html", "card.json"]


def test_the_plot_by_its_parser(card: dict[str, Any]) -> None:
    """Attributes of our SVG go without quotes where HTML allows it: they are added first."""
    found = card["photographs"][NASTY]
    curves = {"photograph": [4.0, 2.0, 1.0, 0.5], "noise": [9.0, 3.0, 1.0, 0.9]}
    text = curve_plot("<x>", curves, found)
    tree = ElementTree.fromstring(re.sub(r"=([\w-]+)(?=[ >/])", r'="\1"', text))
    lines = tree.findall(".//polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [4, 4]
    heights = [float(p.split(",")[1]) for p in lines[0].attrib["points"].split()]
    assert heights == sorted(heights)  # down the page
    (across,) = (e for e in tree.findall(".//line") if e.attrib["class"] == "model")
    assert across.attrib["y1"] == across.attrib["y2"]
    assert heights[2] < float(across.attrib["y1"]) < heights[3]  # J 0.85 is between 1 and 0.5
    (dot,) = tree.findall(".//circle")  # noise does not come down to it
    assert dot.attrib["cy"] == across.attrib["y1"]
    caption = tree.find("figcaption")
    assert caption is not None
    assert caption.text == "<x>"


def test_a_plot_of_one_evaluation_is_a_plot() -> None:
    found = {"total": 1.0, "slow": {"noise": {"k": None}}}
    assert "<polyline" in curve_plot("a", {"noise": [2.0]}, found)

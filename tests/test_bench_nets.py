"""The search among networks: all are trained, judged, timed, drawn. No time is asserted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from nst.commands.net_search import CANDIDATES
from nst.dimensions import dimensions_named
from nst.net_plot import net_plot

NETS = ("swift:width=8,blocks=1,noise=0", "swift:width=4,blocks=1,noise=0")


def test_networks_are_trained_judged_and_timed_once(
    photo_folder: Path,
    style_file: Path,
    vgg_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    exit_code: Callable[..., int],
    one_thread: None,
    few_sizes: None,
) -> None:
    """By invariant: J is 4.5 S + C; a second call trains nothing and finds the same."""
    arguments: list[str | Path] = [
        "bench", "nets", style_file, "--data", photo_folder, "--photos", photo_folder,
        "--vgg", vgg_file, "--steps", "1", "--loss-network", "vgg19", "--device", "cpu",
        "--out", tmp_path / "out",
    ]  # fmt: skip
    both = [word for net in NETS for word in ("--net", net)]
    assert not exit_code(*arguments, "--net", NETS[0])
    capsys.readouterr()
    assert not exit_code(*arguments, *both, "--json")
    record = json.loads(capsys.readouterr().out)
    rows = {row["net"]: row for row in record["rows"]}
    assert set(rows) == {dimensions_named(net).name for net in NETS}
    for row in rows.values():
        assert row["ms"] > 0
        assert row["minutes"] > 0
        assert row["images_per_s"] > 0
        total = 4.5 * row["style"][style_file.stem] + row["content"][style_file.stem]
        assert row["total"][style_file.stem] == pytest.approx(total, rel=1e-4)
    assert len(json.loads((tmp_path / "out" / "nets.json").read_text())["outcomes"]) == 2
    other = tmp_path / "other.png"
    other.write_bytes(style_file.read_bytes())
    two = [*arguments[:2], other, *arguments[2:]]  # a style joins
    assert not exit_code(*two, *both, "--json")
    rows = {row["net"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert all(set(row["total"]) == {style_file.stem, "other"} for row in rows.values())
    assert len(json.loads((tmp_path / "out" / "nets.json").read_text())["outcomes"]) == 4
    drawn = ElementTree.parse(tmp_path / "out" / "nets.svg").getroot()
    assert drawn.tag.endswith("svg")
    assert exit_code(*arguments[:-2], "--seed", "1", "--out", tmp_path / "out", *both) == 2
    assert "other settings" in capsys.readouterr().err


def test_every_candidate_is_a_network() -> None:
    """By invariant: there and back; none is there twice."""
    names = [dimensions_named(net).name for net in CANDIDATES]
    assert len(set(names)) == len(CANDIDATES)


def test_the_plot_by_hand() -> None:
    """Each network once in both panels, and once by its name; a lattice that is not known, not."""
    rows = [
        {"net": "swift:width=32", "ms": 20.0, "mean_total": 0.6, "grid": 1.2},
        {"net": "johnson:width=32", "ms": 260.0, "mean_total": 0.7, "grid": None},
    ]
    root = ElementTree.fromstring(net_plot(rows, loss="J & more"))
    circles = [e for e in root.iter() if e.tag.endswith("circle")]
    assert [circle.get("class") for circle in circles] == ["swift", "johnson", "swift"]
    assert float(circles[0].get("cx", 0)) < float(circles[1].get("cx", 0))
    assert float(circles[0].get("cy", 0)) > float(circles[1].get("cy", 0))  # the lower J is lower
    words = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert "J & more" in words
    assert "2  johnson:width=32" in words

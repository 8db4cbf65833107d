"""The race of the slow method against plain L-BFGS: what is told. No time is asserted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nst.commands.slow_speed import SlowFigures, ratio

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def arguments(photo_folder: Path, style_file: Path, vgg_file: Path) -> list[str | Path]:
    photo = sorted(photo_folder.iterdir())[0]
    return [
        "bench", "optimize", photo, style_file, "--size", "48", "--evaluations", "20",
        "--vgg", vgg_file, "--device", "cpu",
    ]  # fmt: skip


def test_ours_comes_to_the_same_objective(
    arguments: list[str | Path],
    capsys: pytest.CaptureFixture[str],
    exit_code: Callable[..., int],
) -> None:
    """By invariant: where a time is told, J is as low as that of plain L-BFGS."""
    assert not exit_code(*arguments, "--json")
    record = json.loads(capsys.readouterr().out)
    (pair,) = record["pairs"]
    assert pair["plain_s"] > 0
    assert pair["own_evaluations"] <= 30
    assert (pair["own_s"] is None) == (pair["own_total"] > pair["total"])
    assert (record["ratio"] is None) == (pair["own_s"] is None)
    assert not exit_code(*arguments)
    assert pair["photograph"] in capsys.readouterr().out


def test_a_style_image_that_is_missing_is_told(
    arguments: list[str | Path],
    capsys: pytest.CaptureFixture[str],
    exit_code: Callable[..., int],
) -> None:
    """By contract: one line, exit code 2."""
    del arguments[3]
    assert exit_code(*arguments) == 2
    assert "a style image for each photograph" in capsys.readouterr().err


def test_the_mean_share_by_hand() -> None:
    def pair(own_s: float | None) -> SlowFigures:
        return SlowFigures("a.jpg", "b.jpg", "48x32", 10.0, 0.5, own_s, 20, 0.5)

    assert ratio([pair(2.0), pair(8.0)]) == pytest.approx(0.4)
    assert ratio([pair(2.0), pair(None)]) is None

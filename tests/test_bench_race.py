"""The race against the plain loop: equal time, one judge. No time is asserted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nst.image import load_image


def test_both_sides_train_and_are_judged(
    photo_folder: Path,
    style_file: Path,
    vgg_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    exit_code: Callable[..., int],
    one_thread: None,
) -> None:
    """By invariant: both were given the time that they took at least, and the very same judges,
    whose own style error is the same for both."""
    code = exit_code(
        "bench", "race", style_file, "--data", photo_folder, "--photos", photo_folder,
        "--vgg", vgg_file, "--minutes", "0.05", "--width", "8", "--size", "64", "--device", "cpu",
        "--out", tmp_path / "race", "--json",
    )  # fmt: skip
    assert not code
    record = json.loads(capsys.readouterr().out)
    plain, ours = record["rows"]
    assert [plain["side"], ours["side"]] == ["plain loop", "nst"]
    assert plain["seconds"] >= 3
    assert plain["score"]["unstyled"] == ours["score"]["unstyled"]
    for row in (plain, ours):
        assert row["photographs"] > 0
        score = row["score"]
        assert score["total"] == pytest.approx(4.5 * score["style"] + score["content"], rel=1e-5)
    for name in ("plain-loop.jpg", "nst.jpg"):
        assert load_image(tmp_path / "race" / name).rgb.shape[1] == 3 * 384 + 2 * 4


def test_no_photographs_are_one_line(
    photo_folder: Path,
    style_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    exit_code: Callable[..., int],
) -> None:
    assert exit_code("bench", "race", style_file, "--data", photo_folder, "--photos", tmp_path) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"nst: --photos {tmp_path}: no photographs in it"
    ]

"""The loss networks beside each other: what is measured and printed. No time is asserted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nst.cli import main

pytestmark = pytest.mark.usefixtures("one_thread")
FLAGS = ("--size", "64", "--width", "8", "--batch", "1", "--repetitions", "1", "--device", "cpu")


def bench(capsys: pytest.CaptureFixture[str], *flags: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["bench", "loss", *FLAGS, *map(str, flags)])
    streams = capsys.readouterr()
    return int(caught.value.code or 0), streams.out, streams.err


def test_every_network_is_measured(vgg_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = bench(capsys, "--vgg", vgg_file, "--precision", "float32", "--json")
    assert not code, err
    figures = json.loads(out)
    assert [row["network"] for row in figures["rows"]] == ["VGG-19", "compact", vgg_file.name]
    for row in figures["rows"]:
        assert row["loss_s"] > 0
        assert row["step_s"] > 0
    assert figures["setting"] == {"size": 64, "batch": 1, "width": 8, "precision": "float32"}


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """By hand: the first one is the measure."""
    code, out, err = bench(capsys)
    assert not code, err
    first, second = out.splitlines()[-2:]
    assert first.split()[0] == "VGG-19"
    assert first.count("1.00x") == 2
    assert second.split()[0] == "compact"
    assert second.count("x") == 2


def test_a_file_that_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = bench(capsys, "--vgg", "missing.safetensors")
    assert (code, out) == (1, "")
    assert "missing.safetensors" in err.splitlines()[-1]

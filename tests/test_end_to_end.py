"""The whole way: photographs and a style image in, a painted picture out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image

import export.cli
import export.parity
from nst.cli import main
from nst.contract import ModelInfo
from nst.files import sha256_of
from nst.image import load_image
from nst.samples import STYLE, photographs

pytestmark = pytest.mark.usefixtures("one_thread")


def nst(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[list[str], str]:
    """Run a command in this process, which must end well; lines of stdout, and stderr."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    streams = capsys.readouterr()
    assert not caught.value.code, streams.err
    return streams.out.splitlines(), streams.err


def test_from_photographs_to_a_painted_picture(
    style_file: Path,
    photo_folder: Path,
    vgg_file: Path,
    photo: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By hand: names, sizes, what the model tells about its training; resuming changes nothing."""
    # The large sizes take most of the time here, and the tests of the export see them.
    monkeypatch.setattr(export.parity, "CASES", export.parity.CASES[:3])
    small = ["--width", "8", "--size", "64", "--batch", "1", "--style-size", "64", "--steps", "4"]
    inputs: list[str | Path] = ["--data", photo_folder, "--vgg", vgg_file, "--device", "cpu"]
    runs = tmp_path / "runs"
    out, _ = nst(capsys, "train", style_file, *inputs, *small, "--runs", runs)
    folder, model = runs / "starry-night-1", runs / "starry-night-1" / "starry-night.onnx"
    assert out == [str(folder), str(model)]
    metadata = {entry.key: entry.value for entry in onnx.load(model).metadata_props}
    info = ModelInfo.from_metadata(metadata, source="the model")
    assert info.styles == ("starry-night",)
    assert info.style_sha256 == (sha256_of(style_file),)
    assert info.width == 8
    assert info.training["step"] == 4
    assert str(tmp_path) not in model.read_bytes().decode("latin-1")

    picture = tmp_path / "photo.png"
    Image.fromarray(photo[:45, :51]).save(picture)
    painted = tmp_path / "painted.png"
    nst(capsys, "stylize", model, picture, "-o", painted)
    assert load_image(painted).rgb.shape == (45, 51, 3)

    judged = ("--style", style_file, "--photos", tmp_path, "--vgg", vgg_file)
    quick = ("--photo-size", "64", "--evaluations", "4")
    out, _ = nst(capsys, "evaluate", model, *judged, *quick)
    assert out[0].startswith("J ")
    assert {"card.json", "card.html"} <= {file.name for file in folder.iterdir()}

    # A finished run that is resumed is exported once more, over the model that stands there.
    exports = []
    monkeypatch.setattr(export.cli, "export_run", lambda *a, **k: exports.append((a, k)))
    out, err = nst(capsys, "train", "--resume", folder)
    assert "nothing is left to train" in err
    assert out == [str(folder)]
    options = {"style": None, "controls": None, "precision": "float32", "overwrite": True}
    assert exports == [((folder, None), options)]


def test_what_is_embedded_is_enough_to_learn_a_style(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By measure: trunk, compact network and procedural pictures; S falls under a photograph's own.

    Nothing comes from outside the repository.
    """
    monkeypatch.setattr(export.parity, "CASES", export.parity.CASES[:3])
    monkeypatch.setenv("NST_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NST_VGG19", raising=False)
    small = ("--steps", "30", "--batch", "1", "--size", "96", "--style-size", "128")
    places = ("--runs", tmp_path, "--device", "cpu")
    embedded = ("--data", "synthetic:8", "--loss-network", "compact")
    (folder, model), said = nst(capsys, "train", STYLE, *embedded, *small, *places)
    assert "start: the embedded trunk" in said
    assert "compact embedded" in said
    quick = ("--photo-size", "128", "--style-size", "128", "--slow-photos", "0", "--json")
    judge = ("--style", STYLE, "--loss-network", "compact", "--card", tmp_path / "card")
    out, _ = nst(capsys, "evaluate", model, *judge, *quick)
    mean = json.loads("\n".join(out))["mean"]
    assert mean["style"] < 0.5 * mean["unstyled"]
    assert mean["content"] < 1.0
    painted = tmp_path / "cat.png"
    nst(capsys, "stylize", model, photographs()[2], "-o", painted)
    assert load_image(painted).rgb.shape == load_image(photographs()[2]).rgb.shape
    assert Path(folder, "log.jsonl").is_file()

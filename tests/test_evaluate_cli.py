"""The command `nst evaluate`, with a model made by hand that paints the negative."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from nst.cli import main
from nst.config import ObjectiveConfig
from nst.image import load_image
from nst.judge import fit_photograph, judge
from nst.losses import PerceptualLoss
from nst.tensors import load_style
from nst.weights import load_weights

Evaluate = Callable[..., tuple[int, str, str]]


@pytest.fixture
def photos(photo: NDArray[np.uint8], tmp_path: Path) -> Path:
    """Two photographs of the same name in two folders."""
    folder = tmp_path / "photos"
    for name, picture in (("a", photo), ("b", photo[::-1])):
        (folder / name).mkdir(parents=True)
        Image.fromarray(picture).save(folder / name / "one.png")
    return folder


@pytest.fixture
def evaluate(
    invert_model: Path, style_file: Path, vgg_file: Path, capsys: pytest.CaptureFixture[str]
) -> Evaluate:
    """Run the command in this process; exit code, stdout, stderr."""

    def run(photos: Path, *arguments: str) -> tuple[int, str, str]:
        fixed = [invert_model, "--style", style_file, "--photos", photos, "--vgg", vgg_file]
        with pytest.raises(SystemExit) as caught:
            main(["evaluate", *map(str, fixed), "--provider", "cpu", *arguments])
        streams = capsys.readouterr()
        return int(caught.value.code or 0), streams.out, streams.err

    return run


def test_the_figures_are_those_of_the_judge(
    evaluate: Evaluate, photos: Path, style_file: Path, vgg_file: Path
) -> None:
    """By another way: the negative needs no model; the judge is asked about it directly."""
    style, _ = load_style(style_file, 512)
    criterion = PerceptualLoss.from_config(load_weights(vgg_file), style, ObjectiveConfig())
    files = [photos / name / "one.png" for name in ("a", "b")]
    fitted = [fit_photograph(load_image(file).rgb) for file in files]
    expected = judge(lambda rgb: 255 - rgb, fitted, criterion)
    code, out, err = evaluate(photos, "--json")
    assert code == 0
    assert err.startswith("preset pyramid")
    assert str(vgg_file) in err.splitlines()[0]
    record = json.loads(out)
    assert list(record["photographs"]) == ["a/one.png", "b/one.png"]
    for score, found in zip(expected, record["photographs"].values(), strict=True):
        assert found["total"] == pytest.approx(score.total, rel=1e-4)
        assert found["content"] == pytest.approx(score.content, rel=1e-4)
    assert record["mean"]["style"] == pytest.approx(np.mean([s.style for s in expected]), rel=1e-4)
    code, out, _ = evaluate(photos)
    assert code == 0
    assert out.startswith(f"J {record['mean']['total']:.3f}  S ")
    assert out.endswith("2 photographs)\n")


def test_what_ran_and_what_was_odd_is_said(
    evaluate: Evaluate,
    invert_model: Path,
    photos: Path,
    photo: NDArray[np.uint8],
    vgg_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By hand: a colour profile that is none, in a photograph and in the style image."""
    odd = photos / "b" / "one.png"
    Image.fromarray(photo).save(odd, icc_profile=b"no profile")
    arguments = ["evaluate", invert_model, "--style", odd, "--photos", photos, "--vgg", vgg_file]
    with pytest.raises(SystemExit) as caught:
        main([*map(str, arguments), "--provider", "cpu", "--device", "cpu"])
    assert caught.value.code in (None, 0)
    lines = capsys.readouterr().err.splitlines()
    assert lines.count(f"{odd}: its colour profile is damaged and is ignored") == 2
    assert any(line.startswith("judged on device cpu") for line in lines)
    code, out, err = evaluate(photos, "--device", "abacus")
    assert (code, out) == (2, "")
    assert err == "nst: --device must be auto, cpu, cuda, cuda:N or mps, got abacus\n"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_judge_on_cuda_agrees_with_the_cpu(evaluate: Evaluate, photos: Path) -> None:
    """By another device: float32 on both."""
    found = [
        json.loads(evaluate(photos, "--json", "--device", device)[1])["mean"]
        for device in ("cpu", "cuda")
    ]
    assert found[1] == pytest.approx(found[0], rel=1e-4)


def test_errors_are_one_line_and_name_the_file(
    evaluate: Evaluate, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    code, out, err = evaluate(tmp_path / "empty")
    assert (code, out) == (1, "")
    assert err == f"nst: --photos {tmp_path / 'empty'}: no photographs in it\n"
    narrow = photos / "narrow.png"
    Image.new("RGB", (500, 5)).save(narrow)
    code, out, err = evaluate(photos)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith(f"nst: {narrow}: a picture is too small")
    shutil.rmtree(photos)
    code, _, err = evaluate(photos)
    assert code == 1
    assert err.count("\n") == 1

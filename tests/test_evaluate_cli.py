"""The command `nst evaluate`, with a model made by hand that paints the negative."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import nst.slow_method
from nst.cli import main
from nst.commands.evaluate import default_folder
from nst.config import ObjectiveConfig
from nst.image import load_image
from nst.judge import fit_photograph, judge
from nst.losses import PerceptualLoss
from nst.samples import photographs
from nst.tensors import load_style
from nst.weights import load_weights

QUICK = ("--provider", "cpu", "--slow-photos", "0")
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
            main(["evaluate", *map(str, fixed), *QUICK, *arguments])
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
    assert out.splitlines()[0].endswith("2 photographs)")


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
        main([*map(str, arguments), *QUICK, "--device", "cpu"])
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
    names = ("total", "style", "content", "unstyled")
    cpu, cuda = (
        json.loads(evaluate(photos, "--json", "--device", device)[1])["mean"]
        for device in ("cpu", "cuda")
    )
    assert [cuda[name] for name in names] == pytest.approx([cpu[name] for name in names], rel=1e-4)


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


@pytest.fixture
def painted(photo: NDArray[np.uint8], tmp_path: Path) -> Path:
    """Negatives of both photographs as PNG, one of them twice as large, with other suffixes."""
    folder = tmp_path / "painted"
    for name, picture in (("a", photo), ("b", photo[::-1])):
        (folder / name).mkdir(parents=True)
        negative = Image.fromarray(255 - picture)
        if name == "b":
            negative = negative.resize((2 * negative.width, 2 * negative.height))
        negative.save(folder / name / "one.webp", lossless=True)
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", *map(str, arguments)])
    streams = capsys.readouterr()
    return int(caught.value.code or 0), streams.out, streams.err


def test_the_whole_card_of_a_model(
    evaluate: Evaluate, invert_model: Path, photos: Path, painted: Path, tmp_path: Path
) -> None:
    """By the file: everything is there, nothing tells where files lie."""
    card = tmp_path / "the card"
    arguments = ["--card", str(card), "--against", str(painted), "--style-size", "64"]
    arguments += ["--photo-size", "64", "--slow-photos", "1", "--evaluations", "9"]
    code, out, err = evaluate(photos, *arguments)
    assert code == 0
    assert out.startswith("J ")
    assert "k from photograph" in out
    assert err.splitlines()[-1] == f"card: {card / 'card.html'}"
    text = (card / "card.json").read_text()
    found = json.loads(text)
    assert found["subject"]["name"] == "invert.onnx"
    assert found["subject"]["sha256"] == hashlib.sha256(invert_model.read_bytes()).hexdigest()
    assert found["subject"]["bytes"] == invert_model.stat().st_size
    assert found["subject"]["parameters"] == 0
    assert found["against"]["name"] == "painted"
    assert found["loss_network"]["name"] == "tiny-vgg19.safetensors"
    assert len(found["loss_network"]["sha256"]) == len(found["style"]["sha256"]) == 64
    assert found["settings"]["evaluations"] == 9
    assert set(found["speed"]["ms"]) == {"64x48", "640x360"}
    slow = found["mean"]["slow"]["noise"]
    assert (slow["photographs"], slow["evaluations"]) == (1, 9)
    assert len(found["photographs"]["a/one.png"]["slow"]["photograph"]["totals"]) == 9
    assert found["photographs"]["b/one.png"]["slow"] is None
    page = (card / "card.html").read_text()
    assert page.count("data:image/webp;base64,") == 7  # 2 photographs with 2 each, 1 slow
    for place in (tmp_path, invert_model.parent, Path.home()):
        assert str(place) not in text
        assert str(place) not in page


def test_curves_are_kept_for_the_next_model(
    evaluate: Evaluate, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = ["--photo-size", "64", "--style-size", "64", "--json"]
    arguments = [*size, "--slow-photos", "2", "--evaluations", "5"]
    first = json.loads(evaluate(photos, *arguments)[1])
    monkeypatch.setattr(nst.slow_method, "paint_against", None)
    again = json.loads(evaluate(photos, *arguments)[1])
    assert again["mean"]["slow"] == first["mean"]["slow"]
    assert evaluate(photos, *size)[0] == 0


def test_a_folder_of_paintings_scores_as_the_model_that_made_them(
    evaluate: Evaluate,
    photos: Path,
    painted: Path,
    style_file: Path,
    vgg_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the other way in; in the photographs' own size, so that nothing is scaled."""
    size = ["--photo-size", "64", "--json"]
    model = json.loads(evaluate(photos, *size)[1])["photographs"]
    fixed: list[str | Path] = ["--style", style_file, "--photos", photos, "--vgg", vgg_file, *QUICK]
    code, out, _ = run(capsys, painted, *fixed, *size)
    assert code == 0
    folder = json.loads(out)
    found = folder["photographs"]
    for name in ("total", "style", "content"):
        assert found["a/one.png"][name] == pytest.approx(model["a/one.png"][name])
    assert found["b/one.png"]["total"] == pytest.approx(model["b/one.png"]["total"], rel=0.2)
    assert folder["mean"]["steadiness"] is folder["speed"] is None
    assert folder["card"] == str(painted.with_name("painted-card") / "card.html")
    code, out, _ = run(capsys, painted, *fixed)
    lines = {line.split("  ")[0]: line for line in out.splitlines()}
    assert "not measured" in lines["steadiness"]
    assert "not measured" in lines["speed"]
    assert "not measured" in lines["k, excess"]
    (painted / "b" / "one.webp").unlink()
    (painted / "b" / "two.webp").write_bytes((painted / "a" / "one.webp").read_bytes())
    (painted / "a" / "one.webp").unlink()
    code, out, err = run(capsys, painted, *fixed)
    assert (code, out) == (1, "")
    where = photos / "a" / "one.png"
    assert err == f"nst: MODEL {painted}: no painting of {where}, a/one.png or the like\n"


def test_paintings_that_cannot_be_those_of_the_photographs(
    photos: Path,
    painted: Path,
    style_file: Path,
    vgg_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fixed: list[str | Path] = ["--style", style_file, "--photos", photos, "--vgg", vgg_file, *QUICK]
    Image.new("RGB", (30, 60)).save(painted / "a" / "one.webp")
    _, _, err = run(capsys, painted, *fixed)
    assert "30x60 px is no painting of" in err.splitlines()[-1]
    Image.new("RGB", (64, 48)).save(painted / "a" / "one.png")
    code, _, err = run(capsys, painted, *fixed)
    assert code == 1
    assert "a/one.png and a/one.webp could both be the painting of" in err
    code, _, err = run(capsys, painted / "none.onnx", *fixed)
    assert (code, err) == (2, f"nst: MODEL {painted / 'none.onnx'}: no such model or folder\n")


def test_where_a_card_stands(tmp_path: Path) -> None:
    """By hand: a run folder takes it in, elsewhere it gets a folder of its own."""
    model = tmp_path / "a.b.onnx"
    assert default_folder(model) == tmp_path / "a.b-card"
    (tmp_path / "paintings").mkdir()
    assert default_folder(tmp_path / "paintings") == tmp_path / "paintings-card"
    (tmp_path / "config.toml").touch()
    assert default_folder(model) == default_folder(tmp_path) == tmp_path


def test_the_embedded_photographs_judge_where_none_are_given(
    invert_model: Path,
    style_file: Path,
    vgg_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fixed = [invert_model, "--style", style_file, "--vgg", vgg_file, "--photo-size", "64"]
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", *map(str, fixed), *QUICK, "--json", "--card", str(tmp_path)])
    streams = capsys.readouterr()
    assert not caught.value.code, streams.err
    assert "no --photos: judged on the embedded ones, astronaut.jpg, " in streams.err
    assert list(json.loads(streams.out)["photographs"]) == [p.name for p in photographs()]

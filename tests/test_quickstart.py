"""The command `nst quickstart`, on a handful of photographs and with the tiny VGG-19."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import typer
from numpy.typing import NDArray
from PIL import Image

import export.cli
import nst.commands.quickstart as command
import train.diary
from nst.cli import COMMANDS, main
from nst.image import load_image
from nst.samples import STYLE, photographs

pytestmark = pytest.mark.usefixtures("one_thread", "few_sizes", "small")


@pytest.fixture
def small(photo_folder: Path, vgg_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve steps of the least network, by the tiny VGG-19."""

    def settings_of(minutes: float, seed: int) -> dict[str, Any]:
        fixed = {"steps": 12, "width": 8, "size": 64, "batch": 1, "style_size": 64}
        return {"net": "swift", "seed": seed, "device": "cpu"} | fixed

    monkeypatch.setenv("NST_VGG19", str(vgg_file))
    monkeypatch.setattr(command, "DATA", (str(photo_folder),))
    monkeypatch.setattr(command, "settings_of", settings_of)
    monkeypatch.setattr(command, "JUDGED_PX", 64)
    monkeypatch.setattr(command, "JUDGED_STYLE_PX", 64)
    monkeypatch.setattr(command, "EVALUATIONS", 3)


def nst(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[Any, str, str]:
    """Run the command in this process; exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as caught:
        main(["quickstart", *map(str, arguments)])
    streams = capsys.readouterr()
    return caught.value.code, streams.out, streams.err


def test_nothing_is_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By hand: what is there at the end, and what was said on the way."""
    code, out, err = nst(capsys, "--output", tmp_path / "first try")
    assert not code, err
    folder = tmp_path / "first try" / "sundown-1"
    names = [f"painted-{path.stem}.jpg" for path in photographs()]
    ready = (*names, "sundown.onnx", "card.html")
    assert out.splitlines() == [str(folder / name) for name in ready]
    card = json.loads((folder / "card.json").read_text())
    assert list(card["photographs"]) == ["astronaut.jpg", "coffee.jpg"]
    assert card["loss_network"]["name"] == "embedded, distilled from VGG-19"
    assert card["mean"]["slow"]["photograph"]["evaluations"] == 3
    for path, name in zip(photographs(), names, strict=True):
        assert load_image(folder / name).rgb.shape == load_image(path).rgb.shape
    first = folder / "preview-000010.jpg"
    assert f"a first look, after 10 steps: {first}" in err
    # Three rows of photograph, style and painting: those of the user, not of the training.
    side = command.SHOWN_PX
    assert load_image(first).rgb.shape == (3 * side + 8, 3 * side + 8, 3)
    assert "parity: " in err
    assert "A first impression: by the compact network on 2 photographs at 64 px" in err
    commands = [line.strip() for line in err.splitlines() if line.startswith("    nst ")]
    assert len(commands) == 3
    for line in commands:
        assert_can_be_typed(line)


def assert_can_be_typed(line: str) -> None:
    """By the program itself: the command parses, and each path in it is there."""
    program, name, *words = shlex.split(line)
    assert program == "nst"
    module = __import__(COMMANDS[name].module, fromlist=["app"])
    parsed = typer.main.get_command(module.app).make_context(name, words)
    assert parsed.params
    for word in words:
        if Path(word).is_absolute():
            assert Path(word).exists(), word


def test_own_pictures_in_a_second_folder(
    tmp_path: Path,
    style_file: Path,
    photo: NDArray[Any],
    invert_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By hand: photographs of one name, one of them transparent; JSON; the number goes up."""

    def export_checkpoint(run: Path, output: None, *, overwrite: bool) -> tuple[Path, None]:
        return Path(shutil.copy(invert_model, run / "starry-night.onnx")), None  # tracing is slow

    monkeypatch.setattr(export.cli, "export_checkpoint", export_checkpoint)
    (tmp_path / "out" / "starry-night-1").mkdir(parents=True)
    files = [tmp_path / "a" / "me.png", tmp_path / "b" / "me.jpg", tmp_path / "c" / "me.png"]
    for file in files:
        file.parent.mkdir()
        Image.fromarray(photo).save(file)
    see_through = Image.fromarray(photo)
    see_through.putalpha(Image.linear_gradient("L").resize(see_through.size))
    see_through.save(files[2])
    code, out, err = nst(capsys, style_file, *files, "-o", tmp_path / "out", "--json")
    assert not code, err
    record = json.loads(out)
    folder = tmp_path / "out" / "starry-night-2"
    assert record["run"] == str(folder)
    assert record["model"] == str(folder / "starry-night.onnx")
    names = ["painted-me.jpg", "painted-2-me.jpg", "painted-me.png"]
    assert record["paintings"] == [str(folder / name) for name in names]
    painted = load_image(folder / "painted-me.png")
    assert painted.alpha is not None
    assert abs(painted.rgb.astype(int) - (255 - load_image(files[2]).rgb)).max() == 0
    assert record["score"]["total"] > 0
    assert record["card"] == str(folder / "card.html")
    card = json.loads((folder / "card.json").read_text())
    assert list(card["photographs"]) == ["1-me.png", "me.jpg"]
    assert record["seconds"] > 0
    assert [shlex.split(line)[1] for line in record["next"]] == ["train", "stylize", "webcam"]
    assert str(style_file) in shlex.split(record["next"][0])


@pytest.mark.parametrize(
    ("style", "photo_name", "expected"),
    [
        ("text.jpg", None, "text.jpg"),
        ("missing.png", None, "missing.png: cannot be read, no such file or folder"),
        (str(STYLE), "missing.jpg", "missing.jpg: cannot be read, no such file or folder"),
        (str(STYLE), "text.jpg", "text.jpg"),
    ],
)
def test_a_picture_that_is_none(
    style: str,
    photo_name: str | None,
    expected: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    photos = [] if photo_name is None else [tmp_path / photo_name]
    code, out, err = nst(capsys, tmp_path / style, *photos, "--output", tmp_path / "out")
    assert (code, out) == (1, "")
    assert err.startswith("nst: ")
    assert err.count("\n") == 1
    assert expected in err
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    code, out, err = nst(capsys, "--output", tmp_path / "file")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].endswith(
        "cannot be written, a file stands where a folder is needed"
    )
    assert str(tmp_path / "file") in err


def test_a_stop_saves_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By hand: Ctrl-C at the first preview ends behind that step."""
    save = train.diary.Diary.picture

    def press(diary: train.diary.Diary) -> None:
        save(diary)
        if diary.learner.step == 10:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(train.diary.Diary, "picture", press)
    code, out, err = nst(capsys, "--output", tmp_path)
    assert (code, out) == (130, "")
    last = err.splitlines()[-1]
    folder = tmp_path / "sundown-1"
    assert last == f"nst: stopped at step 11, saved; go on with: nst train --resume {folder}"
    assert (folder / "last.safetensors").is_file()

"""``nst models``, and the commands that take a model by its name. Truths: by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image

from infer.model_file import read_model
from nst import registry
from nst.commands.evaluate import default_folder
from nst.commands.subject import open_subject
from nst.errors import MediaError, UsageError
from nst.seal import sealed

if TYPE_CHECKING:
    from nst.transformer import TransformerNet

Run = Callable[..., int | str | None]
Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: NDArray[np.uint8]) -> Path:
    """A registry of the test's own, where XDG has it, and a photograph in the current folder."""
    monkeypatch.delenv("NST_DATA", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "xdg"))
    (tmp_path / "embedded").mkdir()
    (tmp_path / "embedded/models.json").write_text('{"models": []}')
    monkeypatch.setattr(registry, "EMBEDDED", tmp_path / "embedded")
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo).save("photo.png")
    return tmp_path


@pytest.fixture
def filled(exit_code: Run, invert_model: Path, mix_model: Path, capsys: Captured) -> None:
    """Two models in the registry."""
    for file, name in ((invert_model, "plain"), (mix_model, "two")):
        assert exit_code("models", "add", file, "--name", name) == 0
    capsys.readouterr()


def pixels(name: str) -> NDArray[np.uint8]:
    with Image.open(name) as image:
        return np.asarray(image)


def test_nothing_there(exit_code: Run, capsys: Captured) -> None:
    assert exit_code("models", "list") == 0
    assert capsys.readouterr() == ("", "no models yet; `nst models add FILE` adds one\n")
    assert exit_code("models", "list", "--json") == 0
    assert capsys.readouterr().out == ""
    assert exit_code("models", "info", "night") == 2
    words = "nst: no model night; there is none yet, `nst models add FILE` adds one\n"
    assert capsys.readouterr() == ("", words)


def test_a_model_is_called_as_its_file(exit_code: Run, mix_model: Path, capsys: Captured) -> None:
    assert exit_code("models", "add", mix_model) == 0
    out, err = capsys.readouterr()
    assert out == "two-styles\n"
    assert err.startswith(f"{mix_model}: swift 8, 2 styles, kept in ")
    entry = registry.named("two-styles")
    assert entry is not None
    assert entry.file.read_bytes() == mix_model.read_bytes()


def test_names_are_checked_before_the_file(exit_code: Run, capsys: Captured) -> None:
    assert exit_code("models", "add", "gone.onnx", "--name", "A") == 2
    assert "no model can be called A" in capsys.readouterr().err
    assert exit_code("models", "add", "gone.onnx") == 1
    assert "gone.onnx: the model cannot be read, no such file" in capsys.readouterr().err


def test_what_is_no_model_is_not_added(
    exit_code: Run, invert_model: Path, here: Path, capsys: Captured
) -> None:
    """A picture; and a file of the contract whose graph ONNX Runtime cannot load."""
    assert exit_code("models", "add", "photo.png") == 1
    assert "photo.png is no ONNX file" in capsys.readouterr().err
    model = onnx.load(invert_model)
    model.graph.node[0].op_type = "Nothing"
    Path("bad.onnx").write_bytes(sealed(model))
    assert exit_code("models", "add", "bad.onnx") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("nst: bad.onnx cannot be loaded: ")
    assert not (here / "xdg").exists()


@pytest.mark.usefixtures("filled")
def test_the_list(exit_code: Run, capsys: Captured) -> None:
    assert exit_code("models", "list") == 0
    assert capsys.readouterr().out.splitlines() == [
        "plain  johnson 8, 0.0 MB, 1 style, added",
        "    negative",
        "two    swift 8, 0.0 MB, 2 styles, added",
        "    wave, scream",
    ]


@pytest.mark.usefixtures("filled")
def test_the_list_for_programs(exit_code: Run, invert_model: Path, capsys: Captured) -> None:
    assert exit_code("models", "list", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == {
        "name": "plain",
        "sha256": hashlib.sha256(invert_model.read_bytes()).hexdigest(),
        "bytes": invert_model.stat().st_size,
        "styles": ["negative"],
        "net": "johnson",
        "width": 8,
        "is_embedded": False,
    }
    assert [line["name"] for line in lines] == ["plain", "two"]


@pytest.mark.usefixtures("filled")
def test_info(exit_code: Run, mix_model: Path, capsys: Captured) -> None:
    assert exit_code("models", "info", "two") == 0
    rows = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    shown = {title.strip(): text.strip() for title, text in rows.items()}
    sha256 = hashlib.sha256(mix_model.read_bytes()).hexdigest()
    assert shown["styles"] == "wave, scream"
    assert shown["network"] == "swift 8, 179 parameters"  # 2 * (3*3*3*3 + 3 + 3) + 5
    assert shown["controls"] == "which style, mix and strength, and where, texture"
    assert shown["training"] == "not known"
    assert shown["parity"] == "no receipt"
    assert shown["sha256"] == f"{sha256}, checked"
    assert exit_code("models", "info", "two", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["sha256"], told["controls"]) == ("two", sha256, "regional")
    assert (told["training"], told["parity"], told["style_sha256"][1]) == ({}, [], "1" * 64)


@pytest.mark.parametrize(
    "arguments",
    [
        ("models", "add", f"{'x' * 300}.onnx"),
        ("suggest", f"{'x' * 300}.jpg"),
        ("stylize", f"{'x' * 300}.jpg", "--style", "wave"),
    ],
)
def test_names_that_no_file_can_have(
    exit_code: Run, filled: None, arguments: tuple[str, ...], capsys: Captured
) -> None:
    assert exit_code(*arguments) == UsageError.exit_code
    assert capsys.readouterr().err.splitlines()[-1].endswith("...: the name is too long")


def test_info_of_a_file(exit_code: Run, mix_model: Path, capsys: Captured) -> None:
    assert exit_code("models", "info", str(mix_model)) == 0
    shown = capsys.readouterr().out
    assert "wave, scream" in shown
    assert f"{mix_model}, not in the registry" in shown


def test_info_of_a_training(exit_code: Run, invert_model: Path, capsys: Captured) -> None:
    model = onnx.load(invert_model)
    case = {"shape": [1, 5, 5, 3], "values": 75, "values_off": 2, "max_grey_levels": 1}
    for entry in model.metadata_props:
        if entry.key == "nst.training":
            entry.value = json.dumps({"steps": 4300, "batch": 2, "preset": "pyramid"})
        if entry.key == "nst.parity":
            entry.value = json.dumps([case, case])
        if entry.key == "nst.styles":
            entry.value = json.dumps(["wave\n\x1b[31mred"])
    Path("trained.onnx").write_bytes(sealed(model))
    assert exit_code("models", "add", "trained.onnx") == 0
    assert exit_code("models", "info", "trained") == 0
    assert exit_code("models", "list") == 0
    out = capsys.readouterr().out
    assert "training   steps 4300, batch 2, preset pyramid\n" in out
    assert "2 pictures compared with torch, at most 1 grey levels off, 4 of 150 values\n" in out
    assert "\x1b" not in out
    assert out.count("wave ?[31mred\n") == 2


@pytest.mark.usefixtures("filled")
def test_remove(exit_code: Run, capsys: Captured) -> None:
    assert exit_code("models", "remove", "plain") == 0
    assert capsys.readouterr() == ("", "plain is removed\n")
    assert exit_code("models", "remove", "plain") == 2
    assert capsys.readouterr().err == "nst: no model plain; there are two\n"


def test_help_and_a_word_that_is_none(exit_code: Run, capsys: Captured) -> None:
    assert exit_code("models", "--help") == 0
    shown = capsys.readouterr().out
    assert all(f" {word} " in shown for word in ("list", "info", "add", "remove"))
    assert exit_code("models", "lits") == 2


@pytest.mark.usefixtures("filled")
def test_stylize_by_name_and_by_style(
    exit_code: Run, photo: NDArray[np.uint8], capsys: Captured
) -> None:
    """By hand: the negative."""
    assert exit_code("stylize", "plain", "photo.png", "-o", "a.png") == 0
    assert exit_code("stylize", "photo.png", "--style", "negative", "-o", "b.png") == 0
    out, err = capsys.readouterr()
    assert out == "a.png\nb.png\n"
    assert "model: plain, johnson 8\n" in err
    np.testing.assert_array_equal(pixels("a.png"), 255 - photo)
    np.testing.assert_array_equal(pixels("b.png"), 255 - photo)
    assert exit_code("stylize", "photo.png", "--style", "wave") == 0
    assert capsys.readouterr().out == "photo-wave.png\n"


@pytest.mark.usefixtures("filled")
def test_a_file_that_was_changed_paints_nothing(exit_code: Run, capsys: Captured) -> None:
    entry = registry.named("plain")
    assert entry is not None
    entry.file.write_bytes(entry.file.read_bytes() + b"\0")
    for arguments in (("plain", "photo.png"), ("photo.png", "--style", "negative")):
        assert exit_code("stylize", *arguments, "-o", "x.png") == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert "nst models add FILE --name plain --overwrite" in err.splitlines()[-1]
    assert exit_code("models", "info", "plain") == 1
    assert not Path("x.png").exists()


@pytest.mark.usefixtures("filled")
def test_the_webcam_finds_a_style(
    exit_code: Run, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """As far as a computer without a window gets."""

    def no_window() -> None:
        raise MediaError("no window here")

    monkeypatch.setattr("infer.window.check_display", no_window)
    assert exit_code("webcam", "--style", "wave") == 1
    assert capsys.readouterr().err == "model: two, swift 8\nnst: no window here\n"
    assert exit_code("webcam", "--style", "wave", "--net", "johnson") == 2
    assert "wave is none of the styles of the johnson models" in capsys.readouterr().err
    assert exit_code("webcam", "two", "--net", "swift") == 2


@pytest.mark.usefixtures("filled")
def test_suggest_takes_names(exit_code: Run, capsys: Captured) -> None:
    """These do not say what they look like, which is said by their names."""
    assert exit_code("suggest", "photo.png") == 2
    err = capsys.readouterr().err
    assert "left out: plain does not say" in err
    assert "left out: two does not say" in err
    assert exit_code("suggest", "photo.png", "two") == 2
    assert "plain" not in capsys.readouterr().err


@pytest.mark.usefixtures("filled")
def test_evaluate_takes_a_name(photo: NDArray[np.uint8], mix_model: Path) -> None:
    subject = open_subject("two", {}, provider="cpu", style=Path("photo.png"), mix="wave")
    assert subject.facts["name"] == "two"
    assert subject.facts["sha256"] == hashlib.sha256(mix_model.read_bytes()).hexdigest()
    assert subject.paint is not None
    assert subject.paint(photo).shape == photo.shape
    assert default_folder("a.b") == Path("a.b-card")


@pytest.mark.usefixtures("filled")
def test_optimize_begins_with_a_name(exit_code: Run, photo: NDArray[np.uint8]) -> None:
    """By hand: the negative, and one evaluation changes nothing."""
    code = exit_code(
        *("optimize", "photo.png", "photo.png", "-o", "out.png", "--init-model", "plain"),
        *("--evaluations", "1", "--loss-network", "compact", "--device", "cpu"),
    )
    assert code == 0
    np.testing.assert_array_equal(pixels("out.png"), 255 - photo)
    entry = registry.named("plain")
    assert entry is not None
    record: dict[str, Any] = json.loads(Path("out.json").read_text())
    assert record["init_model"] == {"name": "plain", "sha256": entry.sha256}


def test_training_begins_with_a_name(invert_model: Path, tiny_network: TransformerNet) -> None:
    """By the weights: those in the file, which is of the contract but never run."""
    from nst.checkpoint import NETWORK_PREFIX
    from nst.transformer import TransformerNet
    from train.warm_start import start_from, trained_at

    model = onnx.load(invert_model)
    for name, value in tiny_network.state_dict().items():
        model.graph.initializer.append(
            numpy_helper.from_array(value.numpy(), NETWORK_PREFIX + name)
        )
    for entry in model.metadata_props:
        if entry.key == "nst.width":
            entry.value = "4"
    data = sealed(model)
    registry.add(data, read_model(data).info, "night")
    Path("night").mkdir()
    network, said = TransformerNet(4), list[str]()
    start_from(network, "night", said.append)
    assert said == ["night: the model of the registry, not what is called so here; that is ./night"]
    for name, value in tiny_network.state_dict().items():
        assert network.state_dict()[name].equal(value)
    assert list(trained_at("night", said.append).styles) == ["negative"]

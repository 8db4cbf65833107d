"""The command `nst train`: one line for each error, nothing half made, minutes into steps."""

from __future__ import annotations

import resource
import shutil
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from PIL import Image

import train.setup
from nst.checkpoint import load_checkpoint
from nst.cli import main
from nst.errors import NSTError
from nst.settings import from_toml
from nst.terminal import progress, say
from train.cli import app
from train.config import TrainConfig
from train.data import open_photographs
from train.reading import Reading
from train.sources import find_sources

SMALL = (
    *("--width", "8", "--size", "64", "--batch", "1", "--style-size", "64", "--device", "cpu"),
    *("--init", "none"),
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def bad_style(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A file that is no style image."""
    path = tmp_path / "bad.png"
    kind = request.param
    if kind == "text":
        path = tmp_path / "bad.jpg"
        path.write_text("no picture at all")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "tiny":
        Image.new("RGB", (3, 3), (1, 2, 3)).save(path)
    elif kind == "flat":
        Image.new("RGB", (64, 64), (1, 2, 3)).save(path)
    elif kind == "folder":
        path.mkdir()
    return path


@pytest.fixture(scope="module", autouse=True)
def decoded(photo_folder: Path) -> None:
    """The photographs are in the cache already, so that nothing is said about decoding them."""
    reading = Reading(announce=say, progress=progress)
    sources = find_sources([str(photo_folder)], shards=None, reading=reading)
    open_photographs(sources, size=64, reading=reading)


def failure(
    capsys: pytest.CaptureFixture[str], *arguments: str | Path, runs: Path, talk: int = 0
) -> tuple[int, str]:
    """Run `nst train`, which must fail; the exit code and its one line, behind lines of talk."""
    with pytest.raises(SystemExit) as caught:
        main(["train", *map(str, arguments), "--runs", str(runs)])
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.count("\n") == talk + 1, streams.err
    line = streams.err.splitlines()[-1]
    assert line.startswith("nst: ")
    assert not runs.exists() or not list(runs.iterdir())
    assert isinstance(caught.value.code, int)
    return caught.value.code, line.removeprefix("nst: ")


@pytest.mark.parametrize(
    ("bad_style", "expected"),
    [
        ("missing", "bad.png: cannot be read, no such file or folder"),
        ("text", "bad.jpg"),
        ("empty", "bad.png"),
        ("tiny", "bad.png: 3x3 px is too small for a style image"),
        ("flat", "is flat"),
        ("folder", "bad.png is a folder, not a picture"),
    ],
    indirect=["bad_style"],
)
def test_a_bad_style_image(
    bad_style: Path,
    expected: str,
    photo_folder: Path,
    vgg_file: Path,
    runs: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, line = failure(
        capsys, bad_style, "--data", photo_folder, "--vgg", vgg_file, *SMALL, runs=runs
    )
    assert code == 1
    assert expected in line


def test_missing_arguments(
    photo_folder: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, line = failure(capsys, "--data", photo_folder, runs=runs)
    assert code == 2
    assert "a style image is missing" in line


@pytest.mark.parametrize(
    ("flags", "code", "expected"),
    [
        (["--style-layers", "relu1_1,relu9_9"], 2, "unknown layer relu9_9"),
        (["--content-layer", "relu3_3/3"], 2, "relu3_3/3: the scale"),
        (["--preset", "rembrandt"], 2, "--preset must be one of pyramid, gatys"),
        (["--preset", "gatys"], 1, "tiny-vgg19.safetensors ends at relu3_4, before relu5_1"),
        (["--width", "0"], 2, "--width must be"),
        (["--steps", "5", "--minutes", "1"], 2, "--steps and --minutes exclude each other"),
        (["--device", "abacus"], 2, "--device must be"),
        (["--device", "cuda:99"], 2, "--device cuda:99: there is no such device here"),
        (["--precision", "float8"], 2, "--precision"),
    ],
)
def test_settings_that_cannot_be(
    flags: list[str],
    code: int,
    expected: str,
    style_file: Path,
    photo_folder: Path,
    vgg_file: Path,
    runs: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = (*SMALL, *flags)  # of a flag that is given twice the last counts
    if flags[0] == "--precision":
        with pytest.raises(SystemExit) as caught:
            main(["train", str(style_file), "--data", str(photo_folder), *given])
        assert caught.value.code == code  # refused by the parser, which prints its usage
        assert expected in capsys.readouterr().err
        return
    found, line = failure(
        capsys, style_file, "--data", photo_folder, "--vgg", vgg_file, *given, runs=runs
    )
    assert (found, expected in line) == (code, True), line


@pytest.mark.parametrize("kind", ["missing", "empty", "few"])
def test_a_folder_without_enough_photographs(
    kind: str,
    tmp_path: Path,
    style_file: Path,
    vgg_file: Path,
    runs: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = tmp_path / "photos"
    if kind != "missing":
        data.mkdir()
    if kind == "few":
        Image.new("RGB", (70, 70)).save(data / "one.png")
    arguments = (style_file, "--data", data, "--vgg", vgg_file, *SMALL)
    # One photograph is decoded before it is counted, which is announced and reported.
    code, line = failure(capsys, *arguments, runs=runs, talk=2 if kind == "few" else 0)
    assert code == 1
    assert line.startswith(f"--data {data}: ")
    reasons = {"missing": "no such folder", "empty": "no photographs", "few": "at least 4"}
    assert reasons[kind] in line


@pytest.mark.parametrize("kind", ["missing", "damaged", "no VGG"])
def test_weights_that_cannot_be_used(
    kind: str,
    tmp_path: Path,
    style_file: Path,
    photo_folder: Path,
    vgg_file: Path,
    runs: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weights = tmp_path / "weights.safetensors"
    if kind == "damaged":
        weights.write_bytes(vgg_file.read_bytes()[:1000])
    elif kind == "no VGG":
        weights.write_text("nothing of the kind")
    code, line = failure(
        capsys, style_file, "--data", photo_folder, "--vgg", weights, *SMALL, runs=runs
    )
    assert code == 1
    assert str(weights) in line


def test_runs_that_is_a_file(
    style_file: Path,
    photo_folder: Path,
    vgg_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = tmp_path / "taken"
    runs.write_text("a file")
    arguments = [str(style_file), "--data", str(photo_folder), "--vgg", str(vgg_file), *SMALL]
    with pytest.raises(SystemExit) as caught:
        main(["train", *arguments, "--runs", str(runs)])
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith(f"nst: --runs {runs}: no folder can be made there")
    assert runs.read_text() == "a file"


def test_resume_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    for name, words in (("nowhere", "no such run folder"), ("empty", "no such checkpoint")):
        with pytest.raises(SystemExit) as caught:
            main(["train", "--resume", str(tmp_path / name)])
        assert caught.value.code == 1
        streams = capsys.readouterr()
        assert streams.out == ""
        assert streams.err.count("\n") == 1
        assert words in streams.err


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let the operating system refuse to make a file longer than this, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_from_the_start(
    style_file: Path,
    photo_folder: Path,
    vgg_file: Path,
    runs: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By hand: the weights of width 8 are 4 bytes x 108 thousand, more than 200 kB."""
    arguments = [str(style_file), "--data", str(photo_folder), "--vgg", str(vgg_file), *SMALL]
    with files_up_to(200_000), pytest.raises(SystemExit) as caught:
        main(["train", *arguments, "--runs", str(runs)])
    assert caught.value.code == 1
    line = capsys.readouterr().err
    assert line.startswith("nst: ")
    assert "last.safetensors: cannot be written" in line
    assert list(runs.iterdir()) == []


def test_a_disk_that_fills_up_on_the_way(
    style_file: Path,
    photo_folder: Path,
    vgg_file: Path,
    runs: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By hand: with both moments of Adam a checkpoint is three times the first one's size."""
    arguments = [str(style_file), "--data", str(photo_folder), "--vgg", str(vgg_file), *SMALL]
    arguments += ["--steps", "4", "--checkpoint-every", "2", "--precision", "float32"]
    with files_up_to(900_000), pytest.raises(SystemExit) as caught:
        main(["train", *arguments, "--runs", str(runs)])
    assert caught.value.code == 1
    folder = runs / "starry-night-1"
    last_line = capsys.readouterr().err.splitlines()[-1]
    assert last_line.startswith(f"nst: {folder / 'last.safetensors'}: cannot be written")
    assert last_line.endswith(f"nst train --resume {folder}")
    assert load_checkpoint(folder / "last.safetensors").header["step"] == 0
    assert not [path for path in folder.iterdir() if path.name.endswith(".tmp")]
    command = typer.main.get_command(app)
    assert command.main(["--resume", str(folder)], standalone_mode=False) == folder
    assert load_checkpoint(folder / "last.safetensors").header["step"] == 4


def test_minutes_become_steps(
    style_file: Path,
    photo_folder: Path,
    vgg_file: Path,
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By hand: 0.05 minutes are 3 s, less 2 previews of 0.2 s; at 0.65 s a step that is 4 steps."""
    monkeypatch.setattr(train.setup, "measure_step", lambda *_: 0.65)
    monkeypatch.setattr(train.setup, "measure_once", lambda _: 0.2)
    monkeypatch.setattr(train.setup, "time", SimpleNamespace(perf_counter=lambda: 0.0))
    command = typer.main.get_command(app)
    arguments = [str(style_file), "--data", str(photo_folder), "--vgg", str(vgg_file), *SMALL]
    folder = command.main(
        [*arguments, "--minutes", "0.05", "--runs", str(runs)], standalone_mode=False
    )
    assert "0.05 minutes at 0.65 s a step: 4 steps" in capsys.readouterr().err
    config = from_toml(TrainConfig, (folder / "config.toml").read_text(), source="config.toml")
    assert (config.steps, config.minutes) == (4, None)
    header = load_checkpoint(folder / "last.safetensors").header
    assert (header["step"], header["config"]["steps"], header["config"]["minutes"]) == (4, 4, None)
    again = command.main([*arguments, "--steps", "4", "--runs", str(runs)], standalone_mode=False)
    other = load_checkpoint(again / "last.safetensors").header
    assert other["tensors_sha256"] == header["tensors_sha256"]


def test_the_batch_of_a_cpu_is_chosen_and_written_down(
    style_file: Path, photo_folder: Path, vgg_file: Path, runs: Path
) -> None:
    """By docs/training.md: two photographs in a step, where nothing else is said."""
    command = typer.main.get_command(app)
    arguments = [str(style_file), "--data", str(photo_folder), "--vgg", str(vgg_file)]
    arguments += ["--width", "8", "--size", "64", "--device", "cpu", "--steps", "1"]
    folder = command.main([*arguments, "--runs", str(runs)], standalone_mode=False)
    assert load_checkpoint(folder / "last.safetensors").header["config"]["batch"] == 2


def test_a_run_says_what_it_does_and_what_it_skipped(
    style_file: Path,
    photo_folder: Path,
    vgg_file: Path,
    tmp_path: Path,
    runs: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By hand: preset, weights, device, precision, counts; a file that could not be read."""
    data = Path(shutil.copytree(photo_folder, tmp_path / "photos"))
    (data / "broken.png").write_text("no picture")
    command = typer.main.get_command(app)
    arguments = [str(style_file), "--data", str(data), "--vgg", str(vgg_file), *SMALL]
    arguments += ["--steps", "13", "--precision", "float32", "--preview-every", "5"]
    folder = command.main([*arguments, "--runs", str(runs)], standalone_mode=False)
    streams = capsys.readouterr()
    assert streams.out == f"{folder}\n"
    for words in (
        "preset pyramid (content relu3_3/2; style relu1_1, relu2_1, relu3_1, relu1_1/2",
        "tiny-vgg19.safetensors",
        "device cpu, 1 threads; precision float32; network johnson:width=8,",
        "13 photographs; 13 steps of 1 at 64 px, from step 0",
        "1 photographs could not be read: bad-files.txt",
    ):
        assert words in streams.err
    (reason,) = (folder / "bad-files.txt").read_text().splitlines()
    assert reason.startswith(f"{data}: broken.png looks like a text file")
    assert {path.name for path in folder.iterdir()} >= {
        "config.toml",
        "style.png",
        "last.safetensors",
        "prev.safetensors",
        "log.jsonl",
        "preview-000005.jpg",
        "preview-000010.jpg",
        "preview-000013.jpg",
    }
    # What was chosen is written down, so that another default changes no run that is resumed.
    written = tomllib.loads((folder / "config.toml").read_text())
    assert (written["learning_rate"], written["norm_rate"]) == (1e-3, 4.0)


def test_several_sets_are_joined_and_may_move(
    style_file: Path,
    photo_folder: Path,
    vgg_file: Path,
    tmp_path: Path,
    runs: Path,
    write_hub_layout: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By invariant: a folder and parquet files, trained in two pieces, then from elsewhere."""
    rows = [path.read_bytes() for path in sorted(photo_folder.glob("*.*"))]
    write_hub_layout(tmp_path / "here" / "train.parquet", rows)
    command = typer.main.get_command(app)
    arguments = [str(style_file), "--vgg", str(vgg_file), *SMALL, "--precision", "float32"]
    arguments += ["--data", str(photo_folder), "--data", str(tmp_path / "here"), "--steps", "4"]
    arguments += ["--shards", "1", "--workers", "1", "--cache", str(tmp_path / "cache")]
    folder = command.main(
        [*arguments, "--checkpoint-every", "2", "--runs", str(runs)], standalone_mode=False
    )
    said = capsys.readouterr().err
    assert f"{photo_folder}: decoding 12 photographs once" in said
    assert f"{tmp_path / 'here'}: decoding {len(rows)} photographs once" in said
    assert f"{12 + len(rows)} photographs; 4 steps of 1 at 64 px" in said
    assert "crops are cut by 1 threads" in said
    header = load_checkpoint(folder / "last.safetensors").header
    assert header["data"] == [str(photo_folder), str(tmp_path / "here")]
    assert header["config"]["shards"] == 1

    moved = [shutil.copytree(each, tmp_path / f"m{n}") for n, each in enumerate(header["data"])]
    shutil.move(folder / "prev.safetensors", folder / "last.safetensors")
    resume = ["--resume", str(folder), "--workers", "3"]
    command.main([*resume, "--data", str(moved[0]), "--data", str(moved[1])], standalone_mode=False)
    again = load_checkpoint(folder / "last.safetensors").header
    assert again["tensors_sha256"] == header["tensors_sha256"]
    assert again["data"] == list(map(str, moved))
    capsys.readouterr()
    with pytest.raises(NSTError, match="--data is not what the run was trained with"):
        command.main(
            [*resume, "--data", str(moved[1]), "--data", str(moved[0])], standalone_mode=False
        )
    assert "decoding" not in capsys.readouterr().err

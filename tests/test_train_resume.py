"""Resuming: after kill -9 to the bit, after damage, after Ctrl-C and SIGTERM; with other inputs."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from safetensors.torch import load_file, save_file

from nst.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from nst.errors import NSTError, UsageError
from nst.files import held
from train.cli import app
from train.setup import _changes

LAST, PREVIOUS = "last.safetensors", "prev.safetensors"
SMALL = ("--width", "8", "--size", "64", "--batch", "1", "--style-size", "64", "--device", "cpu")
OFTEN = ("--checkpoint-every", "2", "--log-every", "1", "--preview-every", "1000")

pytestmark = pytest.mark.usefixtures("one_thread")

KILLED_IN_A_LOG_LINE = """
import os, signal, sys
import train.diary
from train.cli import app

write = train.diary.append_line

def append_line(path, line):
    if line.step == 5:
        with path.open("a") as file:
            file.write('{"step": 5, "tot')
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, line)

train.diary.append_line = append_line
app(sys.argv[1:])
"""

KILLED_IN_A_CHECKPOINT = """
import os, signal, sys
import train.run
from train.cli import app

save = train.run.Run.save

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def save_or_die(run, learner):
    if learner.step == 6:  # all is written under the temporary name, nothing is renamed yet
        os.fsync = kill
    save(run, learner)

train.run.Run.save = save_or_die
app(sys.argv[1:])
"""


def train(*arguments: str | Path) -> Path:
    """Run the verb in this process and return the run folder."""
    command = typer.main.get_command(app)
    folder = command.main([str(a) for a in arguments], standalone_mode=False)
    assert isinstance(folder, Path)
    return folder


def log_of(folder: Path) -> list[dict[str, Any]]:
    """The lines of a log without what depends on the clock."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if k not in ("images_per_s", "elapsed_s")} for line in lines
    ]


def assert_same_to_the_bit(one: Path, other: Path) -> None:
    tensors, others = (load_checkpoint(folder / LAST).tensors for folder in (one, other))
    assert tensors.keys() == others.keys()
    assert any(name.startswith("optimizer.") for name in tensors)
    for name, tensor in tensors.items():
        assert torch.equal(tensor, others[name]), name


@pytest.fixture(scope="module")
def inputs(style_file: Path, photo_folder: Path, vgg_file: Path) -> list[str]:
    return [str(style_file), "--data", str(photo_folder), "--vgg", str(vgg_file), *SMALL]


@pytest.fixture(scope="module")
def finished_run(inputs: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four steps, with checkpoints of steps 2 and 4."""
    runs = tmp_path_factory.mktemp("runs")
    return train(*inputs, *OFTEN, "--precision", "float32", "--steps", "4", "--runs", runs)


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be damaged."""
    return Path(shutil.copytree(finished_run, tmp_path / finished_run.name))


@pytest.fixture
def unfinished_run(run: Path) -> Path:
    """The same as it was after step 2."""
    shutil.move(run / PREVIOUS, run / LAST)
    return run


@pytest.mark.parametrize(
    ("precision", "program", "saved_step"),
    [("float32", KILLED_IN_A_LOG_LINE, 4), ("bfloat16", KILLED_IN_A_CHECKPOINT, 4)],
    ids=["float32, in a log line", "bfloat16, in a checkpoint"],
)
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    inputs: list[str],
    tmp_path: Path,
    start: Callable[..., Any],
    precision: str,
    program: str,
    saved_step: int,
) -> None:
    """By invariant: eight steps unbroken, and eight with kill -9 and --resume, are the same."""
    arguments = [*inputs, *OFTEN, "--precision", precision, "--steps", "8", "--runs"]
    unbroken = train(*arguments, tmp_path / "unbroken")
    child = start(*arguments, tmp_path / "killed", program=program)
    assert child.wait() == -signal.SIGKILL, child.err.read_text()
    (killed,) = (tmp_path / "killed").iterdir()
    assert load_checkpoint(killed / LAST).header["step"] == saved_step
    assert train("--resume", killed) == killed
    assert_same_to_the_bit(unbroken, killed)
    assert [line["step"] for line in log_of(killed)] == list(range(1, 9))
    assert log_of(killed) == log_of(unbroken)
    preview = "preview-000008.jpg"
    assert (killed / preview).read_bytes() == (unbroken / preview).read_bytes()


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("damage", [cut, flip, lambda data: b""], ids=["cut", "one bit", "empty"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    run: Path,
    finished_run: Path,
    damage: Callable[[bytes], bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (run / LAST).write_bytes(damage((run / LAST).read_bytes()))
    train("--resume", run)
    said = capsys.readouterr().err
    assert "last.safetensors: damaged" in said
    assert "going on from prev.safetensors" in said
    assert "from step 2" in said
    assert_same_to_the_bit(run, finished_run)
    assert log_of(run) == log_of(finished_run)


def test_a_missing_checkpoint_gives_way_to_the_one_before(
    run: Path, finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / LAST).unlink()
    train("--resume", run)
    assert "no such checkpoint; going on from prev.safetensors" in capsys.readouterr().err
    assert_same_to_the_bit(run, finished_run)


def test_a_checkpoint_in_place_of_the_folder_is_refused(run: Path) -> None:
    with pytest.raises(NSTError, match=rf"name the run folder, {run}"):
        train("--resume", run / LAST)


def test_two_damaged_checkpoints_are_refused(run: Path) -> None:
    for name in (LAST, PREVIOUS):
        (run / name).write_bytes(cut((run / name).read_bytes()))
    with pytest.raises(NSTError, match=rf"{LAST}: damaged.*{PREVIOUS}: damaged.*begin anew"):
        train("--resume", run)


def test_another_style_image_is_refused(unfinished_run: Path, photo_folder: Path) -> None:
    shutil.copyfile(photo_folder / "00.png", unfinished_run / "style.png")
    with pytest.raises(NSTError, match="style is not what the run was trained with"):
        train("--resume", unfinished_run)


def test_a_lost_style_image_is_an_error_in_one_line(unfinished_run: Path) -> None:
    (unfinished_run / "style.png").unlink()
    with pytest.raises(NSTError, match="the style image is gone; put it back"):
        train("--resume", unfinished_run)


def test_other_photographs_are_refused(
    unfinished_run: Path, photo_folder: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(photo_folder, tmp_path / "other"))
    (other / "00.png").unlink()
    with pytest.raises(NSTError, match="--data is not what the run was trained with"):
        train("--resume", unfinished_run, "--data", other)


def test_other_weights_are_refused(unfinished_run: Path, vgg_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({name: 2 * tensor for name, tensor in load_file(vgg_file).items()}, other)
    with pytest.raises(NSTError, match="--vgg is not what the run was trained with"):
        train("--resume", unfinished_run, "--vgg", other)


def test_places_may_move_and_the_new_ones_are_kept(
    unfinished_run: Path,
    finished_run: Path,
    photo_folder: Path,
    vgg_file: Path,
    tmp_path: Path,
) -> None:
    """By invariant: the same photographs and weights elsewhere are the same training."""
    data = Path(shutil.copytree(photo_folder, tmp_path / "moved"))
    vgg = Path(shutil.copyfile(vgg_file, tmp_path / "moved.safetensors"))
    train("--resume", unfinished_run, "--data", data, "--vgg", vgg)
    assert_same_to_the_bit(unfinished_run, finished_run)
    header = load_checkpoint(unfinished_run / LAST).header
    assert header["data"] == [str(data)]
    assert header["config"]["vgg"] == str(vgg)
    assert str(vgg) in (unfinished_run / "config.toml").read_text()


def test_another_number_of_threads_is_said(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(2)
    train("--resume", run)
    torch.set_num_threads(1)
    assert "threads 1 until now, 2 from here on: the last bits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("before", "now", "is_said"),
    [
        ("cuda:0", "cuda", False),
        ("mps:0", "mps", False),
        ("cuda:1", "cuda", True),
        ("cpu", "cuda", True),
    ],
)
def test_the_first_gpu_is_the_same_with_its_number(before: str, now: str, is_said: bool) -> None:
    """By hand: torch calls a device cuda, and where a tensor of it is, cuda:0."""
    header = {"device": before, "torch": torch.__version__}
    assert bool(list(_changes(header, torch.device(now)))) == is_said


def test_the_device_may_be_another(unfinished_run: Path, finished_run: Path) -> None:
    """By invariant: a run whose device is missing goes on elsewhere; here it is the same one."""
    path = unfinished_run / LAST
    checkpoint = load_checkpoint(path)
    config = {**checkpoint.header["config"], "device": "cuda:99"}
    save_checkpoint(path, Checkpoint(checkpoint.tensors, {**checkpoint.header, "config": config}))
    with pytest.raises(NSTError, match="--device cuda:99: there is no such device here"):
        train("--resume", unfinished_run)
    train("--resume", unfinished_run, "--device", "cpu")
    assert_same_to_the_bit(unfinished_run, finished_run)
    assert load_checkpoint(path).header["config"]["device"] == "cpu"


def test_a_run_that_is_being_trained_is_left_alone(unfinished_run: Path) -> None:
    """By hand: its log has lines behind the newest checkpoint, which resuming would cut off."""
    log, settings = unfinished_run / "log.jsonl", unfinished_run / "config.toml"
    before = log.read_bytes(), settings.stat().st_mtime_ns
    with held(unfinished_run), pytest.raises(UsageError, match="another process writes into it"):
        train("--resume", unfinished_run)
    assert (log.read_bytes(), settings.stat().st_mtime_ns) == before


def test_a_finished_run_is_left_as_it_is(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert train("--resume", run) == run
    streams = capsys.readouterr()
    assert "all 4 steps are done, nothing is left to train" in streams.err
    assert streams.out == f"{run}\n"
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize(
    "given",
    [
        ("--steps", "9"),
        ("--width", "16"),
        ("--seed", "0"),
        ("--style-strength", "1"),
        ("--runs", "elsewhere"),
    ],
)
def test_other_settings_are_refused_by_name(run: Path, given: tuple[str, str]) -> None:
    """By hand: also a value that happens to be the default, since the run may have another."""
    with pytest.raises(NSTError, match=f"leave out {given[0]};") as caught:
        train("--resume", run, *given)
    assert caught.value.exit_code == 2


def test_another_style_beside_resume_is_refused(run: Path, style_file: Path) -> None:
    with pytest.raises(NSTError, match=r"leave out .*Starry Night\.png"):
        train(style_file, "--resume", run)


def test_ctrl_c_and_sigterm_save_and_say_how_to_go_on(
    inputs: list[str],
    tmp_path: Path,
    start: Callable[..., Any],
    wait_until: Callable[[Callable[[], bool]], None],
) -> None:
    """By hand: exit codes 130 and 143; the checkpoint is that of the last step in the log."""
    log = tmp_path / "runs" / "starry-night-1" / "log.jsonl"
    begin = ["train", *inputs, "--log-every", "1", "--precision", "float32"]
    go_on = ["train", "--resume", "runs/starry-night-1"]

    def lines() -> int:
        return log.read_text().count("\n") if log.is_file() else 0

    for number, arguments in ((signal.SIGINT, begin), (signal.SIGTERM, go_on)):
        before = lines()
        child = start(*arguments)
        wait_until(lambda before=before: lines() > before + 2)  # type: ignore[misc]
        child.send(number)
        said = child.err
        assert child.wait() == 128 + number, said.read_text()
        step = load_checkpoint(log.parent / LAST).header["step"]
        assert [line["step"] for line in log_of(log.parent)] == list(range(1, step + 1))
        assert step > before
        assert said.read_text().splitlines()[-1] == (
            f"nst: stopped at step {step}, saved; go on with:"
            " nst train --resume runs/starry-night-1"
        )
        assert "Traceback" not in said.read_text()
        assert child.out.read_text() == ""

"""The run folder: names, log, settings for people, what a checkpoint carries."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from nst.checkpoint import Checkpoint, load_checkpoint, load_newest
from nst.errors import CheckpointError, NSTError, OutputError
from nst.settings import from_toml
from train.config import TrainConfig
from train.learner import Learner
from train.records import save_loss_plot
from train.run import (
    Run,
    check_identity,
    cut_log,
    new_folder,
    restore,
    run_of,
    style_name_of,
)

CONFIG = TrainConfig(width=8, steps=20, vgg="somewhere/vgg.safetensors")


def run_in(folder: Path, config: TrainConfig = CONFIG) -> Run:
    return Run(
        folder=folder,
        config=config,
        styles=["night"],
        style_sha256=["a" * 64],
        data=["photos"],
        data_identity="b" * 64,
        vgg_sha256="c" * 64,
    )


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Starry Night.JPG", "starry-night"),
        ("/a/b/the_scream (1).png", "the-scream-1"),
        ("--x--.webp", "x"),
        ("夜.png", "夜"),
        ("Große Welle.jpg", "große-welle"),
        ("--.png", "style"),
        ("a.b.c.png", "a-b-c"),
    ],
)
def test_the_name_of_a_style_suits_a_command_line(file: str, name: str) -> None:
    """By hand: small letters of any script, digits and single hyphens inside."""
    assert style_name_of(Path(file)) == name


def test_folders_are_counted_from_one(tmp_path: Path) -> None:
    runs = tmp_path / "deep" / "runs"
    assert [new_folder(runs, "night").name for _ in range(3)] == ["night-1", "night-2", "night-3"]
    assert new_folder(runs, "scream").name == "scream-1"
    (runs / "night-2").rmdir()
    assert new_folder(runs, "night").name == "night-2"
    (runs / "night-4").write_text("a file takes the name too")
    assert new_folder(runs, "night").name == "night-5"


@pytest.mark.parametrize("kind", ["file", "link to nowhere"])
def test_a_place_where_no_folder_can_be_made_is_an_error(tmp_path: Path, kind: str) -> None:
    runs = tmp_path / "runs"
    if kind == "file":
        runs.write_text("in the way")
    else:
        runs.symlink_to(tmp_path / "missing" / "there")
    with pytest.raises(OutputError, match="--runs"):
        new_folder(runs, "night")


def test_config_toml_holds_the_settings(tmp_path: Path) -> None:
    """By invariant: what stands in the file is what the run was given."""
    style = tmp_path / "Night.PNG"
    style.write_bytes(b"the very bytes")
    folder = tmp_path / "run"
    folder.mkdir()
    run_in(folder).begin({0: style})
    text = (folder / "config.toml").read_text()
    assert from_toml(TrainConfig, text, source="config.toml") == CONFIG
    assert run_in(folder).style_file(0) == folder / "style.png"
    assert (folder / "style.png").read_bytes() == b"the very bytes"


def test_a_model_that_is_called_style_is_not_taken_for_the_style_image(tmp_path: Path) -> None:
    """By hand: style.png makes a run whose model is called style.onnx, before .png in the list."""
    for name in ("style.onnx", "style.png"):
        (tmp_path / name).write_bytes(b"")
    assert run_in(tmp_path).style_file(0) == tmp_path / "style.png"


def test_a_style_image_without_a_suffix_is_found(tmp_path: Path) -> None:
    style = tmp_path / "night"
    style.write_bytes(b"x")
    folder = tmp_path / "run"
    folder.mkdir()
    run_in(folder).begin({0: style})
    assert run_in(folder).style_file(0).read_bytes() == b"x"


def log_of(steps: list[int]) -> str:
    return "".join(json.dumps({"step": step, "total": 1.0}) + "\n" for step in steps)


@pytest.mark.parametrize(
    "tail",
    [
        "",
        '{"step": 30, "to',
        '{"step": 20, "total": 1.0}',  # whole but for its end: it will be written again
        "\0\0\0\0\n",
        "null\n",
        "{}\n",
        "12\n",
    ],
)
def test_the_log_is_cut_behind_the_checkpoint(tmp_path: Path, tail: str) -> None:
    """By hand: a run that goes on from step 20 writes everything behind it again."""
    path = tmp_path / "log.jsonl"
    path.write_text(log_of([10, 20, 25, 30]) + tail)
    cut_log(path, 20)
    assert path.read_text() == log_of([10, 20])


def test_a_log_of_damaged_bytes_is_cut_too(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(log_of([10]).encode() + b'{"step": \xff\xfe')
    cut_log(path, 20)
    assert path.read_text() == log_of([10])


def test_a_missing_log_stays_missing(tmp_path: Path) -> None:
    cut_log(tmp_path / "log.jsonl", 20)
    assert not (tmp_path / "log.jsonl").exists()


def test_a_checkpoint_rebuilds_its_run_and_its_learner(tmp_path: Path) -> None:
    """By invariant: what is saved is what is read, to the bit."""
    learner = Learner.new(CONFIG, torch.device("cpu"))
    for parameter in learner.network.parameters():
        parameter.grad = torch.rand_like(parameter)
    learner.optimizer.step()
    learner.step = 7
    run_in(tmp_path).save(learner)
    checkpoint, _, note = load_newest(tmp_path)
    assert note == ""
    assert run_of(tmp_path, checkpoint.header) == run_in(tmp_path)
    other = Learner.new(CONFIG.replace(seed=1), torch.device("cpu"))
    restore(other, checkpoint, source="test")
    assert other.step == 7
    pairs = zip(learner.network.parameters(), other.network.parameters(), strict=True)
    for parameter, restored in pairs:
        assert torch.equal(parameter, restored)
        assert parameter.stride() == restored.stride()
        state, again = learner.optimizer.state[parameter], other.optimizer.state[restored]
        assert state.keys() == again.keys() == {"step", "exp_avg", "exp_avg_sq"}
        for name, value in state.items():
            assert torch.equal(value, again[name]), name
            assert value.stride() == again[name].stride(), name


def test_a_run_of_one_folder_is_read_as_older_ones_wrote_it(tmp_path: Path) -> None:
    """By hand: its header names the folder as text, no ``shards``, beta and rate of norms."""
    run_in(tmp_path).save(Learner.new(CONFIG, torch.device("cpu")))
    header = dict(load_checkpoint(tmp_path / "last.safetensors").header)
    header["data"] = "photos"
    newer = ("shards", "beta2", "norm_rate")
    header["config"] = {k: v for k, v in header["config"].items() if k not in newer}
    config = CONFIG.replace(beta2=0.999, norm_rate=1.0)
    assert run_of(tmp_path, header) == dataclasses.replace(run_in(tmp_path), config=config)
    optimizer = Learner.new(config, torch.device("cpu")).optimizer
    assert optimizer.defaults["betas"] == (0.9, 0.999)


def test_a_header_that_lacks_something_is_refused(tmp_path: Path) -> None:
    learner = Learner.new(CONFIG, torch.device("cpu"))
    run_in(tmp_path).save(learner)
    header = dict(load_checkpoint(tmp_path / "last.safetensors").header)
    del header["vgg_sha256"]
    with pytest.raises(CheckpointError, match="vgg_sha256"):
        run_of(tmp_path, header)
    header["config"] = {**header["config"], "colour": "blue"}
    with pytest.raises(NSTError, match="colour"):
        run_of(tmp_path, header)


def test_weights_of_another_width_are_refused(tmp_path: Path) -> None:
    run_in(tmp_path).save(Learner.new(CONFIG, torch.device("cpu")))
    checkpoint = load_checkpoint(tmp_path / "last.safetensors")
    wide = Learner.new(CONFIG.replace(width=16), torch.device("cpu"))
    with pytest.raises(CheckpointError, match="do not fit"):
        restore(wide, checkpoint, source="test")
    without = {k: v for k, v in checkpoint.tensors.items() if "to_rgb" not in k}
    narrow = Learner.new(CONFIG, torch.device("cpu"))
    with pytest.raises(CheckpointError, match="do not fit"):
        restore(narrow, Checkpoint(without, checkpoint.header), source="test")


@pytest.mark.parametrize("name", ["style", "--data", "--vgg"])
def test_what_differs_is_named(tmp_path: Path, name: str) -> None:
    run = run_in(tmp_path)
    check_identity(run, run.identity)
    with pytest.raises(CheckpointError, match=rf"run: {name} is not what the run was trained"):
        check_identity(
            dataclasses.replace(run, folder=Path("run")), {**run.identity, name: "d" * 64}
        )


def test_no_run_folder_and_an_empty_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such run folder"):
        load_newest(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_newest(tmp_path)


def test_the_plot_is_drawn_and_left_out_where_nothing_was_logged(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    log, plot = tmp_path / "log.jsonl", tmp_path / "loss.png"
    save_loss_plot(plot, log)
    log.write_text("")
    save_loss_plot(plot, log)
    assert not plot.exists()
    line = {"total": 3.0, "content": 1.0, "style": 0.5}
    log.write_text("".join(json.dumps({"step": k, **line}) + "\n" for k in range(1, 40)))
    save_loss_plot(plot, log)
    assert plot.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"

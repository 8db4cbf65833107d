"""``nst export`` as a user meets it: where the file goes, what is printed, what is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import ModelProto
from typer.testing import CliRunner, Result

import export.to_onnx
from export.cli import export_run
from export.parity import Case
from export.to_onnx import export_network
from nst.checkpoint import LAST, PREVIOUS, Checkpoint, network_tensors, save_checkpoint
from nst.cli import app
from nst.contract import ModelInfo
from nst.errors import CheckpointError
from nst.transformer import TransformerNet

HEADER: dict[str, Any] = {
    "step": 160,
    "config": {"width": 4, "strength": 1.0, "vgg": "/data/vgg.pth", "device": "cuda:1"},
    "dimensions": {"network": "johnson", "width": 4},
    "style_name": "starry-night",
    "style_sha256": "a" * 64,
    "data": "/data/photos",
    "data_identity": "b" * 64,
    "vgg_sha256": "c" * 64,
    "loss_network": "VGG-19",
    "made_with": "nst 0.1.0",
}


@pytest.fixture(autouse=True)
def small_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare at two small sizes; the command itself goes up to 1280x720."""
    cases = (Case(1, 1, 1, "noise"), Case(2, 17, 22, "photograph"))
    defaults = export_network.__kwdefaults__ or {}
    monkeypatch.setattr(export_network, "__kwdefaults__", {**defaults, "cases": cases})


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch, tiny_model: ModelProto) -> None:
    """Spare a test the seconds of tracing."""

    def copy(network: TransformerNet, controls: str) -> ModelProto:
        model = ModelProto()
        model.CopyFrom(tiny_model)
        return model

    monkeypatch.setattr(export.to_onnx, "to_model", copy)


@pytest.fixture
def run(tmp_path: Path, tiny_network: TransformerNet) -> Path:
    """A run folder with one checkpoint."""
    return make_run(tmp_path / "starry-night-1", tiny_network, HEADER)


def make_run(folder: Path, network: TransformerNet, header: dict[str, Any]) -> Path:
    folder.mkdir()
    save_checkpoint(folder / LAST, Checkpoint(network_tensors(network), header))
    return folder


def nst_export(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def info_of(path: Path) -> ModelInfo:
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    return ModelInfo.from_metadata(metadata, source=str(path))


def test_a_run_becomes_a_file(
    run: Path, tiny_model: ModelProto, capfd: pytest.CaptureFixture[str]
) -> None:
    """The whole way, traced anew: same weights, same bytes, and not a line of the exporter's."""
    path = export_run(run)
    out, err = capfd.readouterr()
    assert path == run / "starry-night.onnx"
    assert out == f"{path}\n"
    said = err.splitlines()
    assert said[0] == f"exporting {run / LAST}, step 160"
    assert said[1].startswith("parity: 2 sizes, ")
    assert len(said) == 2
    model = onnx.load(path)
    del model.metadata_props[:]
    assert model.SerializeToString(deterministic=True) == tiny_model.SerializeToString(
        deterministic=True
    )


@pytest.mark.usefixtures("traced")
def test_the_file_tells_its_training_and_no_places(run: Path) -> None:
    """By hand: settings and identities from the checkpoint; no folder, file or device."""
    info = info_of(export_run(run))
    assert info.styles == ("starry-night",)
    assert info.style_sha256 == ("a" * 64,)
    assert info.training == {
        "width": 4,
        "strength": 1.0,
        "step": 160,
        "loss_network": "VGG-19",
        "vgg_sha256": "c" * 64,
        "data_identity": "b" * 64,
    }
    assert (info.network, info.width, info.reach_px, info.size_multiple) == ("johnson", 4, 60, 4)
    assert info.made_with.startswith("nst ")
    assert "/data" not in (run / "starry-night.onnx").read_bytes().decode("latin1")


@pytest.mark.usefixtures("traced")
def test_an_existing_file_is_kept_unless_you_say_so(run: Path) -> None:
    target = run / "starry-night.onnx"
    target.write_bytes(b"old")
    done = nst_export(run)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"nst: {target} exists; replace it with --overwrite or name another with -o\n"
    )
    assert target.read_bytes() == b"old"
    assert nst_export(run, "--overwrite").exit_code == 0
    assert info_of(target).styles == ("starry-night",)


@pytest.mark.usefixtures("traced")
def test_a_checkpoint_file_and_an_output_can_be_named(run: Path, tmp_path: Path) -> None:
    done = nst_export(run / LAST, "-o", tmp_path / "new" / "night.onnx")
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'new' / 'night.onnx'}\n")
    assert not (run / "starry-night.onnx").exists()


@pytest.mark.usefixtures("traced")
def test_the_previous_checkpoint_is_taken_and_named(run: Path) -> None:
    (run / LAST).rename(run / PREVIOUS)
    done = nst_export(run)
    assert done.exit_code == 0
    assert done.stderr.splitlines()[:2] == [
        f"{run / LAST}: no such checkpoint; going on from {PREVIOUS}",
        f"exporting {run / PREVIOUS}, step 160",
    ]


@pytest.mark.usefixtures("traced")
def test_json(run: Path) -> None:
    """One object: the path, the hash of the file by another implementation, all metadata."""
    done = nst_export(run, "--json")
    values = json.loads(done.stdout)
    data = (run / "starry-night.onnx").read_bytes()
    assert values["model"] == str(run / "starry-night.onnx")
    assert values["sha256"] == hashlib.sha256(data).hexdigest()
    info = json.loads(json.dumps(dataclasses.asdict(info_of(run / "starry-night.onnx"))))
    assert {name: values[name] for name in info} == info
    assert done.stdout.count("\n") == 1


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    done = nst_export(tmp_path / "nothing")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no such run folder" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_output_of_another_kind_is_refused(run: Path) -> None:
    done = nst_export(run, "-o", run / "model.pt")
    assert done.exit_code == 2
    assert "must end in .onnx" in done.stderr


@pytest.mark.parametrize("key", ["step", "config", "vgg_sha256", "style_name", "style_sha256"])
def test_a_header_with_a_gap_is_refused(
    key: str, tmp_path: Path, tiny_network: TransformerNet
) -> None:
    header = {name: value for name, value in HEADER.items() if name != key}
    run = make_run(tmp_path / "run", tiny_network, header)
    with pytest.raises(CheckpointError, match="its header names no"):
        export_run(run)
    assert [path.name for path in run.iterdir()] == [LAST]


def test_a_style_name_cannot_lead_out_of_the_run(
    tmp_path: Path, tiny_network: TransformerNet
) -> None:
    """A checkpoint from outside must not choose where a file is written."""
    run = make_run(tmp_path / "run", tiny_network, HEADER | {"style_name": "../../night"})
    with pytest.raises(CheckpointError, match="names no style"):
        export_run(run)


def test_the_command_imports_nothing_heavy() -> None:
    """In a fresh interpreter, as for `nst --help`."""
    code = (
        "import sys, export.cli\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

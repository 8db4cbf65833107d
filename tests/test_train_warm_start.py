"""Starting from a trained network. Truth: its weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

import train.warm_start
from export.to_onnx import to_model, write_info
from nst.contract import ModelInfo
from nst.dimensions import NETS, dimensions_named
from nst.errors import CheckpointError, ModelError, UsageError
from nst.nets import build_network
from nst.seal import sealed
from nst.transformer import TransformerNet
from train.config import TrainConfig
from train.learner import Learner
from train.run import Run
from train.warm_start import start_from

CONFIG = TrainConfig(width=8, steps=5)


def assert_same(one: nn.Module, other: nn.Module) -> None:
    weights, others = one.state_dict(), other.state_dict()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


@pytest.fixture(scope="module")
def learner() -> Learner:
    learner = Learner.new(CONFIG.replace(seed=3), torch.device("cpu"))
    with torch.no_grad():
        for parameter in learner.network.parameters():  # the exporter keeps one of equal tensors
            parameter.add_(torch.randn_like(parameter), alpha=0.01)
    return learner


@pytest.fixture
def run_folder(learner: Learner, tmp_path: Path) -> Path:
    run = Run(
        folder=tmp_path,
        config=CONFIG,
        styles=["night"],
        style_sha256=["a" * 64],
        data=["photos"],
        data_identity="b" * 64,
        vgg_sha256="c" * 64,
    )
    run.save(learner)
    return tmp_path


@pytest.fixture(scope="module")
def model_file(learner: Learner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network of ``learner`` as an ONNX file."""
    info = ModelInfo(
        styles=("night",),
        style_sha256=("a" * 64,),
        network="johnson",
        width=8,
        reach_px=60,
        size_multiple=4,
        bytes_per_pixel=240,
    )
    path = tmp_path_factory.mktemp("model") / "night.onnx"
    path.write_bytes(write_info(to_model(learner.network.eval()), info))
    return path


@pytest.mark.parametrize("name", [".", "last.safetensors"])
def test_a_run_and_a_checkpoint_give_their_weights(
    run_folder: Path, learner: Learner, name: str
) -> None:
    network = TransformerNet(8)
    start_from(network, str(run_folder / name), print)
    assert_same(network, learner.network)


def test_an_exported_file_gives_its_weights(model_file: Path, learner: Learner) -> None:
    network = TransformerNet(8)
    start_from(network, str(model_file), print)
    assert_same(network, learner.network)


def test_another_width_is_refused(run_folder: Path, model_file: Path) -> None:
    for path in (run_folder, model_file):
        with pytest.raises(
            UsageError, match="its network is another one; give --net johnson:width=8"
        ):
            start_from(TransformerNet(16), str(path), print)


def test_auto_takes_the_embedded_trunk_of_the_dimensions(
    learner: Learner, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: the weights of the file embedded for dimensions, or none and a word of it."""
    checkpoint = (run_folder / "last.safetensors").read_bytes()
    (tmp_path / "trunk-johnson-8.safetensors").write_bytes(checkpoint)
    monkeypatch.setattr(train.warm_start, "ASSETS", tmp_path)
    said: list[str] = []
    network, other = TransformerNet(8), TransformerNet(16)
    start_from(network, "auto", said.append)
    assert_same(network, learner.network)
    before = copy.deepcopy(other)
    start_from(other, "auto", said.append)
    start_from(other, "none", said.append)
    assert_same(other, before)
    assert said == [
        "start: the embedded trunk, trained for other styles; --init none starts from nothing",
        "start: random weights, no trunk of johnson:width=16 is embedded",
    ]


@pytest.mark.parametrize("net", NETS)
def test_every_network_has_a_trunk(net: str) -> None:
    """By hand: a training with default dimensions starts from what is embedded."""
    network = build_network(dimensions_named(net))
    before = copy.deepcopy(network.state_dict())
    said: list[str] = []
    start_from(network, "auto", said.append)
    assert "the embedded trunk" in said[0]
    changed = [not torch.equal(before[name], t) for name, t in network.state_dict().items()]
    assert all(changed)


def damaged(model_file: Path) -> bytes:
    return model_file.read_bytes()[:1000]


def of_another_program(model_file: Path) -> bytes:
    model = onnx.load(model_file)
    del model.metadata_props[:]
    data: bytes = model.SerializeToString()
    return data


def without_a_layer(model_file: Path) -> bytes:
    model = onnx.load(model_file)
    kept = [tensor for tensor in model.graph.initializer if "to_rgb" not in tensor.name]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return sealed(model)


def with_a_flipped_bit(model_file: Path) -> bytes:
    data = bytearray(model_file.read_bytes())
    data[len(data) // 2] ^= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (damaged, "cannot be read as an ONNX file"),
        (of_another_program, "is not a style model of this program"),
        (without_a_layer, "holds another network"),
        (with_a_flipped_bit, "is damaged, it is not as it was exported"),
    ],
)
def test_a_file_that_is_no_model_is_refused(
    model_file: Path, tmp_path: Path, spoil: Callable[[Path], bytes], words: str
) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(spoil(model_file))
    with pytest.raises(ModelError, match=rf"--init .*bad\.onnx.*{words}"):
        start_from(TransformerNet(8), str(path), print)


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint; train one"):
        start_from(TransformerNet(8), str(tmp_path), print)

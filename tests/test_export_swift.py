"""The quick network as an ONNX file, from export to painting. Truths: torch, by invariant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto

from export.graph_check import norm_nodes
from export.parity import Case
from export.to_onnx import export_network
from infer.stylizer import Stylizer
from nst.contract import INPUT, OUTPUT, TEXTURE
from nst.dimensions import SwiftDimensions
from nst.errors import ModelError, UsageError
from nst.image import Picture
from nst.model_graph import count_numbers
from nst.seal import sealed
from nst.swift import SwiftNet
from nst.tensors import to_tensor, to_uint8
from train.warm_start import start_from

CASES = (Case(1, 1, 1, "noise"), Case(2, 17, 23, "photograph"), Case(1, 98, 131, "noise"))
"""Sizes that were not traced; the export adds one with half the texture."""


def network(seed: int = 0) -> SwiftNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = SwiftNet(SwiftDimensions(width=8, blocks=1)).eval()
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                if "norm" in name:  # else all alike, and the exporter keeps one for all
                    parameter.add_(torch.randn_like(parameter), alpha=0.2)
        return net


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("swift") / "swift.onnx"
    info = export_network(
        network(), path, styles=("a",), style_sha256=("0" * 64,), training={}, cases=CASES
    )
    assert [tuple(parity["shape"]) for parity in info.parity][-1] == (1, 75, 102, 3)
    assert info.network == "swift"
    return path


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (45, 61, 3), dtype=np.uint8)


def test_the_graph_has_no_random_operators_and_named_norms(model: Path) -> None:
    """By hand: a norm behind the stem, two in the block, one behind the doubling."""
    graph = onnx.load(model).graph
    assert not [node.op_type for node in graph.node if "Random" in node.op_type]
    assert [node.name for node in norm_nodes(graph)] == [f"norm_{n:02d}" for n in range(4)]
    assert [value.name for value in graph.input] == [INPUT, TEXTURE]


@pytest.mark.parametrize("texture", [0.0, 0.5, 1.0, 2.0])
def test_texture_is_that_of_torch(model: Path, photo: NDArray[np.uint8], texture: float) -> None:
    painted = Stylizer(model, provider="cpu", texture=texture)(photo).rgb.astype(int)
    with torch.inference_mode():
        expected = to_uint8(network()(to_tensor(photo), torch.tensor([texture])))[0]
    assert np.abs(painted - expected).max() <= 1


def test_texture_may_be_left_out(model: Path, photo: NDArray[np.uint8]) -> None:
    """By invariant: a reader that knows only the picture gets what a texture of 1 gives."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == [INPUT]
    (painted,) = session.run([OUTPUT], {INPUT: photo[None]})
    assert np.array_equal(painted[0], Stylizer(model, provider="cpu")(photo).rgb)
    again = Stylizer(model, provider="cpu")(Picture(rgb=photo, alpha=None, notes=())).rgb
    assert np.array_equal(painted[0], again)


def test_texture_without_noise_is_refused(invert_model: Path) -> None:
    with pytest.raises(UsageError, match=r"--texture 0\.5: .*no noise") as caught:
        Stylizer(invert_model, texture=0.5)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("texture", [-0.1, 3.5, float("nan")])
def test_texture_out_of_bounds_is_refused(model: Path, texture: float) -> None:
    with pytest.raises(UsageError, match="--texture must be 0 to 3"):
        Stylizer(model, texture=texture)


def test_an_input_without_a_value_is_refused(model: Path, tmp_path: Path) -> None:
    """By hand: a texture that must be given is not what the contract allows."""
    proto = onnx.load(model)
    kept = [tensor for tensor in proto.graph.initializer if tensor.name != TEXTURE]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)
    with pytest.raises(ModelError, match="found image, texture"):
        Stylizer(sealed(proto))
    proto = onnx.load(model)
    proto.graph.input[1].type.tensor_type.elem_type = TensorProto.DOUBLE
    with pytest.raises(ModelError, match="found image, texture"):
        Stylizer(sealed(proto))


def test_a_training_may_start_from_the_file(model: Path) -> None:
    """By invariant: the weights come back as they were exported; another network is refused."""
    fresh, exported = network(seed=1), network()
    start_from(fresh, str(model), print)
    for name, tensor in exported.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], tensor)
    with pytest.raises(UsageError, match="give --net swift:width=8,blocks=1"):
        start_from(SwiftNet(SwiftDimensions(width=8)), str(model), print)


def test_parameters_are_counted_without_the_noise(model: Path) -> None:
    """By another count: torch's, of what is trained; a few constants of the graph beside it."""
    expected = sum(p.numel() for p in network().parameters())
    assert expected <= count_numbers(model.read_bytes()) < expected + 40

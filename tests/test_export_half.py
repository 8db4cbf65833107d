"""Models in float16. Truths: other implementations of half arithmetic, by hand, by invariant."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto
from onnx.reference import ReferenceEvaluator
from typer.testing import CliRunner

import export.to_onnx
from export.graph_check import norm_nodes
from export.half import rounded_twin, to_half
from export.half_parity import LEAST_DB, check_half, psnr_db, summary_of_half
from export.parity import Case, picture, summary
from export.to_onnx import export_network, to_model
from infer.session import open_session
from nst.checkpoint import LAST, Checkpoint, network_tensors, save_checkpoint
from nst.cli import app
from nst.contract import INPUT, MIX, NORM_NAME, Controls, ModelInfo
from nst.dimensions import SwiftDimensions
from nst.errors import ModelError, ParityError
from nst.nets import build_network
from nst.network import StyleNetwork
from nst.ort import create_session
from nst.transformer import TransformerNet
from train.warm_start import trained_at

CASES = (Case(1, 1, 1, "noise"), Case(2, 17, 23, "photograph"), Case(1, 50, 61, "photograph"))
STYLES = ("wave", "scream")
KINDS: tuple[Controls, ...] = ("none", "regional")


def swift(styles: int) -> StyleNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = build_network(SwiftDimensions(width=8, blocks=1), styles).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
        return network


@pytest.fixture(scope="module")
def exact(tiny_model: ModelProto) -> dict[str, ModelProto]:
    """Float32 models: johnson of one style, swift of two."""
    return {"none": tiny_model, "regional": to_model(swift(len(STYLES)), "regional")}


def kinds_of(model: ModelProto) -> dict[str, int]:
    """Element types of all tensors, as the inference of ONNX finds them."""
    bare = ModelProto()
    bare.CopyFrom(model)
    del bare.graph.value_info[:]
    graph = onnx.shape_inference.infer_shapes(bare, strict_mode=True).graph
    values = (*graph.value_info, *graph.input, *graph.output)
    kinds = {value.name: value.type.tensor_type.elem_type for value in values}
    return kinds | {tensor.name: tensor.data_type for tensor in graph.initializer}


def painted(model: ModelProto, feeds: dict[str, Any]) -> Any:
    session = create_session(model.SerializeToString(), ["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


# --- the graph -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_convolutions_are_half_and_norms_are_not(exact: dict[str, ModelProto], kind: str) -> None:
    """By the type inference of ONNX: what computes in which type; and the names stay."""
    half = to_half(exact[kind])
    onnx.checker.check_model(half, full_check=True)
    kinds = kinds_of(half)
    norms = norm_nodes(half.graph)
    assert [node.name for node in norms] == [NORM_NAME.format(i) for i in range(len(norms))]
    for node in norms:
        assert {kinds[name] for name in (*node.input, *node.output)} == {TensorProto.FLOAT}
    of_mix = [n for n in half.graph.node if n.op_type == "Conv" and kinds[n.output[0]] == 1]
    convolutions = [n for n in half.graph.node if n.op_type == "Conv" and n not in of_mix]
    assert len(convolutions) == len(norms) + 1  # the one to RGB has no norm
    for node in convolutions:
        assert {kinds[name] for name in (*node.input, *node.output)} == {TensorProto.FLOAT16}
    assert len(of_mix) == (0 if kind == "none" else 2 * len(norms))  # scale and shift of a place
    assert kinds[INPUT] == kinds[half.graph.output[0].name] == TensorProto.UINT8
    noise = [kinds[name] for name in kinds if name.endswith(("noise.signs", "noise.values"))]
    assert set(noise) <= {TensorProto.FLOAT}
    names = [{t.name for t in model.graph.initializer} for model in (exact[kind], half)]
    assert names[0] == names[1]


def test_maps_between_convolutions_stay_half(exact: dict[str, ModelProto]) -> None:
    """By hand: norms, and the border of the picture, are the only places where maps are cast.

    Kernels of the enlargements, and kernel and bias of the last convolution, too, which are
    computed when the file is loaded.
    """
    half = to_half(exact["none"])
    norms = len(norm_nodes(half.graph))
    casts = [node for node in half.graph.node if node.name.startswith("cast_")]
    kinds = kinds_of(half)
    down = [node for node in casts if kinds[node.output[0]] == TensorProto.FLOAT16]
    assert len(down) == norms + 1 + 4  # behind every norm, and the picture
    assert len(casts) - len(down) == norms + 1  # before every norm, and the painting


def test_the_model_that_is_given_stays(exact: dict[str, ModelProto]) -> None:
    """By invariant."""
    before = exact["none"].SerializeToString(deterministic=True)
    rounded_twin(to_half(exact["none"]))
    assert exact["none"].SerializeToString(deterministic=True) == before


def test_the_twin_rounds_as_numpy_does(exact: dict[str, ModelProto]) -> None:
    """By another implementation: ONNX's reference, whose float16 is NumPy's."""
    image = picture(Case(1, 22, 19, "photograph"), seed=1)
    half = to_half(exact["none"])
    (expected,) = list(ReferenceEvaluator(half).run(None, {INPUT: image}))
    near = psnr_db(painted(rounded_twin(half), {INPUT: image}), expected)
    assert near > 55  # NumPy sums in float16 too


def test_the_twin_rounds_a_convolution_as_torch_does() -> None:
    """By another implementation, value by value: torch's float16 convolution on the CPU."""
    random = np.random.default_rng(4)
    weight = random.standard_normal((4, 3, 3, 3)).astype(np.float32)
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Cast", [INPUT], ["x"], to=TensorProto.FLOAT),
            onnx.helper.make_node("Conv", ["x", "w"], ["y"], name="conv"),
            onnx.helper.make_node("Mul", ["y", "one"], ["z"]),
        ],
        "one convolution",
        [onnx.helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [1, 3, 9, 8])],
        [onnx.helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 4, 7, 6])],
        [onnx.numpy_helper.from_array(weight, "w"), onnx.helper.make_tensor("one", 1, [], [1.0])],
    )
    opsets = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    x = random.integers(0, 256, (1, 3, 9, 8), dtype=np.uint8)
    found = painted(rounded_twin(to_half(model)), {INPUT: x})
    given = torch.from_numpy(x).half()
    expected = torch.nn.functional.conv2d(given, torch.from_numpy(weight).half()).float().numpy()
    np.testing.assert_allclose(found, expected, rtol=2**-10, atol=0.01)  # one step of float16
    np.testing.assert_array_equal(found, found.astype(np.float16))
    assert not np.array_equal(painted(model, {INPUT: x}), found)


# --- parity --------------------------------------------------------------------------------------


def test_decibels_by_hand() -> None:
    """Every value one level off: 20 log10(255) = 48.13 dB; equal ones have no noise."""
    grey = np.full((1, 4, 4, 3), 100, np.uint8)
    assert psnr_db(grey + 1, grey) == pytest.approx(48.13, abs=0.01)
    assert psnr_db(grey, grey) == math.inf


def test_mixes_are_compared_too(exact: dict[str, ModelProto]) -> None:
    """By hand: two photographs, the calmer one, the original and each style; no noise picture."""
    model, network = exact["regional"], swift(len(STYLES))
    receipt = check_half(network, model, to_half(model), CASES, controls="regional", source="x")
    assert len(receipt) == 2 + 1 + 1 + len(STYLES)
    assert receipt[3].psnr_db is None  # the photograph, back as it was
    assert all(p.psnr_db is None or p.psnr_db >= LEAST_DB for p in receipt)


def exported(network: StyleNetwork, path: Path, **options: Any) -> ModelInfo:
    return export_network(
        network,
        path,
        styles=("tiny",),
        style_sha256=("0" * 64,),
        training={},
        cases=CASES,
        **options,
    )


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch, tiny_model: ModelProto) -> None:
    """Spare a test the seconds of tracing: the weights of a network, in the traced model."""

    def model_of(network: TransformerNet, controls: str) -> ModelProto:
        model = ModelProto()
        model.CopyFrom(tiny_model)
        weights = network_tensors(network)
        for tensor in model.graph.initializer:
            if tensor.name in weights:
                values = weights[tensor.name].detach().numpy()
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        return model

    monkeypatch.setattr(export.to_onnx, "to_model", model_of)


@pytest.mark.usefixtures("traced")
def test_an_overflow_is_refused(tiny_network: TransformerNet, tmp_path: Path) -> None:
    """By hand: a norm takes the factor of 10^6 out again in float32; float16 ends at 65,504.

    On the CPU ONNX Runtime runs the file itself without rounding and would not notice.
    """
    network = copy.deepcopy(tiny_network)
    conv = next(m for m in network.modules() if isinstance(m, torch.nn.Conv2d))
    with torch.no_grad():
        conv.weight *= 1e6 / conv.weight.abs().max()
    path = tmp_path / "huge.onnx"
    words = r"huge\.onnx: not exported, in float16 it is -?[\d.]+ dB .*45 are needed.*float32$"
    with pytest.raises(ParityError, match=words):
        exported(network, path, precision="float16")
    assert not path.exists()
    exported(network, path)  # as float32 nothing is wrong


@pytest.mark.usefixtures("traced")
def test_the_file_tells_its_precision(tiny_network: TransformerNet, tmp_path: Path) -> None:
    """By invariant: what is written is read; the receipt holds both comparisons."""
    path, exact_path = tmp_path / "half.onnx", tmp_path / "exact.onnx"
    info = exported(tiny_network, path, precision="float16")
    assert exported(tiny_network, exact_path).precision == "float32"
    session = open_session(path, "cpu")
    assert session.info == info
    assert info.precision == "float16"
    against = [entry.get("against") for entry in info.parity]
    assert against == [None, None, None, "float32", "float32"]
    assert all(entry["psnr_db"] >= LEAST_DB for entry in info.parity[3:])
    photo = picture(Case(1, 33, 40, "photograph"), seed=2)
    assert psnr_db(session.run(photo), open_session(exact_path, "cpu").run(photo)) > LEAST_DB
    weights = sum(np.prod(t.dims) for t in onnx.load(exact_path).graph.initializer)
    assert exact_path.stat().st_size - path.stat().st_size > 1.8 * weights * 0.9


@pytest.mark.usefixtures("traced")
def test_training_can_start_from_a_half_file(tiny_network: TransformerNet, tmp_path: Path) -> None:
    """By hand: weights keep their names, and are those of the network to eleven bits."""
    exported(tiny_network, tmp_path / "half.onnx", precision="float16")
    trained = trained_at(tmp_path / "half.onnx", announce=lambda line: None)
    found = dict(trained.network.named_parameters())
    for name, parameter in tiny_network.named_parameters():
        torch.testing.assert_close(found[name], parameter, rtol=2**-11, atol=1e-7)


def test_metadata_from_before_is_float32(invert_model: Path, tmp_path: Path) -> None:
    """By hand: a file without the key is float32; a word that is neither is refused."""
    model = onnx.load(invert_model)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert ModelInfo.from_metadata(metadata, source="x").precision == "float32"
    del metadata["nst.precision"]
    assert ModelInfo.from_metadata(metadata, source="x").precision == "float32"
    with pytest.raises(ModelError, match="unknown precision"):
        ModelInfo.from_metadata(metadata | {"nst.precision": '"float8"'}, source="x")


def test_summaries() -> None:
    """By hand."""
    torch_entry = {"shape": [1, 2, 2, 3], "max_grey_levels": 0, "values_off": 0, "values": 12}
    half: dict[str, Any] = {"shape": [1, 2, 2, 3], "psnr_db": 61.2, "against": "float32"}
    receipt = [torch_entry, half, half | {"psnr_db": None}]
    assert summary(receipt) == "parity: 1 sizes, no value differs from torch"
    assert summary_of_half(receipt) == "float16: 2 photographs, at least 61.2 dB against float32"
    assert summary_of_half([half | {"psnr_db": None}]).endswith("no value differs from float32")
    assert summary_of_half([torch_entry]) == ""


# --- the command ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("traced")
def test_the_command(
    tiny_network: TransformerNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: another name than the float32 file's, two lines about parity, the key in JSON."""
    defaults = export_network.__kwdefaults__ or {}
    monkeypatch.setattr(export_network, "__kwdefaults__", {**defaults, "cases": CASES})
    header: dict[str, Any] = {
        "step": 1,
        "config": {"width": 4},
        "dimensions": dataclasses.asdict(tiny_network.dimensions),
        "style_name": "wave",
        "style_sha256": "a" * 64,
        "data_identity": "b" * 64,
        "vgg_sha256": "c" * 64,
        "loss_network": "VGG-19",
    }
    save_checkpoint(tmp_path / LAST, Checkpoint(network_tensors(tiny_network), header))
    command = ["export", str(tmp_path), "--precision", "float16"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{tmp_path / 'wave-float16.onnx'}\n"
    assert [line.split(":")[0] for line in result.stderr.splitlines()[1:]] == ["parity", "float16"]
    result = CliRunner().invoke(app, [*command, "--overwrite", "--json"])
    assert json.loads(result.stdout)["precision"] == "float16"


def test_a_mix_reaches_the_original(exact: dict[str, ModelProto]) -> None:
    """By invariant: all photograph gives the photograph back to the bit, in half precision too."""
    photo = picture(Case(1, 30, 41, "photograph"), seed=5)
    mix = np.zeros((1, len(STYLES) + 1, 1, 1), np.float32)
    mix[:, 0] = 1
    half = to_half(exact["regional"])
    for model in (half, rounded_twin(half)):
        np.testing.assert_array_equal(painted(model, {INPUT: photo, MIX: mix}), photo)

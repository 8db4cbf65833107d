"""Comparing an exported model with its network, and that nothing is written when they differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper

import export.to_onnx
from export.parity import (
    CASES,
    FLAT_TOLERANCE,
    Case,
    Parity,
    check_parity,
    picture,
    summary,
)
from export.to_onnx import TRACED_SIZE, export_network
from nst.contract import ModelInfo
from nst.errors import ExportError, OutputError, ParityError
from nst.transformer import TransformerNet

SMALL = (
    Case(1, 1, 1, "noise"),
    Case(1, 5, 5, "noise"),
    Case(1, 17, 23, "photograph"),
    Case(3, 12, 30, "photograph"),
    Case(1, 98, 131, "noise"),
)
TRAINING = {"step": 7}


def copy_of(model: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy


def perturbed(model: ModelProto) -> ModelProto:
    """A copy in which one weight of one norm, about 1, is off by a tenth."""
    copy = copy_of(model)
    tensor = next(t for t in copy.graph.initializer if t.name == "network.norm5.weight")
    values = numpy_helper.to_array(tensor).copy()
    values[0] += 0.1
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return copy


def export_tiny(network: TransformerNet, path: Path, *, overwrite: bool = False) -> ModelInfo:
    return export_network(
        network,
        path,
        styles=("tiny",),
        style_sha256=("0" * 64,),
        training=TRAINING,
        overwrite=overwrite,
        cases=SMALL,
    )


# --- comparing -----------------------------------------------------------------------------------


def test_onnxruntime_paints_what_torch_paints(
    tiny_network: TransformerNet, tiny_model: ModelProto
) -> None:
    """By another implementation, at sizes from 1 px that were not traced."""
    receipt = check_parity(tiny_network, tiny_model.SerializeToString(), SMALL, source="x.onnx")
    shapes = [(1, 1, 1, 3), (1, 5, 5, 3), (1, 17, 23, 3), (3, 12, 30, 3), (1, 98, 131, 3)]
    assert [parity.shape for parity in receipt] == shapes
    assert [parity.values for parity in receipt] == [3, 75, 1173, 3240, 38514]  # by hand
    assert receipt[0].max_grey_levels <= FLAT_TOLERANCE
    assert all(parity.max_grey_levels <= 1 for parity in receipt[1:])
    assert all(parity.values_off <= parity.values / 100 for parity in receipt[1:])


def test_the_network_of_these_tests_can_show_a_difference(tiny_network: TransformerNet) -> None:
    """A network that paints one grey would equal anything: its tones must spread."""
    from nst.tensors import to_tensor, to_uint8

    painted = to_uint8(tiny_network(to_tensor(picture(SMALL[-1], seed=0))))
    assert painted.std() > 20


def test_a_perturbed_weight_is_caught(tiny_network: TransformerNet, tiny_model: ModelProto) -> None:
    """A valid graph that paints almost the same is still a wrong one."""
    model = perturbed(tiny_model)
    onnx.checker.check_model(model)
    with pytest.raises(ParityError, match=r"^x\.onnx: not exported, .* grey levels off torch at"):
        check_parity(tiny_network, model.SerializeToString(), SMALL, source="x.onnx")


def test_another_size_is_caught(tiny_network: TransformerNet, tiny_model: ModelProto) -> None:
    """By hand: a model that lays pictures on their side gives 23x17 px for 17x23."""
    model = copy_of(tiny_model)
    upright = model.graph.output[0].name
    model.graph.node[-1].output[0] = "upright"
    turn = helper.make_node("Transpose", ["upright"], [upright], perm=[0, 2, 1, 3])
    model.graph.node.append(turn)
    case = Case(1, 17, 23, "noise")
    with pytest.raises(ParityError, match=r"\(1, 17, 23, 3\) come back as uint8 \(1, 23, 17, 3\)"):
        check_parity(tiny_network, model.SerializeToString(), [case], source="x.onnx")


def test_the_cases_of_the_command() -> None:
    """By hand, from the design: from 1 px to 720p, a batch, every remainder by 4, none traced."""
    sizes = {(case.batch, case.height, case.width) for case in CASES}
    assert {(1, 1, 1), (1, 5, 5), (1, 479, 641), (1, 720, 1280), (3, 60, 44)} <= sizes
    sides = {side % 4 for _, *both in sizes for side in both}
    assert sides == {0, 1, 2, 3}
    assert TRACED_SIZE[:3] not in sizes
    assert {case.content for case in CASES} == {"noise", "photograph"}


@pytest.mark.parametrize("content", ["noise", "photograph"])
def test_pictures_are_a_function_of_the_seed(content: str) -> None:
    """Invariant: same seed, same pictures; another seed or place in the batch, another picture."""
    case = Case(2, 40, 30, "noise" if content == "noise" else "photograph")
    pictures = picture(case, seed=1)
    assert pictures.shape == (2, 40, 30, 3)
    assert pictures.dtype == np.uint8
    np.testing.assert_array_equal(pictures, picture(case, seed=1))
    assert not np.array_equal(pictures, picture(case, seed=2))
    assert not np.array_equal(pictures[0], pictures[1])


def test_photographs_are_smoother_than_noise() -> None:
    """By hand: neighbours of uniform noise differ by 85 on average, those of a photograph less."""
    steps = {
        case.content: np.abs(np.diff(picture(case, seed=0).astype(int), axis=2)).mean()
        for case in (Case(1, 60, 80, "noise"), Case(1, 60, 80, "photograph"))
    }
    assert steps["noise"] == pytest.approx(85, abs=3)
    assert steps["photograph"] < 15


def entry(height: int, width: int, worst: int, off: int, *, batch: int = 1) -> dict[str, object]:
    return Parity(
        shape=(batch, height, width, 3),
        content="noise",
        max_grey_levels=worst,
        values_off=off,
        values=batch * height * width * 3,
    ).to_json()


def test_summary_by_hand() -> None:
    receipt = [entry(720, 1280, 1, 3), entry(5, 5, 0, 0)]
    assert summary(receipt) == (
        "parity: 2 sizes, at most 1 grey level off torch"
        " (1280x720 px: 3 of 2,764,800 values differ)"
    )
    assert summary([entry(5, 5, 0, 0)]) == "parity: 1 sizes, no value differs from torch"
    assert "2 grey levels off torch (3 pictures of 44x60 px: 9 of" in summary(
        [entry(60, 44, 2, 9, batch=3)]
    )


# --- writing only what was compared --------------------------------------------------------------


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch, tiny_model: ModelProto) -> None:
    """Spare a test the seconds of tracing."""
    monkeypatch.setattr(export.to_onnx, "to_model", lambda network, controls: copy_of(tiny_model))


@pytest.mark.usefixtures("traced")
def test_the_receipt_stands_in_the_file(tiny_network: TransformerNet, tmp_path: Path) -> None:
    info = export_tiny(tiny_network, tmp_path / "new" / "tiny.onnx")
    proto = onnx.load(tmp_path / "new" / "tiny.onnx")
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    assert ModelInfo.from_metadata(metadata, source="") == info
    assert [e["shape"][1:3] for e in info.parity] == [[c.height, c.width] for c in SMALL]
    assert (info.styles, info.width, info.training) == (("tiny",), 4, TRAINING)


@pytest.mark.parametrize("is_there", [False, True])
def test_nothing_is_written_when_parity_fails(
    is_there: bool,
    tiny_network: TransformerNet,
    tiny_model: ModelProto,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No new file, no temporary one, and an old one keeps its content even with overwrite."""
    monkeypatch.setattr(export.to_onnx, "to_model", lambda network, controls: perturbed(tiny_model))
    path = tmp_path / "tiny.onnx"
    if is_there:
        path.write_bytes(b"old")
    with pytest.raises(ParityError):
        export_tiny(tiny_network, path, overwrite=True)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == (
        [("tiny.onnx", b"old")] if is_there else []
    )


def test_nothing_is_written_when_the_graph_is_wrong(
    tiny_network: TransformerNet,
    tiny_model: ModelProto,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = copy_of(tiny_model)
    model.graph.node[0].doc_string = "a.py"
    monkeypatch.setattr(export.to_onnx, "to_model", lambda network, controls: model)
    with pytest.raises(ExportError, match="where it was made"):
        export_tiny(tiny_network, tmp_path / "tiny.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_refused_before_anything_is_traced(
    tiny_network: TransformerNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(export.to_onnx, "to_model")
    (tmp_path / "tiny.onnx").write_bytes(b"old")
    with pytest.raises(OutputError, match="exists; replace it with --overwrite"):
        export_tiny(tiny_network, tmp_path / "tiny.onnx")
    with pytest.raises(OutputError, match="it is a folder"):
        export_tiny(tiny_network, tmp_path, overwrite=True)
    assert (tmp_path / "tiny.onnx").read_bytes() == b"old"

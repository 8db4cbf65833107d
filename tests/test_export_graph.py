"""What stands in an exported model, and that ``check_graph`` sees what does not belong there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from export.graph_check import check_graph, norm_nodes
from export.to_onnx import write_info
from nst.contract import ModelInfo
from nst.errors import ExportError, ModelError
from nst.transformer import TransformerNet

INFO = ModelInfo(
    styles=("starry-night",),
    style_sha256=("a" * 64,),
    network="johnson",
    width=4,
    reach_px=60,
    size_multiple=4,
    bytes_per_pixel=TransformerNet(4).bytes_per_pixel,
    training={"step": 160, "strength": 1.0, "style_layers": None, "content_layer": "relu3_3/2"},
    parity=({"shape": [1, 1, 1, 3], "max_grey_levels": 0, "values_off": 0, "values": 3},),
    made_with="tests",
)


@pytest.fixture
def model(tiny_model: ModelProto) -> ModelProto:
    """A copy that a test may change."""
    copy = ModelProto()
    copy.CopyFrom(tiny_model)
    return copy


def shape_of(value: onnx.ValueInfoProto) -> list[str | int]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


# --- what is exported ----------------------------------------------------------------------------


def test_borders_are_those_of_the_contract(model: ModelProto) -> None:
    """By hand, from the contract: one uint8 tensor of free, named sides in, the same out."""
    (image,), (stylized,) = model.graph.input, model.graph.output
    assert (image.name, stylized.name) == ("image", "stylized")
    for value in (image, stylized):
        assert value.type.tensor_type.elem_type == TensorProto.UINT8
        assert shape_of(value) == ["batch", "height", "width", 3]


def test_only_standard_operators_in_one_file(model: ModelProto) -> None:
    """By onnx's own checker, shapes inferred strictly; every weight inside."""
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 18)]
    assert all(t.data_location == TensorProto.DEFAULT for t in model.graph.initializer)
    assert not model.functions


def test_norms_are_named_in_order(model: ModelProto) -> None:
    """By hand: 3 on the way down, 2 in each of 5 blocks, 2 on the way up."""
    names = [node.name for node in norm_nodes(model.graph)]
    assert names == [f"norm_{i:02d}" for i in range(15)]


def test_norms_keep_their_neighbours(model: ModelProto) -> None:
    """Invariant: each norm reads what a convolution wrote, those behind an enlargement its pixels
    without the border; and something reads each norm."""
    writers = {name: node.op_type for node in model.graph.node for name in node.output}
    read = {name for node in model.graph.node for name in node.input}
    for number, node in enumerate(norm_nodes(model.graph)):
        assert writers[node.input[0]] == ("Conv" if number < 13 else "Slice")
        assert node.output[0] in read


def test_nothing_tells_where_it_was_made(model: ModelProto) -> None:
    """By hand: no folder of this computer, no source file, none of the exporter's notes."""
    data = write_info(model, INFO)
    places = [str(Path.home()), str(Path.cwd()), str(Path(__file__).parents[1]), "/work"]
    for word in [*places, ".py", "stack_trace", "pkg.torch", "site-packages"]:
        assert os.fsencode(word) not in data, word


def test_metadata_comes_back(model: ModelProto) -> None:
    """Round trip through the bytes; None, floats and lists keep their kind."""
    assert check_graph(write_info(model, INFO), source="x.onnx") == INFO


def test_metadata_is_replaced(model: ModelProto) -> None:
    """Invariant: what is written does not depend on what was written before."""
    once = write_info(model, INFO)
    assert write_info(model, INFO) == once


# --- what check_graph refuses --------------------------------------------------------------------


def _rename_norm(model: ModelProto) -> None:
    norm_nodes(model.graph)[3].name = "norm_3"


def _same_name_twice(model: ModelProto) -> None:
    model.graph.node[0].name = model.graph.node[1].name


def _move_weights_out(model: ModelProto) -> None:
    weight = next(t for t in model.graph.initializer if t.name.endswith("conv1.conv.weight"))
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="weights.bin")


def _use_a_foreign_operator(model: ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    next(node for node in model.graph.node if node.op_type == "Sigmoid").domain = "com.microsoft"


def _lower_the_opset(model: ModelProto) -> None:
    model.opset_import[0].version = 17


def _rename_the_input(model: ModelProto) -> None:
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == "image":
                node.input[index] = "x"
    model.graph.input[0].name = "x"


def _fix_a_side(model: ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 37


def _promise_floats(model: ModelProto) -> None:
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT


def _break_the_graph(model: ModelProto) -> None:
    del model.graph.node[20]


def _keep_a_stack_trace(model: ModelProto) -> None:
    model.graph.node[5].metadata_props.add(key="pkg.torch.onnx.stack_trace", value="line 3")


def _keep_a_source_file(model: ModelProto) -> None:
    model.graph.node[5].doc_string = 'File "transformer.py", line 3'


def _keep_the_home_folder(model: ModelProto) -> None:
    model.graph.doc_string = f"{Path.home()}/styles"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_rename_norm, "norms are not named norm_00"),
        (_same_name_twice, "the same name"),
        (_move_weights_out, "another file|external"),
        (_use_a_foreign_operator, "com.microsoft"),
        (_lower_the_opset, "opset is 17|not valid ONNX"),
        (_rename_the_input, "the input `image` alone, found x"),
        (_fix_a_side, "37"),
        (_promise_floats, "not valid ONNX|float"),
        (_break_the_graph, "not valid ONNX"),
        (_keep_a_stack_trace, "where it was made"),
        (_keep_a_source_file, r"where it was made \(\.py\)"),
        (_keep_the_home_folder, "local path"),
    ],
)
def test_a_fault_is_refused(
    damage: Callable[[ModelProto], None],
    words: str,
    model: ModelProto,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Each fault alone, on a model that passes without it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    damage(model)
    with pytest.raises(ExportError, match=rf"^x\.onnx: not exported, .*({words})"):
        check_graph(write_info(model, INFO), source="x.onnx")


@pytest.mark.parametrize("path", ["/data/vgg.safetensors", "~/photos", r"C:\photos", r"\\nas\p"])
def test_a_path_in_the_settings_is_refused(path: str, model: ModelProto) -> None:
    data = write_info(model, ModelInfo.from_metadata(with_training({"vgg": [path]}), source=""))
    with pytest.raises(ExportError, match=r"metadata nst\.training holds a local path"):
        check_graph(data, source="x.onnx")


def with_training(training: dict[str, object]) -> dict[str, str]:
    return INFO.to_metadata() | {"nst.training": json.dumps(training)}


def test_a_model_without_metadata_is_refused(model: ModelProto) -> None:
    with pytest.raises(ModelError, match="no nst metadata"):
        check_graph(model.SerializeToString(), source="x.onnx")

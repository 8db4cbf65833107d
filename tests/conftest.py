"""Fixtures that several test files share: small pictures, a small style model, tolerances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from nst.contract import DIMENSIONS, INPUT, OUTPUT, ModelInfo


@pytest.fixture
def photo() -> NDArray[np.uint8]:
    """A small photograph-like picture, 48x64: a gradient, a disc, a little noise."""
    rows, columns = np.mgrid[0:48, 0:64].astype(np.float64)
    picture = np.stack([columns * 4, rows * 5, 255 - columns * 2 - rows * 2], axis=-1)
    picture[(rows - 24) ** 2 + (columns - 20) ** 2 < 100] = (220, 60, 40)
    noise = np.random.default_rng(0).normal(0, 4, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def invert_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the contract made by hand, without torch: it paints the negative, 255 - image."""
    path = tmp_path_factory.mktemp("model") / "invert.onnx"
    shape: list[str | int | None] = [*DIMENSIONS, 3]
    graph = helper.make_graph(
        [helper.make_node("Sub", ["white", INPUT], [OUTPUT], name="negative")],
        "invert",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.UINT8, shape)],
        [helper.make_tensor("white", TensorProto.UINT8, [], [255])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    info = ModelInfo(
        styles=("negative",),
        style_sha256=("0" * 64,),
        network="johnson",
        width=8,
        reach_px=0,
        size_multiple=1,
        bytes_per_pixel=6,
        made_with="tests",
    )
    helper.set_model_props(model, info.to_metadata())
    onnx.save(model, path)
    return path

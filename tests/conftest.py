"""Fixtures that several test files share: small pictures, a small style model, tolerances."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from nst.contract import DIMENSIONS, INPUT, OUTPUT, ModelInfo

if TYPE_CHECKING:
    from nst.weights import VGGWeights


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


@pytest.fixture(scope="session")
def tiny_vgg() -> VGGWeights:
    """A random VGG-19 of all sixteen convolutions, 4 to 8 channels wide: quick, paints nothing."""
    import torch  # here, because most tests need no torch

    from nst.weights import CONVOLUTIONS, VGGWeights

    generator = torch.Generator().manual_seed(0)
    tensors, channels = {}, 3
    for name in CONVOLUTIONS:
        width = {"conv1": 4, "conv2": 6}.get(name[:5], 8)
        shape = (width, channels, 3, 3)
        deviation = (2 / (9 * channels)) ** 0.5  # activations keep their size (He et al. 2015)
        tensors[f"{name}.weight"] = deviation * torch.randn(shape, generator=generator)
        tensors[f"{name}.bias"] = 0.1 * torch.rand(width, generator=generator)
        channels = width
    return VGGWeights(tensors=tensors, source="a tiny VGG-19")

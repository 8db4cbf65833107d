"""A loss network as ONNX. Truth: another implementation, the objective itself in torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from export.loss_network import export_loss_network, output_names
from nst.config import CONTENT_FLOOR
from nst.files import sha256_of
from nst.losses import PerceptualLoss
from nst.presets import PRESETS
from nst.samples import ASSETS
from nst.tensors import to_tensor
from nst.weights import VGGWeights, load_weights


@pytest.fixture(scope="module")
def mapped_file(tiny_vgg: VGGWeights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny VGG-19 with maps, as a distilled network has them; stored in half precision."""
    path = tmp_path_factory.mktemp("loss") / "compact.safetensors"
    kept = {name: tensor for name, tensor in tiny_vgg.tensors.items() if name < "conv3_4"}
    for seed, layer in enumerate(("relu1_1", "relu2_1", "relu3_1", "relu3_3")):
        n = len(tiny_vgg.tensors[layer.replace("relu", "conv") + ".weight"])
        generator = torch.Generator().manual_seed(seed)
        kept[f"{layer}.map"] = torch.eye(n) + 0.2 * torch.randn(n, n, generator=generator)
    halves = {name: tensor.half() for name, tensor in kept.items()}
    save_file(halves, path, metadata={"name": "compact"})
    return path


def test_what_onnx_measures_is_the_objective(mapped_file: Path, tmp_path: Path) -> None:
    """S and C from the outputs, by numpy alone, against ``nst.losses``, at odd sizes."""
    path = tmp_path / "compact.onnx"
    export_loss_network(mapped_file, path)
    assert_measures_the_objective(path, mapped_file)


def test_the_embedded_file_is_the_embedded_network() -> None:
    path, file = ASSETS / "compact.onnx", ASSETS / "compact.safetensors"
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert (metadata["name"], metadata["sha256"]) == ("compact", sha256_of(file))
    assert metadata["preset"] == str(PRESETS["pyramid"])
    assert_measures_the_objective(path, file)


def assert_measures_the_objective(path: Path, file: Path) -> None:
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    style, photo, painted = (
        random.integers(0, 256, (1, *size, 3), dtype=np.uint8)
        for size in ((75, 60), (53, 91), (53, 91))
    )

    def measure(image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        found: list[NDArray[np.float32]] = session.run(None, {"image": image})
        return found

    wanted, plain, ours = measure(style), measure(photo), measure(painted)
    per_position = (wanted[0] ** 2).sum() / wanted[0][0, 0].size
    floor = CONTENT_FLOOR * per_position * plain[0][0, 0].size
    content = ((ours[0] - plain[0]) ** 2).sum() / max((plain[0] ** 2).sum(), floor)
    energies = np.array([(gram**2).sum() for gram in wanted[1:]])
    energies = np.maximum(energies, 1e-3 * energies.max())
    errors = [((a - b) ** 2).sum() for a, b in zip(ours[1:], wanted[1:], strict=True)]
    criterion = PerceptualLoss(load_weights(file), to_tensor(style))
    with torch.no_grad():
        target = criterion.content_target(to_tensor(photo))
        terms = criterion(to_tensor(painted), target)
    assert content == pytest.approx(terms.content.item(), rel=1e-3)
    assert float(np.mean(errors / energies)) == pytest.approx(terms.style.item(), rel=1e-3)


def test_outputs_are_named_by_their_taps() -> None:
    """By hand."""
    assert output_names(PRESETS["pyramid"])[:5] == [
        "content",
        "gram_relu1_1",
        "gram_relu2_1",
        "gram_relu3_1",
        "gram_relu1_1_2",
    ]


def test_maps_change_what_is_measured(mapped_file: Path) -> None:
    """By invariant: without its maps the same network measures something else."""
    weights = load_weights(mapped_file)
    style, photo = torch.rand(1, 3, 40, 40), torch.rand(1, 3, 40, 40)
    values = []
    for each in (weights, replace(weights, maps={})):
        criterion = PerceptualLoss(each, style)
        with torch.no_grad():
            values.append(criterion(photo, criterion.content_target(photo)).style.item())
    assert values[0] != pytest.approx(values[1], rel=1e-3)

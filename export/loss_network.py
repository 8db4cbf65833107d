"""A loss network as one ONNX file, for measuring content and style without torch.

Input ``image`` uint8 ``(batch, height, width, 3)``, sides at least 32 px. Outputs, float32:
``content`` ``(batch, N, h, w)``, the features of the content layer, and for each style tap its Gram
matrix divided by its positions, ``gram_relu1_1`` ``(batch, N, N)``, ``gram_relu1_1_2`` for the
picture at half size and so on. The distances between them are those of ``nst.losses``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from export.graph_edit import strip
from export.parity import Case, picture
from export.to_onnx import OPSET, quiet
from nst.contract import DIMENSIONS, INPUT
from nst.encoder import VGG19
from nst.errors import ParityError
from nst.features import features_at, positions_of
from nst.files import atomic_write
from nst.ort import create_session
from nst.presets import PRESETS, Preset
from nst.weights import VGGWeights, load_weights

CONTENT = "content"
TOLERANCE = 1e-4
"""Of the largest value of each output."""
CASES = (
    Case(1, 64, 64, "photograph"),
    Case(1, 37, 45, "noise"),
    Case(2, 91, 128, "photograph"),
)
TRACED_SIZE = (2, 72, 104, 3)
LEAST_HALVED = 1024
"""Weights of so many values are stored in half precision."""


class Measures(nn.Module):
    """What the objective compares, from RGB bytes.

    Args:
        weights: A loss network.
        preset: Layers and scales.
    """

    def __init__(self, weights: VGGWeights, preset: Preset) -> None:
        super().__init__()
        self.encoder = VGG19(weights, deepest=preset.deepest_layer)
        self.preset = preset

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return content features and Gram matrices of uint8 ``(B, H, W, 3)``."""
        x = image.permute(0, 3, 1, 2).float() / 255
        found = features_at(self.encoder, x, self.preset.taps)
        tap = self.preset.content
        content = self.encoder.compared(found[tap], tap.layer)
        grams = [
            self.encoder.gram(found[tap], tap.layer) / positions_of(found[tap])
            for tap in self.preset.style
        ]
        return content, *grams


def output_names(preset: Preset) -> list[str]:
    """Return the names of the outputs, in order."""
    return [CONTENT, *(f"gram_{str(tap).replace('/', '_')}" for tap in preset.style)]


def export_loss_network(file: Path, path: Path, *, preset: Preset = PRESETS["pyramid"]) -> None:
    """Write a weights file as ONNX, once it has been compared with torch.

    Args:
        file: As ``--vgg`` takes it.
        path: Where the ONNX file goes; one that is there is replaced.
        preset: Layers and scales.

    Raises:
        WeightsError: The weights cannot be used.
        ParityError: ONNX Runtime measures something else; nothing is written.
        OutputError: The file cannot be written.
    """
    weights = load_weights(file)
    measures = Measures(weights, preset).eval()
    for value in measures.state_dict().values():  # as the file will hold them
        if value.numel() >= LEAST_HALVED:
            value.copy_(value.half())
    free = {axis: torch.export.Dim(name, min=32) for axis, name in enumerate(DIMENSIONS) if axis}
    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            measures,
            (torch.zeros(TRACED_SIZE, dtype=torch.uint8),),
            dynamo=True,
            external_data=False,
            verbose=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=output_names(preset),
            dynamic_shapes={"image": {0: torch.export.Dim(DIMENSIONS[0]), **free}},
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    strip(model)
    _store_halves(model.graph)
    for key, value in (("name", weights.name), ("sha256", weights.sha256), ("preset", str(preset))):
        model.metadata_props.add(key=key, value=value)
    data: bytes = model.SerializeToString(deterministic=True)
    _check(measures, data, path)
    with atomic_write(path) as out:
        out.write(data)


def _store_halves(graph: onnx.GraphProto) -> None:
    """Store big weights in half precision and cast them when the model is loaded."""
    casts = []
    for tensor in graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < LEAST_HALVED:
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(
            onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _check(measures: Measures, model: bytes, path: Path) -> None:
    session = create_session(model, ["CPUExecutionProvider"])
    for number, case in enumerate(CASES):
        images = picture(case, seed=number)
        with torch.inference_mode():
            expected = measures(torch.from_numpy(images))
        found = session.run(None, {INPUT: images})
        for name, ours, theirs in zip(output_names(measures.preset), found, expected, strict=True):
            truth = theirs.numpy()
            worst = float(np.abs(ours - truth).max() / np.abs(truth).max())
            if ours.shape != truth.shape or worst > TOLERANCE:
                raise ParityError(
                    f"{path}: not exported, ONNX Runtime is off torch by {worst:.1e} of the"
                    f" largest value of {name}; try other versions of torch and onnxruntime"
                )

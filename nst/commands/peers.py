"""Painting as everybody does it: a float32 NCHW graph, a default session, numpy around it.

The habits are those of the examples of PyTorch and ONNX Runtime, the network is ours, so that only
the way of computing differs.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto, shape_inference
from torch import Tensor, nn

from nst.commands.plain_loop import as_written, with_plain_norms
from nst.layers import UpsampleConv
from nst.network import StyleNetwork

PLAIN_INPUT, PLAIN_OUTPUT = "input", "output"


def prepare(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a picture, uint8 ``(H, W, 3)``, as RGB in [0, 1], ``(1, 3, H, W)``."""
    scaled = rgb.astype(np.float32) / 255
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def finish(painted: NDArray[Any]) -> NDArray[np.uint8]:
    """Return RGB in [0, 1], ``(1, 3, H, W)``, as uint8 ``(H, W, 3)``; not rounded but cut off."""
    clipped = (painted[0].astype(np.float32) * 255).clip(0, 255)
    return np.ascontiguousarray(clipped.transpose(1, 2, 0).astype(np.uint8))


class PlainNet(nn.Module):
    """A network of one style at one size: what is not needed there, padding and cropping, is gone.

    Args:
        network: In evaluation mode.
        height: Of the picture, px.
        width: Of the picture, px.
    """

    def __init__(self, network: StyleNetwork, height: int, width: int) -> None:
        super().__init__()
        self.network = network
        sides = height, width
        least, multiple = network.least_size, network.size_multiple
        self.fits = all(side % multiple == 0 and side >= least for side in sides)

    def forward(self, x: Tensor) -> Tensor:
        """``(1, 3, H, W)`` in [0, 1] to the same."""
        if not self.fits:
            painted: Tensor = self.network(x)
            return painted.to(x.dtype)
        if self.network.noise is not None:
            field = self.network.noise(x.shape[-2], x.shape[-1])
            x = torch.cat((x, field.to(x.dtype)), 1)
        return torch.sigmoid(self.network.paint(x, None))


def plain_model(network: StyleNetwork, height: int, width: int) -> ModelProto:
    """Trace a network of one style for one size, float in and float out, as the exporter has it.

    Args:
        network: In evaluation mode, on the CPU.
        height: Of the picture, px.
        width: Of the picture, px.

    Returns:
        A model in which the shape of every tensor is written.
    """
    from export.to_onnx import OPSET, quiet

    image = torch.zeros(1, 3, height, width, dtype=dtype_of(network))
    with quiet():
        program = torch.onnx.export(
            PlainNet(as_written(network), height, width).eval(),
            (image,),
            dynamo=True,
            external_data=False,
            verbose=False,
            opset_version=OPSET,
            input_names=[PLAIN_INPUT],
            output_names=[PLAIN_OUTPUT],
        )
    assert program is not None
    return shape_inference.infer_shapes(program.model_proto)


def eager(network: StyleNetwork, height: int, width: int, device: torch.device) -> nn.Module:
    """Return a copy of a network for eager torch on a device, with ``nn.InstanceNorm2d``."""
    plain = as_written(network)
    if dtype_of(network) == torch.float32:
        with_plain_norms(plain)
    return PlainNet(plain, height, width).eval().to(device)


def halved(network: StyleNetwork) -> StyleNetwork:
    """Return a copy that computes in half precision what lies between its norms, and these not."""
    half = copy.deepcopy(network)
    for module in half.modules():
        if isinstance(module, nn.Conv2d):
            module.half()
        if isinstance(module, UpsampleConv):
            module.falls_on = module.falls_on.half()
    half.register_forward_pre_hook(_halve, with_kwargs=True)
    return half


def dtype_of(network: StyleNetwork) -> torch.dtype:
    """Return the dtype of the convolutions."""
    return next(m.weight.dtype for m in network.modules() if isinstance(m, nn.Conv2d))


def _halve(
    module: nn.Module, arguments: tuple[Any, ...], named: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    def half(value: Any) -> Any:  # noqa: ANN401
        return value.half() if isinstance(value, Tensor) else value

    return tuple(map(half, arguments)), {name: half(value) for name, value in named.items()}

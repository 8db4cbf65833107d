"""Instance normalisation that keeps the memory layout of what it is given."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

from nst.functional import wide


class InstanceNorm(nn.Module):
    """Instance normalisation with scale and shift, in float32 whatever the input.

    Ulyanov, Vedaldi and Lempitsky, "Instance Normalization", 2016, with the two parameters of
    Dumoulin et al. 2017.

    ``F.instance_norm`` returns contiguous tensors: in channels_last, which convolutions want, each
    norm would then copy its input twice. ``nst bench norm`` measures the ways beside each other.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C, H, W)`` with mean ``bias`` and deviation ``weight`` in each channel."""
        with torch.autocast(x.device.type, enabled=False):
            if torch.compiler.is_exporting():  # one InstanceNormalization node in the ONNX file
                out: Tensor = F.instance_norm(
                    wide(x), weight=self.weight, bias=self.bias, eps=self.eps
                )
                return out.to(x.dtype)
            is_eager = not torch.compiler.is_compiling()
            if is_eager and x.device.type == "cpu" and x.dtype == torch.bfloat16:
                return picture_by_picture(x, self.weight, self.bias, self.eps)
            return written_out(x, self.weight, self.bias, self.eps)


def picture_by_picture(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Return the batch norm of every picture for itself: a CPU's fastest way with bfloat16 maps.

    Its sums are float32. With float32 maps it is no faster than ours and rounds more.
    """
    pictures = [
        torch.batch_norm(picture, weight, bias, None, None, True, 0.0, eps, False)
        for picture in torch.split(x, 1)
    ]
    return torch.cat(pictures)


def written_out(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Return the norm of ``x``, ``(B, C, H, W)``, whose gradient is written out by hand."""
    normal: Tensor = _Normalize.apply(x, weight, bias, eps)
    return normal


class _Normalize(torch.autograd.Function):
    """The norm with its gradient written out, which autograd would spread over twice the passes.

    With ``x^ = (x - mean) / deviation`` and M positions:

        dx = weight / deviation * (g - mean(g) - x^ * mean(g * x^))
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        positions = _positions(x)  # (B, M, C)
        mean = positions.mean(1, keepdim=True)  # (B, 1, C), as all statistics here
        variance = (positions - mean).square_().mean(1, keepdim=True)
        inverse = torch.rsqrt(variance + eps)
        scale = weight * inverse
        out = torch.addcmul(bias - mean * scale, positions, scale)
        ctx.save_for_backward(x, weight, mean, inverse)
        return _like(out, x)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, inverse = ctx.saved_tensors  # type: ignore[attr-defined]
        g, positions = _positions(gradient), _positions(x)  # (B, M, C)
        along_bias = g.sum(1, keepdim=True)  # (B, 1, C): sum of g
        along_weight = ((g * positions).sum(1, keepdim=True) - mean * along_bias) * inverse
        scale = weight * inverse
        slope = scale * inverse * along_weight / g.shape[1]
        shift = mean * slope - scale * along_bias / g.shape[1]
        dx = torch.addcmul(shift, g, scale).addcmul_(positions, slope, value=-1)
        return _like(dx, x), along_weight.sum((0, 1)), along_bias.sum((0, 1)), None


def _positions(x: Tensor) -> Tensor:
    """Return ``(B, C, H, W)`` as ``(B, M, C)`` in float32 or better."""
    return wide(x).permute(0, 2, 3, 1).flatten(1, 2)


def _like(positions: Tensor, x: Tensor) -> Tensor:
    """Return ``(B, M, C)`` in the shape and dtype of ``x``, ``(B, C, H, W)``."""
    batch, channels, height, width = x.shape
    as_map = positions.reshape(batch, height, width, channels).permute(0, 3, 1, 2)
    return as_map.to(x.dtype)

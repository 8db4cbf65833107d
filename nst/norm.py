"""Instance normalisation that keeps the memory layout of what it is given.

With one scale and shift for each channel, or with some for each style, which a mix of styles
chooses among (``nst.mix``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

from nst.functional import wide
from nst.mix import is_global, resized


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
            return _normalized(x, self.weight, self.bias, self.eps)


class ConditionalNorm(nn.Module):
    """Instance normalisation with scales and shifts of several styles, mixed.

    Conditional instance normalisation, Dumoulin, Shlens and Kudlur, "A learned representation for
    artistic style", 2017. Differs: a row more, the first, is added in proportion to how much of
    the photograph shall stay, so that half the strength is another painting and not half of one.

    Args:
        channels: C.
        styles: K.
    """

    def __init__(self, channels: int, styles: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(styles + 1, channels))
        self.bias = nn.Parameter(torch.zeros(styles + 1, channels))
        with torch.no_grad():
            self.weight[0] = 0.0
        self.eps = eps

    def forward(self, x: Tensor, mix: Tensor) -> Tensor:
        """Return ``(B, C, H, W)`` with a mean and a deviation that the mix chooses.

        Args:
            x: The map.
            mix: ``(M, K + 1, h, w)`` as ``nst.mix.normalized`` returns it; M is 1 or B. Where it
                is not 1x1 it is resized to the map, and only scale and shift vary from place to
                place: the statistics are those of the whole map.
        """
        with torch.autocast(x.device.type, enabled=False):
            mix = mix.to(self.weight.dtype)
            if is_global(mix) and not torch.compiler.is_exporting():
                rows = mix.flatten(1)  # (M, K + 1)
                return _normalized(x, rows @ self.weight, rows @ self.bias, self.eps)
            channels = x.shape[1]
            ones, zeros = mix.new_ones(channels), mix.new_zeros(channels)
            normal = _normalized(wide(x), ones, zeros, self.eps)
            if not is_global(mix):
                mix = resized(mix, x.shape[-2], x.shape[-1])
            weight = F.conv2d(mix, self.weight.T[..., None, None])  # (M, C, H or 1, W or 1)
            bias = F.conv2d(mix, self.bias.T[..., None, None])
            return (normal * weight + bias).to(x.dtype)


Norm = InstanceNorm | ConditionalNorm


def norm_of(channels: int, styles: int) -> Norm:
    """Return a norm for a network of K styles to mix, or of 0: one style and nothing to mix."""
    return ConditionalNorm(channels, styles) if styles else InstanceNorm(channels)


def normed(norm: nn.Module, x: Tensor, mix: Tensor | None) -> Tensor:
    """Return ``norm(x)``, of a network that mixes styles ``norm(x, mix)``."""
    out: Tensor = norm(x) if mix is None else norm(x, mix)
    return out


def _normalized(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Norm ``x``, ``(B, C, H, W)``, by scales and shifts ``(C,)``, ``(1, C)`` or ``(B, C)``."""
    if torch.compiler.is_exporting():  # one InstanceNormalization node in the ONNX file
        out: Tensor = F.instance_norm(wide(x), weight=weight, bias=bias, eps=eps)
        return out.to(x.dtype)
    is_eager = not torch.compiler.is_compiling()
    if is_eager and x.device.type == "cpu" and x.dtype == torch.bfloat16:
        return picture_by_picture(x, weight, bias, eps)
    return written_out(x, weight, bias, eps)


def picture_by_picture(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Return the batch norm of every picture for itself: a CPU's fastest way with bfloat16 maps.

    Its sums are float32. With float32 maps it is no faster than ours and rounds more.
    """
    each = x.shape[0], x.shape[1]
    pictures = [
        torch.batch_norm(picture, w, b, None, None, True, 0.0, eps, False)
        for picture, w, b in zip(
            torch.split(x, 1), weight.expand(each), bias.expand(each), strict=True
        )
    ]
    return torch.cat(pictures)


def written_out(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Return the norm of ``x``, ``(B, C, H, W)``, whose gradient is written out by hand.

    Scales and shifts are ``(C,)``, ``(1, C)`` or ``(B, C)``.
    """
    if weight.ndim == 2:
        weight, bias = weight[:, None], bias[:, None]  # (B, 1, C)
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
        given = weight.shape
        return _like(dx, x), along_weight.sum_to_size(given), along_bias.sum_to_size(given), None


def _positions(x: Tensor) -> Tensor:
    """Return ``(B, C, H, W)`` as ``(B, M, C)`` in float32 or better."""
    return wide(x).permute(0, 2, 3, 1).flatten(1, 2)


def _like(positions: Tensor, x: Tensor) -> Tensor:
    """Return ``(B, M, C)`` in the shape and dtype of ``x``, ``(B, C, H, W)``."""
    batch, channels, height, width = x.shape
    as_map = positions.reshape(batch, height, width, channels).permute(0, 3, 1, 2)
    return as_map.to(x.dtype)

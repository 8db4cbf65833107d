"""The layers that image transformation networks are built from."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.dimensions import GROUPS, Block
from nst.norm import norm_of, normed
from nst.reflection import reflect


class ConvLayer(nn.Module):
    """Reflection padding and a convolution; without a bias where a norm follows it.

    Odd kernels look as far to each side. An even kernel of stride s, such as 8 of stride 4, looks
    as far beyond both sides of its s pixels.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.reach = kernel // 2 if kernel % 2 else (kernel - stride) // 2
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, groups=groups, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C', H / stride, W / stride)``."""
        return cast(Tensor, self.conv(reflect(x, self.reach) if self.reach else x))


class ResidualBlock(nn.Module):
    """Two convolutions beside an identity (He et al. 2016; no ReLU after the sum).

    Args:
        channels: Of the map.
        kind: 3x3 convolutions; or 3x3 in groups or channel by channel, and 1x1 to mix them.
        norms: 2, one behind each convolution; 1, behind the second alone.
        styles: That the norms mix, see ``nst.norm.norm_of``.
    """

    def __init__(
        self, channels: int, *, kind: Block = "plain", norms: int = 2, styles: int = 0
    ) -> None:
        super().__init__()
        self.conv1 = _convolution(channels, kind, bias=norms == 1)
        self.norm1 = norm_of(channels, styles) if norms == 2 else None
        self.conv2 = _convolution(channels, kind)
        self.norm2 = norm_of(channels, styles)

    def forward(self, x: Tensor, mix: Tensor | None = None) -> Tensor:
        """``(B, C, H, W)`` to the same shape; the mix is for the norms."""
        inner: Tensor = self.conv1(x)
        if self.norm1 is not None:
            inner = normed(self.norm1, inner, mix)
        return x + normed(self.norm2, self.conv2(F.relu(inner)), mix)


def _convolution(channels: int, kind: Block, *, bias: bool = False) -> nn.Module:
    if kind == "plain":
        return ConvLayer(channels, channels, 3, bias=bias)
    groups = GROUPS if kind == "grouped" else channels
    return nn.Sequential(
        ConvLayer(channels, channels, 3, groups=groups),
        ConvLayer(channels, channels, 1, bias=bias),
    )


class UpsampleConv(nn.Module):
    """Twice the size by nearest neighbour, then a convolution (Odena et al. 2016)."""

    def __init__(self, channels_in: int, channels_out: int, *, bias: bool = False) -> None:
        super().__init__()
        self.conv = ConvLayer(channels_in, channels_out, 3, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C', 2H, 2W)``."""
        return cast(Tensor, self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest")))


class RGBConv(ConvLayer):
    """The same convolution, computed for 2x2 pixels at once.

    Processors work on 8 or 16 channels and three would leave most of that idle. A kernel wider by
    one, with stride 2, makes twelve: the same kernel at its four places. The products are the
    same; a step of training spends half the time here, and a painting of width 32 by ONNX Runtime
    takes 0.83 of the processor time (640x360, one thread). ONNX Runtime makes
    the kernel when it loads the file.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` with even sides to ``(B, C', H, W)``."""
        padded = reflect(x, self.reach)
        weight, bias = self.conv.weight, self.conv.bias
        places = [F.pad(weight, (j, 1 - j, i, 1 - i)) for i in (0, 1) for j in (0, 1)]
        kernel = torch.stack(places, 1).flatten(0, 1)  # (4C', C, K + 1, K + 1)
        quadruple = bias if bias is None else bias.repeat_interleave(4)
        return F.pixel_shuffle(F.conv2d(padded, kernel, quadruple, stride=2), 2)


class RGBUpsample(UpsampleConv):
    """The same to colours, computed before the enlargement: few channels on many pixels are slow.

    The four pixels that come from one position see two by two positions: where numbers of the
    kernel fall on the same, their sum is its number there. Four kernels of that kind make the
    channels of a pixel shuffle.
    """

    def __init__(self, channels_in: int, channels_out: int, *, bias: bool = False) -> None:
        super().__init__(channels_in, channels_out, bias=bias)
        # For each pixel of two: positions before, at and behind it, by the numbers of the kernel.
        falls_on = [[1, 0, 0], [0, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 1, 0], [0, 0, 1]]
        matrix = torch.tensor(falls_on).float().flatten(0, 1)  # (6, 3)
        self.register_buffer("falls_on", matrix, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C', 2H, 2W)``."""
        conv, falls_on = self.conv.conv, cast(Tensor, self.falls_on)
        with torch.autocast(x.device.type, enabled=False):
            kernel = falls_on @ conv.weight @ falls_on.T  # (C', C, 6, 6)
        kernel = kernel.reshape(*conv.weight.shape[:2], 2, 3, 2, 3)
        kernel = kernel.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)  # (4C', C, 3, 3)
        quadruple = None if conv.bias is None else conv.bias.repeat_interleave(4)
        # What reflection is after the enlargement is repetition before it.
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return F.pixel_shuffle(F.conv2d(padded, kernel, quadruple), 2)

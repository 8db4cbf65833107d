"""The layers that image transformation networks are built from."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.dimensions import GROUPS, Block
from nst.norm import norm_of, normed
from nst.reflection import layout_of, reflect

TOGETHER = 8
"""Channels from which on they are moved together, see ``UpsampleConv``."""


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
    """Twice the size by nearest neighbour, then a convolution (Odena et al. 2016).

    Computed without the enlarged map. The two by two pixels around a corner of four positions see
    these four only: where numbers of the kernel fall on the same position, their sum is its number
    there. Four kernels of 2x2 make the channels of those pixels, 4/9 of the products of 3x3 on the
    enlarged map.
    """

    def __init__(self, channels_in: int, channels_out: int, *, bias: bool = False) -> None:
        super().__init__()
        self.conv = ConvLayer(channels_in, channels_out, 3, bias=bias)
        # For each pixel of two: positions before and behind it, by the numbers of the kernel.
        falls_on = [[1, 1, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 1]]
        matrix = torch.tensor(falls_on).float().flatten(0, 1)  # (4, 3)
        self.register_buffer("falls_on", matrix, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C', 2H, 2W)``."""
        conv, falls_on = self.conv.conv, cast(Tensor, self.falls_on)
        with torch.autocast(x.device.type, enabled=False):  # which would pad in float32
            kernels = falls_on @ conv.weight @ falls_on.T  # (C', C, 4, 4)
            # What reflection is after the enlargement is repetition before it.
            padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        kernels = kernels.reshape(*conv.weight.shape[:2], 2, 2, 2, 2)
        if conv.out_channels < TOGETHER:
            kernel = kernels.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)  # (4C', C, 2, 2)
            bias = None if conv.bias is None else conv.bias.repeat_interleave(4)
            pixels = _pixel_shuffle(F.conv2d(padded, kernel, bias))
        else:
            kernel = kernels.permute(2, 4, 0, 1, 3, 5).flatten(0, 2)
            bias = None if conv.bias is None else conv.bias.repeat(4)
            pixels = _channels_together(F.conv2d(padded, kernel, bias))
        inner = pixels[..., 1:-1, 1:-1]  # of (B, C', 2H + 2, 2W + 2)
        return inner.contiguous(memory_format=layout_of(x))


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
        pixels = _pixel_shuffle(F.conv2d(padded, kernel, quadruple, stride=2))
        return pixels.contiguous(memory_format=layout_of(x))


def _pixel_shuffle(x: Tensor) -> Tensor:
    """Return ``F.pixel_shuffle(x, 2)`` by two moves of an axis.

    ONNX Runtime takes a third of the time of its DepthToSpace for them.
    """
    b, channels, height, width = x.shape
    columns = x.reshape(b, channels // 2, 2, height, width).movedim(2, -1)
    columns = columns.reshape(b, channels // 4, 2, height, 2 * width)
    return columns.transpose(2, 3).reshape(b, channels // 4, 2 * height, 2 * width)


def _channels_together(x: Tensor) -> Tensor:
    """Return the same for channels in the order of row, column and channel.

    Where the channels of a position lie together, those of two columns are moved at once.
    """
    b, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(b, height, width, 2, channels // 2).transpose(2, 3)
    return rows.reshape(b, 2 * height, 2 * width, channels // 4).permute(0, 3, 1, 2)

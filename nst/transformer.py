"""The image transformation network of Johnson et al.; nothing to do with attention.

Johnson, Alahi and Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution",
ECCV 2016, supplementary material, table 1. Differs:

* instance norm in place of batch norm (Ulyanov et al. 2016), which makes contrast a matter of the
  style and not of the photograph;
* nearest-neighbour enlargement and a convolution in place of the transposed convolution (Odena et
  al. 2016), which leaves no checkerboard;
* reflection padding in every convolution in place of once around the picture (Dumoulin et al.
  2017), so that nothing has to be cropped inside the residual blocks;
* a sigmoid in place of the scaled tanh, since pictures are RGB in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.norm import InstanceNorm
from nst.reflection import reflect

BLOCKS = 5
SIZE_MULTIPLE = 4
LEAST_SIZE = 8
"""A side below this leaves less than 2x2 for the residual blocks, too little to reflect."""
REACH_PX = 60
"""57 px upwards and to the left, 54 downwards, rounded up to ``SIZE_MULTIPLE``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerDimensions:
    """What rebuilds a network; it travels in the checkpoint."""

    network: str = "johnson"
    width: int = 32


class ConvLayer(nn.Module):
    """Reflection padding and a convolution; without a bias where a norm follows it."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        *,
        stride: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.reach = kernel // 2
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C', H / stride, W / stride)``."""
        return cast(Tensor, self.conv(reflect(x, self.reach)))


class ResidualBlock(nn.Module):
    """Two convolutions beside an identity (He et al. 2016; no ReLU after the sum)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer(channels, channels, 3)
        self.norm1 = InstanceNorm(channels)
        self.conv2 = ConvLayer(channels, channels, 3)
        self.norm2 = InstanceNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        inner: Tensor = F.relu(self.norm1(self.conv1(x)))
        inner = self.norm2(self.conv2(inner))
        return x + inner


class UpsampleConv(nn.Module):
    """Twice the size by nearest neighbour, then a convolution (Odena et al. 2016)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = ConvLayer(channels_in, channels_out, 3)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C', 2H, 2W)``."""
        return cast(Tensor, self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest")))


class RGBConv(ConvLayer):
    """The same convolution, computed for 2x2 pixels at once.

    Processors work on 8 or 16 channels and three would leave most of that idle. A kernel wider by
    one, with stride 2, makes twelve: the same kernel at its four places. The products are the
    same; a step of training spends half the time here.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` with even sides to ``(B, C', H, W)``."""
        if torch.compiler.is_exporting():  # one plain Conv node in the ONNX file
            return super().forward(x)
        padded = reflect(x, self.reach)
        weight, bias = self.conv.weight, self.conv.bias
        places = [F.pad(weight, (j, 1 - j, i, 1 - i)) for i in (0, 1) for j in (0, 1)]
        kernel = torch.stack(places, 1).flatten(0, 1)  # (4C', C, K + 1, K + 1)
        quadruple = bias if bias is None else bias.repeat_interleave(4)
        return F.pixel_shuffle(F.conv2d(padded, kernel, quadruple, stride=2), 2)


class TransformerNet(nn.Module):
    """The image transformation network: photographs in, painted pictures out.

    Args:
        width: Channels of the first convolution, 32 in the paper; 16 and 8 are faster.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.dimensions = TransformerDimensions(width=width)
        w = width
        self.conv1, self.norm1 = ConvLayer(3, w, 9), InstanceNorm(w)
        self.conv2, self.norm2 = ConvLayer(w, 2 * w, 3, stride=2), InstanceNorm(2 * w)
        self.conv3, self.norm3 = ConvLayer(2 * w, 4 * w, 3, stride=2), InstanceNorm(4 * w)
        self.blocks = nn.Sequential(*(ResidualBlock(4 * w) for _ in range(BLOCKS)))
        self.up1, self.norm4 = UpsampleConv(4 * w, 2 * w), InstanceNorm(2 * w)
        self.up2, self.norm5 = UpsampleConv(2 * w, w), InstanceNorm(w)
        self.to_rgb = RGBConv(w, 3, 9, bias=True)

    def forward(self, image: Tensor) -> Tensor:
        """Paint photographs of any size.

        Sides are padded to a multiple of 4 and to at least 8 px by repeating the last row and
        column, and the result is cropped again.

        Args:
            image: RGB in [0, 1], ``(B, 3, H, W)``.

        Returns:
            RGB in [0, 1], ``(B, 3, H, W)``, float32 also under autocast.
        """
        height, width = image.shape[-2:]
        x = pad_to_multiple(image)  # (B, 3, 4h, 4w)
        x = F.relu(self.norm1(self.conv1(x)))  # (B, w, 4h, 4w)
        x = F.relu(self.norm2(self.conv2(x)))  # (B, 2w, 2h, 2w)
        x = F.relu(self.norm3(self.conv3(x)))  # (B, 4w, h, w)
        x = self.blocks(x)
        x = F.relu(self.norm4(self.up1(x)))  # (B, 2w, 2h, 2w)
        x = F.relu(self.norm5(self.up2(x)))  # (B, w, 4h, 4w)
        x = self.to_rgb(x)  # (B, 3, 4h, 4w)
        if x.dtype in (torch.float16, torch.bfloat16):
            x = x.float()
        return torch.sigmoid(x)[..., :height, :width]


def pad_to_multiple(image: Tensor) -> Tensor:
    """Repeat the last row and column until both sides suit the network."""
    below, right = (_missing(side) for side in image.shape[-2:])
    if not torch.compiler.is_exporting() and right == below == 0:
        return image
    return F.pad(image, (0, right, 0, below), mode="replicate")


def _missing(side: int) -> int:
    """Return what a side lacks; written without a branch, since a traced side is symbolic."""
    multiple = (side + SIZE_MULTIPLE - 1) // SIZE_MULTIPLE * SIZE_MULTIPLE
    return cast(int, torch.sym_max(LEAST_SIZE, multiple) - side)

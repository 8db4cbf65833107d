"""``swift``: an image transformation network that works at a quarter of the size.

Where Johnson's network spends its time at full resolution, this one takes in blocks of 4x4 pixels
at once (a convolution of stride 4, which is what space-to-depth and a convolution are) and returns
to them by two light enlargements. Three things keep it from repeating the lattice of its stride
where a photograph is flat: noise beside the picture, which tells places apart; enlargement by
nearest neighbour with a convolution, which treats all pixels of a block alike at first (Odena et
al. 2016); and, since a training finds the lattice all the same, a price on it
(``nst.functional.lattice_loss``).

The dimensions hold more than the network that was chosen needs: they are what ``nst bench nets``
tries out.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from nst.dimensions import SwiftDimensions
from nst.layers import ConvLayer, ResidualBlock, UpsampleConv
from nst.network import COLORS, StyleNetwork
from nst.norm import norm_of, normed


class SwiftNet(StyleNetwork):
    """The network for laptops, webcams and browsers.

    Args:
        dimensions: Of the network.
        styles: That can be mixed, see ``StyleNetwork``.
    """

    dimensions: SwiftDimensions

    def __init__(
        self,
        dimensions: SwiftDimensions = SwiftDimensions(),  # noqa: B008
        *,
        styles: int = 0,
    ) -> None:
        super().__init__(dimensions, styles)
        d = dimensions
        self.size_multiple, self.least_size = d.factor, 2 * d.factor
        self.stem = ConvLayer(self.channels_in, d.width, d.kernel, stride=d.factor)
        self.norm = norm_of(d.width, styles)
        self.blocks = nn.ModuleList(
            ResidualBlock(d.width, kind=d.block, norms=d.norms, styles=styles)
            for _ in range(d.blocks)
        )
        widths = [d.width >> n for n in range(d.doublings + 1)]
        self.ups = nn.ModuleList(Enlargement(w, w // 2, styles) for w in widths[:-1])
        self.shuffle = 1 if d.head == "direct" else d.factor >> d.doublings
        self.to_rgb: nn.Module
        if d.head == "direct":
            self.to_rgb = UpsampleConv(widths[-1], COLORS, bias=True)
        else:
            self.to_rgb = ConvLayer(widths[-1], COLORS * self.shuffle**2, 3, bias=True)
        self.reach_px = _reach(d)

    @property
    def bytes_per_pixel(self) -> int:
        """What ONNX Runtime takes for float32 runs on the CPU, bytes for each pixel.

        The picture with its noise at full size, and some copies of the largest map behind an
        enlargement. Measured as for ``TransformerNet``, with AVX2, from 320x240 to 1920x1080 px:
        90 to 106 bytes a pixel for head direct and width 32, 73 to 95 for 24, 203 at most for head
        resize, 143 for width 48 depthwise, 101 for factor 8 and width 64. Where the map of the stem
        is the largest: factor 2, width 16, 32, 64: 142, 251, 476; head shuffle, width 128: 247.
        """
        d = self.dimensions
        places = (d.factor >> (n + 1) for n in range(d.doublings))
        behind = [4 * (d.width >> (n + 1)) / place**2 for n, place in enumerate(places)]
        stem = 4 * d.width / d.factor**2
        return int(max(130, 62 + 4.6 * max(behind, default=0), 20 + 7.5 * stem))

    def paint(self, x: Tensor, mix: Tensor | None) -> Tensor:
        """``(B, channels_in, f h, f w)`` to ``(B, 3, f h, f w)`` before a sigmoid; f the factor."""
        x = F.relu(normed(self.norm, self.stem(x), mix))  # (B, C, h, w)
        for block in self.blocks:
            x = block(x, mix)
        for up in self.ups:
            x = up(x, mix)  # (B, C / 2^n, 2^n h, 2^n w)
        x = self.to_rgb(x)
        return F.pixel_shuffle(x, self.shuffle) if self.shuffle > 1 else x


class Enlargement(nn.Module):
    """Twice the size, and a norm."""

    def __init__(self, channels_in: int, channels_out: int, styles: int) -> None:
        super().__init__()
        self.up = UpsampleConv(channels_in, channels_out)
        self.norm = norm_of(channels_out, styles)

    def forward(self, x: Tensor, mix: Tensor | None) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C', 2H, 2W)``."""
        return F.relu(normed(self.norm, self.up(x), mix))


def _reach(d: SwiftDimensions) -> int:
    """Return how far an output sees, px, rounded up to the factor.

    The stem looks (kernel - factor) / 2 px beyond its block of factor px, each convolution at the
    small size by factor px, those after a doubling by half as much and so on, the last by the side
    of what it shuffles. And a pixel is anywhere in its block.
    """
    small = d.factor * 2 * d.blocks
    ups = sum(d.factor >> (n + 1) for n in range(d.doublings))
    last = (d.factor >> d.doublings) // (2 if d.head == "direct" else 1)
    reach = (d.kernel - d.factor) // 2 + small + ups + last + d.factor - 1
    return -(-reach // d.factor) * d.factor

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

from torch import Tensor, nn
from torch.nn import functional as F

from nst.dimensions import JohnsonDimensions
from nst.layers import ConvLayer, ResidualBlock, RGBConv, UpsampleConv
from nst.network import StyleNetwork
from nst.norm import norm_of, normed

BLOCKS = 5


class TransformerNet(StyleNetwork):
    """The image transformation network: photographs in, painted pictures out.

    Args:
        width: Channels of the first convolution, 32 in the paper; 16 and 8 are faster.
        noise: Deviation of the noise beside the picture; the paper has none.
        styles: That can be mixed, see ``StyleNetwork``.
    """

    size_multiple = 4
    least_size = 8  # below it less than 2x2 is left for the residual blocks, too little to reflect
    reach_px = 60  # 57 px upwards and to the left, 54 downwards, rounded up to the multiple

    def __init__(self, width: int = 32, *, noise: float = 0.0, styles: int = 0) -> None:
        super().__init__(JohnsonDimensions(width=width, noise=noise), styles)
        w = width
        self.conv1, self.norm1 = ConvLayer(self.channels_in, w, 9), norm_of(w, styles)
        self.conv2, self.norm2 = ConvLayer(w, 2 * w, 3, stride=2), norm_of(2 * w, styles)
        self.conv3, self.norm3 = ConvLayer(2 * w, 4 * w, 3, stride=2), norm_of(4 * w, styles)
        self.blocks = nn.ModuleList(ResidualBlock(4 * w, styles=styles) for _ in range(BLOCKS))
        self.up1, self.norm4 = UpsampleConv(4 * w, 2 * w), norm_of(2 * w, styles)
        self.up2, self.norm5 = UpsampleConv(2 * w, w), norm_of(w, styles)
        self.to_rgb = RGBConv(w, 3, 9, bias=True)

    @property
    def bytes_per_pixel(self) -> int:
        """What ONNX Runtime takes for float32 runs on the CPU, bytes for each pixel.

        Measured with ONNX Runtime 1.31 on x86-64 with AVX2 and the session of ``nst.ort``, as the
        growth of the peak resident memory of a process over four runs of one size, from 320x240 to
        3840x2160 px: 106 to 141 bytes a pixel at width 8, 169 to 311 at 16, 298 to 582 at 32. The
        most is at 1920x1080, 19.5 for each channel; at 3840x2160 it is half of that. 71 at width 2.
        With AVX-512, where channels come in blocks of 16, 230 at width 8 and 640x480 px.
        """
        return max(240, 20 * self.dimensions.width)

    @property
    def regional_share(self) -> float:
        """Measured alike with 8 styles: 340, 566 and 1,283 bytes a pixel at width 8, 16 and 32."""
        return 2.2

    def paint(self, x: Tensor, mix: Tensor | None) -> Tensor:
        """``(B, channels_in, 4h, 4w)`` to ``(B, 3, 4h, 4w)`` before a sigmoid."""
        x = F.relu(normed(self.norm1, self.conv1(x), mix))  # (B, w, 4h, 4w)
        x = F.relu(normed(self.norm2, self.conv2(x), mix))  # (B, 2w, 2h, 2w)
        x = F.relu(normed(self.norm3, self.conv3(x), mix))  # (B, 4w, h, w)
        for block in self.blocks:
            x = block(x, mix)
        x = F.relu(normed(self.norm4, self.up1(x), mix))  # (B, 2w, 2h, 2w)
        x = F.relu(normed(self.norm5, self.up2(x), mix))  # (B, w, 4h, 4w)
        painted: Tensor = self.to_rgb(x)  # (B, 3, 4h, 4w)
        return painted

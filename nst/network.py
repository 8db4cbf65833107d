"""What every image transformation network has: any size in, the same size out, and noise."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.dimensions import Dimensions
from nst.mix import is_global, normalized, resized
from nst.noise import FIELDS, EndlessNoise
from nst.reflection import layout_of

COLORS = 3


class StyleNetwork(nn.Module):
    """Photographs in, painted pictures out.

    A network gives ``paint`` and the numbers below; padding, noise and range are done here.

    Args:
        dimensions: Of the network.
        styles: K, the styles that it mixes at run time, together with the photograph itself; 0 for
            a network of one style, without such a control.
    """

    dimensions: Dimensions
    styles: int
    size_multiple: int
    """Sides are padded to a multiple of this, px."""
    least_size: int
    """And to at least this, px."""
    reach_px: int
    """How far a pixel of the picture changes the painting when statistics are fixed, px."""

    def __init__(self, dimensions: Dimensions, styles: int = 0) -> None:
        super().__init__()
        self.dimensions = dimensions
        self.styles = styles
        self.noise = EndlessNoise(dimensions.noise) if dimensions.noise else None

    @property
    def channels_in(self) -> int:
        """Of what ``paint`` is given: RGB, and the noise where there is any."""
        return COLORS + (0 if self.noise is None else FIELDS)

    @property
    def bytes_per_pixel(self) -> int:
        """What ONNX Runtime takes for float32 runs on the CPU, bytes for each pixel."""
        raise NotImplementedError

    @property
    def regional_share(self) -> float:
        """What a run with a mix for each place takes of that, times."""
        return 1.7

    def forward(
        self,
        image: Tensor,
        texture: Tensor | None = None,
        origin: Tensor | None = None,
        mix: Tensor | None = None,
    ) -> Tensor:
        """Paint photographs of any size.

        Sides are padded to what the network needs by repeating the last row and column, and the
        result is cropped again.

        Args:
            image: RGB in [0, 1], ``(B, 3, H, W)``.
            texture: What the noise is multiplied by, one number, ``(1,)``; None for 1. Without
                noise it must be None.
            origin: Where in the noise the picture lies, see ``EndlessNoise``.
            mix: How much of the photograph and of each style, and where, ``(M, K + 1, h, w)`` as
                ``nst.mix`` has it; M is 1 or B. None for a network without that control, and only
                for it.

        Returns:
            RGB in [0, 1], ``(B, 3, H, W)``, float32 also under autocast.
        """
        if (mix is None) != (self.styles == 0):
            raise ValueError(f"a network that mixes {self.styles} styles, mix {mix}")
        height, width = image.shape[-2:]
        x = pad_to_multiple(image, self.size_multiple, self.least_size)
        if self.noise is not None:
            field = self.noise(x.shape[-2], x.shape[-1], origin).to(x.dtype)
            if texture is not None:
                field = field * texture
            x = _join(x, field)
        elif texture is not None:
            raise ValueError("texture for a network without noise")
        shares = None if mix is None else normalized(mix)
        if shares is not None and torch.compiler.is_exporting():
            # Traced with one mix; the node takes one for each picture just as well.
            shares = shares.expand(image.shape[0], -1, -1, -1)
        x = self.paint(x, shares)
        if x.dtype in (torch.float16, torch.bfloat16):
            x = x.float()
        painted = torch.sigmoid(x)[..., :height, :width]
        if shares is None:
            return painted
        # The photograph passes by: norms are blind to exposure and could not give it back.
        original = shares[:, :1]  # (M, 1, h, w)
        if not is_global(original):
            original = resized(original, height, width)
        return original * image + (1 - original) * painted

    def paint(self, x: Tensor, mix: Tensor | None) -> Tensor:
        """Paint a picture that suits.

        Args:
            x: ``(B, channels_in, H, W)`` with sides that suit.
            mix: For the norms, normalized; None for a network without that control.

        Returns:
            ``(B, 3, H, W)`` before a sigmoid.
        """
        raise NotImplementedError


def pad_to_multiple(image: Tensor, multiple: int, least: int) -> Tensor:
    """Repeat the last row and column until both sides are a multiple, and not below the least."""
    below, right = (_missing(side, multiple, least) for side in image.shape[-2:])
    if not torch.compiler.is_exporting() and right == below == 0:
        return image
    return F.pad(image, (0, right, 0, below), mode="replicate")


def _join(x: Tensor, field: Tensor) -> Tensor:
    """Put ``(1, 2, H, W)`` behind the channels of ``(B, 3, H, W)``; the layout is kept."""
    joined = torch.cat((x, field.expand(x.shape[0], -1, -1, -1)), 1)
    if torch.compiler.is_exporting():
        return joined
    return joined.contiguous(memory_format=layout_of(x))


def _missing(side: int, multiple: int, least: int) -> int:
    """Return what a side lacks; written without a branch, since a traced side is symbolic."""
    rounded = (side + multiple - 1) // multiple * multiple
    return cast(int, torch.sym_max(least, rounded) - side)

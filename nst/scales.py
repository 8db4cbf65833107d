"""The sizes in which a big picture is painted, one after the other, from coarse to fine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor
from torch.nn import functional as F

from nst.errors import UsageError

COARSE_PX = 512
"""Without a number of scales the coarsest long side is at most this."""
LEAST_PX = 16
"""Of a picture with a shorter side nothing is left in the deeper layers of the presets."""


def scales_for(photograph: Sequence[int], style: Sequence[int]) -> int:
    """Return how many sizes lead to a photograph from a long side of at most ``COARSE_PX``.

    Each is twice the last. A long and narrow photograph and a small style image, which is reduced
    along with it, get fewer, so that the short sides keep ``LEAST_PX``.

    Args:
        photograph: Height and width, px.
        style: Height and width, px.
    """
    long_side, short_side, scales = max(photograph), min(*photograph, *style), 1
    while long_side > COARSE_PX and short_side >= 2 * LEAST_PX:
        long_side, short_side = (long_side + 1) // 2, short_side // 2
        scales += 1
    return scales


def check_coarsest(scales: int, pictures: Mapping[str, Tensor]) -> None:
    """Refuse more scales than some pictures, by name, can be reduced for.

    Raises:
        UsageError: One would begin with less than ``LEAST_PX``.
    """
    for name, picture in pictures.items():
        if scales > 1 and min(picture.shape[-2:]) < LEAST_PX * 2 ** (scales - 1):
            raise UsageError(
                f"--scales {scales}: the {name} ({picture.shape[-1]}x{picture.shape[-2]} px) would"
                f" begin with less than {LEAST_PX} px; give fewer or a bigger picture"
            )


def reduced_size(image: Tensor, factor: int) -> tuple[int, int]:
    """Return height and width of a picture, px, divided by a factor."""
    height, width = image.shape[-2:]
    return max(1, round(height / factor)), max(1, round(width / factor))


def reduced(image: Tensor, factor: int) -> Tensor:
    """Return a picture whose sides are divided by a factor, ``(1, 3, H, W)``, within [0, 1]."""
    return resized(image, *reduced_size(image, factor))


def resized(image: Tensor, height: int, width: int) -> Tensor:
    """Return a picture in another size, ``(1, 3, H, W)``, within [0, 1]."""
    if image.shape[-2:] == (height, width):
        return image
    scaled = F.interpolate(
        image, (height, width), mode="bicubic", antialias=True, align_corners=False
    )
    return scaled.clamp(0, 1)

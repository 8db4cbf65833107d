"""The activations of VGG-19 at the taps of a preset: at some layers, each at its scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from nst.encoder import VGG19
from nst.presets import Tap


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the map of a tap a piece lies."""

    rows: slice
    columns: slice
    size: tuple[int, int]
    """Height and width of the whole map."""


def features_at(encoder: VGG19, image: Tensor, taps: Sequence[Tap]) -> dict[Tap, Tensor]:
    """Return the activations at each tap, ``(B, N, h, w)``: one pass for each scale.

    Args:
        encoder: VGG-19 or a narrow one.
        image: RGB in [0, 1], ``(B, 3, H, W)``.
        taps: Where.
    """
    found: dict[Tap, Tensor] = {}
    reached = 1
    for scale in sorted({tap.scale for tap in taps}):
        layers = [tap.layer for tap in taps if tap.scale == scale]
        image, reached = reduce_image(image, scale // reached), scale
        activations = encoder(image, layers)
        found |= {Tap(layer, scale): value for layer, value in activations.items()}
    return found


def positions_of(features: Tensor) -> int:
    """Return M, height times width of a feature map ``(B, N, H, W)``."""
    return features.shape[-2] * features.shape[-1]


def reduce_image(image: Tensor, scale: int) -> Tensor:
    """Average pixels in squares of ``scale``, a power of two; odd rests average what is there."""
    while scale > 1:
        image = F.avg_pool2d(image, 2, ceil_mode=True, count_include_pad=False)
        scale //= 2
    return image

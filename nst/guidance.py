"""Several style images for one picture: each with a weight, and each in its own place.

Gatys, Ecker, Bethge, Hertzmann and Shechtman, "Controlling Perceptual Factors in Neural Style
Transfer", CVPR 2017, section 4: the features of a layer are multiplied by a mask before their Gram
matrix is made, which then knows that place alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.config import ObjectiveConfig
from nst.features import Place
from nst.losses import PerceptualLoss
from nst.presets import Tap, preset_of
from nst.weights import VGGWeights

LEAST_WEIGHT = 1e-6
"""Of a mask that is black in the map of a layer."""


@dataclass(frozen=True, slots=True, eq=False)
class Guides:
    """What each of K style images counts, and where."""

    weights: Sequence[float]
    """K numbers from 0 on, not all 0."""
    masks: Tensor | None = None
    """``(K, 1, H, W)`` in [0, 1], in proportion to the picture; None for everywhere."""

    @property
    def mask_count(self) -> int:
        """How many masks there are."""
        return 0 if self.masks is None else len(self.masks)

    def shares(self) -> list[float]:
        """Return what the style of each counts: its weight, times the area of its mask; sum 1."""
        areas = [1.0] * len(self.weights)
        if self.masks is not None:
            areas = self.masks.mean((1, 2, 3)).tolist()
        products = [weight * area for weight, area in zip(self.weights, areas, strict=True)]
        return [product / sum(products) for product in products]


class GuidedLoss(PerceptualLoss):
    """The objective of several style images for one picture.

    With t the mask of style k, resized to the layer, and A its Gram matrix::

        G_k = (t F) (t F)^T / sum t^2        S = sum over k of  share_k * S_k(G_k)

    Where no mask is, nothing is asked of the style. Content floors and style energies are those of
    each style image; the content's floor is the mean of theirs.

    Args:
        weights: VGG-19.
        styles: K style images, RGB in [0, 1], each ``(1, 3, h, w)``.
        config: Settings of the objective.
        guides: Weights and masks.

    Raises:
        ImageError: A style image is flat or too small.
        WeightsError: The weights stop before a layer.
    """

    def __init__(
        self,
        weights: VGGWeights,
        styles: Sequence[Tensor],
        config: ObjectiveConfig,
        guides: Guides,
    ) -> None:
        super().__init__(
            weights,
            styles,
            preset=preset_of(config),
            weighting=config.weights,
            strength=config.strength,
            tv_weight=config.tv_weight,
            content_weight=config.content_weight,
            style_weight=config.style_weight,
        )
        self.guides = guides
        shares = torch.tensor(guides.shares()).to(styles[0])
        self.style_content_energy = (shares * self.style_content_energy).sum(0, keepdim=True)
        self.register_buffer("shares", shares, persistent=False)
        self._resized: dict[tuple[int, int], Tensor] = {}

    shares: Tensor
    """``(K,)``."""

    def gram_sum(
        self, features: Tensor, tap: Tap, place: Place | None = None
    ) -> tuple[Tensor, float | Tensor]:
        """Return the Gram matrices under all masks, ``(K, N, N)``, and their sums of squares."""
        if self.guides.masks is None:
            return super().gram_sum(features, tap, place)
        if place is None:
            mask = self._mask((features.shape[-2], features.shape[-1]))
        else:
            mask = self._mask(place.size)[..., place.rows, place.columns]
        weight = mask.square().sum((1, 2, 3))[:, None, None]
        gram = self.encoder.gram(features * mask.to(features.dtype), tap.layer)
        return gram, weight + LEAST_WEIGHT

    def style_error(self, loss: nn.Module, gram: Tensor, which: Tensor | None = None) -> Tensor:
        """Return the error at one tap, all styles by their shares, ``(1,)``; none is chosen."""
        assert which is None
        everyone = torch.arange(len(self.shares), device=self.shares.device)
        each: Tensor = loss(gram.expand(len(everyone), -1, -1), everyone)  # (K,)
        return (self.shares * each).sum(0, keepdim=True)

    def _mask(self, size: tuple[int, int]) -> Tensor:
        """Return the masks in the size of a map, ``(K, 1, h, w)``."""
        if size not in self._resized:
            assert self.guides.masks is not None
            self._resized[size] = F.interpolate(
                self.guides.masks, size, mode="bilinear", antialias=True, align_corners=False
            )
        return self._resized[size]


def objective_for(
    weights: VGGWeights,
    styles: Sequence[Tensor],
    config: ObjectiveConfig,
    guides: Guides | None = None,
) -> PerceptualLoss:
    """Return the objective of one style image, or of several that are guided."""
    if guides is None:
        return PerceptualLoss.from_config(weights, styles, config)
    return GuidedLoss(weights, styles, config, guides)

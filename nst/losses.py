"""The objective: content, style and total variation, one definition for both ways of painting.

``PerceptualLoss`` is complete after construction: it holds the encoder and the targets of the
style image. What a photograph asks for is computed by ``content_target``, once for the reference
mode and once a step in training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.config import ObjectiveConfig
from nst.encoder import VGG19
from nst.errors import ImageError
from nst.functional import (
    content_loss,
    energy,
    relative_error,
    style_loss,
    total_variation_loss,
)
from nst.presets import PRESETS, Preset, Tap, preset_of
from nst.settings import Weighting
from nst.weights import VGGWeights

STYLE_FACTOR = 4.5
"""Weight of the mean relative style error in J: half the sum of the pyramid's nine terms."""
ENERGY_FLOOR = 1e-3
"""No style target counts with less energy than this share of the largest one's."""
CONTENT_FLOOR = 0.25
"""The photograph's content energy counts at least this share of the style image's per position."""
LEAST_CONTRAST = 1.0 / 255.0
"""A style image whose standard deviation is below this has no structure to paint with."""


@dataclass(frozen=True, slots=True)
class LossWeights:
    """What each term counts in the total."""

    content: float = 1.0
    style: float = STYLE_FACTOR
    total_variation: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class LossTerms:
    """The terms of the objective for each picture of a batch, not yet weighted."""

    content: Tensor
    """``(B,)``; C of the balanced objective."""
    style: Tensor
    """``(B,)``; S of the balanced objective."""
    total_variation: Tensor
    """``(B,)``."""
    weights: LossWeights

    def detach(self) -> LossTerms:
        """Return the same values without their gradients."""
        return LossTerms(
            self.content.detach(),
            self.style.detach(),
            self.total_variation.detach(),
            self.weights,
        )

    @classmethod
    def join(cls, parts: Sequence[LossTerms]) -> LossTerms:
        """Put the terms of several parts of a batch together, in order."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            torch.cat([part.content for part in parts]),
            torch.cat([part.style for part in parts]),
            torch.cat([part.total_variation for part in parts]),
            parts[0].weights,
        )

    @property
    def total(self) -> Tensor:
        """The weighted sum, averaged over the batch: what is minimised."""
        return self.per_picture.mean()

    @property
    def per_picture(self) -> Tensor:
        """The weighted sum for each picture, ``(B,)``."""
        return (
            self.weights.content * self.content
            + self.weights.style * self.style
            + self.weights.total_variation * self.total_variation
        )


@dataclass(frozen=True, slots=True, eq=False)
class ContentTarget:
    """What a batch of photographs asks of the output."""

    features: Tensor
    """P, ``(B, N, h, w)``."""
    energy: Tensor
    """What its errors are measured against, ``(B,)``."""


class StyleLoss(nn.Module):
    """Distance between the Gram matrices of a picture and those of a fixed style image at one tap.

    ``balanced`` gives sum (G - A)^2 / E with Gram matrices divided by their positions, ``gatys``
    the term of Gatys et al. 2016, eq. 4.

    Args:
        gram: Gram matrix of the style image, ``(1, N, N)``, undivided.
        positions: Height times width of the feature map it was made from.
        target_energy: E, ``(1,)``; None for ``gatys``.
    """

    target: Tensor
    target_energy: Tensor | None

    def __init__(self, gram: Tensor, positions: int, target_energy: Tensor | None) -> None:
        super().__init__()
        self.positions = positions
        self.register_buffer("target", gram.detach().clone(), persistent=False)
        self.register_buffer("target_energy", target_energy, persistent=False)

    def forward(self, gram: Tensor, positions: int) -> Tensor:
        """Return one value for each Gram matrix, undivided: ``(B, N, N)`` to ``(B,)``."""
        if self.target_energy is None:
            return style_loss(
                gram, self.target, positions=positions, target_positions=self.positions
            )
        return relative_error(gram / positions, self.target / self.positions, self.target_energy)


class PerceptualLoss(nn.Module):
    """Content and style measured by VGG-19, total variation beside them.

    Balanced (the default)::

        S = mean over taps of  sum (G - A)^2 / sum A^2
        C = sum (F - P)^2 / max(sum P^2, 0.25 * sum Q^2)
        J = 4.5 * strength * S + C + tv_weight * total variation

    with Gram matrices divided by their positions and Q the style image's own content features,
    scaled to the positions of P. Plain weights (``gatys``)::

        content_weight * content + strength * style_weight * style + tv_weight * total variation

    with the sums of Gatys et al. 2016. Differs from the paper: see ``nst.functional.style_loss``.

    No one beta suits all of them. With activations s times as large the content term grows s^2
    times and the style term s^4 times; with k times the pixels the content term grows k times and
    the style term not at all, so that at each finer scale the photograph counts four times as much.
    The default was chosen with VGG-19 rescaled to a mean activation of 1, photographs of 256 px, 40
    evaluations: content relu3_1 and style relu1_1 to relu3_1 come to S 0.08 from 0.42 (0.40 with
    1e4, 0.01 with 1e7), preset pyramid to S 0.01 from 0.41.

    Args:
        weights: VGG-19.
        style: The style image, RGB in [0, 1], ``(1, 3, H, W)``.
        preset: Layers and scales.
        weighting: ``balanced`` or ``gatys``.
        strength: How much style counts against content; 1 is the default of both weightings.
        tv_weight: Weight of total variation.
        content_weight: Alpha of the plain weights.
        style_weight: Beta of the plain weights.

    Raises:
        ImageError: The style image is flat or too small.
        WeightsError: The weights stop before a layer of the preset.
    """

    def __init__(
        self,
        weights: VGGWeights,
        style: Tensor,
        *,
        preset: Preset = PRESETS["pyramid"],
        weighting: Weighting = "balanced",
        strength: float = 1.0,
        tv_weight: float = 0.0,
        content_weight: float = 1.0,
        style_weight: float = 1e6,
    ) -> None:
        super().__init__()
        self.encoder = VGG19(weights, deepest=preset.deepest_layer)
        self.encoder.to(style.device, style.dtype)
        self.preset = preset
        self.weighting = weighting
        if weighting == "balanced":
            self.weights = LossWeights(1.0, STYLE_FACTOR * strength, tv_weight)
        else:
            self.weights = LossWeights(content_weight, style_weight * strength, tv_weight)
        self.aim_at(style)

    style_content_energy: Tensor
    style_losses: nn.ModuleList

    def aim_at(self, style: Tensor) -> None:
        """Compute the targets of a style image, RGB in [0, 1], ``(1, 3, H, W)``.

        Raises:
            ImageError: It is flat or too small.
        """
        _check_style(style)
        with torch.no_grad():
            features = self.features(style)
            self.style_losses = self._style_losses(features)
            tap = self.preset.content
            content = self.encoder.compared(features[tap], tap.layer)
        per_position = energy(content) / positions_of(content)
        self.register_buffer("style_content_energy", per_position, persistent=False)

    @classmethod
    def from_config(
        cls, weights: VGGWeights, style: Tensor, config: ObjectiveConfig
    ) -> PerceptualLoss:
        """Build the objective that settings describe.

        Raises:
            UsageError: A preset or layer is unknown.
            ImageError: The style image is flat or too small.
            WeightsError: The weights stop before a layer.
        """
        return cls(
            weights,
            style,
            preset=preset_of(config),
            weighting=config.weights,
            strength=config.strength,
            tv_weight=config.tv_weight,
            content_weight=config.content_weight,
            style_weight=config.style_weight,
        )

    def content_target(self, photograph: Tensor) -> ContentTarget:
        """Return what photographs, RGB in [0, 1], ``(B, 3, H, W)``, ask of their outputs.

        Their features are computed without gradients, in a pass of their own that ends at the
        content layer.
        """
        tap = self.preset.content
        with torch.no_grad():
            features = self.features(photograph, [tap])[tap]
            features = self.encoder.compared(features, tap.layer)
            floor = CONTENT_FLOOR * self.style_content_energy * positions_of(features)
            return ContentTarget(features, torch.maximum(energy(features), floor))

    def forward(self, output: Tensor, target: ContentTarget) -> LossTerms:
        """Measure outputs, RGB in [0, 1], ``(B, 3, H, W)``, against photographs and style.

        Raises:
            ImageError: A picture is too small for the layers of the preset.
        """
        return self.compare(self.features(output), output, target)

    def compare(
        self, features: Mapping[Tap, Tensor], output: Tensor, target: ContentTarget
    ) -> LossTerms:
        """Measure outputs whose features, at all taps of the preset, are known already."""
        tap = self.preset.content
        content_features = self.encoder.compared(features[tap], tap.layer)
        style = torch.stack(
            [
                loss(self.encoder.gram(features[tap], tap.layer), positions_of(features[tap]))
                for tap, loss in zip(self.preset.style, self.style_losses, strict=True)
            ]
        )  # (taps, B)
        if self.weighting == "balanced":
            content = relative_error(content_features, target.features, target.energy)
            style = style.mean(0)
        else:
            content = content_loss(content_features, target.features)
            style = style.sum(0)
        return LossTerms(content, style, total_variation_loss(output), self.weights)

    def describe(self) -> str:
        """Say in one line which preset, weighting and encoder this is."""
        weights = self.weights
        return (
            f"preset {self.preset}; {self.weighting} weights, content {weights.content:g},"
            f" style {weights.style:g}, total variation {weights.total_variation:g};"
            f" {self.encoder.name} {self.encoder.source}"
        )

    def identity(self) -> str:
        """Return all that its values depend on apart from the style image, for keys of caches."""
        return f"{self.preset}; {self.weighting}; {self.weights}; {self.encoder.identity()}"

    def features(self, image: Tensor, taps: Sequence[Tap] = ()) -> dict[Tap, Tensor]:
        """Return the activations at some taps: one pass of the encoder for each scale.

        Args:
            image: RGB in [0, 1], ``(B, 3, H, W)``.
            taps: Where; those of the preset unless others are named.
        """
        return features_at(self.encoder, image, taps or self.preset.taps)

    def _style_losses(self, features: Mapping[Tap, Tensor]) -> nn.ModuleList:
        grams = [self.encoder.gram(features[tap], tap.layer) for tap in self.preset.style]
        positions = [positions_of(features[tap]) for tap in self.preset.style]
        if self.weighting == "gatys":
            return nn.ModuleList(
                StyleLoss(gram, m, None) for gram, m in zip(grams, positions, strict=True)
            )
        energies = torch.cat([energy(gram / m) for gram, m in zip(grams, positions, strict=True)])
        energies = energies.clamp(min=ENERGY_FLOOR * energies.max().item())
        return nn.ModuleList(
            StyleLoss(gram, m, energies[i : i + 1])
            for i, (gram, m) in enumerate(zip(grams, positions, strict=True))
        )


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


def _check_style(style: Tensor) -> None:
    if min(style.shape[-2:]) < 2 or style.std(dim=(-2, -1)).max().item() < LEAST_CONTRAST:
        raise ImageError(
            f"the style image ({style.shape[-1]}x{style.shape[-2]} px) is flat:"
            " it has no structure to paint with"
        )

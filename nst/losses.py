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

from nst.config import CONTENT_FLOOR, ENERGY_FLOOR, STYLE_FACTOR, ObjectiveConfig
from nst.encoder import VGG19
from nst.errors import ImageError
from nst.features import Place, features_at, positions_of
from nst.functional import (
    content_loss,
    energy,
    relative_error,
    style_loss,
    total_variation_loss,
)
from nst.loss_terms import LossTerms, LossWeights
from nst.presets import PRESETS, Preset, Tap, preset_of
from nst.settings import Weighting
from nst.weights import VGGWeights

LEAST_CONTRAST = 1.0 / 255.0
"""A style image whose standard deviation is below this has no structure to paint with."""


@dataclass(frozen=True, slots=True, eq=False)
class ContentTarget:
    """What a batch of photographs asks of the output."""

    features: Tensor
    """P, ``(B, N, h, w)``."""
    energy: Tensor
    """What its errors are measured against, ``(B,)``."""


class StyleLoss(nn.Module):
    """Distance between the Gram matrices of a picture and those of style images at one tap.

    ``balanced`` gives sum (G - A)^2 / E with Gram matrices divided by their positions, ``gatys``
    the term of Gatys et al. 2016, eq. 4.

    Args:
        target: Gram matrices A of K style images, each divided by its positions, ``(K, N, N)``.
        target_energy: E, ``(K,)``; None for ``gatys``.
    """

    target: Tensor
    target_energy: Tensor | None

    def __init__(self, target: Tensor, target_energy: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("target", target.detach().clone(), persistent=False)
        self.register_buffer("target_energy", target_energy, persistent=False)

    def forward(self, gram: Tensor, which: Tensor | None = None) -> Tensor:
        """Return one value for each Gram matrix, divided by its positions, ``(B, N, N)``: ``(B,)``.

        ``which`` names the style image that each is compared with, int64 ``(B,)``; None where
        there is only one.
        """
        target, target_energy = self.target, self.target_energy
        if which is not None:
            target = target[which]
            target_energy = None if target_energy is None else target_energy[which]
        if target_energy is None:
            return style_loss(gram, target, positions=1, target_positions=1)
        return relative_error(gram, target, target_energy)


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
        styles: The style image, RGB in [0, 1], ``(1, 3, H, W)``; or K of them, of any sizes.
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
        styles: Tensor | Sequence[Tensor],
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
        styles = [styles] if isinstance(styles, Tensor) else styles
        self.encoder.to(styles[0].device, styles[0].dtype)
        self.preset = preset
        self.weighting = weighting
        if weighting == "balanced":
            self.weights = LossWeights(1.0, STYLE_FACTOR * strength, tv_weight)
        else:
            self.weights = LossWeights(content_weight, style_weight * strength, tv_weight)
        self.aim_at(*styles)

    style_content_energy: Tensor
    """Energy of the content features a position, ``(K,)``."""
    style_losses: nn.ModuleList
    styles: int
    """K, the style images that it has the targets of."""

    def aim_at(self, *styles: Tensor) -> None:
        """Compute the targets of style images, RGB in [0, 1], each ``(1, 3, H, W)``.

        Raises:
            ImageError: One is flat or too small.
        """
        self.styles = len(styles)
        grams, content_energies = [], []
        for style in styles:
            _check_style(style)
            with torch.no_grad():
                features = self.features(style)
                grams.append(self._grams(features))
                tap = self.preset.content
                content = self.encoder.compared(features[tap], tap.layer)
            content_energies.append(energy(content) / positions_of(content))
        self.style_losses = self._style_losses(grams)
        self.register_buffer("style_content_energy", torch.cat(content_energies), persistent=False)

    @classmethod
    def from_config(
        cls, weights: VGGWeights, styles: Tensor | Sequence[Tensor], config: ObjectiveConfig
    ) -> PerceptualLoss:
        """Build the objective that settings describe.

        Raises:
            UsageError: A preset or layer is unknown.
            ImageError: The style image is flat or too small.
            WeightsError: The weights stop before a layer.
        """
        return cls(
            weights,
            styles,
            preset=preset_of(config),
            weighting=config.weights,
            strength=config.strength,
            tv_weight=config.tv_weight,
            content_weight=config.content_weight,
            style_weight=config.style_weight,
        )

    def content_target(self, photograph: Tensor, which: Tensor | None = None) -> ContentTarget:
        """Return what photographs, RGB in [0, 1], ``(B, 3, H, W)``, ask of their outputs.

        Their features are computed without gradients, in a pass of their own that ends at the
        content layer. ``which``: see ``forward``.
        """
        tap = self.preset.content
        with torch.no_grad():
            features = self.features(photograph, [tap])[tap]
            features = self.encoder.compared(features, tap.layer)
            return ContentTarget(
                features, self.content_energy(energy(features), positions_of(features), which)
            )

    def content_energy(self, found: Tensor, positions: int, which: Tensor | None) -> Tensor:
        """Return what content errors are measured by, from the photographs' energies, ``(B,)``."""
        per_position = self.style_content_energy
        if which is not None:
            per_position = per_position[which]
        return torch.maximum(found, CONTENT_FLOOR * per_position * positions)

    def forward(
        self,
        output: Tensor,
        target: ContentTarget,
        which: Tensor | None = None,
        style_share: Tensor | None = None,
    ) -> LossTerms:
        """Measure outputs, RGB in [0, 1], ``(B, 3, H, W)``, against photographs and style.

        Args:
            output: What was painted.
            target: Of the photographs.
            which: The number of the style image for each output, int64 ``(B,)``; None where there
                is only one.
            style_share: What the style of each counts besides its weight, ``(B,)``; None for 1.

        Raises:
            ImageError: A picture is too small for the layers of the preset.
        """
        return self.compare(self.features(output), output, target, which, style_share)

    def compare(
        self,
        features: Mapping[Tap, Tensor],
        output: Tensor,
        target: ContentTarget,
        which: Tensor | None = None,
        style_share: Tensor | None = None,
    ) -> LossTerms:
        """Measure outputs whose features, at all taps of the preset, are known already."""
        grams = {}
        for tap in self.preset.style:
            gram, positions = self.gram_sum(features[tap], tap)
            grams[tap] = gram / positions
        tap = self.preset.content
        content = content_loss(self.encoder.compared(features[tap], tap.layer), target.features)
        variation = total_variation_loss(output)
        return self.from_sums(grams, content, target.energy, variation, which, style_share)

    def gram_sum(
        self, features: Tensor, tap: Tap, place: Place | None = None
    ) -> tuple[Tensor, float | Tensor]:
        """Return the Gram matrices of a tap, undivided, and what to divide them by.

        Both are sums over positions: those of the pieces of a picture add up to those of the whole.

        Args:
            features: ``(B, N, h, w)``.
            tap: Where.
            place: Which piece of the picture it is; None for all of it.
        """
        return self.encoder.gram(features, tap.layer), positions_of(features)

    def from_sums(
        self,
        grams: Mapping[Tap, Tensor],
        content: Tensor,
        content_energy: Tensor,
        variation: Tensor,
        which: Tensor | None = None,
        style_share: Tensor | None = None,
    ) -> LossTerms:
        """Return the terms from what may have been summed up over the pieces of a picture.

        Args:
            grams: Of every style tap, divided by positions, each ``(B, N, N)``.
            content: ``nst.functional.content_loss``, ``(B,)``.
            content_energy: As ``content_energy`` returns it, ``(B,)``.
            variation: Total variation, ``(B,)``.
            which: See ``forward``.
            style_share: See ``forward``.
        """
        pairs = zip(self.preset.style, self.style_losses, strict=True)
        style = torch.stack([self.style_error(loss, grams[tap], which) for tap, loss in pairs])
        if self.weighting == "balanced":
            content, style = 2 * content / content_energy, style.mean(0)
        else:
            style = style.sum(0)
        return LossTerms(content, style, variation, self.weights, style_share)

    def style_error(self, loss: nn.Module, gram: Tensor, which: Tensor | None = None) -> Tensor:
        """Return the error of each picture at one tap, ``(B,)``, from divided Gram matrices."""
        if which is None and self.styles > 1:
            raise ValueError(f"which of the {self.styles} styles?")
        error: Tensor = loss(gram, which)
        return error

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

    def _grams(self, features: Mapping[Tap, Tensor]) -> list[Tensor]:
        """Return the Gram matrices of one style image, divided by positions, for every tap."""
        return [
            self.encoder.gram(features[tap], tap.layer) / positions_of(features[tap])
            for tap in self.preset.style
        ]

    def _style_losses(self, grams: Sequence[Sequence[Tensor]]) -> nn.ModuleList:
        """Return the losses of all taps from the Gram matrices of all style images."""
        targets = [torch.cat(tap) for tap in zip(*grams, strict=True)]  # each (K, N, N)
        if self.weighting == "gatys":
            return nn.ModuleList(StyleLoss(target, None) for target in targets)
        energies = torch.stack([energy(target) for target in targets])  # (taps, K)
        energies = torch.maximum(energies, ENERGY_FLOOR * energies.amax(0, keepdim=True))
        return nn.ModuleList(map(StyleLoss, targets, energies))


def _check_style(style: Tensor) -> None:
    if min(style.shape[-2:]) < 2 or style.std(dim=(-2, -1)).max().item() < LEAST_CONTRAST:
        raise ImageError(
            f"the style image ({style.shape[-1]}x{style.shape[-2]} px) is flat:"
            " it has no structure to paint with"
        )

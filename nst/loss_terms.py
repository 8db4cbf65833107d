"""The terms of the objective, picture by picture, and what each of them counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nst.config import STYLE_FACTOR


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
    style_share: Tensor | None = None
    """What the style of each picture counts besides its weight, ``(B,)``; None for 1."""

    def detach(self) -> LossTerms:
        """Return the same values without their gradients."""
        return LossTerms(
            self.content.detach(),
            self.style.detach(),
            self.total_variation.detach(),
            self.weights,
            self.style_share,
        )

    @classmethod
    def join(cls, parts: Sequence[LossTerms]) -> LossTerms:
        """Put the terms of several parts of a batch together, in order."""
        if len(parts) == 1:
            return parts[0]
        shares = [part.style_share for part in parts if part.style_share is not None]
        return cls(
            torch.cat([part.content for part in parts]),
            torch.cat([part.style for part in parts]),
            torch.cat([part.total_variation for part in parts]),
            parts[0].weights,
            torch.cat(shares) if shares else None,
        )

    @property
    def total(self) -> Tensor:
        """The weighted sum, averaged over the batch: what is minimised."""
        return self.per_picture.mean()

    @property
    def per_picture(self) -> Tensor:
        """The weighted sum for each picture, ``(B,)``."""
        style = self.style if self.style_share is None else self.style_share * self.style
        return (
            self.weights.content * self.content
            + self.weights.style * style
            + self.weights.total_variation * self.total_variation
        )

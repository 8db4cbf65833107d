"""The judge: how much content a painting keeps and how much style it shows.

It scores arrays and takes a callable ``paint``, so that it never loads a model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nst.errors import WeightsError
from nst.image import resize_image
from nst.losses import PerceptualLoss
from nst.tensors import SIZE_MULTIPLE, crop_to_multiple, to_tensor

Paint = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""A photograph, uint8 (H, W, 3), to its painting, the same shape."""

PHOTO_PX = 384
"""Long side of the photographs that are judged."""
STYLE_PX = 512
"""Long side of the style image that they are judged against."""


@dataclass(frozen=True, slots=True)
class Score:
    """What one painting scores; 0 is perfect."""

    total: float
    """J = 4.5 * S + C."""
    style: float
    """S."""
    content: float
    """C."""
    unstyled: float
    """S of the photograph itself."""


def fit_photograph(rgb: NDArray[np.uint8], long_side: int = PHOTO_PX) -> NDArray[np.uint8]:
    """Scale a photograph, uint8 ``(H, W, 3)``, to a long side and cut it to multiples of 8."""
    scale = long_side / max(rgb.shape[:2])
    height, width = (max(SIZE_MULTIPLE, round(side * scale)) for side in rgb.shape[:2])
    return crop_to_multiple(resize_image(rgb, height, width))


def judge(
    paint: Paint, photographs: Sequence[NDArray[np.uint8]], criterion: PerceptualLoss
) -> list[Score]:
    """Paint photographs and score what comes out.

    Args:
        paint: What is judged.
        photographs: uint8 ``(H, W, 3)``, of the size in which they shall be judged, sides a
            multiple of 8.
        criterion: The objective with the style image; strength 1 and no total variation for
            figures that shall be compared.

    Returns:
        A score for each photograph, in order.

    Raises:
        WeightsError: The objective is not finite.
    """
    scores = []
    for photograph in photographs:
        painted = paint(photograph)
        if painted.shape != photograph.shape or painted.dtype != np.uint8:
            raise ValueError(f"paint gave {painted.dtype} {painted.shape} for {photograph.shape}")
        scores.append(_score(painted, photograph, criterion))
    return scores


def mean_score(scores: Sequence[Score]) -> Score:
    """Average the scores of several photographs."""
    return Score(
        *(
            float(np.mean([getattr(score, name) for score in scores]))
            for name in ("total", "style", "content", "unstyled")
        )
    )


def _score(
    painted: NDArray[np.uint8], photograph: NDArray[np.uint8], criterion: PerceptualLoss
) -> Score:
    layout = torch.channels_last
    device = criterion.style_content_energy.device
    with torch.inference_mode():
        plain = to_tensor(photograph, device).contiguous(memory_format=layout)
        target = criterion.content_target(plain)
        own = criterion(plain, target)
        terms = criterion(to_tensor(painted, device).contiguous(memory_format=layout), target)
    total = float(terms.total)
    if not math.isfinite(total):
        raise WeightsError(f"the objective is {total}: these VGG-19 weights cannot judge")
    return Score(
        total,
        float(terms.style.mean()),
        float(terms.content.mean()),
        float(own.style.mean()),
    )

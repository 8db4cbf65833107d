"""Photographs with harder light: parts of them are pure black or pure white.

A norm divides by the deviation of the whole picture and a flat area has no texture to go by, so
what a network has rarely seen there comes out as a blotch of some colour of the style. In most
photographs such areas are small, and crops that are drawn evenly hardly have them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nst.runtime import sent

SALT = 0x6C65766C


def with_levels(photographs: Tensor, most: float, *, seed: int, first: int) -> Tensor:
    """Move the black and the white point of every second photograph inwards.

    Args:
        photographs: RGB in [0, 1], ``(B, 3, H, W)``.
        most: By how much of the range each of both points moves at most, below a half.
        seed: Of the training.
        first: Which photograph of the training the first one is: what is drawn for each follows
            from the seed and its number, whoever computes it.

    Returns:
        The same shape, in [0, 1].
    """
    drawn = np.zeros((len(photographs), 2), np.float32)
    for n in range(len(photographs)):
        random = np.random.default_rng((SALT, seed, first + n))
        if random.random() < 0.5:
            drawn[n] = random.uniform(0, most, 2)
    points = sent(torch.from_numpy(drawn), photographs.device)
    black, white = (points[:, n, None, None, None] for n in range(2))
    return ((photographs - black) / (1 - black - white)).clamp(0, 1)

"""Steadiness from still pictures: a photograph that moves shall take its strokes with it.

Each step the photographs are turned, enlarged, shifted, brightened and given noise, a little of
each, and painted once more. What comes out shall be the painting moved in the same way. No film
and no optical flow is needed, and nothing is added at run time (the motion is known, where Huang
et al., "Real-Time Neural Style Transfer for Videos", 2017, estimate one between frames).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nst.runtime import sent

SALT = 0x73746162
MOST_SHIFT_PX = 6.0
MOST_ZOOM = 0.04
"""Of 1, in and out."""
MOST_ANGLE_DEG = 2.5
MOST_BRIGHTNESS = 0.05
"""Of 1, darker and lighter."""
NOISE = 2.0 / 255.0
"""Deviation of what is added to the photograph, as a camera does."""
MARGIN_PX = 16
"""At each side; what comes in from there is mirrored, and it is not compared."""


def stability_loss(
    paint: Callable[[Tensor], Tensor],
    photographs: Tensor,
    painted: Tensor,
    *,
    seed: int,
    first: int,
) -> Tensor:
    """Compare the painting of the moved photograph with the moved painting.

    Args:
        paint: The network, RGB to RGB.
        photographs: RGB in [0, 1], ``(B, 3, H, W)``.
        painted: What the network made of them.
        seed: Of the training.
        first: Which photograph of the training the first one is: each has a motion that follows
            from the seed and its number, whoever computes it.

    Returns:
        Mean squared difference for each photograph, ``(B,)``; channels in [0, 1].
    """
    randoms = [np.random.default_rng((SALT, seed, first + n)) for n in range(len(photographs))]
    drawn = torch.from_numpy(np.array([random.uniform(-1, 1, 5) for random in randoms], np.float32))
    height, width = photographs.shape[-2:]
    grid = sent(_grid(drawn, height, width), photographs.device)
    light = 1 + MOST_BRIGHTNESS * sent(drawn[:, 4, None, None, None], photographs.device)
    noise = torch.stack([_noise(photographs, int(random.integers(2**62))) for random in randoms])
    moved = (light * _moved(photographs, grid) + NOISE * noise).clamp(0, 1)
    difference = paint(moved) - (light * _moved(painted, grid)).clamp(0, 1)
    margin = min(MARGIN_PX, (min(height, width) - 1) // 2)
    inner = difference[..., margin : height - margin, margin : width - margin]
    return inner.square().flatten(1).mean(1)


def _noise(photographs: Tensor, seed: int) -> Tensor:
    """Return noise for one of some photographs, ``(3, H, W)``."""
    device, dtype = photographs.device, photographs.dtype
    generator = torch.Generator(device).manual_seed(seed)
    return torch.randn(photographs.shape[1:], generator=generator, device=device, dtype=dtype)


def _moved(image: Tensor, grid: Tensor) -> Tensor:
    grid = grid.to(image.dtype)
    return F.grid_sample(
        image, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )


def _grid(drawn: Tensor, height: int, width: int) -> Tensor:
    """Return where each pixel of the moved pictures comes from, ``(B, H, W, 2)`` in [-1, 1]."""
    angle = drawn[:, 0] * math.radians(MOST_ANGLE_DEG)
    scale = 1 + MOST_ZOOM * drawn[:, 1]
    sine, cosine = torch.sin(angle) / scale, torch.cos(angle) / scale
    right, down = 2 * MOST_SHIFT_PX * drawn[:, 2] / width, 2 * MOST_SHIFT_PX * drawn[:, 3] / height
    aspect = height / width
    rows = torch.stack((cosine, sine * aspect, right), 1)
    columns = torch.stack((-sine / aspect, cosine, down), 1)
    theta = torch.stack((rows, columns), 1)  # (B, 2, 3)
    return F.affine_grid(theta, [len(drawn), 3, height, width], align_corners=False)

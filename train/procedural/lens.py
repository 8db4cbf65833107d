"""What a camera does to a procedural photograph: light falls off, tones, softness, noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter


def expose(random: np.random.Generator, pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the picture that a camera makes of a scene, uint8 ``(S, S, 3)``.

    Args:
        random: Of what is drawn.
        pixels: RGB in [0, 1], ``(S, S, 3)``.
    """
    size = len(pixels)
    unit = size / 288
    if random.random() < 0.5:
        across = np.linspace(-1, 1, size, dtype=np.float32) ** 2
        pixels = (
            pixels
            * (1 - np.float32(random.uniform(0, 0.25)) * (across[:, None] + across))[..., None]
        )
    gain = np.exp(random.normal(0.0, 0.1, 1) + random.normal(0, 0.03, 3)).astype(np.float32)
    pixels = pixels * gain
    curve = np.linspace(0, 2, 1024, dtype=np.float32)
    steep = np.float32(random.uniform(0.0, 0.35))
    toned = np.where(curve < 0.8, curve, 0.8 + 0.2 * np.tanh((curve - 0.8) / 0.2)) ** np.float32(
        np.exp(random.normal(0, 0.12))
    )
    toned += steep * (toned * toned * (3 - 2 * toned) - toned)
    black, white = random.uniform(-0.02, 0.05), random.uniform(0.95, 1.04)
    table = (np.clip(black + (white - black) * toned, 0, 1) * 255 + 0.5).astype(np.uint8)
    picture = table[np.clip(pixels * 511.5, 0, 1023).astype(np.int16)]
    image = Image.fromarray(picture)
    soft = random.choice([0.0, 0.35, 0.5, 0.8], p=[0.5, 0.25, 0.17, 0.08])
    if soft:
        image = image.filter(ImageFilter.GaussianBlur(float(soft) * unit))
    if random.random() < 0.6:
        image = image.filter(ImageFilter.UnsharpMask(0.8 * unit, int(random.integers(30, 110)), 1))
    noise = random.choice([0.4, 1.0, 2.0, 4.0, 7.0], p=[0.35, 0.32, 0.2, 0.11, 0.02])
    grain = random.standard_normal((size, size, 1), np.float32) * np.float32(noise)
    noisy = np.asarray(image, np.float32) + grain
    return np.clip(noisy + 0.5, 0, 255).astype(np.uint8)

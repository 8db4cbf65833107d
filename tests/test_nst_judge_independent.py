"""The judge's J, S and C. Truth: another implementation, in NumPy and float64.

Convolution, pooling, Gram matrices and sums are written anew from the definitions in the README;
nothing of the program is used but the weights themselves.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nst.judge import judge
from nst.losses import PerceptualLoss
from nst.tensors import to_tensor
from nst.weights import VGGWeights

Array = NDArray[np.float64]
STYLE = [(layer, scale) for scale in (1, 2, 4) for layer in ("1_1", "2_1", "3_1")]
CONTENT = ("3_3", 2)


def convolve(x: Array, weight: Array, bias: Array) -> Array:
    """3x3 with zeros around it, ``(C, H, W)``: nine shifted products."""
    height, width = x.shape[1:]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    y = np.zeros((len(weight), height, width)) + bias[:, None, None]
    for i in range(3):
        for j in range(3):
            part = padded[:, i : i + height, j : j + width]
            y += np.einsum("oc,chw->ohw", weight[:, :, i, j], part)
    return y


def pooled(x: Array, how: str) -> Array:
    """2x2; the pictures of this test have even sides wherever that matters."""
    height, width = (side // 2 * 2 for side in x.shape[1:])
    corners = [x[:, i:height:2, j:width:2] for i in (0, 1) for j in (0, 1)]
    return np.asarray(np.max(corners, axis=0) if how == "max" else np.mean(corners, axis=0))


def activations(rgb: NDArray[np.uint8], weights: VGGWeights, scale: int) -> dict[str, Array]:
    x = rgb.transpose(2, 0, 1) / 255.0
    while scale > 1:
        x, scale = pooled(x, "mean"), scale // 2
    x = (x - np.array(weights.mean)[:, None, None]) / np.array(weights.std)[:, None, None]
    found = {}
    for name in ("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3"):
        if name in ("2_1", "3_1"):
            x = pooled(x, weights.pooling)
        kernel, bias = (
            weights.tensors[f"conv{name}.{kind}"].double().numpy() for kind in ("weight", "bias")
        )
        x = np.maximum(convolve(x, kernel, bias), 0)
        found[name] = x
    return found


def gram(features: Array) -> Array:
    flat = features.reshape(len(features), -1)
    return np.asarray(flat @ flat.T / flat.shape[1])


def independent(
    painted: NDArray[np.uint8],
    photograph: NDArray[np.uint8],
    style: NDArray[np.uint8],
    weights: VGGWeights,
) -> tuple[float, float, float]:
    """J, S and C as the README defines them."""
    seen = {
        name: {scale: activations(rgb, weights, scale) for scale in (1, 2, 4)}
        for name, rgb in (("painted", painted), ("photograph", photograph), ("style", style))
    }
    targets = [gram(seen["style"][scale][layer]) for layer, scale in STYLE]
    energies = np.array([np.sum(a**2) for a in targets])
    energies = np.maximum(energies, 1e-3 * energies.max())
    errors = [
        np.sum((gram(seen["painted"][scale][layer]) - a) ** 2) / energy
        for (layer, scale), a, energy in zip(STYLE, targets, energies, strict=True)
    ]
    layer, scale = CONTENT
    f, p, q = (seen[name][scale][layer] for name in ("painted", "photograph", "style"))
    floor = 0.25 * np.sum(q**2) / q[0].size * p[0].size
    content = np.sum((f - p) ** 2) / max(np.sum(p**2), floor)
    s = float(np.mean(errors))
    return 4.5 * s + float(content), s, float(content)


@pytest.mark.parametrize("kind", ["negative", "noisy", "flat photograph"])
def test_scores_agree(photo: NDArray[np.uint8], tiny_vgg: VGGWeights, kind: str) -> None:
    """On 48x64 px against a style image of 40x56; a flat photograph makes the floor of C count."""
    style = np.ascontiguousarray(photo[4:44, 4:60, ::-1]) // 2 + 60
    photograph = np.full_like(photo, 130) if kind == "flat photograph" else photo
    painted = 255 - photo
    if kind == "noisy":
        noise = np.random.default_rng(1).normal(0, 20, photo.shape)
        painted = np.clip(photo + noise, 0, 255).astype(np.uint8)
    (score,) = judge(lambda rgb: painted, [photograph], PerceptualLoss(tiny_vgg, to_tensor(style)))
    expected = independent(painted, photograph, style, tiny_vgg)
    assert (score.total, score.style, score.content) == pytest.approx(expected, rel=1e-4)
    unstyled = independent(photograph, photograph, style, tiny_vgg)[1]
    assert score.unstyled == pytest.approx(unstyled, rel=1e-4)

"""What the reference mode takes of the memory, told before it runs.

Growth of a process on the CPU at its peak, in kB for each pixel beyond 128x128, VGG-19 with random
weights and what glibc keeps of freed memory, by the way of tests/test_nst_footprint.py with 2
threads; L-BFGS without its pairs, one run each::

    preset    precision   width     at 512x512   at 1024x1024   predicted
    pyramid   float32     full            2.47           2.46        2.82
    gatys     float32     full            2.78           2.35        2.85
    pyramid   bfloat16    full            1.42           1.47        1.68
    gatys     bfloat16    full            1.62           1.46        1.69
    pyramid   float32     quarter         0.89                       0.97
    gatys     float32     quarter         0.98                       0.97
    pyramid   bfloat16    quarter         0.55                       0.68
    gatys     bfloat16    quarter         0.62                       0.69

The other parts are older and were not measured again since the Gram matrix has its own gradient:
all pairs took 4.28 where 3.55 was found without them, Adam 3.80, coarser sizes nothing more, a
style image of 1024x1024 0.79 and 1.30 while its targets are computed. On CUDA
nothing has been measured.

In pieces, where glibc gives freed memory back: 171 bytes a pixel with Adam, 239 and 294 with L-BFGS
and a history of 3 and 8, between 1200x800 and 2400x1600 (quarter width, pieces of 512, 3 and 8
evaluations). Where it kept that memory Adam took 268.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nst.config import OptimizeConfig
from nst.encoder import depth_of
from nst.errors import InferenceError
from nst.image import fit_long_side
from nst.memory import USABLE, free_bytes
from nst.presets import Preset, preset_of
from nst.tiled import geometry
from nst.weights import VGGWeights

PICTURES_BYTES = 350
"""Of each pixel: photograph, picture, gradient, direction, trial and what lies between them."""
TILED_PICTURES_BYTES = 175
"""The same where the picture goes through the loss network in pieces."""
PAIRS_BYTES = 480
"""Of each pixel: twenty steps and gradient changes of L-BFGS; Adam takes half of that."""
KEPT_BYTES = {torch.float32: 4, torch.bfloat16: 2}
"""Of each activation that the backward pass needs."""
PASSING_BYTES = {torch.float32: 19, torch.bfloat16: 11}
"""Of each channel in full size: gradients and reordered copies that come and go."""
STYLE_BYTES = 20
"""Of each pixel of the style image and each channel of conv1_1, while its targets are computed."""

LEAST_PX = 32
"""No smaller long side is recommended; 0 would even mean the photograph's own size."""


def check_memory(
    photograph: Tensor,
    style: Tensor,
    weights: VGGWeights,
    config: OptimizeConfig,
    *,
    masks: int = 0,
) -> None:
    """Refuse to paint what would take more than ``USABLE`` of the free memory of the device.

    Args:
        photograph: ``(1, 3, H, W)`` in the size of the result.
        style: ``(1, 3, h, w)``.
        weights: VGG-19.
        config: Settings of the painting.
        masks: Of style images, each of which keeps features of its own.

    Raises:
        InferenceError: It would; the message names the largest ``--size`` that fits.
    """
    device = photograph.device
    # What --precision auto begins in bfloat16 ends in float32.
    dtype = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
    free = _free_bytes(device)
    preset = preset_of(config)
    activations = _activation_bytes(weights, preset, dtype)
    activations += masks * KEPT_BYTES[dtype] * _style_values(weights, preset)
    per_pixel, fixed, hint = _steps_bytes(config) + activations, 0.0, ""
    if is_tiled(photograph, config):
        per_pixel = _tiled_bytes(config) + _content_bytes(weights, preset)
        fixed = activations * (config.tile + 2 * _margin(weights, preset)) ** 2
    elif not config.tile:
        hint = ", or give --tile 768"
    of_style = float(STYLE_BYTES * _channels(weights, "conv1_1"))
    jobs = (
        ("--size", "painting", photograph, per_pixel, fixed, hint),
        ("--style-size", "a style image of", style, of_style, 0.0, ""),
    )
    for flag, words, picture, per_pixel, fixed, hint in jobs:
        height, width = picture.shape[-2:]
        needed = per_pixel * height * width + fixed
        if needed <= USABLE * free:
            continue
        side = _largest_side(height, width, (USABLE * free - fixed) / per_pixel)
        advice = f"{flag} {side} fits{hint}" if side >= LEAST_PX else "close other programs"
        if fixed > USABLE * free:
            advice = "give a smaller --tile"
        raise InferenceError(
            f"{words} {width}x{height} px takes {needed / 1e9:.1f} GB of memory,"
            f" {free / 1e9:.1f} GB are free, of which {USABLE:.0%} may be used; {advice}"
        )


def is_tiled(photograph: Tensor, config: OptimizeConfig) -> bool:
    """Whether a painting of this size goes through the loss network in pieces."""
    return bool(config.tile) and max(photograph.shape[-2:]) > config.tile


def bytes_per_pixel(weights: VGGWeights, preset: Preset, dtype: torch.dtype) -> float:
    """Return how much the painting of one pixel takes at its peak, bytes.

    That is in the backward pass.

    Args:
        weights: VGG-19, of any width.
        preset: Layers and scales.
        dtype: Of the convolutions.
    """
    return PICTURES_BYTES + PAIRS_BYTES + _activation_bytes(weights, preset, dtype)


def _activation_bytes(weights: VGGWeights, preset: Preset, dtype: torch.dtype) -> float:
    """Return what the loss network takes for each pixel that goes through it, bytes."""
    kept = sum(_kept(weights, preset, scale) for scale in {tap.scale for tap in preset.taps})
    passing = _channels(weights, "conv1_1") / min(tap.scale for tap in preset.taps) ** 2
    return KEPT_BYTES[dtype] * kept + PASSING_BYTES[dtype] * passing


def _steps_bytes(config: OptimizeConfig) -> float:
    """Return what the optimiser takes for each pixel, bytes."""
    pairs = config.history if config.optimizer == "lbfgs" else OptimizeConfig().history
    return PICTURES_BYTES + PAIRS_BYTES * pairs / OptimizeConfig().history


def _tiled_bytes(config: OptimizeConfig) -> float:
    """Return the same where the picture goes through the loss network in pieces."""
    pairs = config.history if config.optimizer == "lbfgs" else 1  # Adam has two moments
    return TILED_PICTURES_BYTES + PAIRS_BYTES * pairs / OptimizeConfig().history


def _style_values(weights: VGGWeights, preset: Preset) -> float:
    """Return the values at the style taps, for each pixel."""
    return sum(_channels(weights, t.layer) / _area(t.layer, t.scale) for t in preset.style)


def _margin(weights: VGGWeights, preset: Preset) -> int:
    """Return the margin of a piece at the scale where most of the memory goes, the finest, px."""
    finest = min(tap.scale for tap in preset.taps)
    taps = [tap for tap in preset.taps if tap.scale == finest]
    margin, _ = geometry(weights.convolutions, taps)
    return margin // finest


def _content_bytes(weights: VGGWeights, preset: Preset) -> float:
    """Return what the photograph's content features take for each pixel, bytes."""
    tap = preset.content
    return 4.0 * _channels(weights, tap.layer) / _area(tap.layer, tap.scale)


def _free_bytes(device: torch.device) -> int:
    if device.type != "cuda":
        return free_bytes()
    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free + unused)


def _kept(weights: VGGWeights, preset: Preset, scale: int) -> float:
    """Return the values of all activations at one scale, for each pixel of the picture."""
    deepest = max(depth_of(tap.layer) for tap in preset.taps if tap.scale == scale)
    values, channels = 0.0, 0
    for conv in weights.convolutions:
        if depth_of(conv) > deepest:
            break
        area = _area(conv, scale)
        if conv.endswith("_1"):
            values += channels / area  # what the pooling layer in front of it returns
        channels = _channels(weights, conv)
        values += channels / area
    return values


def _area(layer: str, scale: int) -> int:
    """Return of how many pixels of the picture one position of a layer is made."""
    side = scale << (int(layer[4]) - 1)
    return side * side


def _channels(weights: VGGWeights, layer: str) -> int:
    weight = weights.tensors.get(layer.replace("relu", "conv") + ".weight")
    return 0 if weight is None else len(weight)


def _largest_side(height: int, width: int, pixels: float) -> int:
    """Return the longest side at which a picture of this shape has at most so many pixels."""
    side = int(max(height, width) * math.sqrt(max(0.0, pixels) / (height * width)))
    while side > 0 and math.prod(fit_long_side(height, width, side)) > pixels:
        side -= 1
    return side

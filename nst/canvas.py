"""What the reference mode works on: the files that were named, as settings ask for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nst.color import with_matched_colors
from nst.config import OptimizeConfig
from nst.errors import ImageError, UsageError
from nst.guidance import Guides
from nst.image import Picture, fit_long_side, load_image, resize_image
from nst.masks import check_proportions, load_mask
from nst.runtime import choose_device
from nst.scales import LEAST_PX
from nst.tensors import load_style, to_tensor, to_uint8


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """Photograph, style image and start, RGB in [0, 1], on the device that computes."""

    photograph: Tensor
    """``(1, 3, H, W)``, in the size of the result."""
    styles: Sequence[Tensor]
    """Each ``(1, 3, h, w)``."""
    guides: Guides | None
    """Of several style images, or of one with a mask."""
    start: Tensor | None
    """The picture that ``init`` names, ``(1, 3, h, w)`` of any size; None where it names none."""
    picture: Picture
    """The photograph as it was read."""
    notes: tuple[str, ...]
    """What a caller must say aloud, each with the name of its file."""


def load_canvas(
    photo: Path | str,
    styles: Path | str | Sequence[Path | str],
    config: OptimizeConfig,
    *,
    weights: Sequence[float] = (),
    masks: Sequence[Path | str] = (),
    has_start: bool = False,
) -> Canvas:
    """Read the pictures and apply ``size``, ``style_size``, ``init`` and ``device``.

    Args:
        photo: The photograph.
        styles: The style image, or several.
        config: Settings; all others are applied by ``nst.optimize.optimize``, but for ``vgg``,
            which is for ``nst.weights.find_weights``.
        weights: What each of several style images counts; equal if none is given.
        has_start: Whether the start comes from elsewhere, whatever ``init`` says.
        masks: Pictures in proportion to the photograph, white where each style image shall be.

    Raises:
        ImageError: A picture cannot be read or is too small.
        UsageError: There is no such device, ``init`` names no file, or there are not as many
            weights or masks as style images.
    """
    device = choose_device(config.device)
    picture = load_image(photo)
    styles = [styles] if isinstance(styles, Path | str) else styles
    read: dict[Path | str, Picture] = {photo: picture}
    images = []
    for style in styles:
        image, read[style] = load_style(style, config.style_size)
        if config.original_colors and config.color_transfer == "statistics":
            image = to_tensor(with_matched_colors(to_uint8(image)[0], picture.rgb))
        images.append(image.to(device))
    height, width = picture.height, picture.width
    if config.size:
        height, width = fit_long_side(height, width, config.size)
    if min(height, width) < LEAST_PX:
        raise ImageError(
            f"{photo}: {width}x{height} px is too small to be painted; both sides need"
            f" {LEAST_PX} px"
        )
    start = None
    if config.init not in ("content", "noise") and not has_start:
        if not Path(config.init).is_file():
            raise UsageError(f"--init must be content, noise or a picture file, got {config.init}")
        read[config.init] = load_image(config.init)
        start = to_tensor(read[config.init].rgb, device)
    return Canvas(
        photograph=to_tensor(resize_image(picture.rgb, height, width), device),
        styles=images,
        guides=_guides(len(styles), weights, masks, (height, width), device),
        start=start,
        picture=picture,
        notes=tuple(f"{name}: {note}" for name, found in read.items() for note in found.notes),
    )


def _guides(
    styles: int,
    weights: Sequence[float],
    masks: Sequence[Path | str],
    size: tuple[int, int],
    device: torch.device,
) -> Guides | None:
    """Return what several style images count, and where; None for one without a mask."""
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
        raise UsageError("style weights must be numbers from 0 on")
    if weights and len(weights) != styles:
        raise UsageError(f"{len(weights)} style weights for {styles} style images")
    if masks and len(masks) != styles:
        raise UsageError(f"{len(masks)} masks for {styles} style images")
    if styles == 1 and not masks:
        return None
    weights = list(weights) or [1.0] * styles
    if sum(weights) <= 0:
        raise UsageError("style weights must not all be 0")
    if not masks:
        return Guides(weights)
    planes = []
    for mask in masks:
        plane = load_mask(mask)
        check_proportions(plane, str(mask), *size, name="the photograph")
        planes.append(torch.from_numpy(resize_image(plane, *size)).float() / 255)
    stack = torch.stack(planes)[:, None].to(device)  # (K, 1, H, W)
    areas = stack.mean((1, 2, 3)).tolist()
    if sum(weight * area for weight, area in zip(weights, areas, strict=True)) <= 0:
        raise UsageError("no style has both a weight and a mask that is not black")
    return Guides(weights, stack)

"""What the reference mode works on: the files that were named, as settings ask for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from nst.config import OptimizeConfig
from nst.errors import ImageError, UsageError
from nst.image import Picture, fit_long_side, load_image, resize_image
from nst.optimize import LEAST_PX
from nst.runtime import choose_device
from nst.tensors import load_style, to_tensor


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """Photograph, style image and start, RGB in [0, 1], on the device that computes."""

    photograph: Tensor
    """``(1, 3, H, W)``, in the size of the result."""
    style: Tensor
    """``(1, 3, h, w)``."""
    start: Tensor | None
    """The picture that ``init`` names, ``(1, 3, h, w)`` of any size; None where it names none."""
    picture: Picture
    """The photograph as it was read."""
    notes: tuple[str, ...]
    """What a caller must say aloud, each with the name of its file."""


def load_canvas(photo: Path | str, style: Path | str, config: OptimizeConfig) -> Canvas:
    """Read the pictures and apply ``size``, ``style_size``, ``init`` and ``device``.

    Args:
        photo: The photograph.
        style: The style image.
        config: Settings; all others are applied by ``nst.optimize.optimize``, but for ``vgg``,
            which is for ``nst.weights.find_weights``.

    Raises:
        ImageError: A picture cannot be read or is too small.
        UsageError: There is no such device, or ``init`` names no file.
    """
    device = choose_device(config.device)
    picture = load_image(photo)
    style_image, style_picture = load_style(style, config.style_size)
    height, width = picture.height, picture.width
    if config.size:
        height, width = fit_long_side(height, width, config.size)
    if min(height, width) < LEAST_PX:
        raise ImageError(
            f"{photo}: {width}x{height} px is too small to be painted; both sides need"
            f" {LEAST_PX} px"
        )
    read: dict[Path | str, Picture] = {photo: picture, style: style_picture}
    start = None
    if config.init not in ("content", "noise"):
        if not Path(config.init).is_file():
            raise UsageError(f"--init must be content, noise or a picture file, got {config.init}")
        read[config.init] = load_image(config.init)
        start = to_tensor(read[config.init].rgb, device)
    return Canvas(
        photograph=to_tensor(resize_image(picture.rgb, height, width), device),
        style=style_image.to(device),
        start=start,
        picture=picture,
        notes=tuple(f"{name}: {note}" for name, found in read.items() for note in found.notes),
    )

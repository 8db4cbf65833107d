"""Picture files to RGB arrays and back. Torch-free.

This module alone opens pictures. Pillow decodes, which survives damaged files; all that Pillow
passes over in silence (orientation, 16 bits, colour profiles, animation, absurd sizes) is handled
or refused. What a caller must say aloud stands in ``Picture.notes``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from nst.errors import ImageError, OutputError, PixelLimitError
from nst.files import atomic_write, describe
from nst.picture_formats import IMAGE_SUFFIXES, READ_FORMATS, check_format, encode_image
from nst.picture_source import decoding, opened, pillow_settings
from nst.pixels import layout_of, to_srgb

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "Picture",
    "check_output",
    "encode_image",
    "find_images",
    "fit_long_side",
    "fit_short_side",
    "is_animated",
    "load_image",
    "resize_image",
    "save_image",
]

MAX_PIXELS = 64_000_000
"""Default of the largest picture that is decoded, width times height."""

_PAGED = ("TIFF", "MPO")
"""Formats whose frames are pages or views of a photograph, not moments of a film."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture: sRGB, upright, 8 bits."""

    rgb: NDArray[np.uint8]
    """(H, W, 3)."""
    alpha: NDArray[np.uint8] | None
    """(H, W), 0 transparent to 255 opaque; None where the whole picture is opaque."""
    notes: tuple[str, ...] = ()
    """What a caller must say aloud, as ``its colour profile is damaged and is ignored``."""

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.rgb.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.rgb.shape[1])

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the picture; see ``save_image``."""
        save_image(path, self.rgb, self.alpha, overwrite=overwrite)


def load_image(
    source: str | Path | bytes | BinaryIO,
    *,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
    short_side: int | None = None,
) -> Picture:
    """Read a picture: upright, sRGB, 8 bits, transparency apart.

    Pixels that are fully transparent get the mean colour of the visible ones: the colours hidden
    there are arbitrary, and a network would see them. A transparency that is opaque everywhere is
    dropped. Of several pages or views the first is taken, with a note.

    Args:
        source: A path, the bytes of a file, or an open binary file such as stdin.
        max_pixels: The largest width times height that is decoded.
        name: What to call the picture in an error; default the path.
        short_side: Scale so that the shorter side has this many px. A JPEG is decoded near that
            size, several times faster.

    Raises:
        ImageError: No such file; empty, damaged, cut off, or no picture; animated (a video);
            samples without a known white (floating point, 32 bits).
        PixelLimitError: It has more than ``max_pixels``.
    """
    with opened(source, name) as (file, name), pillow_settings(max_pixels):
        with decoding(file, name):
            image = Image.open(file, formats=READ_FORMATS)
            _check_size(image, max_pixels, name)
            notes = _check_frames(image, name)
            layout = layout_of(image, name=name)
            if short_side is not None:
                image.draft(None, (short_side, short_side))  # JPEG: decode at 1/2, 1/4 or 1/8
            image.load()
            low = _low_bytes(file, layout.low_bytes) if layout.low_bytes else None
        decoded = to_srgb(image, layout, low, name=name)
    rgb = np.array(decoded.rgb)
    alpha = None if decoded.alpha is None else np.array(decoded.alpha)
    notes += decoded.notes
    if alpha is not None and alpha.min() == 255:
        alpha = None
    if alpha is not None:
        _fill_hidden(rgb, alpha, notes)
    if short_side is not None:
        height, width = fit_short_side(rgb.shape[0], rgb.shape[1], short_side)
        rgb = resize_image(rgb, height, width)
        alpha = None if alpha is None else resize_image(alpha, height, width)
    return Picture(rgb, alpha, tuple(notes))


def is_animated(path: str | Path) -> bool:
    """Whether a file is an animated GIF, WebP, PNG or AVIF; False where it cannot be read."""
    try:
        if not Path(path).is_file():  # nothing may be read of a pipe to find out
            return False
        with (
            pillow_settings(MAX_PIXELS),
            Path(path).open("rb") as file,
            Image.open(file, formats=READ_FORMATS) as image,
        ):
            return image.format not in _PAGED and bool(getattr(image, "is_animated", False))
    except Exception:  # a damaged file raises whatever its decoder stumbles over
        return False


def save_image(
    path: str | Path,
    rgb: NDArray[np.uint8] | NDArray[np.float32],
    alpha: NDArray[np.uint8] | None = None,
    *,
    overwrite: bool = False,
    bits: int = 8,
    quality: int = 95,
) -> None:
    """Write a picture in the format of the suffix: png, jpg, jpeg, webp, tif or tiff.

    The file appears whole or not at all. It is sRGB and carries no metadata of the photograph, so
    no position and no orientation.

    Args:
        path: Where to; the folder is made when missing.
        rgb: (H, W, 3). uint8 for 8 bits; float32 in [0, 1] for 16 bits.
        alpha: (H, W) uint8, 0 transparent to 255 opaque.
        overwrite: Whether an existing file is replaced.
        bits: Bits of each sample, 8 or 16 (png and tiff).
        quality: Of JPEG and WebP, 1 to 100.

    Raises:
        UsageError: The format is unknown or cannot hold this.
        OutputError: The file exists; the disk is full; the picture is too large for the format.
    """
    path = Path(path)
    check_output(path, overwrite=overwrite, has_alpha=alpha is not None, bits=bits)
    try:
        data = encode_image(rgb, alpha, format=path.suffix, quality=quality, bits=bits)
    except OutputError as error:
        raise OutputError(f"{path}: {error}") from error
    with atomic_write(path) as file:
        file.write(data)


def check_output(
    path: str | Path, *, overwrite: bool = False, has_alpha: bool = False, bits: int = 8
) -> None:
    """Refuse what ``save_image`` would refuse, before the work and not after it.

    Raises:
        UsageError: The format is unknown or cannot hold this.
        OutputError: The file exists, or its name is too long.
    """
    path = Path(path)
    check_format(path.suffix, has_alpha=has_alpha, bits=bits, source=str(path))
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except OSError as error:  # a name that is too long
        raise OutputError(f"{path}: cannot be written, {describe(error)}") from error
    if is_folder:
        raise OutputError(f"{path} is a folder; name a file")
    if is_there and not overwrite:
        raise OutputError(f"{path} exists; pass --overwrite to replace it")


def resize_image(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Scale (H, W, 3) or (H, W) to ``height`` x ``width`` px with a Lanczos filter."""
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)
    return np.array(resized)


def fit_long_side(height: int, width: int, long_side: int) -> tuple[int, int]:
    """Return the height and width, at least 1, whose longer side is at most ``long_side`` px."""
    scale = min(1.0, long_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def fit_short_side(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Return the height and width whose shorter side is ``short_side`` px; may enlarge."""
    scale = short_side / min(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def find_images(
    folder: str | Path,
    *,
    also: Iterable[str] = (),
    unreadable: Callable[[str, str], object] | None = None,
) -> list[Path]:
    """Return the pictures in a folder and the folders in it, sorted; hidden ones are skipped.

    Folders behind symbolic links are not entered; pipes and devices are left out.

    Args:
        folder: Where to look.
        also: Suffixes of other files that are wanted, in lower case.
        unreadable: Called with the name of a folder that cannot be read, and what is wrong.

    Raises:
        ImageError: There is no such folder, or one cannot be read and ``unreadable`` is None.
    """

    def refuse(error: OSError) -> None:
        why = f"{error.filename}: cannot be read, {describe(error)}"
        if unreadable is None:
            raise ImageError(why) from error
        unreadable(str(error.filename), why)

    suffixes = IMAGE_SUFFIXES.union(also)
    found = []
    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(root, name)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes
        ]
    return sorted(path for path in found if path.is_file() or not path.exists())


def _check_size(image: ImageFile.ImageFile, max_pixels: int, name: str) -> None:
    pixels = image.width * image.height
    if pixels == 0:
        raise ImageError(f"{name} has no pixels ({image.width}x{image.height})")
    if pixels > max_pixels:
        raise PixelLimitError(
            f"{name} has {image.width}x{image.height} = {pixels / 1e6:.1f} million pixels, the"
            f" limit is {max_pixels / 1e6:g} million; scale it down first"
        )


def _check_frames(image: ImageFile.ImageFile, name: str) -> list[str]:
    frames: int = getattr(image, "n_frames", 1)
    if frames == 1:
        return []
    if image.format not in _PAGED:
        raise ImageError(
            f"{name} is animated, {frames} frames, and still pictures are wanted here; nst stylize"
            " paints a file of it"
        )
    return [f"holds {frames} pages or views, the first is taken"]


def _low_bytes(file: BinaryIO, raw_mode: str) -> Image.Image:
    """Decode a file once more, this time the bytes of its 16-bit samples that Pillow drops."""
    image = Image.open(file, formats=READ_FORMATS)
    image.tile = [
        tile._replace(args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode)
        for tile in image.tile
    ]
    image.load()
    return image


def _fill_hidden(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8], notes: list[str]) -> None:
    """Give the fully transparent pixels the mean colour of the others, in place."""
    is_hidden = alpha == 0
    if is_hidden.all():
        notes.append("is fully transparent")
    elif is_hidden.any():
        rgb[is_hidden] = np.rint(rgb[~is_hidden].mean(axis=0))

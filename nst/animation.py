"""Animated GIF, PNG, WebP and AVIF files, picture by picture. Torch-free.

Pillow decodes, since FFmpeg reads no animated WebP and keeps the number of plays of none of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nst.errors import ImageError, PixelLimitError
from nst.image import MAX_PIXELS
from nst.picture_formats import READ_FORMATS
from nst.picture_source import decoding, opened, pillow_settings

LEAST_MS = 10
"""Durations up to this are shown for ``USUAL_MS``, as browsers do."""
USUAL_MS = 100


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One picture of an animation, whole."""

    rgb: NDArray[np.uint8]
    """(H, W, 3). Where it is fully transparent, the mean colour of what can be seen."""
    alpha: NDArray[np.uint8] | None
    """(H, W), 0 transparent to 255 opaque; None where the whole picture is opaque."""
    duration_ms: Fraction
    """How long it is shown."""


class Animation:
    """An open animated picture; iterating gives its moments in order.

    Args:
        path: The file.
        max_pixels: The largest width times height that is decoded.

    Raises:
        ImageError: It cannot be read, does not move, or has more than 8 bits of grey.
        PixelLimitError: It has more than ``max_pixels``.
    """

    def __init__(self, path: Path, *, max_pixels: int = MAX_PIXELS) -> None:
        self.path = path
        self.notes: list[str] = []
        """What a caller must say aloud."""
        self._max_pixels = max_pixels
        self._name = str(path)
        with ExitStack() as open_files:
            self._file, _ = open_files.enter_context(opened(path, None))
            with pillow_settings(max_pixels), decoding(self._file, self._name):
                image = Image.open(self._file, formats=READ_FORMATS)
                open_files.enter_context(image)
                self.width, self.height = image.size
                self._check_size()
                if not getattr(image, "is_animated", False):
                    raise ImageError(f"{path} is a still picture")
                # A PNG may begin with a picture for programs that cannot animate it.
                self._first = int(bool(image.info.get("default_image")))
                self.frames = int(getattr(image, "n_frames", 1)) - self._first
                self.plays = _plays(image)
                """How often it is played; 0 for ever."""
            if image.info.get("icc_profile"):
                self.notes.append(f"{path}: its colour profile is ignored, sRGB is assumed")
            self._image = image
            self._open_files = open_files.pop_all()

    def close(self) -> None:
        """Close the file."""
        self._open_files.close()

    def __iter__(self) -> Iterator[Moment]:
        """Yield every moment.

        Raises:
            ImageError: The next one is damaged or cut off.
        """
        for number in range(self._first, self._first + self.frames):
            yield self._moment(number)

    def _moment(self, number: int) -> Moment:
        with pillow_settings(self._max_pixels), decoding(self._file, self._name):
            self._image.seek(number)
            if self._image.mode.startswith(("I", "F")):
                raise ImageError(f"{self.path}: animated in {self._image.mode}, not in 8 bits")
            pixels = np.array(self._image.convert("RGBA"))
            stated = Fraction(self._image.info.get("duration") or 0).limit_denominator(65535)
        rgb, alpha = np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3])
        duration = stated if stated > LEAST_MS else Fraction(USUAL_MS)
        if alpha.min() == 255:
            return Moment(rgb, None, duration)
        is_hidden = alpha == 0
        if is_hidden.any() and not is_hidden.all():
            rgb[is_hidden] = np.rint(rgb[~is_hidden].mean(axis=0))
        return Moment(rgb, alpha, duration)

    def _check_size(self) -> None:
        pixels = self.width * self.height
        if pixels > self._max_pixels:
            raise PixelLimitError(
                f"{self.path} has frames of {self.width}x{self.height} = {pixels / 1e6:.1f} million"
                f" pixels, the limit is {self._max_pixels / 1e6:g} million; scale it down first, or"
                " raise --max-pixels"
            )


def _plays(image: Image.Image) -> int:
    """Return how often an animation is played; a GIF states how often it is repeated."""
    loop = image.info.get("loop")
    if image.format == "GIF":
        return 1 if loop is None else 0 if loop == 0 else int(loop) + 1
    return int(loop or 0)

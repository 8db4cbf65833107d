"""Painted arrays as FFmpeg's frames: what a film, a GIF and other animated pictures are given."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from infer.video_color import Color

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Pixels = NDArray[np.uint8]


class Pictures(Protocol):
    """Turns painted arrays into frames."""

    def frames(self, rgb: Pixels, alpha: Pixels | None, stamp: int) -> Iterator[VideoFrame]:
        """Yield the frames that are ready, of this picture or of earlier ones.

        Args:
            rgb: (H, W, 3).
            alpha: (H, W), or None: opaque.
            stamp: When it is shown, in units of the time base.
        """

    def rest(self) -> Iterator[VideoFrame]:
        """Yield the frames that are left at the end."""


class FilmPictures:
    """Luma and chroma of even sizes: the last row or column is repeated where it is odd."""

    def __init__(self, pixels: str, color: Color, time_base: Fraction) -> None:
        self._pixels, self._color, self._time_base = pixels, color, time_base

    def frames(self, rgb: Pixels, alpha: Pixels | None, stamp: int) -> Iterator[VideoFrame]:
        """Yield the one frame."""
        from av import VideoFrame

        height, width = rgb.shape[:2]
        even: Any = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = VideoFrame.from_ndarray(even, format="rgb24").reformat(
            format=self._pixels,
            dst_colorspace=self._color.swscale,
            dst_color_range=self._color.swscale_range,
        )
        picture.pts, picture.time_base = stamp, self._time_base
        yield picture

    def rest(self) -> Iterator[VideoFrame]:
        """Yield nothing."""
        yield from ()


class ColorPictures:
    """RGB with transparency, in another order of the channels if need be."""

    def __init__(self, pixels: str, time_base: Fraction) -> None:
        self._pixels, self._time_base = pixels, time_base

    def frames(self, rgb: Pixels, alpha: Pixels | None, stamp: int) -> Iterator[VideoFrame]:
        """Yield the one frame."""
        picture = _rgba(rgb, alpha)
        if self._pixels != "rgba":
            picture = picture.reformat(format=self._pixels)
        picture.pts, picture.time_base = stamp, self._time_base
        yield picture

    def rest(self) -> Iterator[VideoFrame]:
        """Yield nothing."""
        yield from ()


class PalettePictures:
    """256 colours, chosen for every picture anew; half transparent or more is transparent."""

    def __init__(self, size: tuple[int, int], time_base: Fraction) -> None:
        from av import VideoFormat
        from av.filter import Graph

        self._time_base = time_base
        height, width = size
        self._graph = Graph()
        source = self._graph.add_buffer(
            width=width, height=height, format=VideoFormat("rgba"), time_base=time_base
        )
        split = self._graph.add("split")
        palette = self._graph.add("palettegen", "stats_mode=single:reserve_transparent=1")
        use = self._graph.add("paletteuse", "new=1:alpha_threshold=128")
        sink = self._graph.add("buffersink")
        source.link_to(split)
        split.link_to(palette, 0, 0)
        split.link_to(use, 1, 0)
        palette.link_to(use, 0, 1)
        use.link_to(sink)
        self._graph.configure()

    def frames(self, rgb: Pixels, alpha: Pixels | None, stamp: int) -> Iterator[VideoFrame]:
        """Yield the frames that the palettes are found for."""
        picture = _rgba(rgb, alpha)
        picture.pts, picture.time_base = stamp, self._time_base
        self._graph.vpush(picture)
        yield from self._ready()

    def rest(self) -> Iterator[VideoFrame]:
        """Yield the frames that are left."""
        self._graph.vpush(None)
        yield from self._ready()

    def _ready(self) -> Iterator[VideoFrame]:
        from av import BlockingIOError, EOFError

        while True:
            try:
                yield self._graph.vpull()
            except (BlockingIOError, EOFError):
                return


def _rgba(rgb: Pixels, alpha: Pixels | None) -> VideoFrame:
    from av import VideoFrame

    opaque = np.full(rgb.shape[:2], 255, np.uint8) if alpha is None else alpha
    pixels: Any = np.dstack((rgb, opaque))
    return VideoFrame.from_ndarray(pixels, format="rgba")

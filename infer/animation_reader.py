"""Reading an animated picture as a video without sound."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from infer.frames import WHOLE, Cut, Frame, VideoInfo
from infer.video_color import BT601, Color
from nst.animation import Animation
from nst.errors import ImageError, MediaError
from nst.image import MAX_PIXELS

if TYPE_CHECKING:
    from av.audio.stream import AudioStream

UNSPECIFIED = 2
"""FFmpeg's number for a colour tag that says nothing."""


class AnimationReader:
    """An open animated picture, read as ``infer.frames.Source`` asks.

    Args:
        path: A GIF, PNG, WebP or AVIF file that moves.
        max_pixels: The largest frame that is decoded, width times height.
        cut: The part that is wanted.

    Raises:
        ImageError: The file is damaged.
        PixelLimitError: Its frames have more than ``max_pixels``.
    """

    time_base = Fraction(1, 1000)
    pixel_aspect = Fraction(1)
    sounds: tuple[AudioStream, ...] = ()

    def __init__(self, path: Path, *, max_pixels: int = MAX_PIXELS, cut: Cut = WHOLE) -> None:
        self.path = path
        self.skipped = 0
        """Always 0: what is behind a damage cannot be read."""
        self._cut = cut
        self._animation = Animation(path, max_pixels=max_pixels)
        self.notes: list[str] = self._animation.notes
        """What the caller should say: where the result will differ from the file."""
        self.plays = self._animation.plays
        """How often it is played; 0 for ever."""
        self.color = Color(matrix=BT601, primaries=UNSPECIFIED, transfer=UNSPECIFIED)
        try:
            first = next(iter(self._animation))
        except ImageError:
            self.close()
            raise
        rate = 1000 / first.duration_ms
        self.info = VideoInfo(
            width=self._animation.width,
            height=self._animation.height,
            rate=rate.limit_denominator(1001),
            frames=cut.frames(self._animation.frames, rate),
            start_s=0.0,
            duration_s=None,
            sound=(),
        )

    def close(self) -> None:
        """Close the file."""
        self._animation.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield every frame of the part.

        Raises:
            ImageError: Not a single frame could be decoded.
            MediaError: The part begins after the last frame.
        """
        start = (self._cut.start_s or Fraction(0)) * 1000
        end = None if self._cut.end_s is None else self._cut.end_s * 1000
        shown_at, count = Fraction(0), 0
        moments = iter(self._animation)
        while end is None or shown_at < end:
            try:
                moment = next(moments)
            except StopIteration:
                break
            except ImageError as error:
                if not count:
                    raise
                self.notes.append(f"{self.path}: reading stopped after {count} frames: {error}")
                break
            begins, shown_at = shown_at, shown_at + moment.duration_ms
            if shown_at <= start:
                continue
            stamp = round(max(begins, start) - start)
            until = round((shown_at if end is None else min(shown_at, end)) - start)
            count += 1
            yield Frame(moment.rgb, stamp, until - stamp, moment.alpha)
        if not count:
            raise MediaError(
                f"{self.path}: --start {float(start) / 1000:g} s is after its end at"
                f" {float(shown_at) / 1000:g} s"
            )

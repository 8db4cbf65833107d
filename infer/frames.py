"""What the readers of videos and of animated pictures have in common."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from infer.video_color import Color
from nst.errors import UsageError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """What a file says of itself before a frame is read."""

    width: int
    """Of the coded picture, px, before it is turned upright."""
    height: int
    """Of the coded picture, px, before it is turned upright."""
    rate: Fraction
    """Average frames per second."""
    frames: int | None
    """Number of frames that will be read, stated or estimated from the duration; None when neither
    is known."""
    start_s: float
    """When the first picture of the file is shown, seconds."""
    duration_s: float | None
    """Duration of the pictures in the file, or from their start to the end of the file where only
    that is stated, seconds; None when neither is."""
    sound: tuple[str, ...]
    """Codec of each sound stream."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a video, upright."""

    rgb: NDArray[np.uint8]
    """(H, W, 3)."""
    stamp: int
    """When it is shown, in units of the reader's ``time_base``; strictly increasing."""
    duration: int
    """How long it is shown, in the same units; 0 when it is not known."""
    alpha: NDArray[np.uint8] | None = None
    """(H, W), 0 transparent to 255 opaque; None where the whole picture is opaque."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The part of a video that is wanted."""

    start_s: Fraction | None = None
    """Seconds after the first picture; what is shown then becomes time 0. None: no cut, and the
    time stamps stay as they are."""
    duration_s: Fraction | None = None
    """How long, seconds; None: to the end."""

    @property
    def end_s(self) -> Fraction | None:
        """Seconds after the first picture of the file at which the part ends."""
        return None if self.duration_s is None else (self.start_s or Fraction(0)) + self.duration_s

    def frames(self, frames: int | None, rate: Fraction) -> int | None:
        """Return how many of the frames of a file lie in the part, about."""
        if self == WHOLE:
            return frames
        start = self.start_s or Fraction(0)
        first = math.floor(start * rate)  # what is shown at the start, begun before it or not
        left = None if frames is None else max(0, frames - first)
        wanted = None
        if self.duration_s is not None:
            wanted = math.ceil((start + self.duration_s) * rate) - first
        return min((n for n in (left, wanted) if n is not None), default=None)


WHOLE = Cut()


class Source(Protocol):
    """An open file; iterating gives frames and packets of sound in the order of the file."""

    path: Path
    info: VideoInfo
    time_base: Fraction
    """Seconds to a unit of a stamp."""
    color: Color
    sounds: tuple[AudioStream, ...]
    plays: int
    """How often it is played; 0 for ever."""
    notes: list[str]
    """What the caller should say: where the result will differ from the file."""
    skipped: int
    """Damaged packets and frames that were left out so far."""

    @property
    def pixel_aspect(self) -> Fraction:
        """Width of a pixel over its height, of the upright picture."""

    def __iter__(self) -> Iterator[Frame | Packet[AudioStream]]:
        """Yield every frame and every packet of sound."""

    def close(self) -> None:
        """Close the file."""


def seconds_of(text: str, flag: str) -> Fraction:
    """Read a time as people write it: ``90``, ``1:30`` or ``1:02:30.5``.

    Args:
        text: Seconds, or minutes or hours before them.
        flag: Where it was written, for errors.

    Returns:
        Seconds, exactly.

    Raises:
        UsageError: It is none of these.
    """
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", text.strip(), re.ASCII):
        raise UsageError(f"{flag} {text}: write seconds or hh:mm:ss, as in 90 or 0:01:30.5")
    total = Fraction(0)
    for part in text.strip().split(":"):
        total = 60 * total + Fraction(part)
    return total


def cut_of(start: str | None, duration: str | None) -> Cut:
    """Return the part that ``--start`` and ``--duration`` name.

    Raises:
        UsageError: One of them is no time, or the part is empty.
    """
    cut = Cut(
        None if start is None else seconds_of(start, "--start"),
        None if duration is None else seconds_of(duration, "--duration"),
    )
    if cut.duration_s == 0:
        raise UsageError("--duration must be more than 0 s")
    return cut

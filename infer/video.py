"""Painting a video: every frame in order, time stamps and sound as they were.

The frames are painted one by one, upright. What is kept: number and order of frames, their time
stamps (so a variable frame rate too), the average rate, the shape of the pixels and every sound
stream, copied without encoding it again. What is not: subtitles, further video streams and
transparency, which the records say.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from infer.video_reader import Frame, VideoReader
from infer.video_writer import FORMATS, VideoWriter, output_format
from nst.errors import OutputError, UsageError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet

Paint = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Paints one frame, uint8 (H, W, 3) RGB, into one of the same or another size, always the same."""

OUTPUT_SUFFIXES = tuple(FORMATS)
"""Suffixes a video can be written with."""

VIDEO_SUFFIXES = (
    *OUTPUT_SUFFIXES,
    ".m4v",
    ".avi",
    ".mpg",
    ".mpeg",
    ".ts",
    ".mts",
    ".m2ts",
    ".wmv",
    ".flv",
    ".ogv",
    ".3gp",
)
"""Suffixes of files that are taken for videos. Animated GIF and PNG files can be read as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecord:
    """How far the painting of a video has come."""

    frame: int
    """Frames written so far."""
    total_frames: int | None
    """How many there will be as far as the file tells; None when it does not."""
    time_s: float
    """When the last written frame is shown, seconds."""
    skipped: int
    """Damaged packets and frames that were left out so far."""
    notes: tuple[str, ...] = ()
    """What to say to the user now: where the result differs from the source."""
    is_last: bool = False
    """Whether the video is finished and stands under its name."""


def stylize_video(
    paint: Paint, source: Path, target: Path, *, overwrite: bool = False, quality: int = 18
) -> Generator[VideoRecord, None, None]:
    """Paint a video and yield one record for each frame, then a last one for the finished file.

    The file is written beside ``target`` and renamed at the end. Stopped on the way, by Ctrl-C or
    by closing the generator, it is finished with the frames painted so far and plays (the
    ``KeyboardInterrupt`` says how many there are); after an error nothing is left. Use it so, which
    closes it at once when the loop is left::

        with contextlib.closing(stylize_video(paint, source, target)) as records:
            for record in records: ...

    Args:
        paint: Paints one frame.
        source: Any video that FFmpeg reads.
        target: The video to write, with one of ``OUTPUT_SUFFIXES``: H.264, and VP9 for .webm.
        overwrite: Whether an existing ``target`` is replaced.
        quality: Constant rate factor on the scale of H.264: 0 without loss, 18 hardly visible
            loss, 51 worst.

    Raises:
        UsageError: The suffix of ``target`` or ``quality`` is none of those.
        OutputError: ``target`` exists, its folder cannot be written, the disk is full.
        MediaError: PyAV is missing, ``source`` is damaged or no video, or the container of
            ``target`` cannot hold its sound.
    """
    source, target = Path(source), Path(target)
    output_format(target)
    if not 0 <= quality <= 51:
        raise UsageError(f"--quality must be 0 to 51 for a video, got {quality}")
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists; name another file or pass --overwrite")
    if target.is_dir():
        raise OutputError(f"{target}: cannot be written, it is a folder")
    return _paint_all(paint, VideoReader(source), target, quality)


def _paint_all(
    paint: Paint, reader: VideoReader, target: Path, quality: int
) -> Generator[VideoRecord, None, None]:
    work = _Work(reader, target, quality)
    with reader:
        try:
            for item in reader:
                if isinstance(item, Frame):
                    work.add(paint(item.rgb), item)
                    yield work.record()
                else:
                    work.copy(item)
        except KeyboardInterrupt:
            work.finish()
            raise KeyboardInterrupt(work.describe_stop()) from None
        except GeneratorExit:
            work.finish()
            raise
        except BaseException:
            work.discard()
            raise
    work.finish()
    yield work.record(is_last=True)


class _Work:
    """A video on its way from a reader to a writer."""

    def __init__(self, reader: VideoReader, target: Path, quality: int) -> None:
        self.reader, self.target, self.quality = reader, target, quality
        self.writer: VideoWriter | None = None  # made when the size of a painted frame is known
        self.waiting: list[Packet[AudioStream]] = []
        self.stamp = 0
        self.said: set[str] = set()

    def add(self, painted: NDArray[np.uint8], frame: Frame) -> None:
        if self.writer is None:
            size = (painted.shape[0], painted.shape[1])
            self.writer = VideoWriter(self.target, self.reader, size, quality=self.quality)
            for packet in self.waiting:
                self.copy(packet)
            self.waiting.clear()
        self.writer.add(painted, frame.stamp, frame.duration)
        self.stamp = frame.stamp

    def copy(self, packet: Packet[AudioStream]) -> None:
        if self.writer is None:
            self.waiting.append(packet)
        elif not self.writer.copy(packet):
            self.reader.skipped += 1

    def record(self, *, is_last: bool = False) -> VideoRecord:
        notes = [*self.reader.notes, *(self.writer.notes if self.writer else [])]
        if is_last and self.reader.skipped:
            notes.append(f"{self.reader.path}: {self.reader.skipped} damaged parts left out")
        new = [note for note in notes if note not in self.said]
        self.said.update(new)
        return VideoRecord(
            frame=self.writer.frames if self.writer else 0,
            total_frames=self.reader.info.frames,
            time_s=self.reader.seconds(self.stamp),
            skipped=self.reader.skipped,
            notes=tuple(new),
            is_last=is_last,
        )

    def finish(self) -> None:
        if self.writer is not None:
            self.writer.finish()

    def describe_stop(self) -> str:
        count = self.writer.frames if self.writer else 0
        if not count:
            return "stopped before the first frame, nothing is written"
        total = f" of {self.reader.info.frames}" if self.reader.info.frames else ""
        return f"{self.target}: stopped after {count}{total} frames; they are kept and play"

    def discard(self) -> None:
        if self.writer is not None:
            self.writer.discard()

"""Painting a video: every frame in order, time stamps and sound as they were.

The frames are painted one by one, upright. What is kept: number and order of frames, their time
stamps (so a variable frame rate too), the average rate, the shape of the pixels and every sound
stream, copied without encoding it again where any file can hold it. What is not: subtitles, further
video streams and transparency, which the records say.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from infer.video_format import output_format
from infer.video_reader import Frame, VideoReader
from infer.video_writer import VideoWriter
from nst.errors import OutputError, UsageError
from nst.image import MAX_PIXELS
from nst.interrupt import interrupts_held

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet

Paint = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Paints one frame, uint8 (H, W, 3) RGB, into one of the same or another size, always the same."""

Announce = Callable[[str], object]
"""Takes one line for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecord:
    """How far the painting of a video has come."""

    frame: int
    """Frames written so far."""
    total_frames: int | None
    """How many there will be as far as the file tells; None when it does not."""
    notes: tuple[str, ...] = ()
    """What to say to the user now: where the result differs from the source."""


def stylize_video(
    paint: Paint,
    source: Path,
    target: Path,
    *,
    overwrite: bool = False,
    quality: int = 95,
    max_pixels: int = MAX_PIXELS,
    announce: Announce = lambda line: None,
) -> Generator[VideoRecord, None, None]:
    """Paint a video and yield one record for each frame, then a last one for the finished file.

    The file is written beside ``target`` and renamed at the end; after an error nothing is left.
    Stopped on the way, by Ctrl-C or by closing the generator, the frames painted so far become a
    film of another name, ``painted.partial.mp4``, that plays; ``target`` stays as it was. Use it
    so, which closes it at once when the loop is left::

        with contextlib.closing(stylize_video(paint, source, target)) as records:
            for record in records: ...

    Args:
        paint: Paints one frame.
        source: Any video that FFmpeg reads.
        target: The video to write, with one of ``FORMATS``: H.264, and VP9 for .webm.
        overwrite: Whether an existing ``target`` is replaced.
        quality: 1 to 100, as of JPEG and WebP.
        max_pixels: The largest frame that is decoded, width times height.
        announce: Told, when the painting is stopped, which file holds how many frames.

    Raises:
        UsageError: The suffix of ``target`` or ``quality`` is none of those.
        OutputError: ``target`` exists, its folder cannot be written, the disk is full.
        MediaError: PyAV is missing, ``source`` is damaged or no video, or the container of
            ``target`` cannot hold its sound.
        PixelLimitError: The frames of ``source`` are too large.
    """
    source, target = Path(source), Path(target)
    output_format(target)
    if not 1 <= quality <= 100:
        raise UsageError(f"--quality must be from 1 to 100, got {quality}")
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists; name another file or pass --overwrite")
    if target.is_dir():
        raise OutputError(f"{target}: cannot be written, it is a folder")
    work = _Work(VideoReader(source, max_pixels=max_pixels), target, quality, overwrite=overwrite)
    return _paint_all(paint, work, announce)


def _paint_all(paint: Paint, work: _Work, announce: Announce) -> Generator[VideoRecord, None, None]:
    with work.reader:
        try:
            for item in work.reader:
                if isinstance(item, Frame):
                    work.add(paint(item.rgb), item)
                    yield work.record()
                else:
                    work.copy(item)
            work.finish()
        except (KeyboardInterrupt, GeneratorExit):
            announce(work.keep_part())
            raise
        except BaseException:
            work.discard()
            raise
    yield work.record(is_last=True)


class _Work:
    """A video on its way from a reader to a writer."""

    def __init__(self, reader: VideoReader, target: Path, quality: int, *, overwrite: bool) -> None:
        self.reader, self.target, self.quality = reader, target, quality
        self.overwrite = overwrite
        self.writer: VideoWriter | None = None  # made when the size of a painted frame is known
        self.waiting: list[Packet[AudioStream]] = []
        self.said: set[str] = set()

    def add(self, painted: NDArray[np.uint8], frame: Frame) -> None:
        if self.writer is None:
            size = (painted.shape[0], painted.shape[1])
            with interrupts_held():
                self.writer = VideoWriter(self.target, self.reader, size, quality=self.quality)
            for packet in self.waiting:
                self.copy(packet)
            self.waiting.clear()
        self.writer.add(painted, frame.stamp, frame.duration)

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
            notes=tuple(new),
        )

    def finish(self) -> None:
        if self.writer is not None:
            self.writer.finish()

    def keep_part(self) -> str:
        """Make a film of its own of the frames that are there, and say what became of them."""
        name, writer = self.reader.path, self.writer
        if writer is None or not writer.frames:
            self.discard()
            return f"{name}: stopped before the first frame, nothing is written"
        if writer.is_finished:
            return f"{name}: stopped when all of it was painted, {self.target} is complete"
        part = self._free_name()
        writer.finish(part)
        total = f" of {self.reader.info.frames}" if self.reader.info.frames else ""
        return f"{name}: stopped after {writer.frames}{total} frames; {part} holds them and plays"

    def discard(self) -> None:
        if self.writer is not None:
            self.writer.discard()

    def _free_name(self) -> Path:
        """Return ``painted.partial.mp4``, numbered where that would replace a file unasked."""
        part, number = self.target.with_stem(f"{self.target.stem}.partial"), 1
        while part.exists() and not self.overwrite:
            number += 1
            part = self.target.with_stem(f"{self.target.stem}.partial-{number}")
        return part

"""Painting a video: every frame in order, time stamps and sound as they were.

Three stages work at the same time: a thread decodes ahead, the caller paints, a thread encodes
behind. The frames are painted one by one, upright. What is kept: number and order of frames, their
time stamps (so a variable frame rate too), the average rate, the shape of the pixels, the range of
the colours and every sound stream, copied without encoding it again where any file can hold it. Of
animated pictures: durations, number of plays and transparency, as far as the format goes. What is
not: subtitles, further video streams, and what the other format cannot hold, which the records say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from infer.animation_reader import AnimationReader
from infer.frames import WHOLE, Cut, Frame, Source
from infer.pipeline import ReadAhead, WriteBehind
from infer.video_codec import Encoder
from infer.video_format import VIDEO_SUFFIXES, encoder_for
from infer.video_reader import VideoReader
from infer.video_source import load_av
from infer.video_writer import VideoWriter
from nst.errors import OutputError, UsageError
from nst.image import MAX_PIXELS, is_animated, resize_image
from nst.interrupt import interrupts_held

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet

Paint = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Paints one frame, uint8 (H, W, 3) RGB, into one of the same or another size, always the same."""

Announce = Callable[[str], object]
"""Takes one line for the user."""

DEPTH = 3
"""Frames that may wait on either side of the painter."""
MOST_PACKETS = 64
"""Packets of sound that wait for the next frame; what is behind the last one goes on by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTimes:
    """Where the time of a video went, seconds. The stages overlap: the sum is more than the whole.

    The stage that took longest is what to make faster.
    """

    decode_s: float
    paint_s: float
    encode_s: float
    waiting_s: float
    """What the painter waited for one of the other two."""
    total_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecord:
    """How far the painting of a video has come."""

    frame: int
    """Frames painted so far."""
    total_frames: int | None
    """How many there will be as far as the file tells; None when it does not."""
    notes: tuple[str, ...] = ()
    """What to say to the user now: where the result differs from the source."""
    times: StageTimes | None = None
    """In the last record, where the time went."""


def stylize_video(
    paint: Paint,
    source: Path,
    target: Path,
    *,
    overwrite: bool = False,
    quality: int = 95,
    codec: str | None = None,
    cut: Cut = WHOLE,
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
        source: Any video that FFmpeg reads, or an animated GIF, PNG, WebP or AVIF.
        target: What to write, a film with one of ``FORMATS`` or an animated picture with one of
            ``PICTURE_FORMATS``.
        overwrite: Whether an existing ``target`` is replaced.
        quality: 1 to 100, as of JPEG and WebP.
        codec: Of a film: h264, hevc, vp9, av1, prores, or an encoder of a graphics card by FFmpeg's
            name; None: H.264, and VP9 for .webm.
        cut: The part that is wanted.
        max_pixels: The largest frame that is decoded, width times height.
        announce: Told, when the painting is stopped, which file holds how many frames.

    Raises:
        UsageError: The suffix of ``target``, ``quality`` or ``codec`` is none of those, or that
            container does not hold this codec.
        OutputError: ``target`` exists, its folder cannot be written, the disk is full.
        MediaError: PyAV or the encoder is missing, ``source`` is damaged or no video, its part is
            empty, or the container of ``target`` cannot hold its sound.
        PixelLimitError: The frames of ``source`` are too large.
    """
    source, target = Path(source), Path(target)
    load_av()
    encoder = encoder_for(target, codec)
    if not 1 <= quality <= 100:
        raise UsageError(f"--quality must be from 1 to 100, got {quality}")
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists; name another file or pass --overwrite")
    if target.is_dir():
        raise OutputError(f"{target}: cannot be written, it is a folder")
    is_film = source.suffix.lower() in VIDEO_SUFFIXES  # not to be opened twice: it may be a pipe
    kind = AnimationReader if not is_film and is_animated(source) else VideoReader
    reader = kind(source, max_pixels=max_pixels, cut=cut)
    return _paint_all(paint, _Work(reader, target, quality, encoder, overwrite=overwrite), announce)


@dataclass(frozen=True, slots=True)
class _Batch:
    """A frame and the sound before it in the file: what goes from stage to stage."""

    packets: tuple[Packet[AudioStream], ...]
    frame: Frame | None
    painted: NDArray[np.uint8] | None = None


def _batches(reader: Source) -> Iterator[_Batch]:
    packets: list[Packet[AudioStream]] = []
    for item in reader:
        if isinstance(item, Frame):
            yield _Batch(tuple(packets), item)
            packets = []
        elif len(packets) == MOST_PACKETS:
            yield _Batch(tuple(packets), None)
            packets = [item]
        else:
            packets.append(item)
    yield _Batch(tuple(packets), None)


def _paint_all(paint: Paint, work: _Work, announce: Announce) -> Generator[VideoRecord, None, None]:
    started_at, paint_s, count = time.perf_counter(), 0.0, 0
    with closing(work.reader):
        ahead = ReadAhead(_batches(work.reader), DEPTH)
        behind = WriteBehind(work.write, DEPTH)
        try:
            for batch in ahead:
                painted = None
                if batch.frame is not None:
                    before = time.perf_counter()
                    painted = paint(batch.frame.rgb)
                    paint_s += time.perf_counter() - before
                behind.put(_Batch(batch.packets, batch.frame, painted))
                if painted is not None:
                    count += 1
                    yield work.record(count)
            behind.finish()
            before = time.perf_counter()
            work.finish()
        except (KeyboardInterrupt, GeneratorExit):
            with interrupts_held():
                announce(work.keep_part(behind))
            raise
        except BaseException:
            behind.drop()
            work.discard()
            raise
        finally:  # neither thread may outlive the reader
            ahead.close()
            behind.drop()
    now = time.perf_counter()
    yield work.record(
        count,
        times=StageTimes(
            decode_s=ahead.busy_s,
            paint_s=paint_s,
            encode_s=behind.busy_s + now - before,
            waiting_s=ahead.waited_s + behind.waited_s,
            total_s=now - started_at,
        ),
    )


class _Work:
    """A video on its way from a reader to a writer."""

    def __init__(
        self,
        reader: Source,
        target: Path,
        quality: int,
        encoder: Encoder | None,
        *,
        overwrite: bool,
    ) -> None:
        self.reader, self.target = reader, target
        self.quality, self.encoder = quality, encoder
        self.overwrite = overwrite
        self.writer: VideoWriter | None = None  # made when the size of a painted frame is known
        self.waiting: list[Packet[AudioStream]] = []
        self.not_copied = 0
        self.said: set[str] = set()

    def write(self, batch: _Batch) -> None:
        """Write what has come out of the painter; in a thread of its own."""
        for packet in batch.packets:
            self._copy(packet)
        if batch.frame is None or batch.painted is None:
            return
        painted, alpha = batch.painted, batch.frame.alpha
        size = (painted.shape[0], painted.shape[1])
        if self.writer is None:
            self.writer = VideoWriter(
                self.target, self.reader, size, quality=self.quality, encoder=self.encoder
            )
            for packet in self.waiting:
                self._copy(packet)
            self.waiting.clear()
        if alpha is not None and alpha.shape != size:
            alpha = resize_image(alpha, *size)
        self.writer.add(painted, batch.frame.stamp, batch.frame.duration, alpha)

    def record(self, frames: int, *, times: StageTimes | None = None) -> VideoRecord:
        notes = [*self.reader.notes, *(self.writer.notes if self.writer else [])]
        skipped = self.reader.skipped + self.not_copied
        if times is not None and skipped:
            notes.append(f"{self.reader.path}: {skipped} damaged parts left out")
        new = [note for note in notes if note not in self.said]
        self.said.update(new)
        return VideoRecord(
            frame=frames,
            total_frames=self.reader.info.frames,
            notes=tuple(new),
            times=times,
        )

    def finish(self) -> None:
        if self.writer is not None:
            self.writer.finish()

    def keep_part(self, behind: WriteBehind[_Batch]) -> str:
        """Make a film of its own of the frames that are painted, and say what became of them."""
        try:
            behind.finish()
        except BaseException:
            self.discard()
            raise
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

    def _copy(self, packet: Packet[AudioStream]) -> None:
        if self.writer is None:
            self.waiting.append(packet)
        elif not self.writer.copy(packet):
            self.not_copied += 1

    def _free_name(self) -> Path:
        """Return ``painted.partial.mp4``, numbered where that would replace a file unasked."""
        part, number = self.target.with_stem(f"{self.target.stem}.partial"), 1
        while part.exists() and not self.overwrite:
            number += 1
            part = self.target.with_stem(f"{self.target.stem}.partial-{number}")
        return part

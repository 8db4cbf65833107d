"""Writing a video: painted pictures and copied sound, under the final name only when it plays."""

from __future__ import annotations

import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from infer.video_color import Color
from infer.video_reader import VideoReader
from nst.errors import MediaError, OutputError, UsageError
from nst.files import describe

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream


@dataclass(frozen=True, slots=True)
class Format:
    """How videos of one suffix are written."""

    container: str
    codec: str
    options: dict[str, str]
    crf_scale: float = 1.0
    """The codec's quality numbers over those of H.264."""
    container_options: dict[str, str] = field(default_factory=dict)


_H264 = {"preset": "veryfast"}
_VP9 = {"deadline": "good", "cpu-used": "4", "row-mt": "1"}
_INDEX_FIRST = {"movflags": "+faststart"}  # a browser can play while it loads

FORMATS = {
    ".mp4": Format("mp4", "libx264", _H264, container_options=_INDEX_FIRST),
    ".mov": Format("mov", "libx264", _H264, container_options=_INDEX_FIRST),
    ".mkv": Format("matroska", "libx264", _H264),
    ".webm": Format("webm", "libvpx-vp9", _VP9, crf_scale=63 / 51),
}
"""Suffixes a video can be written with."""


def output_format(target: Path) -> Format:
    """Return how a file of this name is written.

    Raises:
        UsageError: No video is written with this suffix.
    """
    try:
        return FORMATS[target.suffix.lower()]
    except KeyError:
        raise UsageError(
            f"{target}: a video is written as {', '.join(FORMATS)},"
            f" not as {target.suffix or 'a file without a suffix'}"
        ) from None


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back until the block is done, so that no packet is lost between two calls."""
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        yield  # only the main thread gets signals, and only a Python handler raises
        return
    held: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if held:
        previous(*held[0])


class VideoWriter:
    """A video that is written beside its target and takes that name in ``finish``.

    Time base, average rate, pixel aspect and colour matrix are those of the source. The sound is
    copied packet by packet and never encoded again. H.264 and VP9 are written as yuv420p, whose
    sizes are even: an odd width or height gains one pixel, the last column or row repeated.

    Args:
        target: The file to write; its folder is made when missing.
        reader: The source.
        size: Height and width of the painted frames, px.
        quality: Constant rate factor on the scale of H.264, 0 (best) to 51.

    Raises:
        MediaError: The container cannot hold the sound of the source.
        OutputError: The file cannot be written.
    """

    def __init__(
        self, target: Path, reader: VideoReader, size: tuple[int, int], *, quality: int
    ) -> None:
        self.target = target
        self.frames = 0
        """Frames written so far."""
        self.notes: list[str] = []
        """What the caller should say: where the result differs from the source."""
        self._size = size
        self._color: Color = reader.color
        self._time_base = reader.time_base
        self._durations: dict[int, int] = {}
        self._last_dts: dict[int, int] = {}
        self._temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        form = output_format(target)
        options = dict(form.container_options)
        if form.container in ("mp4", "mov"):  # else the muxer takes a multiple of the time base
            options["video_track_timescale"] = str(self._time_base.denominator)
        with interrupts_held(), self._writing():
            import av

            target.parent.mkdir(parents=True, exist_ok=True)
            self._container: OutputContainer = av.open(
                str(self._temporary.absolute()),
                "w",
                format=form.container,
                container_options=options,
            )
        try:
            with interrupts_held():
                crf = round(quality * form.crf_scale)
                self._stream = self._add_pictures(form, reader, str(crf))
                self._sounds = {s.index: self._add_sound(s, reader.path) for s in reader.sounds}
                self._start(reader)
        except BaseException:
            self.discard()
            raise

    def add(self, painted: NDArray[np.uint8], stamp: int, duration: int) -> None:
        """Write one frame.

        Args:
            painted: (H, W, 3) of the size given to the constructor.
            stamp: When it is shown, in units of the reader's time base.
            duration: How long, in the same units; 0 when it is not known.

        Raises:
            OutputError: The file cannot be written.
        """
        if painted.shape != (*self._size, 3) or painted.dtype != np.uint8:
            raise ValueError(f"painted frame is {painted.dtype} {painted.shape}, not {self._size}")
        from av import VideoFrame

        picture = VideoFrame.from_ndarray(_even(painted), format="rgb24").reformat(
            format="yuv420p", dst_colorspace=self._color.swscale, dst_color_range="MPEG"
        )
        picture.pts, picture.time_base = stamp, self._time_base
        self._durations[stamp] = duration
        with interrupts_held(), self._writing():
            self._mux(self._stream.encode(picture))
            self.frames += 1

    def copy(self, packet: Packet[AudioStream]) -> bool:
        """Write one packet of sound as it is; False when its time stamp goes back.

        Raises:
            OutputError: The file cannot be written.
        """
        index, dts = packet.stream.index, packet.dts
        if dts is None or dts <= self._last_dts.get(index, dts - 1):
            return False
        self._last_dts[index] = dts
        with interrupts_held(), self._writing():
            packet.stream = self._sounds[index]
            self._container.mux_one(packet)
        return True

    def finish(self) -> None:
        """Write what is pending, close the file and give it its name.

        Raises:
            OutputError: The file cannot be written; nothing of it is left.
        """
        with interrupts_held():
            try:
                with self._writing():
                    self._mux(self._stream.encode(None))
                    self._container.close()
                    with self._temporary.open("rb+") as file:
                        os.fsync(file.fileno())
                    self._temporary.replace(self.target)
            finally:
                self.discard()

    def discard(self) -> None:
        """Close the file and remove it, unless ``finish`` gave it its name."""
        from av import FFmpegError

        with interrupts_held():
            with suppress(FFmpegError):
                self._container.close()
            with suppress(OSError):
                self._temporary.unlink(missing_ok=True)

    def _add_pictures(self, form: Format, reader: VideoReader, crf: str) -> VideoStream:
        from av.codec.context import ThreadType

        options = {**form.options, "crf": crf}
        added = self._container.add_stream(form.codec, rate=reader.info.rate, options=options)
        stream = cast("VideoStream", added)
        height, width = self._size
        stream.width, stream.height = width + width % 2, height + height % 2
        if (stream.width, stream.height) != (width, height):
            self.notes.append(
                f"{self.target}: {width}x{height} is written as {stream.width}x{stream.height}, the"
                " last row or column repeated, because yuv420p needs even sizes"
            )
        stream.pix_fmt = "yuv420p"
        stream.thread_type = ThreadType.AUTO  # the default, slices, costs H.264 quality
        context = stream.codec_context
        context.time_base = self._time_base
        context.sample_aspect_ratio = _limited(reader.pixel_aspect)
        context.colorspace, context.color_range = self._color.matrix, 1
        context.color_primaries = self._color.primaries
        context.color_trc = self._color.transfer
        return stream

    def _add_sound(self, source: AudioStream, path: Path) -> AudioStream:
        try:
            return self._container.add_stream_from_template(source)
        except ValueError:
            raise self._cannot_hold([source.codec_context.name], path) from None

    def _start(self, reader: VideoReader) -> None:
        from av import FFmpegError

        try:
            self._container.start_encoding()
        except OSError as error:
            raise OutputError(f"{self.target}: cannot be written, {describe(error)}") from None
        except FFmpegError:
            raise self._cannot_hold(reader.info.sound, reader.path) from None

    def _cannot_hold(self, codecs: list[str] | tuple[str, ...], path: Path) -> MediaError:
        return MediaError(
            f"{self.target}: a {self.target.suffix} file cannot hold the sound of {path}"
            f" ({', '.join(codecs)}); sound is copied, not encoded again: write a .mkv file"
        )

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        for packet in packets:
            if packet.pts is not None and (duration := self._durations.pop(packet.pts, 0)):
                packet.duration = duration
            self._container.mux_one(packet)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn what FFmpeg and the system say of the file into our error."""
        from av import FFmpegError

        try:
            yield
        except OSError as error:
            raise OutputError(f"{self.target}: cannot be written, {describe(error)}") from error
        except FFmpegError as error:
            raise OutputError(f"{self.target}: cannot be written, {error.strerror}") from error


def _even(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(padded)


def _limited(aspect: Fraction) -> Fraction:
    return aspect.limit_denominator(65535)  # H.264 stores it in 16 bits

"""Writing a video: painted pictures and copied sound, under the final name only when it plays."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from infer.video_color import Color
from infer.video_format import Format, held_codecs, output_format, rate_factor
from infer.video_reader import VideoReader
from nst.errors import MediaError, OutputError
from nst.files import describe
from nst.interrupt import interrupts_held

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream


class VideoWriter:
    """A video that is written beside its target and takes that name in ``finish``.

    Time base, average rate, pixel aspect and colour matrix are those of the source. The sound is
    copied packet by packet; only what none of ``FORMATS`` can hold is encoded again. H.264 and VP9
    are written as yuv420p, whose sizes are even: an odd width or height gains one pixel, the last
    column or row repeated. Make it with interrupts held, or one of them leaves a file behind.

    Args:
        target: The file to write; its folder is made when missing.
        reader: The source.
        size: Height and width of the painted frames, px.
        quality: 1 to 100, as of JPEG and WebP.

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
        self.is_finished = False
        """Whether the file is complete and has its name."""
        self.notes: list[str] = []
        """What the caller should say: where the result differs from the source."""
        self._size = size
        self._color: Color = reader.color
        self._time_base = reader.time_base
        self._durations: dict[int, int] = {}
        self._last_dts: dict[int, int] = {}
        self._encoded: set[int] = set()  # streams of sound that are encoded again
        self._temporary = target.with_name(f".nst-{secrets.token_hex(4)}.part")
        form = output_format(target)
        options = dict(form.container_options)
        if form.container in ("mp4", "mov"):  # else the muxer takes a multiple of the time base
            options["video_track_timescale"] = str(self._time_base.denominator)
        self._container = self._open(form, options)
        try:
            crf = round(rate_factor(quality) * form.crf_scale)
            self._stream = self._add_pictures(form, reader, str(crf))
            self._sounds = {s.index: self._add_sound(s, form, reader.path) for s in reader.sounds}
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
        """Write one packet of sound; False when its time stamp goes back or it is damaged.

        Raises:
            OutputError: The file cannot be written.
        """
        from av import FFmpegError

        index, dts = packet.stream.index, packet.dts
        if dts is None or dts <= self._last_dts.get(index, dts - 1):
            return False
        self._last_dts[index] = dts
        sound = self._sounds[index]
        if index in self._encoded:
            try:
                samples = packet.decode()
            except FFmpegError:
                return False
            with interrupts_held(), self._writing():
                for frame in samples:
                    self._container.mux(sound.encode(frame))
            return True
        with interrupts_held(), self._writing():
            packet.stream = sound
            self._container.mux_one(packet)
        return True

    def finish(self, name: Path | None = None) -> None:
        """Write what is pending, close the file and give it its name.

        Args:
            name: Another name in the same folder; None: the target.

        Raises:
            OutputError: The file cannot be written; nothing of it is left.
        """
        with interrupts_held():
            try:
                with self._writing():
                    self._mux(self._stream.encode(None))
                    for index in self._encoded:
                        self._container.mux(self._sounds[index].encode(None))
                    self._container.close()
                    with self._temporary.open("rb+") as file:
                        os.fsync(file.fileno())
                    self._temporary.replace(name or self.target)
                    self.is_finished = True
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

    def _open(self, form: Format, options: dict[str, str]) -> OutputContainer:
        import av

        with self._writing():
            self.target.parent.mkdir(parents=True, exist_ok=True)
            path = str(self._temporary.absolute())
            return av.open(path, "w", format=form.container, container_options=options)

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

    def _add_sound(self, source: AudioStream, form: Format, path: Path) -> AudioStream:
        codec = source.codec_context.name
        with suppress(ValueError):  # it cannot hold this
            return self._container.add_stream_from_template(source)
        if form.container != "matroska" and codec in held_codecs(".mkv"):
            raise self._cannot_hold([codec], path)
        # The decoders of old kinds do not say which channel is which, so that no more are kept.
        layout = "mono" if source.layout.nb_channels == 1 else "stereo"
        self.notes.append(
            f"{path}: its sound ({codec}) is encoded again, as {form.sound.removeprefix('lib')} in"
            f" {layout}, because no file that is written here can hold it"
        )
        self._encoded.add(source.index)
        sound = cast("AudioStream", self._container.add_stream(form.sound, rate=48000))
        sound.layout = layout
        return sound

    def _start(self, reader: VideoReader) -> None:
        from av import FFmpegError

        try:
            self._container.start_encoding()
        except OSError as error:
            raise OutputError(f"{self.target}: cannot be written, {describe(error)}") from None
        except FFmpegError:
            raise self._cannot_hold(reader.info.sound, reader.path) from None

    def _cannot_hold(self, codecs: list[str] | tuple[str, ...], path: Path) -> MediaError:
        is_matroska = self.target.suffix.lower() == ".mkv"
        advice = "convert it with another program first" if is_matroska else "write a .mkv file"
        return MediaError(
            f"{self.target}: a {self.target.suffix} file cannot hold the sound of {path}"
            f" ({', '.join(codecs)}); sound is copied, not encoded again: {advice}"
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

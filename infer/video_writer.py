"""Writing a video: painted pictures and copied sound, under the final name only when it plays."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from infer.animation_end import set_last_duration
from infer.frames import Source
from infer.video_codec import Encoder
from infer.video_color import Color
from infer.video_format import PictureFormat, output_format
from infer.video_pictures import ColorPictures, FilmPictures, PalettePictures, Pictures
from infer.video_sound import Sound
from nst.errors import OutputError
from nst.files import describe
from nst.interrupt import interrupts_held

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

GIF_LEAST_MS = 20
"""What is shown more shortly is slowed down by most programs that show GIF files."""


class VideoWriter:
    """A video or animated picture, written beside its target; ``finish`` gives it that name.

    Of a film the time base, average rate, pixel aspect, colour matrix and range are those of the
    source. The sound is copied packet by packet; only what none of ``FORMATS`` can hold is encoded
    again. Luma and chroma have even sizes: an odd width or height gains one pixel, the last column
    or row repeated. An animated picture keeps durations as finely as it can hold them, the number
    of plays, and transparency. Make it with interrupts held, or one of them leaves a file behind.

    Args:
        target: The file to write; its folder is made when missing.
        reader: The source.
        size: Height and width of the painted frames, px.
        quality: 1 to 100, as of JPEG and WebP.
        encoder: Of a film, what encodes it.

    Raises:
        MediaError: The container cannot hold the sound of the source.
        OutputError: The file cannot be written.
    """

    def __init__(
        self,
        target: Path,
        reader: Source,
        size: tuple[int, int],
        *,
        quality: int,
        encoder: Encoder | None,
    ) -> None:
        self.target = target
        self.frames = 0
        """Frames written so far."""
        self.is_finished = False
        """Whether the file is complete and has its name."""
        self._notes: list[str] = []
        self._size = size
        self._source_base = reader.time_base
        self._durations: dict[int, int] = {}
        self._last_stamp = -1
        self._last_duration = 0
        self._temporary = target.with_name(f".nst-{secrets.token_hex(4)}.part")
        self._form = output_format(target)
        self._sound: Sound | None = None
        self._container = self._open(self._form.options_for(reader))
        try:
            if isinstance(self._form, PictureFormat):
                self._time_base = Fraction(1, self._form.per_second)
                self._stream = self._add_animation(self._form, reader, quality)
            else:
                assert encoder is not None
                self._time_base = reader.time_base
                self._stream = self._add_film(encoder, reader, quality)
                self._sound = Sound(self._container, self._form, reader, target)
            self._pictures = self._make_pictures(encoder, reader)
            self._start()
        except BaseException:
            self.discard()
            raise

    @property
    def notes(self) -> list[str]:
        """What the caller should say: where the result differs from the source."""
        return [*self._notes, *(self._sound.notes if self._sound else [])]

    def add(
        self,
        painted: NDArray[np.uint8],
        stamp: int,
        duration: int,
        alpha: NDArray[np.uint8] | None = None,
    ) -> None:
        """Write one frame.

        Args:
            painted: (H, W, 3) of the size given to the constructor.
            stamp: When it is shown, in units of the reader's time base.
            duration: How long, in the same units; 0 when it is not known.
            alpha: (H, W), 0 transparent to 255 opaque.

        Raises:
            OutputError: The file cannot be written.
        """
        if painted.shape != (*self._size, 3) or painted.dtype != np.uint8:
            raise ValueError(f"painted frame is {painted.dtype} {painted.shape}, not {self._size}")
        if isinstance(self._form, PictureFormat):
            stamp, duration = self._rounded(stamp, duration, self._form)
        elif alpha is not None:
            self._note_once(f"{self.target}: transparency is not carried over into a film")
        self._durations[stamp] = self._last_duration = duration
        with interrupts_held(), self._writing():
            self._encode(self._pictures.frames(painted, alpha, stamp))
            self.frames += 1

    def copy(self, packet: Packet[AudioStream]) -> bool:
        """Write one packet of sound; False when its time stamp goes back or it is damaged.

        Raises:
            OutputError: The file cannot be written.
        """
        if self._sound is None:
            return True  # an animated picture is silent, which the notes say
        with interrupts_held(), self._writing():
            return self._sound.copy(packet)

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
                    self._encode(self._pictures.rest())
                    self._mux(self._stream.encode(None))
                    if self._sound is not None:
                        self._sound.finish()
                    self._container.close()
                    if isinstance(self._form, PictureFormat):
                        ms = round(1000 * self._last_duration * self._time_base)
                        set_last_duration(self._temporary, self._form.container, ms)
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

    def _open(self, options: dict[str, str]) -> OutputContainer:
        import av

        with self._writing():
            self.target.parent.mkdir(parents=True, exist_ok=True)
            path = str(self._temporary.absolute())
            return av.open(path, "w", format=self._form.container, container_options=options)

    def _add_animation(self, form: PictureFormat, reader: Source, quality: int) -> VideoStream:
        options = form.options | ({"quality": str(quality)} if form.has_quality else {})
        added = self._container.add_stream(form.codec, rate=reader.info.rate, options=options)
        stream = cast("VideoStream", added)
        stream.height, stream.width = self._size
        stream.pix_fmt = form.pixels
        stream.codec_context.time_base = self._time_base
        if reader.sounds:
            suffix = self.target.suffix
            self._notes.append(f"{self.target}: the sound is left out, a {suffix} file holds none")
        return stream

    def _add_film(self, encoder: Encoder, reader: Source, quality: int) -> VideoStream:
        from av.codec.context import ThreadType

        options = {**encoder.options, **encoder.quality(quality)}
        added = self._container.add_stream(encoder.name, rate=reader.info.rate, options=options)
        stream = cast("VideoStream", added)
        height, width = self._size
        stream.width, stream.height = width + width % 2, height + height % 2
        if (stream.width, stream.height) != (width, height):
            self._notes.append(
                f"{self.target}: {width}x{height} is written as {stream.width}x{stream.height}, the"
                f" last row or column repeated, because {encoder.codec} needs even sizes"
            )
        stream.pix_fmt = encoder.pixels
        stream.thread_type = ThreadType.AUTO  # the default, slices, costs H.264 quality
        context, color = stream.codec_context, self._color_of(encoder, reader)
        context.time_base = self._time_base
        context.sample_aspect_ratio = _limited(reader.pixel_aspect)
        context.colorspace, context.color_range = color.matrix, color.range
        context.color_primaries = color.primaries
        context.color_trc = color.transfer
        if encoder.codec == "hevc" and self._form.container in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # FFmpeg's own, hev1, does not play on Apple's systems
        return stream

    def _color_of(self, encoder: Encoder, reader: Source) -> Color:
        return reader.color if encoder.has_range else replace(reader.color, is_full_range=False)

    def _make_pictures(self, encoder: Encoder | None, reader: Source) -> Pictures:
        if encoder is not None:
            color = self._color_of(encoder, reader)
            return FilmPictures(encoder.pixels, color, self._time_base)
        if self._form.container == "gif":
            return PalettePictures(self._size, self._time_base)
        assert isinstance(self._form, PictureFormat)
        return ColorPictures(self._form.pixels, self._time_base)

    def _start(self) -> None:
        from av import FFmpegError

        try:
            self._stream.codec_context.open()
        except (FFmpegError, OSError) as error:
            name = self._stream.codec_context.name
            raise OutputError(
                f"{self.target}: {name} cannot encode {self._stream.width}x{self._stream.height}"
                f" px ({error.strerror}); try another --size or --codec"
            ) from None
        try:
            self._container.start_encoding()
        except OSError as error:
            raise OutputError(f"{self.target}: cannot be written, {describe(error)}") from None
        except FFmpegError:
            if self._sound is None:
                raise
            raise self._sound.refusal() from None

    def _rounded(self, stamp: int, duration: int, form: PictureFormat) -> tuple[int, int]:
        """Return stamp and duration in the units of an animated picture; stamps increase."""
        per_unit = self._source_base * form.per_second
        rounded = max(self._last_stamp + 1, round(stamp * per_unit))
        # What was rounded before is not lost: this one ends where it would end.
        length = max(1, round((stamp + duration) * per_unit) - rounded)
        self._last_stamp = rounded
        if form.container == "gif" and length * 1000 < GIF_LEAST_MS * form.per_second:
            self._note_once(
                f"{self.target}: has pictures of less than {GIF_LEAST_MS} ms, which most programs"
                " show for 100 ms; .webp and .png files are shown as they are"
            )
        return rounded, length

    def _encode(self, pictures: Iterable[VideoFrame]) -> None:
        for picture in pictures:
            self._mux(self._stream.encode(picture))

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        for packet in packets:
            if packet.pts is not None and (duration := self._durations.pop(packet.pts, 0)):
                packet.duration = duration
            self._container.mux_one(packet)

    def _note_once(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)

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


def _limited(aspect: Fraction) -> Fraction:
    return aspect.limit_denominator(65535)  # H.264 stores it in 16 bits

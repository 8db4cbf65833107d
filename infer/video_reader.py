"""Reading a video: its pictures in order, upright and RGB, and its sound untouched.

PyAV only. OpenCV must not be imported beside it: both bundle FFmpeg and window libraries, and the
two together froze programs on Linux (opencv/opencv#21952, PyAV#978). The camera lives in
``infer.camera`` and this file knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infer.display_matrix import turn_of, upright
from infer.frames import WHOLE, Cut, Frame, VideoInfo
from infer.video_color import color_of
from infer.video_part import Part
from infer.video_source import choose_pictures, choose_sounds, describe, no_frame, open_video
from nst.errors import MediaError, PixelLimitError
from nst.image import MAX_PIXELS

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

FALLBACK_RATE = Fraction(25)
"""Frames per second where a file states none; used only for frames without a time stamp."""
SEEKABLE = ("mov", "matroska")
"""Containers with an index of their key frames; the others are read from their beginning."""
SEEK_MARGIN_S = 1
"""How long before a cut the reading begins at the latest: frames are not stored in their order."""


class VideoReader:
    """An open video file; iterating gives frames and packets of sound in the order of the file.

    Args:
        path: Anything that FFmpeg reads and that has a video stream.
        max_pixels: The largest frame that is decoded, width times height.
        cut: The part that is wanted; sound is cut to whole packets.

    Raises:
        MediaError: PyAV is not installed, or the file is missing, damaged or has no video, or the
            part begins after its end.
        PixelLimitError: Its frames have more than ``max_pixels``.
    """

    plays = 0
    """An animated picture that is made of a film goes on for ever."""

    def __init__(self, path: Path, *, max_pixels: int = MAX_PIXELS, cut: Cut = WHOLE) -> None:
        self.path = path
        self.cut = cut
        self.skipped = 0
        """Damaged packets and frames that were left out so far."""
        self.notes: list[str] = []
        """What the caller should say: where the result will differ from the file."""
        self._container = open_video(path)
        try:
            self._stream, others = choose_pictures(self._container, path)
            self.sounds, unknown_sounds = choose_sounds(self._container)
            self._note_left_out(others, unknown_sounds)
            self.info = self._read_info(max_pixels)
            self.time_base: Fraction = self._stream.time_base or 1 / self.info.rate
            self.color = color_of(self._stream.codec_context)
            if hdr := self.color.hdr:
                self.notes.append(f"{path}: HDR ({hdr}) is painted without tone mapping, in 8 bits")
        except BaseException:
            self.close()
            raise
        self.is_sideways = False
        """Whether width and height changed places when the frames were turned upright."""
        self._last_stamp: int | None = None
        self._last_end_s = 0.0
        begins_s = (self._stream.start_time or 0) * self.time_base
        self._part = Part(cut, begins_s, {s.index for s in (self._stream, *self.sounds)})

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    @property
    def pixel_aspect(self) -> Fraction:
        """Width of a pixel over its height, of the upright picture."""
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        return 1 / aspect if self.is_sideways else aspect

    def __iter__(self) -> Iterator[Frame | Packet[AudioStream]]:
        """Yield every frame and every packet of sound of the part.

        Raises:
            MediaError: Not a single frame could be decoded, or none lies in the part.
        """
        count, decoded = 0, False
        self._seek()
        for packet in self._packets():
            if packet.stream.index not in self._part.going_on:
                continue
            if packet.stream.type == "audio":
                if packet.size and self._place(packet):  # that ends a stream carries nothing
                    yield packet
                continue
            for picture in self._decode(packet):
                decoded = True
                if (frame := self._convert(picture)) is not None:
                    count += 1
                    yield frame
        if not decoded:
            raise no_frame(self._stream.codec_context.name, self.path)
        if not count:
            raise MediaError(f"{self.path}: no picture in the part of --start and --duration")
        if self._stream.index in self._part.going_on:
            self._check_end()

    def _note_left_out(self, videos: int, unknown_sounds: int) -> None:
        others = self._container.streams
        for kind, count in (
            ("video", videos),
            ("subtitle", len(others.subtitles)),
            ("data", len(others.data)),
        ):
            if count:
                self.notes.append(f"{self.path}: {count} more {kind} stream(s) not carried over")
        if unknown_sounds:
            self.notes.append(
                f"{self.path}: {unknown_sounds} sound stream(s) of unknown kind left out"
            )

    def _read_info(self, max_pixels: int) -> VideoInfo:
        stream, container = self._stream, self._container
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > max_pixels:
            raise PixelLimitError(
                f"{self.path} has frames of {width}x{height} = {width * height / 1e6:.1f} million"
                f" pixels, the limit is {max_pixels / 1e6:g} million; scale it down first, or raise"
                " --max-pixels"
            )
        rate = stream.average_rate or stream.guessed_rate or FALLBACK_RATE
        start_s = float((stream.start_time or 0) * (stream.time_base or 0))
        end_s = None
        if stream.duration is not None and stream.time_base is not None:
            end_s = start_s + float(stream.duration * stream.time_base)
        elif container.duration is not None:
            end_s = container.duration / 1e6  # Matroska: of the longest stream, counted from 0
        duration = end_s - start_s if end_s is not None and end_s > start_s else None
        start = self.cut.start_s
        if start is not None and duration is not None and start >= duration:
            raise MediaError(
                f"{self.path}: --start {float(start):g} s is not before its end at {duration:g} s"
            )
        frames = stream.frames or (round(duration * rate) if duration else None)
        return VideoInfo(
            width=width,
            height=height,
            rate=rate,
            frames=self.cut.frames(frames, rate),
            start_s=start_s,
            duration_s=duration,
            sound=tuple(sound.codec_context.name for sound in self.sounds),
        )

    def _seek(self) -> None:
        """Go to a key frame before the part, where the container can."""
        from av import FFmpegError

        target = self._part.origin(self.time_base) - int(SEEK_MARGIN_S / self.time_base)
        if (
            not self.cut.start_s
            or target <= 0
            or not self._container.format.name.startswith(SEEKABLE)
        ):
            return
        with suppress(FFmpegError):  # then all of it is read
            self._container.seek(target, stream=self._stream)

    def _packets(self) -> Iterator[Packet[Any]]:
        from av import FFmpegError

        packets = self._container.demux(self._stream, *self.sounds)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except FFmpegError as error:
                self.notes.append(f"{self.path}: reading stopped early, {describe(error)}")
                return
            if packet.is_corrupt:
                self.skipped += 1
            else:
                yield packet
            if not self._part.going_on:
                return

    def _decode(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        from av import FFmpegError

        try:
            frames = packet.decode()
        except FFmpegError:
            self.skipped += 1
            return []
        intact = [frame for frame in frames if not frame.is_corrupt]
        self.skipped += len(frames) - len(intact)
        return intact

    def _convert(self, picture: VideoFrame) -> Frame | None:
        stamp, duration = picture.pts, picture.duration or 0
        if stamp is None:
            step = max(1, round(1 / self.info.rate / self.time_base))
            stamp = 0 if self._last_stamp is None else self._last_stamp + (duration or step)
        if self._last_stamp is not None and stamp <= self._last_stamp:
            self.skipped += 1  # its time is over: a player would not show it either
            return None
        self._last_stamp = stamp
        self._last_end_s = max(self._last_end_s, float((stamp + duration) * self.time_base))
        frame_s = 1 / self.info.rate
        placed = self._part.placed(stamp, duration, self.time_base, frame_s, self._stream.index)
        if placed is None:
            return None
        turn = turn_of(picture, self.path)
        self.is_sideways = turn[0] == 0
        rgb, alpha = self._to_rgb(picture)
        if alpha is not None:
            alpha = upright(alpha[..., None], turn)[..., 0]
        return Frame(upright(rgb, turn), *placed, alpha)

    def _to_rgb(self, picture: VideoFrame) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        info = self.info
        if (picture.width, picture.height) != (info.width, info.height):
            self._note_once(
                f"{self.path}: the size changes on the way to {picture.width}x{picture.height};"
                f" every frame is scaled to {info.width}x{info.height}"
            )
        has_alpha = any(component.is_alpha for component in picture.format.components)
        pixels: NDArray[Any] = picture.to_ndarray(
            format="rgba" if has_alpha else "rgb24",
            width=info.width,
            height=info.height,
            src_colorspace=None if picture.format.is_rgb else self.color.swscale,
        )
        is_opaque = not has_alpha or pixels[..., 3].min() == 255
        return pixels[..., :3], None if is_opaque else pixels[..., 3]

    def _note_once(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _place(self, packet: Packet[AudioStream]) -> bool:
        """Give a packet of sound the stamps of the part; False when it is not in it."""
        self._note_end(packet)
        if self.cut == WHOLE:
            return True
        if packet.pts is None or not self._part.has_sound(
            packet.pts, packet.time_base, packet.stream.index
        ):
            return False
        origin = self._part.origin(packet.time_base)
        packet.pts -= origin
        if packet.dts is not None:
            packet.dts -= origin
        return True

    def _note_end(self, packet: Packet[AudioStream]) -> None:
        """Where the file states one end for all streams, sound that goes on longer counts too."""
        if self._stream.duration is None and packet.pts is not None:
            end = packet.pts + (packet.duration or 0)
            self._last_end_s = max(self._last_end_s, float(end * packet.time_base))

    def _check_end(self) -> None:
        """Note when the file ends well before the time that it states."""
        stated_s, found_s = self.info.duration_s, self._last_end_s - self.info.start_s
        if stated_s is not None and stated_s - found_s > max(0.25, 0.05 * stated_s):
            self.notes.append(
                f"{self.path}: the pictures end at {found_s:.2f} s of {stated_s:.2f} s;"
                " the file may be cut short"
            )

"""Opening a video: which files are read, which of their streams, what is said of a bad one.

PyAV only; see ``infer.video_reader``.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nst.errors import MediaError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

DEMUXERS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,mxf,dv,ivf,nut,rm,wtv,yuv4mpegpipe,"
    "h264,hevc,m4v,mjpeg,av1,obu,gif,apng,webp_pipe,mp3,wav,flac,aac,image2,png_pipe,jpeg_pipe"
)
"""The file formats that are read, by FFmpeg's names. No playlists: those name other files and the
network, and a broken one is tried again for minutes."""


def load_av() -> ModuleType:
    """Import PyAV.

    Raises:
        MediaError: It is not installed.
    """
    try:
        import av
    except ImportError:
        raise MediaError("videos need the package av; install it: pip install av") from None
    return av


def open_video(path: Path) -> InputContainer:
    """Open a file.

    Raises:
        MediaError: PyAV is not installed, or the file is missing, damaged or no video.
    """
    load_av()
    import av

    try:
        options = {"protocol_whitelist": "file", "format_whitelist": DEMUXERS}
        return av.open(str(path.absolute()), "r", container_options=options)
    except av.FFmpegError as error:
        raise MediaError(f"{path}: cannot be read as a video, {describe(error)}") from None


def choose_pictures(container: InputContainer, path: Path) -> tuple[VideoStream, int]:
    """Return the stream of the pictures, and how many others that move there are.

    Raises:
        MediaError: There is none, or FFmpeg cannot decode it.
    """
    from av.stream import Disposition

    # A cover picture in a sound file is a video stream by FFmpeg's reckoning, and so is the still
    # picture that an animated AVIF begins with.
    videos = container.streams.video
    shown = [stream for stream in videos if not stream.disposition & Disposition.attached_pic]
    streams = [stream for stream in shown if stream.frames != 1] or shown
    if not streams:
        raise MediaError(f"{path} has no video stream; give a video, not sound alone")
    if _is_unknown(streams[0]):
        raise MediaError(f"{path}: FFmpeg has no decoder for its pictures")
    return streams[0], len(streams) - 1


def choose_sounds(container: InputContainer) -> tuple[tuple[AudioStream, ...], int]:
    """Return the streams of sound that can be copied, and how many cannot."""
    sounds = container.streams.audio
    known = tuple(sound for sound in sounds if not _is_unknown(sound))
    return known, len(sounds) - len(known)


def no_frame(codec: str, path: Path) -> MediaError:
    """Return the error for a video of which nothing could be decoded."""
    return MediaError(
        f"{path}: no frame could be decoded ({codec}); the file is damaged or its codec unknown"
    )


def describe(error: Exception) -> str:
    """Say in a few words what FFmpeg did not do."""
    known = {
        "Invalid data found when processing input": "it is damaged or no video",
        "Invalid argument": "its format is none of those read here",
        "End of file": "it is empty or cut short",
    }
    text = str(getattr(error, "strerror", None) or error)
    return known.get(text, text.lower())


def _is_unknown(stream: VideoStream | AudioStream) -> bool:
    context: Any = stream.codec_context  # None where FFmpeg knows the stream but not its codec
    return context is None

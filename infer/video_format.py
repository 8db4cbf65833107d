"""How videos are written: container and codec by the suffix of the file."""

from __future__ import annotations

import functools
from contextlib import closing
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from infer.frames import Source
from infer.video_codec import Encoder, find_encoder
from infer.video_reader import VideoReader
from nst.errors import NSTError, UsageError


@dataclass(frozen=True, slots=True)
class Format:
    """How videos of one suffix are written."""

    container: str
    codecs: tuple[str, ...]
    """What it can hold, as ``--codec`` calls it; the first unless told otherwise."""
    sound: str = "aac"
    """The codec of sound that has to be encoded again."""
    container_options: dict[str, str] = field(default_factory=dict)

    def options_for(self, reader: Source) -> dict[str, str]:
        """Return what the container is told."""
        if self.container not in ("mp4", "mov"):
            return dict(self.container_options)
        # Else the muxer takes a multiple of the time base.
        scale = {"video_track_timescale": str(reader.time_base.denominator)}
        return self.container_options | scale


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """How animated pictures of one suffix are written."""

    container: str
    codec: str
    pixels: str
    per_second: int
    """Units of a time stamp in a second."""
    options: dict[str, str] = field(default_factory=dict)
    has_quality: bool = False

    def options_for(self, reader: Source) -> dict[str, str]:
        """Return what the container is told: how often the animation is played."""
        if self.container == "apng":
            return {"plays": str(reader.plays)}
        if self.container == "gif":  # how often it is repeated; -1: not at all
            return {"loop": "0" if reader.plays == 0 else str(reader.plays - 1 or -1)}
        return {"loop": str(reader.plays)}


_INDEX_FIRST = {"movflags": "+faststart"}  # a browser can play while it loads

FORMATS = {
    ".mp4": Format("mp4", ("h264", "hevc", "av1", "vp9"), container_options=_INDEX_FIRST),
    ".mov": Format("mov", ("h264", "hevc", "prores"), container_options=_INDEX_FIRST),
    ".mkv": Format("matroska", ("h264", "hevc", "av1", "vp9", "prores")),
    ".webm": Format("webm", ("vp9", "av1"), sound="libopus"),
}
"""Suffixes a film can be written with."""

# Smaller and three times as fast as what FFmpeg does by itself, on six painted frames.
_APNG = PictureFormat("apng", "apng", "rgba", 1000, {"pred": "mixed", "compression_level": "1"})
PICTURE_FORMATS = {
    ".gif": PictureFormat("gif", "gif", "pal8", 100),
    ".png": _APNG,
    ".apng": _APNG,
    ".webp": PictureFormat(
        "webp", "libwebp_anim", "bgra", 1000, {"lossless": "0"}, has_quality=True
    ),
}
"""Suffixes an animated picture can be written with."""

VIDEO_SUFFIXES = (
    *FORMATS,
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
"""Suffixes of files that are taken for videos; animated pictures are known by their content."""


def output_format(target: Path) -> Format | PictureFormat:
    """Return how a file of this name is written.

    Raises:
        UsageError: Nothing that moves is written with this suffix.
    """
    suffix = target.suffix.lower()
    try:
        return FORMATS.get(suffix) or PICTURE_FORMATS[suffix]
    except KeyError:
        raise UsageError(
            f"{target}: a video is written as {', '.join((*FORMATS, *PICTURE_FORMATS))},"
            f" not as {target.suffix or 'a file without a suffix'}"
        ) from None


def encoder_for(target: Path, codec: str | None) -> Encoder | None:
    """Return the encoder for a file of this name; None for an animated picture.

    Args:
        target: The file.
        codec: What ``--codec`` says; None: the first that the container is written with.

    Raises:
        UsageError: The container cannot hold the codec, or there is no such codec.
        MediaError: PyAV is missing, or the encoder cannot be had here.
    """
    form = output_format(target)
    if isinstance(form, PictureFormat):
        if codec is not None:
            raise UsageError(
                f"--codec {codec} is for films; {target.suffix} files have a coding of their own"
            )
        return None
    encoder = find_encoder(codec or form.codecs[0])
    if encoder.codec not in form.codecs:
        others = [suffix for suffix, form in FORMATS.items() if encoder.codec in form.codecs]
        raise UsageError(
            f"--codec {codec}: {target.suffix} files are written with {', '.join(form.codecs)};"
            f" name a {' or '.join(others)} file with -o"
        )
    return encoder


@functools.cache
def held_codecs(suffix: str) -> frozenset[str]:
    """Return FFmpeg's names of the codecs that a file with one of ``FORMATS`` can hold."""
    import av

    with av.open(BytesIO(), "w", format=FORMATS[suffix].container) as container:
        return frozenset(container.supported_codecs)


def output_suffix(source: Path) -> str:
    """Return the suffix under which a painted video is written when the user names none.

    Its own where that is written here; else .mp4, which plays everywhere, or .mkv for a sound that
    only an .mkv can hold.
    """
    if source.suffix.lower() in (*FORMATS, *PICTURE_FORMATS):
        return source.suffix
    try:
        with closing(VideoReader(source)) as reader:
            sounds = set(reader.info.sound)
    except NSTError:  # said when its turn comes
        return ".mp4"
    return ".mkv" if (sounds - held_codecs(".mp4")) & held_codecs(".mkv") else ".mp4"

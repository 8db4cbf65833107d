"""How videos are written: container, codec and quality by the suffix of the file."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from infer.video_reader import VideoReader
from nst.errors import NSTError, UsageError


@dataclass(frozen=True, slots=True)
class Format:
    """How videos of one suffix are written."""

    container: str
    codec: str
    options: dict[str, str]
    crf_scale: float = 1.0
    """The codec's quality numbers over those of H.264."""
    sound: str = "aac"
    """The codec of sound that has to be encoded again."""
    container_options: dict[str, str] = field(default_factory=dict)


_H264 = {"preset": "veryfast"}
_VP9 = {"deadline": "good", "cpu-used": "4", "row-mt": "1"}
_INDEX_FIRST = {"movflags": "+faststart"}  # a browser can play while it loads

FORMATS = {
    ".mp4": Format("mp4", "libx264", _H264, container_options=_INDEX_FIRST),
    ".mov": Format("mov", "libx264", _H264, container_options=_INDEX_FIRST),
    ".mkv": Format("matroska", "libx264", _H264),
    ".webm": Format("webm", "libvpx-vp9", _VP9, crf_scale=63 / 51, sound="libopus"),
}
"""Suffixes a video can be written with."""


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
"""Suffixes of files that are taken for videos. Animated GIF and PNG files can be read as well."""


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
    if source.suffix.lower() in FORMATS:
        return source.suffix
    try:
        with VideoReader(source) as reader:
            sounds = set(reader.info.sound)
    except NSTError:  # said when its turn comes
        return ".mp4"
    return ".mkv" if (sounds - held_codecs(".mp4")) & held_codecs(".mkv") else ".mp4"


def rate_factor(quality: int) -> float:
    """Return the constant rate factor of H.264, 1 (best) to 51, that stands for a quality.

    The curve gives the default of pictures, 95, what is hardly to be told from the original, 18,
    and 90 x264's own default, 23.

    Args:
        quality: 1 to 100, as of JPEG and WebP.
    """
    return max(1.0, 51 * math.pow(1 - quality / 100, 0.35))

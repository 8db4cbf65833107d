"""Which encoder writes the pictures of a video, and how it is told their quality."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from infer.video_source import load_av
from nst.errors import MediaError, UsageError


def rate_factor(quality: int) -> float:
    """Return the constant rate factor of H.264, 1 (best) to 51, that stands for a quality.

    The curve gives the default of pictures, 95, what is hardly to be told from the original, 18,
    and 90 x264's own default, 23.

    Args:
        quality: 1 to 100, as of JPEG and WebP.
    """
    return max(1.0, 51 * math.pow(1 - quality / 100, 0.35))


def _constant(scale: float, *names: str) -> Callable[[int], dict[str, str]]:
    """Return what turns a quality into options of those names, as H.264's rate factor, scaled."""
    return lambda quality: dict.fromkeys(names, str(round(rate_factor(quality) * scale)))


def _prores_profile(quality: int) -> dict[str, str]:
    names = ("proxy", "lt", "standard", "hq")
    return {"profile": names[min(3, quality // 25)]}


def _videotoolbox(quality: int) -> dict[str, str]:
    return {"flags": "+qscale", "global_quality": str(118 * quality)}


@dataclass(frozen=True, slots=True)
class Encoder:
    """One of FFmpeg's encoders."""

    name: str
    """As FFmpeg calls it."""
    codec: str
    """What it writes, as ``--codec`` calls it."""
    options: Mapping[str, str]
    """Whatever the quality is."""
    quality: Callable[[int], dict[str, str]]
    """Options for a quality of 1 to 100."""
    pixels: str = "yuv420p"
    """The pixel format that it is given."""
    is_hardware: bool = False
    has_range: bool = True
    """Whether the file can say that luma and chroma have full range."""


_CRF, _CRF_63 = _constant(1, "crf"), _constant(63 / 51, "crf")
_SOFTWARE = (
    Encoder("libx264", "h264", {"preset": "veryfast"}, _CRF),
    Encoder("libx265", "hevc", {"preset": "fast", "x265-params": "log-level=error"}, _CRF),
    Encoder("libvpx-vp9", "vp9", {"deadline": "good", "cpu-used": "4", "row-mt": "1"}, _CRF_63),
    Encoder("libsvtav1", "av1", {"preset": "8"}, _CRF_63),
    Encoder("prores_ks", "prores", {}, _prores_profile, "yuv422p10le", has_range=False),
)
_THREE = ("h264", "hevc", "av1")
_KINDS: dict[str, tuple[tuple[str, ...], dict[str, str], Callable[[int], dict[str, str]]]] = {
    "nvenc": (_THREE, {"rc": "constqp"}, _constant(1, "qp")),
    "qsv": (_THREE, {}, _constant(1, "global_quality")),
    "amf": (_THREE, {"rc": "cqp"}, _constant(1, "qp_i", "qp_p")),
    "videotoolbox": (_THREE[:2], {}, _videotoolbox),
}

CODECS = {encoder.codec: encoder for encoder in _SOFTWARE}
"""What ``--codec`` takes everywhere."""
HARDWARE = {
    f"{codec}_{kind}": Encoder(f"{codec}_{kind}", codec, options, quality, "nv12", is_hardware=True)
    for kind, (codecs, options, quality) in _KINDS.items()
    for codec in codecs
}
"""Encoders of graphics cards, by FFmpeg's names; ``--codec`` takes these too."""


def find_encoder(codec: str) -> Encoder:
    """Return the encoder that ``--codec`` names.

    Raises:
        UsageError: There is none of that name.
        MediaError: PyAV is missing, or the encoder is not in its FFmpeg or does not start here.
    """
    encoder = CODECS.get(codec) or HARDWARE.get(codec)
    if encoder is None:
        kinds = ", ".join(f"h264_{kind}" for kind in _KINDS)
        raise UsageError(
            f"--codec {codec} is not known; it is one of {', '.join(CODECS)}, or an encoder of a"
            f" graphics card such as {kinds}"
        )
    os.environ.setdefault("SVT_LOG", "1")  # errors alone; else it tells its settings
    av = load_av()
    instead = f"; --codec {encoder.codec} needs no graphics card" if encoder.is_hardware else ""
    try:
        av.Codec(encoder.name, "w")
    except av.codec.codec.UnknownCodecError:
        raise MediaError(
            f"--codec {codec}: this FFmpeg was built without {encoder.name}{instead}"
        ) from None
    if encoder.is_hardware:
        trial = av.CodecContext.create(encoder.name, "w")
        trial.width, trial.height, trial.pix_fmt = 640, 480, encoder.pixels
        trial.framerate = 25
        try:
            trial.open()
        except (av.FFmpegError, OSError) as error:
            raise MediaError(
                f"--codec {codec} does not start here ({error.strerror}): no such card, or no"
                f" driver{instead}"
            ) from None
    return encoder

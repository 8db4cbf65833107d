"""How the numbers of a video become colours: what its tags say, and what players assume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

# FFmpeg's numbers of the matrices (AVCOL_SPC), with swscale's name for each.
MATRICES = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M", 9: "BT2020"}
BT709, BT601 = 1, 6
FULL_RANGE, LIMITED_RANGE = 2, 1  # AVCOL_RANGE
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
HD_HEIGHT = 720


@dataclass(frozen=True, slots=True, kw_only=True)
class Color:
    """The tags of a video, in FFmpeg's numbers; 2 is unspecified."""

    matrix: int
    """From RGB to luma and chroma; never unspecified."""
    primaries: int
    transfer: int
    is_full_range: bool = False
    """Whether luma and chroma go from 0 to 255, not from 16 to 235 and 240."""

    @property
    def swscale(self) -> str:
        """Name of the matrix for the conversion from and to RGB."""
        return MATRICES[self.matrix]

    @property
    def range(self) -> int:
        """FFmpeg's number for the range."""
        return FULL_RANGE if self.is_full_range else LIMITED_RANGE

    @property
    def swscale_range(self) -> str:
        """Name of the range for the conversion from RGB."""
        return "JPEG" if self.is_full_range else "MPEG"

    @property
    def hdr(self) -> str:
        """Name of the transfer curve of a high dynamic range video; empty for others."""
        return HDR_TRANSFERS.get(self.transfer, "")


def color_of(context: VideoCodecContext) -> Color:
    """Read the tags of a stream; without a matrix, take the one that players take by its size."""
    matrix = context.colorspace
    if matrix not in MATRICES:
        matrix = BT709 if context.height >= HD_HEIGHT else BT601
    is_rgb = context.format is not None and context.format.is_rgb  # always full, and not luma
    return Color(
        matrix=matrix,
        primaries=context.color_primaries,
        transfer=context.color_trc,
        is_full_range=not is_rgb and _is_full(context),
    )


def _is_full(context: VideoCodecContext) -> bool:
    is_named = context.format is not None and context.format.name.startswith("yuvj")
    return is_named or context.color_range == FULL_RANGE

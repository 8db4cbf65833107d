"""How the numbers of a video become colours: what its tags say, and what players assume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

# FFmpeg's numbers of the matrices (AVCOL_SPC), with swscale's name for each.
MATRICES = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M", 9: "BT2020"}
BT709, BT601 = 1, 6
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
HD_HEIGHT = 720


@dataclass(frozen=True, slots=True, kw_only=True)
class Color:
    """The tags of a video, in FFmpeg's numbers; 2 is unspecified."""

    matrix: int
    """From RGB to luma and chroma; never unspecified."""
    primaries: int
    transfer: int

    @property
    def swscale(self) -> str:
        """Name of the matrix for the conversion from and to RGB."""
        return MATRICES[self.matrix]

    @property
    def hdr(self) -> str:
        """Name of the transfer curve of a high dynamic range video; empty for others."""
        return HDR_TRANSFERS.get(self.transfer, "")


def color_of(context: VideoCodecContext) -> Color:
    """Read the tags of a stream; without a matrix, take the one that players take by its size."""
    matrix = context.colorspace
    if matrix not in MATRICES:
        matrix = BT709 if context.height >= HD_HEIGHT else BT601
    return Color(matrix=matrix, primaries=context.color_primaries, transfer=context.color_trc)

"""Turning the frames of a video upright, as its display matrix asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nst.errors import MediaError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Turn = tuple[int, int, int, int]
"""a, b, c, d: a coded pixel (x, y) is shown at (a x + c y, b x + d y), up to a shift."""

AS_CODED: Turn = (1, 0, 0, 1)


def turn_of(picture: VideoFrame, path: Path) -> Turn:
    """Read how a decoded frame is to be shown; phones record sideways and say so here.

    Args:
        picture: A decoded frame.
        path: What to call the file in an error.

    Raises:
        MediaError: It is to be turned by something else than quarter turns.
    """
    data: Any = picture.side_data.get("DISPLAYMATRIX")
    if data is None:
        return AS_CODED
    # Nine 32-bit numbers by rows, the first two of a row in 16.16 fixed point.
    a, b, _, c, d = np.frombuffer(bytes(data), dtype=np.int32, count=5) / 65536
    turn = (round(a), round(b), round(c), round(d))
    if not np.allclose(turn, (a, b, c, d), atol=1e-3) or abs(_determinant(turn)) != 1:
        raise MediaError(
            f"{path}: turned by {-picture.rotation} degrees; only quarter turns are supported,"
            " turn it with another program first"
        )
    return turn


def upright(picture: NDArray[np.uint8], turn: Turn) -> NDArray[np.uint8]:
    """Apply quarter turns and mirrorings.

    Args:
        picture: (H, W, C).
        turn: Either a and d or b and c are 1 or -1, the others 0.

    Returns:
        (H, W, C), or (W, H, C) after an odd number of quarter turns.
    """
    a, b, c, d = turn
    if a == 0:  # width and height change places
        picture = picture.transpose(1, 0, 2)
        a, d = c, b
    return np.ascontiguousarray(picture[:: 1 if d > 0 else -1, :: 1 if a > 0 else -1])


def _determinant(turn: Turn) -> int:
    a, b, c, d = turn
    return a * d - b * c

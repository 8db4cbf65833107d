"""The process that encodes a recording: ``python -m infer.record_process film.mp4 < frames``.

See ``infer.recorder``, which feeds it. It ends with the pipe.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from infer.recorder import HEAD
from infer.video_codec import find_encoder
from infer.video_color import BT709, Color
from infer.video_pictures import FilmPictures
from nst.errors import NSTError

TIME_BASE = Fraction(1, 1000)
QUALITY = 90
UNSPECIFIED = 2


def record(frames: BinaryIO, path: Path) -> None:
    """Encode the frames of a pipe into a film, with the times at which they were taken.

    Args:
        frames: Each one behind ``HEAD``, RGB.
        path: The .mp4 file; replaced.

    Raises:
        NSTError: The encoder is missing.
        OSError: The file cannot be written.
    """
    import av
    from av.video.stream import VideoStream

    encoder = find_encoder("h264")
    options = {**encoder.options, **encoder.quality(QUALITY)}
    color = Color(matrix=BT709, primaries=UNSPECIFIED, transfer=UNSPECIFIED)
    pictures = FilmPictures(encoder.pixels, color, TIME_BASE)
    first_at, last = 0.0, -1
    with av.open(str(path), "w", format="mp4") as film:
        stream: VideoStream | None = None
        for captured_at, painted in _frames(frames):
            if stream is None:
                stream = cast("VideoStream", film.add_stream(encoder.name, 30, options=options))
                height, width = painted.shape[:2]
                stream.width, stream.height = width + width % 2, height + height % 2
                stream.pix_fmt = encoder.pixels
                stream.codec_context.time_base = TIME_BASE
                stream.codec_context.colorspace = color.matrix
                stream.codec_context.color_range = color.range
                first_at = captured_at
            last = max(last + 1, round((captured_at - first_at) / TIME_BASE))
            for picture in pictures.frames(painted, None, last):
                film.mux(stream.encode(picture))
        if stream is not None:
            film.mux(stream.encode(None))


def _frames(pipe: BinaryIO) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Yield time and picture; what is cut off at the end is left out."""
    while len(head := pipe.read(HEAD.size)) == HEAD.size:
        captured_at, height, width = HEAD.unpack(head)
        data = pipe.read(height * width * 3)
        if len(data) < height * width * 3:
            return
        yield captured_at, np.frombuffer(data, np.uint8).reshape(height, width, 3)


def main() -> None:
    """Encode stdin; an error is one line on stderr."""
    try:
        record(sys.stdin.buffer, Path(sys.argv[1]))
    except (NSTError, OSError) as error:
        words = error.strerror or error if isinstance(error, OSError) else error
        raise SystemExit(f"cannot be written, {words}") from None


if __name__ == "__main__":
    main()

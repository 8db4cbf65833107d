"""How long the last picture of an animated PNG or WebP is shown, set when the file is written.

FFmpeg knows the duration of a picture by the next one's time stamp and guesses that of the last.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

PNG_SIGNATURE = 8
WEBP_HEADER = 12


def set_last_duration(path: Path, container: str, duration_ms: int) -> None:
    """Write how long the last picture of an animation is shown; other containers are left alone.

    Args:
        path: A complete file.
        container: FFmpeg's name of its format.
        duration_ms: Milliseconds.
    """
    with path.open("rb+") as file:
        if container == "apng":
            _set_in_png(file, duration_ms)
        elif container == "webp":
            _set_in_webp(file, duration_ms)


def _set_in_png(file: BinaryIO, duration_ms: int) -> None:
    """Rewrite the last frame control chunk (APNG 1.0): its delay is a fraction of a second."""
    places = [(at, length) for at, kind, length in _png_chunks(file) if kind == b"fcTL"]
    if not places:
        return
    at, length = places[-1]
    file.seek(at + 4)
    chunk = bytearray(file.read(4 + length))  # its kind and what it holds, as its check sum covers
    struct.pack_into(">HH", chunk, 4 + 20, min(duration_ms, 65535), 1000)
    file.seek(at + 4)
    file.write(chunk + struct.pack(">I", zlib.crc32(chunk)))


def _png_chunks(file: BinaryIO) -> Iterator[tuple[int, bytes, int]]:
    """Yield place, kind and length of every chunk."""
    at = PNG_SIGNATURE
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head)
        yield at, kind, length
        at += 12 + length


def _set_in_webp(file: BinaryIO, duration_ms: int) -> None:
    """Rewrite the duration, three bytes, in the last ANMF chunk (WebP container specification)."""
    at, last = WEBP_HEADER, None
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            break
        kind, length = struct.unpack("<4sI", head)
        if kind == b"ANMF":
            last = at
        at += 8 + length + length % 2
    if last is not None:
        file.seek(last + 8 + 12)
        file.write(min(duration_ms, 0xFFFFFF).to_bytes(3, "little"))

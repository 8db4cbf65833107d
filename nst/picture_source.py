"""Where a picture comes from and what may go wrong on the way to its pixels. Torch-free."""

from __future__ import annotations

import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from nst.errors import ImageError, NSTError, PixelLimitError
from nst.files import describe
from nst.picture_formats import READ_NAMES, looks_like

MAX_FILE_BYTES = 200_000_000
"""The largest picture file that is read."""


@contextmanager
def opened(
    source: str | Path | bytes | BinaryIO, name: str | None
) -> Iterator[tuple[BinaryIO, str]]:
    """Open a source as a seekable file of bounded size; yield it with its name."""
    if isinstance(source, bytes):
        name = name or "the picture"
        yield _bounded(BytesIO(source), len(source), name), name
    elif not isinstance(source, str | Path):
        name = name or str(getattr(source, "name", "the picture"))
        data = source.read(MAX_FILE_BYTES + 1)
        yield _bounded(BytesIO(data), len(data), name), name
    else:
        name = name or str(source)
        if Path(source).is_dir():
            raise ImageError(f"{name} is a folder, not a picture")
        try:
            file = Path(source).open("rb")  # noqa: SIM115, the errors of opening alone are meant
        except OSError as error:
            raise ImageError(f"{name}: cannot be read, {describe(error)}") from error
        with file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode):
                yield _bounded(file, status.st_size, name), name
            else:  # a pipe
                with opened(file, name) as pair:
                    yield pair


def _bounded(file: BinaryIO, size: int, name: str) -> BinaryIO:
    if size == 0:
        raise ImageError(f"{name} is empty")
    if size > MAX_FILE_BYTES:
        raise ImageError(f"{name} is larger than {MAX_FILE_BYTES // 10**6} MB, the limit")
    return file


_lock = threading.Lock()
_users = 0
_before: tuple[warnings.catch_warnings[None], int | None]


@contextmanager
def pillow_settings(max_pixels: int) -> Iterator[None]:
    """Keep Pillow's warnings quiet and its own size limit out of the way of ``max_pixels``.

    Both are settings of the whole process and pictures are decoded in several threads, so the
    first thread that comes changes them and the last one that leaves puts them back.
    """
    global _users, _before
    with _lock:
        if _users == 0:
            _before = warnings.catch_warnings(), Image.MAX_IMAGE_PIXELS
            _before[0].__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
        if Image.MAX_IMAGE_PIXELS is not None:
            Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _before[0].__exit__(None, None, None)
                Image.MAX_IMAGE_PIXELS = _before[1]


@contextmanager
def decoding(file: BinaryIO, name: str) -> Iterator[None]:
    """Turn what Pillow raises on a bad file into one line that says what the file looks like."""
    try:
        yield
    except NSTError:
        raise
    except Image.DecompressionBombError as error:
        raise PixelLimitError(f"{name} has too many pixels; scale it down first") from error
    except MemoryError as error:
        raise ImageError(f"{name} does not fit into memory") from error
    except Exception as error:  # struct.error, SyntaxError, OSError ...: a dozen kinds
        file.seek(0)
        kind, is_read = looks_like(file.read(512))
        if not is_read:
            raise ImageError(f"{name} looks like {kind}; pictures are {READ_NAMES}") from error
        reason = "" if isinstance(error, UnidentifiedImageError) else f": {_first_line(error)}"
        raise ImageError(
            f"{name} looks like {kind} but is damaged, cut off or of an unusual kind{reason}"
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__

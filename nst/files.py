"""Writing files so that nothing is ever half written. Torch-free."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from nst.errors import OutputError, UsageError

OPEN_FILES = 10_240
"""The most that macOS lets a process have open."""
PATIENCE_S = 2.0
"""How long a file of Windows may be held by another program."""


@contextmanager
def atomic_write(path: Path, *, keep_previous: Path | None = None) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path`` that takes its place when the block ends well.

    The data is flushed to the disk before the rename and the folder after it, so that at any
    moment, a kill or a power cut included, ``path`` holds the old content or the new one.

    Args:
        path: The file to write. Its folder is made when missing.
        keep_previous: Where the file that is replaced stays available.

    Raises:
        OutputError: The disk is full, or the folder cannot be written.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path)
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if keep_previous is not None and path.exists():
            _link_over(path, keep_previous)
        _replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written, {describe(error)}") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes from writing into a folder that must have one writer.

    The system lets go of it when the process ends, however it ends. On Windows, where a folder
    cannot be locked, nothing is held.

    Raises:
        UsageError: Another process holds it.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{folder}: another process writes into it; wait until it has ended, or stop it"
            ) from None
        except OSError as error:  # a network file system without locks
            raise OutputError(f"{folder}: cannot be locked, {describe(error)}") from None
        yield
    finally:
        os.close(handle)


def check_writable(path: Path) -> None:
    """Find out before the work whether a file can be made there; its folder is made.

    Raises:
        OutputError: It cannot.
    """
    path = Path(path)
    probe = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise OutputError(f"{path}: cannot be written, {describe(error)}") from error


def is_pattern(text: str) -> bool:
    """Whether it is a pattern that the shell has not expanded, as on Windows or in quotes."""
    return glob.has_magic(text) and not Path(text).exists()


def expanded(paths: Iterable[Path]) -> list[Path]:
    """Return paths with patterns replaced by what they match, which no shell of Windows does.

    Raises:
        UsageError: No file matches a pattern.
    """
    found = []
    for path in paths:
        if not is_pattern(str(path)):
            found.append(path)
            continue
        matching = sorted(map(Path, glob.glob(str(path))))  # noqa: PTH207
        if not matching:
            raise UsageError(f"{path}: no file matches")
        found += matching
    return found


def describe(error: OSError) -> str:
    """Say in a few words what the operating system did not do."""
    known = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EFBIG: "the file would be larger than allowed",
        errno.EACCES: "permission denied",
        errno.EROFS: "the file system is read-only",
        errno.ENOENT: "no such file or folder",
        errno.EISDIR: "it is a folder",
        errno.ENOTDIR: "a file stands where a folder is needed",
        errno.EEXIST: "a file stands where a folder is needed",
    }
    return known.get(error.errno or 0, (error.strerror or str(error)).lower())


def free_space(path: Path) -> int:
    """Return how many bytes can be written at a place, which need not be there yet."""
    there = next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free


def allow_open_files() -> None:
    """Let this process open ``OPEN_FILES`` files where it may; macOS begins with 256."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):  # then opening says which file is one too many
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _beside(path: Path) -> Path:
    """Return a new name in the same folder, short, since that of ``path`` may be the longest."""
    return path.with_name(f".nst-{secrets.token_hex(8)}.tmp")


def _replace(temporary: Path, path: Path) -> None:
    """Rename; on Windows, where an indexer or a viewer may hold the old file, with patience."""
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            temporary.replace(path)
            return
        except PermissionError:
            if sys.platform != "win32" or time.monotonic() > give_up_at:
                raise
            time.sleep(0.05)


def _link_over(path: Path, target: Path) -> None:
    """Make ``target`` another name of ``path`` without a moment at which either is missing."""
    link = _beside(target)
    try:
        os.link(path, link)
    except OSError:  # a file system without hard links: for a moment only the previous one is there
        path.replace(target)
        return
    try:
        link.replace(target)
    finally:
        link.unlink(missing_ok=True)  # renamed to another name of the same file it stays: POSIX


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # a folder cannot be opened for this on Windows
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Fetching a file: shown while it runs, checked before it counts. Torch-free."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from nst import __version__
from nst.errors import NSTError, WeightsError
from nst.files import atomic_write

if TYPE_CHECKING:
    from nst.terminal import Bars

CHUNK_BYTES = 1 << 20
SILENCE_S = 60.0
"""After so long without a byte a download is given up."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is fetched, for the words about it."""

    name: str
    """As people call it."""
    remedy: str
    """What to do where it cannot be had."""
    error: type[NSTError]
    """What is raised then."""


VGG19 = Subject("VGG-19", "give a file with --vgg or $NST_VGG19", WeightsError)


def download(
    url: str,
    target: Path,
    *,
    sha256: str,
    bars: Bars | None = None,
    subject: Subject = VGG19,
) -> None:
    """Fetch a file; nothing else than what was asked for gets its name.

    Args:
        url: Where it is.
        target: Where to; the folder is made when missing.
        sha256: Its hash, or the first digits of that.
        bars: Shows how much is there, as ``nst.terminal.progress`` does.
        subject: What it is.

    Raises:
        NSTError: The subject's: it cannot be reached, breaks off, or is another file.
        OutputError: It cannot be written.
    """
    digest = hashlib.sha256()
    with atomic_write(target) as file:
        for chunk in _received(url, bars, subject):
            digest.update(chunk)
            file.write(chunk)
        if not digest.hexdigest().startswith(sha256):
            raise _failed(subject, url, f"its hash is {digest.hexdigest()[:16]}, not {sha256[:16]}")


def _received(url: str, bars: Bars | None, subject: Subject) -> Iterator[bytes]:
    request = Request(url, headers={"User-Agent": f"nst/{__version__}"})
    done = total = 0
    try:
        with urlopen(request, timeout=SILENCE_S) as response:
            total = int(response.headers.get("Content-Length") or 0)
            total_mb = total / CHUNK_BYTES or None
            with (
                bars(f"{subject.name}, MB", total_mb) if bars is not None else nullcontext() as bar
            ):
                while chunk := response.read(CHUNK_BYTES):
                    yield chunk
                    done += len(chunk)
                    if bar is not None:
                        bar.update(done / CHUNK_BYTES)
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, HTTPError):
            error.close()
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise _failed(subject, url, reason) from error
    if done < total:
        raise _failed(subject, url, f"it broke off after {done} of {total} bytes")


def _failed(subject: Subject, url: str, reason: str) -> NSTError:
    return subject.error(
        f"{subject.name} could not be downloaded from {url} ({reason}); {subject.remedy}"
    )

"""Predicting whether a picture fits into memory, before the system starts to swap or to kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

from nst.contract import ModelInfo
from nst.errors import InferenceError
from nst.image import fit_long_side

USABLE = 0.8
"""The share of the free memory that a run may take; the rest is for everything else."""


def needed_bytes(info: ModelInfo, height: int, width: int, batch: int = 1) -> int:
    """Return the predicted peak of a run, bytes; the graph pads to ``info.size_multiple``."""
    m = info.size_multiple
    return info.bytes_per_pixel * batch * (-(-height // m) * m) * (-(-width // m) * m)


def free_bytes(root: Path = Path("/")) -> int:
    """Return the memory that can still be taken, bytes: the system's, or the cgroup's if less.

    Args:
        root: Where ``proc`` and ``sys`` are found.
    """
    return min([int(psutil.virtual_memory().available), *_cgroup_free_bytes(root)])


def check_memory(info: ModelInfo, height: int, width: int, *, name: str) -> None:
    """Refuse a run that would take more than ``USABLE`` of the free memory.

    Args:
        info: The model.
        height: Height that the network sees, px.
        width: Width that the network sees, px.
        name: What to call the picture.

    Raises:
        InferenceError: It would; the message names the largest ``--size`` that fits.
    """
    needed, free = needed_bytes(info, height, width), free_bytes()
    if needed <= USABLE * free:
        return
    fitting = largest_size(info, height, width, int(USABLE * free))
    advice = f"--size {fitting} fits" if fitting else "no --size fits, close other programs"
    raise InferenceError(
        f"{name}: {width}x{height} px need {needed / 1e9:.1f} GB of memory,"
        f" {free / 1e9:.1f} GB are free, of which {USABLE:.0%} may be used; {advice}"
    )


def largest_size(info: ModelInfo, height: int, width: int, budget: int) -> int:
    """Return the greatest long side, px, at which a picture of that shape fits; 0 if none."""
    low, high = 0, max(height, width)
    while low < high:  # low fits or is 0, above high nothing fits
        middle = (low + high + 1) // 2
        if needed_bytes(info, *fit_long_side(height, width, middle)) <= budget:
            low = middle
        else:
            high = middle - 1
    return low


def _cgroup_free_bytes(root: Path) -> Iterator[int]:
    """Yield what each memory limit above this process leaves, of both versions of cgroups."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            base, limit, usage = root / "sys/fs/cgroup", "memory.max", "memory.current"
            cache = "inactive_file"
        elif "memory" in controllers.split(","):
            base, limit = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
            usage, cache = "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        folder = base / path.strip("/")
        # In a container the path is often that of the host: what is not there is passed over.
        for place in (folder, *folder.parents):
            if place.is_relative_to(base):
                yield from _free_in(place, limit, usage, cache)


def _free_in(folder: Path, limit: str, usage: str, cache: str) -> Iterator[int]:
    try:
        most = (folder / limit).read_text().strip()
        used = int((folder / usage).read_text())
        stat = dict(row.split() for row in (folder / "memory.stat").read_text().splitlines())
    except OSError:
        return
    if most != "max":
        # Cached files count as used, and go when memory is needed.
        yield max(0, int(most) - used + int(stat.get(cache, 0)))

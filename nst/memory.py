"""How much memory is left, before the system starts to swap or to kill. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

USABLE = 0.8
"""The share of the free memory that a run may take; the rest is for everything else."""


def free_bytes(root: Path = Path("/")) -> int:
    """Return the memory that can still be taken, bytes: the system's, or the cgroup's if less.

    Args:
        root: Where ``proc`` and ``sys`` are found.
    """
    return min([int(psutil.virtual_memory().available), *_cgroup_free_bytes(root)])


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

"""The slow method's curve: J after every evaluation, and where a fast painting stands on it.

Torch-free: curves are arrays, in memory and in the cache.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nst.files import atomic_write

Start = Literal["photograph", "noise"]
"""What the slow method begins with."""
STARTS: tuple[Start, ...] = get_args(Start)

LEAST_TOTAL = 1e-6
"""J of a photograph that is the style image itself is 0, of which nothing is a multiple."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """How the slow method came down on one photograph."""

    start: Start
    totals: tuple[float, ...]
    """J of the best picture after 1, 2, ... evaluations; the first is the start itself."""
    seconds: float
    """How long they took together."""
    device: str
    """What computed them."""
    painted: NDArray[np.uint8]
    """The picture that was reached, ``(H, W, 3)``."""
    painted_after: int
    """Evaluations behind ``painted``; more than ``totals`` has where the curve was cut."""

    @property
    def seconds_each(self) -> float:
        """Of one evaluation, on the average."""
        return self.seconds / len(self.totals)

    def cut(self, evaluations: int) -> Curve:
        """Return the first so many evaluations of it, with the picture of all of them."""
        if evaluations >= len(self.totals):
            return self
        return Curve(
            self.start,
            self.totals[:evaluations],
            self.seconds_each * evaluations,
            self.device,
            self.painted,
            self.painted_after,
        )


def steps_to_reach(totals: Sequence[float], total: float) -> float | None:
    """Return k: the evaluation at which the slow method first comes down to a J.

    Args:
        totals: J after 1, 2, ... evaluations, never rising.
        total: J of what is compared with it.

    Returns:
        Interpolated linearly between two evaluations; 1 where the start itself is as low; None
        where the last evaluation is not.
    """
    if totals[0] <= total:
        return 1.0
    for before, (higher, lower) in enumerate(pairwise(totals), start=1):
        if lower <= total:
            return before + (higher - total) / (higher - lower)
    return None


def excess(totals: Sequence[float], total: float) -> float:
    """Return J divided by the J that the slow method reached in the end; 1 is as good."""
    return total / max(totals[-1], LEAST_TOTAL)


def write_curve(path: Path, curve: Curve) -> None:
    """Keep a curve in a file, which appears whole or not at all.

    Raises:
        OutputError: The file cannot be written.
    """
    with atomic_write(path) as file:
        np.savez_compressed(
            file,
            start=np.array(curve.start),
            totals=np.array(curve.totals),
            seconds=np.array(curve.seconds),
            device=np.array(curve.device),
            painted=curve.painted,
            painted_after=np.array(curve.painted_after),
        )


def read_curve(path: Path) -> Curve | None:
    """Read what ``write_curve`` wrote; None where the file is missing or damaged."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            start = str(arrays["start"])
            totals = arrays["totals"].astype(np.float64)
            painted = arrays["painted"]
            curve = Curve(
                "noise" if start == "noise" else "photograph",
                tuple(totals.tolist()),
                float(arrays["seconds"]),
                str(arrays["device"]),
                painted,
                int(arrays["painted_after"]),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    is_picture = painted.dtype == np.uint8 and painted.ndim == 3 and painted.shape[-1] == 3
    is_curve = totals.ndim == 1 and totals.size > 0 and np.isfinite(totals).all()
    return curve if is_picture and is_curve and start in STARTS else None

"""How long a painting takes. Torch-free."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

RUNS = 7
"""Timed runs; one more comes before and is not counted."""


def median_ms(
    paint: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], photograph: NDArray[np.uint8]
) -> float:
    """Return the median time of painting one photograph, from uint8 to uint8, ms."""
    paint(photograph)
    times = []
    for _ in range(RUNS):
        started_at = time.perf_counter()
        paint(photograph)
        times.append(time.perf_counter() - started_at)
    return 1000 * statistics.median(times)

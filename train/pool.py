"""Who decodes photographs and who makes procedural ones, several at a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

_MOST_PROCESSES = 61
"""Windows can wait for no more."""


def open_pool(workers: int, *, is_made: bool) -> Executor:
    """Return threads for what Pillow decodes and scales, which holds no lock; processes otherwise.

    Args:
        workers: How many.
        is_made: Whether pictures are computed in Python, which one thread at a time can do.
    """
    if not is_made or workers == 1:
        return ThreadPoolExecutor(workers, thread_name_prefix="decode")
    return ProcessPoolExecutor(
        min(workers, _MOST_PROCESSES),
        mp_context=multiprocessing.get_context("spawn"),  # a fork would copy locks torch may hold
        initializer=_begin,
    )


def _begin() -> None:
    """Leave Ctrl-C to the process that asked, and end when it does, even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()

"""Threads that paint for clients, with room for a few that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from infer.server_limits import REQUEST_S, Refusal

T = TypeVar("T")


class Workers:
    """A bounded queue before a few threads; belongs to one event loop.

    Args:
        count: Threads.
        patience_s: After so long a client is told to come again. Its work cannot be broken off and
            keeps its place until it is done.

    Attributes:
        room: How many may be inside: one for each thread, and two that wait for each.
    """

    def __init__(self, count: int, *, patience_s: float = REQUEST_S) -> None:
        self.room = 3 * count
        self.patience_s = patience_s
        self._inside = 0
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="nst-paint")

    @property
    def inside(self) -> int:
        """How many are painted for or wait."""
        return self._inside

    async def run(self, work: Callable[[], T]) -> T:
        """Do some work in a thread.

        Raises:
            Refusal: 503, there is no room or it took too long.
        """
        if self._inside >= self.room:
            raise Refusal.busy("all painters are busy; try again")
        self._inside += 1
        loop = asyncio.get_running_loop()
        future = self._threads.submit(work)

        def leave(_: Future[T]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._leave)

        future.add_done_callback(leave)
        try:
            # Not wait_for: until Python 3.12 it may swallow that the waiting task is cancelled.
            async with asyncio.timeout(self.patience_s):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise Refusal.busy(f"painting took longer than {self.patience_s:g} s") from None

    def close(self) -> None:
        """Let go of the threads; work that has not begun is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _leave(self) -> None:
        self._inside -= 1

"""Two threads around a loop: one reads ahead of it, one writes behind it.

The queues are short, so that the slowest of the three sets the pace and memory stays flat. What a
thread raises is raised again in the loop. Only waiting can be interrupted, by Ctrl-C too, never the
moment in which an item changes hands: what was put in is written once.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from nst.interrupt import interrupts_held

T = TypeVar("T")

SLICE_S = 0.1
"""How long a wait goes on before a signal that came meanwhile is looked at."""


class ReadAhead(Generic[T]):
    """Iterates over a source in a thread, some items ahead of the loop that takes them.

    Args:
        source: What to iterate over, once; nobody else may, until ``close`` returns.
        depth: How many items may wait.
    """

    def __init__(self, source: Iterable[T], depth: int) -> None:
        self.busy_s = 0.0
        """Seconds that the source took to give its items."""
        self.waited_s = 0.0
        """Seconds that the loop waited for an item."""
        self._source = source
        self._queue: queue.Queue[T | _End] = queue.Queue(depth)
        self._is_stopped = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="read ahead", daemon=True)

    def __iter__(self) -> Iterator[T]:
        """Start reading; yield every item, then raise what the source raised."""
        with interrupts_held():
            self._thread.start()
        while True:
            before = time.perf_counter()
            item = _patiently(lambda timeout_s: self._queue.get(timeout=timeout_s))
            self.waited_s += time.perf_counter() - before
            if isinstance(item, _End):
                break
            yield item
        self.close()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Stop reading and wait until the source is let go."""
        self._is_stopped.set()
        with interrupts_held():
            if self._thread.is_alive():
                self._thread.join()

    def _run(self) -> None:
        try:
            items = iter(self._source)
            while not self._is_stopped.is_set():
                before = time.perf_counter()
                item: T | _End = next(items, END)
                self.busy_s += time.perf_counter() - before
                if isinstance(item, _End):
                    break
                self._put(item)
        except BaseException as error:  # raised again in the loop
            self._error = error
        self._put(END)

    def _put(self, item: T | _End) -> None:
        while not self._is_stopped.is_set():
            try:
                self._queue.put(item, timeout=SLICE_S)
                return
            except queue.Full:
                continue


class WriteBehind(Generic[T]):
    """Hands items on in a thread, in their order, some behind the loop that puts them in.

    Args:
        write: Takes an item, in a thread that starts with the first one. After it has raised,
            further items are dropped.
        depth: How many items may wait.
    """

    def __init__(self, write: Callable[[T], object], depth: int) -> None:
        self.busy_s = 0.0
        """Seconds that the items took to be written."""
        self.waited_s = 0.0
        """Seconds that the loop waited until an item could be put in."""
        self._write = write
        self._queue: queue.Queue[T | _End] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._is_dropped = False
        self._thread = threading.Thread(target=self._run, name="write behind", daemon=True)

    def put(self, item: T) -> None:
        """Put an item in, waiting until there is room; raise what an earlier one raised."""
        self._ready()
        self._wait_to_put(item)

    def offer(self, item: T) -> bool:
        """Put an item in where there is room; raise what an earlier one raised.

        Returns:
            Whether it was taken.
        """
        self._ready()
        try:
            with interrupts_held():
                self._queue.put_nowait(item)
        except queue.Full:
            return False
        return True

    def finish(self) -> None:
        """Wait until every item is written; raise what one of them raised."""
        with interrupts_held():
            self._end()
        self._check()

    def drop(self) -> None:
        """Forget the items that wait, and wait until the thread has ended."""
        self._is_dropped = True
        with interrupts_held():
            self._end()

    def _end(self) -> None:
        if self._thread.is_alive():
            self._queue.put(END)
            self._thread.join()

    def _ready(self) -> None:
        """Raise what an earlier item raised; start the thread with the first one."""
        self._check()
        if self._thread.ident is None:
            with interrupts_held():
                self._thread.start()

    def _wait_to_put(self, item: T) -> None:
        before = time.perf_counter()
        _patiently(lambda timeout_s: self._queue.put(item, timeout=timeout_s))
        self.waited_s += time.perf_counter() - before

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while not isinstance(item := self._queue.get(), _End):
            if self._error is not None or self._is_dropped:
                continue
            before = time.perf_counter()
            try:
                self._write(item)
            except BaseException as error:  # raised again in the loop
                self._error = error
            self.busy_s += time.perf_counter() - before


class _End:
    """Stands behind the last item."""


END = _End()


def _patiently(attempt: Callable[[float], T]) -> T:
    """Try until neither ``queue.Empty`` nor ``queue.Full`` comes, in slices of time.

    A signal cannot come between the change of a queue and its return; on Windows it could not come
    at all in a wait without end.
    """
    while True:
        with interrupts_held():
            try:
                return attempt(SLICE_S)
            except (queue.Empty, queue.Full):
                continue

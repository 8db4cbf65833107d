"""Ctrl-C and SIGTERM as a wish that a loop grants at its next good moment. Torch-free."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from nst.errors import NSTError, Terminated


class Stopped(NSTError):
    """A long command was asked to stop and has saved what it had; exit code 130 or 143."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Context in which SIGTERM raises ``Terminated`` instead of ending the process at once.

    A handler that is there stays, and so does an ignored signal. Outside the main thread, where
    Python delivers no signals, nothing is changed.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block is done, for what must not end half done."""
    held: list[tuple[int, FrameType | None]] = []
    previous: dict[int, Callable[[int, FrameType | None], object]] = {}
    if threading.current_thread() is threading.main_thread():  # no other one gets signals
        for wanted in (signal.SIGINT, signal.SIGTERM):
            if callable(handler := signal.getsignal(wanted)):  # nothing else raises
                previous[wanted] = handler
    for number in previous:
        signal.signal(number, lambda number, frame: held.append((number, frame)))
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if held:
        previous[held[0][0]](*held[0])


class StopRequest:
    """Context in which the first Ctrl-C or SIGTERM only sets ``signal_number``.

    The loop looks at ``signal_number`` where it can save and end; a second signal acts at once as
    it would have without this. Outside the main thread, where Python delivers no signals, nothing
    is changed.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._previous = {s: signal.signal(s, self._note) for s in self.SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal_number = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous = {}

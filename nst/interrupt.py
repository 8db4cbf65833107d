"""Ctrl-C, SIGTERM and SIGHUP as a wish that a loop grants at its next good moment. Torch-free."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType

from nst.errors import NSTError, Terminated
from nst.terminal import say

_NAMES = ("SIGTERM", "SIGHUP", "SIGBREAK")
ENDS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
"""What ends a program from outside: `kill`, a terminal that is closed, Ctrl-Break of Windows."""


class Stopped(NSTError):
    """A long command was asked to stop and has saved what it had; exit code 130, 143 or 129."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


@contextmanager
def ends_as_ctrl_c() -> Iterator[None]:
    """Context in which SIGTERM and SIGHUP raise ``Terminated`` and do not end the process at once.

    A handler that is there stays, and so does an ignored signal. Outside the main thread, where
    Python delivers no signals, nothing is changed.
    """

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated(number)

    is_main = threading.current_thread() is threading.main_thread()
    wanted = [n for n in ENDS if is_main and signal.getsignal(n) is signal.SIG_DFL]
    for number in wanted:
        signal.signal(number, terminate)
    try:
        yield
    finally:
        for number in wanted:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold signals back until the block is done, for what must not end half done."""
    held: list[tuple[int, FrameType | None]] = []
    previous: dict[int, Callable[[int, FrameType | None], object]] = {}
    if threading.current_thread() is threading.main_thread():  # no other one gets signals
        for wanted in StopRequest.SIGNALS:
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
    """Context in which the first Ctrl-C, SIGTERM or SIGHUP only sets ``signal_number``.

    It is acknowledged in a few words.

    The loop looks at ``signal_number`` where it can save and end; a second signal acts at once as
    it would have without this. A signal that the process was started to ignore (``nohup``,
    ``script &``) stays ignored. Outside the main thread, where Python delivers no signals, nothing
    is changed.

    Args:
        words: What is said at the first signal, since the next good moment may be far.
        announce: Who says it.
    """

    SIGNALS = (signal.SIGINT, *ENDS)

    def __init__(
        self,
        words: str = "stopping after this step; once more to stop at once",
        announce: Callable[[str], None] = say,
    ) -> None:
        self.signal_number: int | None = None
        self._words = words
        self._announce = announce
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in self.SIGNALS:
                # None is a handler that Python did not set and could not put back.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._previous[number] = signal.signal(number, self._note)
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
        # The terminal may be gone, or the signal came while this very stream was written to.
        with suppress(OSError, RuntimeError, ValueError):
            self._announce(self._words)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous = {}

"""The border between the program and a terminal: lines, progress, exit codes. Torch-free.

Results go to stdout, talk goes to stderr. This and the ``cli`` modules are the only places that
print.
"""

from __future__ import annotations

import errno
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Protocol

from nst.errors import NSTError, OutputError, Terminated, UsageError

LINE_INTERVAL_S = 10.0
"""Where stderr is no terminal, a progress line is printed this often."""
SPEED_PERIOD_S = 600.0
"""A bar's time left is that of the steps in so many last seconds; at least two are needed."""


def say(message: str) -> None:
    """Print one line of talk to stderr, above a progress bar where there is one.

    Nothing ends because nobody listens: a stderr that is closed, full or gone is passed over.
    """
    with suppress(OSError, ValueError):
        if sys.stderr is not None:  # as with 2>&-; print would take stdout
            print(message, file=sys.stderr, flush=True)


def result(text: str) -> None:
    """Print one line of result to stdout.

    Raises:
        OutputError: stdout is closed, or its disk is full.
    """
    if sys.stdout is None:
        raise OutputError(f"stdout is closed and cannot take: {text}")
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise  # the reader has had enough, as `head` does: no news
    except OSError as error:
        raise OutputError(f"stdout: cannot be written, {error.strerror}: {text}") from error


def result_json(values: Mapping[str, Any]) -> None:
    """Print one result as a line of JSON to stdout.

    Raises:
        OutputError: stdout is closed, or its disk is full.
    """
    result(json.dumps(values))


@contextmanager
def border() -> Iterator[None]:
    """Turn an error that a person can act on into one line and an exit code; a bug stays a bug."""
    try:
        yield
    except NSTError as error:
        say(f"nst: {error}")
        raise SystemExit(error.exit_code) from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        say(f"nst: {str(error.filename)[:40]}...: the name is too long")
        raise SystemExit(UsageError.exit_code) from None
    except KeyboardInterrupt as stop:
        say("nst: stopped")
        code = stop.exit_code if isinstance(stop, Terminated) else 130
        raise SystemExit(code) from None


class Progress(Protocol):
    """What a long command reports its advance to."""

    def update(self, completed: float, note: str = "") -> None:
        """Report how much of the total is done, with a few words or figures beside it.

        What was done before, as in a run that is resumed, counts: the time that is left is judged
        by what is added from the first report on.
        """


Bars = Callable[[str, float | None], AbstractContextManager[Progress]]
"""What ``progress`` is: handed to code that takes long and prints nothing itself."""


@contextmanager
def progress(label: str, total: float | None) -> Iterator[Progress]:
    """Show the advance of a long command on stderr, with the time that is left.

    A bar on a terminal, elsewhere one plain line every ``LINE_INTERVAL_S`` seconds.

    Args:
        label: What is being done.
        total: At which value it is done; None when that is not known.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield _Lines(label, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}", markup=False),  # a file may be called "[/b].jpg"
        BarColumn(bar_width=24),
        TextColumn("{task.completed:g}/{task.total:g}" if total else "{task.completed:g}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with RichProgress(
        *columns,
        console=Console(stderr=True),
        transient=False,
        # Redirected, a line of result would reach the terminal even where stdout is a file.
        redirect_stdout=sys.stdout.isatty(),
        speed_estimate_period=SPEED_PERIOD_S,
    ) as bar:
        task = bar.add_task(label, total=total, note="")

        class Bar:
            def update(self, completed: float, note: str = "") -> None:
                bar.update(task, completed=completed, note=note)

        yield Bar()


class _Lines:
    """Progress as plain lines, for files and pipes."""

    def __init__(self, label: str, total: float | None) -> None:
        self.label = label
        self.total = total
        self.started_at = self.printed_at = time.monotonic()
        self.first: tuple[float, float] | None = None
        """How much was done at the first report, and when that was."""

    def update(self, completed: float, note: str = "") -> None:
        now = time.monotonic()
        self.first = self.first or (completed, now)
        is_last = self.total is not None and completed >= self.total
        if now - self.printed_at < LINE_INTERVAL_S and not is_last:
            return
        self.printed_at = now
        elapsed = now - self.started_at
        text = f"{self.label} {completed:g}"
        if self.total:
            text += f"/{self.total:g}"
            added, since = completed - self.first[0], now - self.first[1]
            if added > 0 and not is_last:
                left = since * (self.total - completed) / added
                text += f", {format_duration(left)} left"
        say(f"{text}, {format_duration(elapsed)} so far  {note}".rstrip())


def format_duration(seconds: float) -> str:
    """Return a duration as people write it: 42 s, 3:05 min, 1:02:30 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d} h"


def format_size(count: int) -> str:
    """Return a number of bytes as people write it: 1.4 MB, 19.1 GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"

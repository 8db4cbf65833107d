"""What is printed, and where. Truth: by hand."""

from __future__ import annotations

import io
import sys
import time

import pytest

from nst.terminal import format_duration, format_size, progress, result, result_json, say


class Clock:
    """Stands in for time.monotonic and is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def test_results_and_talk_have_streams_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    say("about to begin")
    result("out.png")
    result_json({"size": [3, 4], "name": "étoile"})
    out, err = capsys.readouterr()
    assert err == "about to begin\n"
    first, second = out.splitlines()
    assert first == "out.png"
    assert second == '{"size": [3, 4], "name": "\\u00e9toile"}'


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1:00 min"),
        (185, "3:05 min"),
        (3599.6, "1:00:00 h"),
        (3750, "1:02:30 h"),
        (360_000, "100:00:00 h"),
    ],
)
def test_format_duration(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0.0 MB"), (261_274, "0.3 MB"), (480_000_000, "480.0 MB"), (19_149_000_000, "19.1 GB")],
)
def test_format_size(count: int, text: str) -> None:
    assert format_size(count) == text


def test_plain_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    """One line every ten seconds and one at the end, without control characters."""
    with progress("training", 200) as bar:
        for second in range(1, 26):
            clock.now = 100.0 + second
            bar.update(4 * second, f"J {second}")
        clock.now = 126.0
        bar.update(200, "J 0.5")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        # 40 of 200 after 10 s: 4 s for each, 160 are left
        "training 40/200, 40 s left, 10 s so far  J 10",
        "training 80/200, 30 s left, 20 s so far  J 20",
        "training 200/200, 26 s so far  J 0.5",
    ]


def test_the_time_left_of_a_run_that_is_resumed(
    capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    """By hand: 10 s a step, whatever was done before; the first report alone shows no speed."""
    with progress("training", 1000) as bar:
        for step in range(901, 904):
            clock.now += 10.0
            bar.update(step)
    assert capsys.readouterr().err.splitlines() == [
        "training 901/1000, 10 s so far",
        "training 902/1000, 16:20 min left, 20 s so far",
        "training 903/1000, 16:10 min left, 30 s so far",
    ]


def test_plain_lines_without_a_total(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with progress("frames", None) as bar:
        for second in range(1, 12):
            clock.now = 100.0 + second
            bar.update(25 * second)
    assert capsys.readouterr().err.splitlines() == ["frames 250, 10 s so far"]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words in brackets are no commands to the bar, and talk does not tear it."""
    screen, out = Terminal(), io.StringIO()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", out)
    with progress("painting [/x].jpg", 10) as bar:
        bar.update(3, "2.jpg")
        say("skipped: [/c].jpg")
        result("out/3.jpg")
        bar.update(10, "[bold]3.jpg [/b]")
    shown = screen.getvalue()
    for text in ("painting [/x].jpg", "10/10", "skipped: [/c].jpg\n", "[bold]3.jpg [/b]"):
        assert text in shown
    assert "\x1b[" in shown
    assert out.getvalue() == "out/3.jpg\n"


@pytest.mark.parametrize(("step_s", "left"), [(1.0, "0:01:37"), (45.0, "1:12:45")])
def test_the_time_left_on_a_bar(monkeypatch: pytest.MonkeyPatch, step_s: float, left: str) -> None:
    """By hand: a run that is resumed at 900 of 1000 has 97 steps left after three; slow or fast."""
    screen, clock = Terminal(), Clock()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr("rich.console.monotonic", clock)
    with progress("training", 1000) as bar:
        for step in range(901, 904):
            clock.now += step_s
            bar.update(step)
    assert left in screen.getvalue()


def test_a_bar_without_a_total(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "stderr", screen)
    with progress("frames", None) as bar:
        bar.update(7)
    assert "frames" in screen.getvalue()
    assert "7/" not in screen.getvalue()


def test_the_end_of_a_block_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar gives the cursor back, whatever happens inside."""
    screen = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", screen)

    def fail() -> None:
        with progress("training", 3):
            raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        fail()
    hidden, shown = "\x1b[?25l", "\x1b[?25h"
    assert screen.getvalue().rindex(shown) > screen.getvalue().rindex(hidden)
    assert sys.stderr is screen

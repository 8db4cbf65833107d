"""Ctrl-C and SIGTERM as a wish. Truth: real signals to a real process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from nst.errors import NSTError, Terminated
from nst.interrupt import (
    ENDS,
    Stopped,
    StopRequest,
    ends_as_ctrl_c,
    interrupts_held,
)

posix = pytest.mark.skipif(os.name != "posix", reason="signals to a process are POSIX")

LOOP = """
    import signal, time
    from nst.interrupt import Stopped, StopRequest

    def wait(condition):
        end = time.monotonic() + 20
        while not condition() and time.monotonic() < end:
            time.sleep(0.005)

    with StopRequest() as stop:
        print("ready", flush=True)
        wait(lambda: stop.signal_number is not None)
        try:
            print("asked", stop.signal_number, flush=True)
            wait(lambda: False)  # saving takes long
        except KeyboardInterrupt:
            print("at once", flush=True)
            raise SystemExit(1)
"""


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@posix
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_the_first_asks_and_the_second_acts(first: signal.Signals, second: signal.Signals) -> None:
    with start(LOOP) as process:
        try:
            assert line_of(process) == "ready"
            process.send_signal(first)
            assert line_of(process) == f"asked {first.value}"
            process.send_signal(second)
            rest, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    if second == signal.SIGINT:
        assert rest == "at once\n"
        assert process.returncode == 1
    else:
        assert rest == ""
        assert process.returncode == -signal.SIGTERM


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_exit_code_at_the_front_door(number: signal.Signals, code: int, tmp_path: Path) -> None:
    """A command that saves and raises ``Stopped`` ends with 130 or 143 and one line."""
    (tmp_path / "slow.py").write_text(
        textwrap.dedent(
            """
            import time, typer
            from nst.interrupt import Stopped, StopRequest

            app = typer.Typer()

            @app.command()
            def slow() -> None:
                with StopRequest() as stop:
                    print("ready", flush=True)
                    end = time.monotonic() + 20
                    while stop.signal_number is None and time.monotonic() < end:
                        time.sleep(0.005)
                print("saved", flush=True)
                raise Stopped("stopped, saved", stop.signal_number)
            """
        )
    )
    program = """
        import sys
        sys.path.insert(0, sys.argv[1])
        from nst import cli
        cli.COMMANDS["slow"] = cli.Entry("slow", "Saves and stops.")
        cli.main(["slow"])
    """
    with start(program, str(tmp_path)) as process:
        try:
            assert line_of(process) == "ready"
            process.send_signal(number)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert out == "saved\n"
    assert err == ("stopping after this step; once more to stop at once\nnst: stopped, saved\n")
    assert process.returncode == code


@posix
@pytest.mark.parametrize("number", StopRequest.SIGNALS)
def test_what_is_ignored_from_the_start_stays_ignored(number: signal.Signals) -> None:
    """As `nohup` and `script &` start a program: the parent's SIG_IGN is inherited."""
    program = """
        import os, signal, sys
        from nst.interrupt import StopRequest
        with StopRequest() as stop:
            os.kill(os.getpid(), int(sys.argv[1]))
            print(stop.signal_number, signal.getsignal(int(sys.argv[1])).name, flush=True)
    """
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with start(program, str(number.value)) as process:
            out, err = process.communicate(timeout=20)
    finally:
        signal.signal(number, before)
    assert (out, err, process.returncode) == ("None SIG_IGN\n", "", 0)


def test_the_first_signal_is_acknowledged_once() -> None:
    said: list[str] = []
    with StopRequest("saving; once more to stop", announce=said.append) as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.signal_number == signal.SIGINT
        assert said == ["saving; once more to stop"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert said == ["saving; once more to stop"]


@pytest.mark.parametrize("error", [BrokenPipeError(), RuntimeError("reentrant call"), ValueError()])
def test_a_terminal_that_is_gone_does_not_end_the_loop(error: Exception) -> None:
    def fail(words: str) -> None:
        raise error

    with StopRequest(announce=fail) as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.signal_number == signal.SIGTERM


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in StopRequest.SIGNALS]
    with StopRequest() as stop:
        assert stop.signal_number is None
        assert [signal.getsignal(number) for number in StopRequest.SIGNALS] != before
    assert [signal.getsignal(number) for number in StopRequest.SIGNALS] == before
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.signal_number == signal.SIGTERM
        assert [signal.getsignal(number) for number in StopRequest.SIGNALS] == before
    assert [signal.getsignal(number) for number in StopRequest.SIGNALS] == before


def test_handlers_are_put_back_after_an_error() -> None:
    before = signal.getsignal(signal.SIGINT)

    def fail() -> None:
        with StopRequest():
            raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        fail()
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_nothing_changes() -> None:
    before = signal.getsignal(signal.SIGINT)
    inside = []

    def work() -> None:
        with StopRequest() as stop:
            inside.extend([stop.signal_number, signal.getsignal(signal.SIGINT)])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [None, before]


def test_stopped_is_an_error_with_a_code_of_its_own() -> None:
    error = Stopped("stopped at step 3", signal.SIGTERM)
    assert isinstance(error, NSTError)
    assert (str(error), error.exit_code, Stopped.exit_code) == ("stopped at step 3", 143, 1)


# --- signals that raise --------------------------------------------------------------------------


@pytest.mark.parametrize("number", ENDS)
def test_an_end_from_outside_raises_as_ctrl_c_does(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as caught, ends_as_ctrl_c():
        signal.raise_signal(number)
    assert isinstance(caught.value, Terminated)
    assert caught.value.exit_code == 128 + number
    assert signal.getsignal(number) is before


def test_an_ignored_sigterm_stays_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with ends_as_ctrl_c():
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", StopRequest.SIGNALS)
def test_a_wish_to_stop_comes_before_the_end(number: signal.Signals) -> None:
    """Inside the front door: the first signal is a wish, the second acts at once."""
    with ends_as_ctrl_c(), StopRequest() as stop:
        signal.raise_signal(number)
        assert stop.signal_number == number
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


@pytest.mark.parametrize("number", StopRequest.SIGNALS)
def test_a_signal_waits_for_the_end_of_a_write(number: signal.Signals) -> None:
    done = []

    def write() -> None:
        with interrupts_held():
            signal.raise_signal(number)
            done.append("all of it")

    with ends_as_ctrl_c():
        before = signal.getsignal(number)
        with pytest.raises(KeyboardInterrupt):
            write()
        assert signal.getsignal(number) is before
    assert done == ["all of it"]

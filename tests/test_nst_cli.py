"""The front door: what a command raises becomes a line and an exit code. Truth: by hand."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from nst import __version__, cli

STUB = """
import typer
from nst import errors

app = typer.Typer()

@app.command()
def stub(how: str) -> None:
    \"\"\"A command that ends in many ways.\"\"\"
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "bug":
        raise ZeroDivisionError("a bug")
    if how != "well":
        raise getattr(errors, how)("photo.jpg: what is wrong; what to do")
    print("result")
"""


@pytest.fixture
def front_door(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    exit_code: Callable[..., int | str | None],
) -> Callable[..., int | str | None]:
    """Run ``nst`` with a command that stands in for a verb; return its exit code."""
    (tmp_path / "stub_command.py").write_text(STUB)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(cli.COMMANDS, "stub", cli.Entry("stub_command", "Ends in many ways."))

    return exit_code


@pytest.mark.parametrize(
    ("how", "code"),
    [("UsageError", 2), ("ImageError", 1), ("CheckpointError", 1), ("SomeFailed", 3)],
)
def test_our_errors_are_one_line(
    front_door: Callable[..., int], capsys: pytest.CaptureFixture[str], how: str, code: int
) -> None:
    assert front_door("stub", how) == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", "nst: photo.jpg: what is wrong; what to do\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("stylize", "a.jpg", "--strength", "50%"), "'--strength': this is no number"),
        (("stylize", "a.jpg", "--quality", "1.5"), "'--quality': this is no whole number"),
        (("stylize", "a.jpg", "--strenght", "1"), "no such option: --strenght"),
        (("--strength", "1"), "no such option: --strength"),
        (("stylize", "a.jpg", "--provider", "x"), "'--provider': 'x' is not one of 'auto', 'cpu'"),
        (("models", "rm", "x"), "no such command 'rm'; see `"),
        (("suggest",), "missing argument 'PHOTO'; see `"),
    ],
)
def test_what_cannot_be_parsed_is_one_line(
    exit_code: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    line: str,
) -> None:
    assert exit_code(*arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("nst: ")
    assert line in err


def test_a_command_that_ends_well(
    front_door: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert front_door("stub", "well") == 0
    assert capsys.readouterr() == ("result\n", "")


def test_ctrl_c(front_door: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert front_door("stub", "interrupt") == 130
    assert capsys.readouterr() == ("", "nst: stopped\n")


@pytest.mark.usefixtures("front_door")
def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError, match="a bug"):
        cli.main(["stub", "bug"])


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("stylise", "did you mean stylize?"),
        ("optimise", "did you mean optimize?"),
        ("zzz", "there"),
    ],
)
def test_a_command_that_is_not_there(
    front_door: Callable[..., int], capsys: pytest.CaptureFixture[str], typed: str, hint: str
) -> None:
    assert front_door(typed) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"nst: no command {typed}; {hint}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [("stub",), ("stub", "well", "--loud"), ("-x",)])
def test_usage(
    front_door: Callable[..., int], capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert front_door(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Usage: " in err or "--help`" in err


def test_the_first_help_page(
    front_door: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert front_door("--help") == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, entry in cli.COMMANDS.items():
        assert f" {name} {entry.summary[:20]}" in shown


def test_every_command_is_there() -> None:
    for name, entry in cli.COMMANDS.items():
        app = importlib.import_module(entry.module).app
        assert isinstance(app, typer.Typer), name
        assert entry.summary.endswith("."), name


def test_version(front_door: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert front_door("--version") == 0
    assert capsys.readouterr().out == f"nst {__version__}\n"

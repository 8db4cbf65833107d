"""The front door: one command, ``nst``, whose sub-commands are loaded when they are called.

Each sub-command lives in the ``cli`` module of its verb or in ``nst.commands``. Those modules
import nothing heavy before they run, so that ``nst --help`` stays fast.
"""

from __future__ import annotations

import difflib
import importlib
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from nst import __version__
from nst.errors import UsageError
from nst.interrupt import ends_as_ctrl_c
from nst.terminal import border


class Entry(NamedTuple):
    """One sub-command: the module whose ``app`` it is, and its line on the first help page."""

    module: str
    summary: str


COMMANDS = {
    "quickstart": Entry("nst.commands.quickstart", "A first style in minutes, nothing needed."),
    "train": Entry("nst.commands.train", "Train a network for one style image on photographs."),
    "optimize": Entry("nst.commands.optimize", "Paint one photograph slowly and well."),
    "export": Entry("export.cli", "Write a trained network as one ONNX file."),
    "stylize": Entry("infer.cli", "Paint pictures and videos with a model."),
    "webcam": Entry("infer.webcam_cli", "Paint what a camera sees, in a window."),
    "serve": Entry("infer.serve_cli", "A live studio in the browser, or a folder of it."),
    "suggest": Entry("infer.suggest_cli", "Say which styles suit a photograph."),
    "models": Entry("nst.commands.models", "Models by name: list, info, add, remove."),
    "evaluate": Entry("nst.commands.evaluate", "Judge a model on photographs it has not seen."),
    "distill": Entry(
        "nst.commands.distill", "Distil a small loss network from VGG-19; for researchers."
    ),
    "bench": Entry("nst.commands.bench", "Measure speed, ours beside what others do."),
    "doctor": Entry("nst.commands.doctor", "Check what is installed and what really works."),
}


CLICK_USAGE_ERROR: Any = typer.BadParameter.__bases__[0]
"""Of the click that typer brings with it."""
_WORDS = {
    "Value error, ": "",
    "Input should be a valid number, unable to parse string as a number": "this is no number",
    "Input should be a valid integer, unable to parse string as an integer": "this is no whole"
    " number",
}


def _in_our_words(error: Any) -> str:  # noqa: ANN401
    """Return one line for what typer would show as a box."""
    text = " ".join(error.format_message().split())
    for words, ours in _WORDS.items():
        text = text.replace(words, ours)
    path = error.ctx.command_path if error.ctx is not None else "nst"
    return f"{text[:1].lower()}{text[1:].rstrip('.')}; see `{path} --help`"


@contextmanager
def _without_boxes() -> Iterator[None]:
    """Raise what typer would show as a box as an error of ours."""
    try:
        yield
    except CLICK_USAGE_ERROR as error:
        if not error.args:  # no arguments at all, which is answered with the help
            raise
        raise UsageError(_in_our_words(error)) from None


class LazyGroup(TyperGroup):
    """A group that imports the module of a sub-command when that is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401
        """Return the names in the order of the work, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401
        """Return what the first help page needs to know; nothing is imported for it."""
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name].summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        """Import the module of the sub-command that was called.

        Raises:
            UsageError: There is none of that name; the closest one is named.
        """
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            close = difflib.get_close_matches(args[0], COMMANDS, n=1, cutoff=0.7)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(COMMANDS)}"
            raise UsageError(f"no command {args[0]}; {hint}")
        name, _, rest = super().resolve_command(ctx, args)
        if name is None:
            return name, None, rest
        command = typer.main.get_command(importlib.import_module(COMMANDS[name].module).app)
        command.name = name
        return name, command, rest

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        """Read what stands in front of the sub-command."""
        with border(), _without_boxes():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        """Run the sub-command; our errors become one line and an exit code, bugs stay bugs."""
        with ends_as_ctrl_c(), border(), _without_boxes():
            return super().invoke(ctx)


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(f"nst {__version__}")
        raise typer.Exit


@app.callback()
def front_door(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Train, export and run feed-forward style networks; optimise single images.

    A style image and photographs become a network (train), the network one ONNX file (export),
    and the file paints pictures, videos and the webcam (stylize, webcam).
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; always ends in ``SystemExit``."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that is no text goes out as it came in
        sys.stdout.reconfigure(errors="surrogateescape")
        if sys.platform == "win32" and not sys.stdout.isatty():  # else of some Western languages
            sys.stdout.reconfigure(encoding="utf-8")
    # Given, since typer would expand patterns itself on Windows, those of options too.
    app(sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    main(sys.argv[1:])

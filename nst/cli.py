"""The front door: one command, ``nst``, whose sub-commands are loaded when they are called.

Each sub-command lives in the ``cli`` module of its verb or in ``nst.commands``. Those modules
import nothing heavy before they run, so that ``nst --help`` stays fast.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from nst import __version__
from nst.errors import NSTError
from nst.terminal import say

COMMANDS = {
    "train": "nst.commands.train",
    "optimize": "nst.commands.optimize",
    "export": "export.cli",
    "stylize": "infer.cli",
    "webcam": "infer.webcam_cli",
    "evaluate": "nst.commands.evaluate",
    "bench": "nst.commands.bench",
    "doctor": "nst.commands.doctor",
}
"""The module of each sub-command; its ``app`` is a typer application."""


class LazyGroup(TyperGroup):
    """A group that imports the module of a sub-command when that is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401
        """Return the names in the order of the work, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401
        """Import the module of one sub-command and return it, None when there is no such one."""
        if cmd_name not in COMMANDS:
            return None
        command = typer.main.get_command(importlib.import_module(COMMANDS[cmd_name]).app)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        """Run the sub-command; our errors become one line and an exit code, bugs stay bugs."""
        try:
            return super().invoke(ctx)
        except NSTError as error:
            say(f"nst: {error}")
            raise SystemExit(error.exit_code) from None
        except KeyboardInterrupt as stop:
            say(f"nst: {str(stop) or 'stopped'}")
            raise SystemExit(130) from None


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False)


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
    app(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])

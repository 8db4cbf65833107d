"""Every command and flag as Markdown, from the program itself.

python docs/help_pages.py > docs/help.md
"""

from __future__ import annotations

import importlib
from typing import cast

import typer
from typer.cli import get_docs_for_click

from nst.cli import COMMANDS, app

HEAD = "<!-- written by `python docs/help_pages.py > docs/help.md` (a test compares) -->\n\n"


def help_pages() -> str:
    """Return the front page and the page of each command, in the order of ``nst --help``."""
    context = typer.Context(typer.main.get_command(app), info_name="nst")
    pages = [front_page()]
    for name, entry in COMMANDS.items():
        command = typer.main.get_command(importlib.import_module(entry.module).app)
        pages.append(get_docs_for_click(obj=command, ctx=context, name=f"nst {name}", indent=1))
    return HEAD + "\n".join(with_signs(page.rstrip()) + "\n" for page in pages)


def front_page() -> str:
    """Return what ``nst --help`` says, its commands as links."""
    words = cast("str", typer.main.get_command(app).help)
    rows = [f"* [`nst {name}`](#nst-{name}): {COMMANDS[name].summary}" for name in COMMANDS]
    return f"# Commands and flags\n\n{words}\n\n" + "\n".join(rows) + "\n"


def with_signs(page: str) -> str:
    """Return a page whose ``<style>`` behind the name of a flag is no HTML."""
    lines = []
    for line in page.splitlines():
        name, colon, words = line.partition("`: ")
        lines.append(name + colon + words.replace("<", "&lt;"))
    return "\n".join(lines)


if __name__ == "__main__":
    typer.echo(help_pages(), nl=False)

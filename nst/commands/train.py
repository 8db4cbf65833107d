"""``nst train``: the verb train, and the verb export at the end of every training."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import typer

from train.cli import app as train_app

app = typer.Typer(add_completion=False)

_train = train_app.registered_commands[0].callback
assert _train is not None


@app.command()
@functools.wraps(_train)
def train(**values: Any) -> None:  # noqa: ANN401
    """Train, then export what was trained."""
    assert _train is not None
    folder: Path = _train(**values)
    from export.cli import export_run

    export_run(folder, overwrite=True)  # a run that is resumed replaces what it wrote before

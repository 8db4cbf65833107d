"""``nst train``: the verb train, and the verb export at the end of every training."""

from __future__ import annotations

import functools
import os
from typing import Any

import typer

from train.cli import train as train_alone

app = typer.Typer(add_completion=False)


@app.command()
@functools.wraps(train_alone)
def train(**values: Any) -> None:  # noqa: ANN401
    """Train, then export what was trained."""
    folder = train_alone(**values)
    if int(os.environ.get("RANK", "0")):  # of several processes the first one exports
        return
    from export.cli import export

    # A run that is resumed replaces what it wrote before.
    export(folder, None, overwrite=True, json=values["as_json"])

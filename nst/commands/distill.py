"""``nst distill``: the verb train, and the network as ONNX at the end."""

from __future__ import annotations

import functools
from typing import Any

import typer

from nst.terminal import say
from train.distill_cli import distill as distill_alone

app = typer.Typer(add_completion=False)


@app.command()
@functools.wraps(distill_alone)
def distill(**values: Any) -> None:  # noqa: ANN401
    """Distil, then export what was distilled."""
    path = distill_alone(**values)
    from export.loss_network import export_loss_network

    export_loss_network(path, path.with_suffix(".onnx"))
    say(f"the same for ONNX Runtime: {path.with_suffix('.onnx')}")

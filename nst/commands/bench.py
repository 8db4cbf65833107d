"""``nst bench``: speed, measured here and now, ours beside what others do."""

from __future__ import annotations

import typer

from nst.commands.bench_infer import bench_infer
from nst.commands.bench_loss import bench_loss
from nst.commands.bench_nets import bench_nets
from nst.commands.bench_norm import bench_norm
from nst.commands.bench_optimize import bench_optimize
from nst.commands.bench_race import bench_race
from nst.commands.bench_train import bench_train

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure speed on this machine, ours beside what others do."""


app.command("infer")(bench_infer)
app.command("train")(bench_train)
app.command("norm")(bench_norm)
app.command("loss")(bench_loss)
app.command("race")(bench_race)
app.command("nets")(bench_nets)
app.command("optimize")(bench_optimize)

"""The command ``nst distill``; heavy modules are imported inside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nst.cache_folder import cache_folder
from nst.errors import UsageError
from nst.settings import given_flags, with_settings
from nst.terminal import progress, result, result_json, say
from train.distill_config import DistillConfig
from train.reading import Reading

if TYPE_CHECKING:
    from train.distill_run import DistillSession

app = typer.Typer(add_completion=False)


@app.command()
@with_settings(DistillConfig)
def distill(
    settings: DistillConfig,
    ctx: typer.Context,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="Photographs, as nst train takes them; several are joined."),
    ] = None,
    styles: Annotated[
        Path | None, typer.Option("--styles", help="A folder of paintings.", file_okay=False)
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", help="Go on with this run folder, and further with --steps."),
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", help="Where run folders are made.")] = Path(
        "runs"
    ),
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Where decoded photographs are kept.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> Path:
    """Distil a small loss network from VGG-19.

    Makes runs/compact-<n>/ with checkpoints, a log and, at the end, compact.safetensors, which
    --vgg takes and which is embedded as --loss-network compact.
    """
    from train.distill_run import new_distillation, resumed_distillation

    reading = Reading(
        announce=say,
        progress=progress,
        cache=cache or cache_folder(),
        workers=os.cpu_count() or 1,
    )
    if resume is not None:
        given = given_flags(DistillConfig, ctx, ("data", "styles", "runs"))
        if others := [flag for flag in given if flag != "--steps"]:
            raise UsageError(
                f"--resume takes all but --steps from the run: leave out {', '.join(others)}"
            )
        steps = settings.steps if given else None
        session = resumed_distillation(resume, steps=steps, reading=reading)
    elif not data or styles is None:
        raise UsageError("nst distill --data PHOTOGRAPHS --styles FOLDER_OF_PAINTINGS")
    else:
        session = new_distillation(data, styles, settings, runs=runs, reading=reading)
    path = _run(session)
    if as_json:
        result_json({"network": str(path), "step": session.distillation.step})
    else:
        result(str(path))
    return path


def _run(session: DistillSession) -> Path:
    from nst.files import held
    from nst.interrupt import Stopped, StopRequest

    steps = session.config.steps
    say(f"{len(session.photographs)} photographs; {steps} steps; run folder {session.folder}")
    with held(session.folder), StopRequest() as stop, progress("distilling", steps) as bar:
        bar.update(session.distillation.step)
        for line in session.steps(stop):
            bar.update(line.step, str(line))
    path = session.write()
    if session.stopped_by:
        raise Stopped(
            f"stopped at step {session.distillation.step}, saved; go on with:"
            f" nst distill --resume {session.folder}",
            session.stopped_by,
        )
    return path

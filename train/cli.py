"""The command ``nst train``; heavy modules are imported inside it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated

import typer

from nst.errors import OutputError, UsageError
from nst.settings import flag_of, with_settings
from nst.terminal import progress, result, say
from train.config import TrainConfig
from train.reading import Reading, default_cache

app = typer.Typer(add_completion=False)

WAYS = (
    "give photographs with --data coco (MS-COCO from the hub; --shards 4 takes 2 GB of 19) or"
    " --data FOLDER (searched recursively), or go on with a run by --resume RUN"
)


@app.command()
@with_settings(TrainConfig)
def train(
    settings: TrainConfig,
    ctx: typer.Context,
    style: Annotated[Path | None, typer.Argument(help="The style image.")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            help="Photographs: coco (MS-COCO from the Hugging Face hub, 19 GB, or 2 GB with"
            " --shards 4), a folder of pictures, .parquet files (a folder, a file, a pattern), or"
            " a data set of the hub as owner/name, owner/name@revision or owner/name:column. Give"
            " it several times to join several.",
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            help="Where decoded photographs are kept for the next style; else $NST_CACHE, else"
            " nst in the user's cache folder.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            help="Threads that decode and cut photographs; default one each core.",
            min=1,
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Go on with this run folder.")
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", help="Where run folders are made.")] = Path(
        "runs"
    ),
) -> Path:
    """Train a network for one style image on photographs.

    Makes runs/<style>-<n>/ with checkpoints, a log, previews and, at the end, the ONNX file.
    """
    from nst.interrupt import Stopped, StopRequest
    from train.session import Session, new_session, resumed_session

    reading = Reading(
        announce=say,
        progress=progress,
        cache=cache or default_cache(),
        workers=workers or os.cpu_count() or 1,
    )
    session: Session
    if resume is not None:
        _refuse_other_settings(style, ctx)
        session = resumed_session(resume, data=data, vgg=settings.vgg, reading=reading)
    elif style is None:
        raise UsageError("a style image is missing: nst train STYLE --data FOLDER")
    elif not data:
        raise UsageError(WAYS)
    else:
        session = new_session(style, data, settings, runs=runs, reading=reading)
    for line in session.describe():
        say(line)
    folder = session.run.folder
    if session.is_finished:
        say(f"{folder}: all {session.run.config.length} steps are done, nothing is left to train")
    with StopRequest() as stop, progress("training", session.run.config.length) as bar:
        try:
            for log_line in session.steps(stop):
                bar.update(log_line.step, str(log_line))
        except OutputError as error:
            raise OutputError(
                f"{error}; go on from the last checkpoint with: nst train --resume {folder}"
            ) from error
    if session.photographs.bad:
        say(f"{len(session.photographs.bad)} photographs could not be read: bad-files.txt")
    _plot(folder)
    if stop.signal_number is not None:
        raise Stopped(
            f"stopped at step {session.learner.step}, saved; go on with:"
            f" nst train --resume {folder}",
            stop.signal_number,
        )
    result(str(folder))
    return folder


def _refuse_other_settings(style: Path | None, ctx: typer.Context) -> None:
    """A resumed run keeps its settings; only places may be named anew."""
    given = [] if style is None else [str(style)]
    for field in dataclasses.fields(TrainConfig):
        source = ctx.get_parameter_source(field.name)
        if field.name != "vgg" and source is not None and source.name == "COMMANDLINE":
            given.append(flag_of(field))
    if given:
        raise UsageError(
            f"--resume takes style and settings from the run: leave out {', '.join(given)}; only"
            " --data and --vgg may be given beside it, for places that have moved, and --cache and"
            " --workers"
        )


def _plot(folder: Path) -> None:
    from train.records import save_loss_plot

    try:
        save_loss_plot(folder / "loss.png", folder / "log.jsonl")
    except ImportError:
        say("loss.png is not drawn: pip install 'nst[log]'")

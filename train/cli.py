"""The command ``nst train``; heavy modules are imported inside it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from nst.errors import OutputError, UsageError
from nst.settings import flag_of, with_settings
from nst.terminal import progress, result, say
from train.config import TrainConfig

app = typer.Typer(add_completion=False)

WAYS = (
    "give photographs with --data FOLDER (any folder of images, searched recursively;"
    " MS-COCO's train2017 is the usual choice), or go on with a run by --resume RUN"
)


@app.command()
@with_settings(TrainConfig)
def train(
    settings: TrainConfig,
    ctx: typer.Context,
    style: Annotated[Path | None, typer.Argument(help="The style image.")] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="A folder of photographs, searched recursively.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Go on with this run folder.")
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", help="Where run folders are made.")] = Path(
        "runs"
    ),
) -> Path:
    """Train a network for one style image on a folder of photographs.

    Makes runs/<style>-<n>/ with checkpoints, a log, previews and, at the end, the ONNX file.
    """
    from nst.interrupt import Stopped, StopRequest
    from train.session import Session, new_session, resumed_session

    session: Session
    if resume is not None:
        _refuse_other_settings(style, ctx)
        session = resumed_session(resume, data=data, vgg=settings.vgg, announce=say)
    elif style is None:
        raise UsageError("a style image is missing: nst train STYLE --data FOLDER")
    elif data is None:
        raise UsageError(WAYS)
    else:
        session = new_session(style, data, settings, runs=runs, announce=say)
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
    for reason in session.photographs.bad.values():
        say(f"skipped: {reason}")
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
            " --data and --vgg may be given beside it, for places that have moved"
        )


def _plot(folder: Path) -> None:
    from train.records import save_loss_plot

    try:
        save_loss_plot(folder / "loss.png", folder / "log.jsonl")
    except ImportError:
        say("loss.png is not drawn: pip install 'nst[log]'")

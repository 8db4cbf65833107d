"""The command ``nst train``; heavy modules are imported inside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nst.errors import OutputError, UsageError
from nst.settings import flag_of, with_settings
from nst.terminal import progress, result, result_json, say
from train.config import TrainConfig

if TYPE_CHECKING:
    from train.session import Session

app = typer.Typer(add_completion=False)

PLACES = ("vgg", "device")
"""Settings that may differ when a run is resumed."""

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
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> Path:
    """Train a network for one style image on a folder of photographs.

    Makes runs/<style>-<n>/ with checkpoints, a log, previews and, at the end, the ONNX file.
    Several GPUs: torchrun --nproc-per-node 8 -m train STYLE --data FOLDER ...
    """
    from train.distributed import Ranks, joined_ranks
    from train.setup import new_session, resumed_session

    if resume is not None:
        _refuse_other_settings(style, ctx)
    elif style is None:
        raise UsageError("a style image is missing: nst train STYLE --data FOLDER")
    elif data is None:
        raise UsageError(WAYS)

    def make(announce: Callable[[str], None], ranks: Ranks) -> Session:
        if resume is not None:
            given = {name: getattr(settings, name) for name in PLACES if _is_given(ctx, name)}
            return resumed_session(resume, data=data, places=given, announce=announce, ranks=ranks)
        assert style is not None
        assert data is not None
        return new_session(style, data, settings, runs=runs, announce=announce, ranks=ranks)

    with joined_ranks() as ranks:
        session = make(say if ranks.is_first else _keep_silent, ranks)
        _run(session)
    if ranks.is_first and as_json:
        result_json({"run": str(session.run.folder), "step": session.learner.step})
    elif ranks.is_first:
        result(str(session.run.folder))
    return session.run.folder


def _run(session: Session) -> None:
    """Train to the end and show how it goes.

    Raises:
        Stopped: Ctrl-C or SIGTERM came; all is saved.
        OutputError: The disk is full; the last checkpoint stays.
    """
    from nst.interrupt import Stopped, StopRequest

    folder, length = session.run.folder, session.run.config.length
    for line in session.describe():
        session.announce(line)
    if session.is_finished:
        session.announce(
            f"{folder}: all {length} steps are done, nothing is left to train; a new run goes on"
            f" from it with --init {folder}"
        )
    shown = progress("training", length) if session.ranks.is_first else nullcontext()
    with StopRequest() as stop, shown as bar:
        if bar is not None:
            bar.update(session.learner.step)
        try:
            for log_line in session.steps(stop):
                if bar is not None:
                    bar.update(log_line.step, str(log_line))
        except OutputError as error:
            raise OutputError(
                f"{error}; go on from the last checkpoint with: nst train --resume {folder}"
            ) from error
    for reason in session.photographs.bad.values():
        session.announce(f"skipped: {reason}")
    if session.photographs.bad:
        session.announce(
            f"{len(session.photographs.bad)} photographs could not be read: bad-files.txt"
        )
    if session.stopped_by:
        raise Stopped(
            f"stopped at step {session.learner.step}, saved; go on with:"
            f" nst train --resume {folder}",
            session.stopped_by,
        )


def _keep_silent(line: str) -> None:
    """What every process but the first says."""


def _refuse_other_settings(style: Path | None, ctx: typer.Context) -> None:
    """A resumed run keeps its settings; only places may be named anew."""
    given = [] if style is None else [str(style)]
    flags = {field.name: flag_of(field) for field in dataclasses.fields(TrainConfig)}
    flags["runs"] = "--runs"
    for name, flag in flags.items():
        if name not in PLACES and _is_given(ctx, name):
            given.append(flag)
    if given:
        raise UsageError(
            f"--resume takes style and settings from the run: leave out {', '.join(given)}; only"
            " --data, --vgg and --device may be given beside it, for places that have moved"
        )


def _is_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"

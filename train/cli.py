"""The command ``nst train``; heavy modules are imported inside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nst.cache_folder import cache_folder
from nst.errors import OutputError, UsageError
from nst.files import expanded
from nst.settings import given_flags, is_given, with_settings
from nst.terminal import Progress, progress, result, result_json, say
from train.config import TrainConfig
from train.reading import Reading

if TYPE_CHECKING:
    from train.session import Session

app = typer.Typer(add_completion=False)

SYNTHETIC = "synthetic"
NO_DATA = (
    "no --data: training on procedural pictures, --data synthetic; for photographs give --data"
    " FOLDER, or --data coco --shards 4 (2 GB from the hub)"
)

PLACES = ("vgg", "device")
"""Settings that may differ when a run is resumed."""


@app.command()
@with_settings(TrainConfig)
def train(
    settings: TrainConfig,
    ctx: typer.Context,
    styles: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="STYLE...",
            help="The style image; several make one network that mixes them at run time.",
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            help="Photographs: a folder of pictures, coco (MS-COCO from the Hugging Face hub, 19"
            " GB, or 2 GB with --shards 4), .parquet files (a folder, a file, a pattern), a data"
            " set of the hub as owner/name, owner/name@revision or owner/name:column, or synthetic"
            " (procedural pictures made here, synthetic:500 for so many; the default). Give it"
            " several times to join several.",
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
    add: Annotated[
        list[Path] | None,
        typer.Option(
            "--add",
            help="Add this style to the model that --init names, and train what is its own alone;"
            " several times for several. --thaw trains the whole network for all styles.",
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Go on with this run folder.")
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", help="Where run folders are made.")] = Path(
        "runs"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> Path:
    """Train a network for a style image, or for several, on photographs.

    Makes runs/<style>-<n>/ with checkpoints, a log, previews and, at the end, the ONNX file.
    Several GPUs: torchrun --nproc-per-node 8 -m train STYLE --data FOLDER ...
    """
    from train.distributed import joined_ranks
    from train.setup import new_session, resumed_session

    if resume is not None:
        _refuse_other_settings([*(styles or ()), *(add or ())], ctx)
    elif styles and add:
        raise UsageError("--add takes the new styles: leave out the style images before it")
    elif not styles and not add:
        raise UsageError("a style image is missing: nst train STYLE --data FOLDER")

    with joined_ranks() as ranks:
        reading = Reading(
            announce=say if ranks.is_first else _keep_silent,
            progress=progress if ranks.is_first else _show_nothing,
            cache=cache or cache_folder(),
            workers=workers or os.cpu_count() or 1,
        )
        if resume is not None:
            places = {name: getattr(settings, name) for name in PLACES if is_given(ctx, name)}
            session = resumed_session(
                resume, data=data, places=places, reading=reading, ranks=ranks
            )
        else:
            if not data:
                reading.announce(NO_DATA)
                data = [SYNTHETIC]
            session = new_session(
                expanded(styles or add or ()),
                data,
                settings,
                runs=runs,
                reading=reading,
                ranks=ranks,
                adds=bool(add),
                finds_net=not (is_given(ctx, "net") or is_given(ctx, "width")),
            )
        run_session(session)
    if ranks.is_first and as_json:
        result_json({"run": str(session.run.folder), "step": session.learner.step})
    elif ranks.is_first:
        result(str(session.run.folder))
    return session.run.folder


def run_session(session: Session, tell: Callable[[int], None] | None = None) -> None:
    """Train to the end and show how it goes.

    Args:
        session: What is trained.
        tell: Told the step of each line of the log, when all of that step is written.

    Raises:
        Stopped: Ctrl-C or SIGTERM came; all is saved.
        OutputError: The disk is full; the last checkpoint stays.
        UsageError: Another process trains in the run folder.
    """
    from nst.files import held
    from nst.interrupt import Stopped, StopRequest

    folder, length = session.run.folder, session.run.config.length
    for line in session.describe():
        session.reading.announce(line)
    if session.is_finished:
        session.reading.announce(
            f"{folder}: all {length} steps are done, nothing is left to train; a new run goes on"
            f" from it with --init {folder}"
        )
    alone = held(folder) if session.ranks.is_first else nullcontext()
    with alone, StopRequest() as stop, session.reading.progress("training", length) as bar:
        bar.update(session.learner.step)
        try:
            for log_line in session.steps(stop):
                bar.update(log_line.step, str(log_line))
                if tell is not None:
                    tell(log_line.step)
        except OutputError as error:
            raise OutputError(
                f"{error}; go on from the last checkpoint with: nst train --resume {folder}"
            ) from error
    if session.photographs.bad:
        session.reading.announce(
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


@contextmanager
def _show_nothing(label: str, total: float | None) -> Iterator[Progress]:
    """What every process but the first shows of its progress."""

    class Nothing:
        def update(self, completed: float, note: str = "") -> None:
            pass

    yield Nothing()


def _refuse_other_settings(styles: Sequence[Path], ctx: typer.Context) -> None:
    """A resumed run keeps its settings; only places may be named anew."""
    given = [str(style) for style in styles]
    places = {f"--{name}" for name in PLACES}
    given += [flag for flag in given_flags(TrainConfig, ctx, ["runs"]) if flag not in places]
    if given:
        raise UsageError(
            f"--resume takes style and settings from the run: leave out {', '.join(given)}; only"
            " --data, --vgg and --device may be given beside it, for places that have moved, and"
            " --cache and --workers"
        )

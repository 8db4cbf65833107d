"""The command ``nst stylize``. Nothing heavy is imported before it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import chain, groupby
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from infer.config import PaintConfig
from nst.errors import InferenceError, NSTError, SomeFailed, UsageError
from nst.settings import ColorTransfer, setting, with_settings
from nst.terminal import format_duration, progress, result, result_json, say

if TYPE_CHECKING:
    from infer.images import Record
    from infer.jobs import Job
    from infer.stylizer import Stylizer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")

STDOUT = "-"


@dataclass(frozen=True, kw_only=True)
class StylizeConfig(PaintConfig):
    """Settings of ``nst stylize``."""

    color_transfer: ColorTransfer = setting(
        "luminance",
        "How --original-colors keeps them: luminance, the photograph's colour at every place and"
        " only the light and dark of the painting; statistics, the painting's own colours moved so"
        " that their mean and covariance are the photograph's.",
        only_with=("original_colors", True),
    )
    restore_size: bool = setting(
        False, "Bring a reduced picture back to its own size.", flags=("--restore-size",)
    )
    format: Literal["png", "jpeg", "webp", "tiff"] | None = setting(
        None, "Format of the pictures; the photograph's own if not given, PNG on stdout."
    )
    quality: int = setting(95, "Quality of JPEG, WebP and videos, 1 to 100.", low=1, high=100)
    start: str | None = setting(
        None, "Of videos: where the part begins that is painted, seconds or hh:mm:ss."
    )
    duration: str | None = setting(
        None, "Of videos: how much is painted, seconds or hh:mm:ss; the sound is cut to match."
    )
    codec: str | None = setting(
        None,
        "Of films: h264, hevc, vp9, av1 or prores, as the suffix permits, or an encoder of a"
        " graphics card by FFmpeg's name, as h264_nvenc. Default: h264, and vp9 for .webm.",
    )
    max_pixels: int = setting(
        64_000_000, "The largest picture or frame that is read, width times height.", low=1
    )
    tile: str = setting(
        "auto",
        "Paint in tiles, with the result of the whole: auto, where the whole does not fit into"
        " memory; off; or the side of the tiles, px.",
    )
    overwrite: bool = setting(False, "Replace files that exist.", flags=("--overwrite",))
    skip_existing: bool = setting(
        False, "Leave inputs alone whose output exists.", flags=("--skip-existing",)
    )
    json: bool = setting(
        False, "Print one JSON object for each input to stdout.", flags=("--json",)
    )


@app.command()
@with_settings(StylizeConfig)
def stylize(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] INPUT",
            help="The style model, an ONNX file, a run folder or a name of `nst models list`, which"
            " --style can find instead; then pictures, videos, folders with them, patterns, or -"
            " for stdin.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="A file for one input, a folder for more, - for stdout."
            " Without it: photo-STYLE.jpg, or folder-STYLE/, where you are.",
        ),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            "--region",
            metavar="MASK=STYLE",
            help="Paint a part of the picture in a style of its own: MASK is a picture, white where"
            " that shall be. Several times for several, the last one on top; without --style the"
            " rest stays as it is.",
        ),
    ] = None,
    *,
    settings: StylizeConfig,
) -> None:
    """Paint pictures and videos in the style of a model.

    The paths of what was written go to stdout. An input that fails is named and the others are
    painted (exit code 3). No file is replaced unless you say so.

    - `nst stylize starry.onnx photo.jpg`
    - `nst stylize photo.jpg --style starry-night -o out.png`
    - `nst stylize starry.onnx holiday/ -o painted/ --size 2048`
    - `nst stylize starry.onnx film.mp4 -o part.webp --start 1:30 --duration 5`
    - `curl URL | nst stylize starry.onnx - -o - > painted.png`
    """
    _check_flags(output, settings)
    # Here, so that `nst --help` does not wait for numpy and ONNX Runtime.
    from infer.frames import cut_of
    from infer.jobs import check_targets, find_jobs, is_batch, place, style_name
    from infer.model_choice import model_and_inputs, wishes_of
    from infer.stylizer import Stylizer
    from infer.video_format import encoder_for, output_format

    cut_of(settings.start, settings.duration)
    regions = [_region(text) for text in region or ()]
    wishes = wishes_of(settings.style, settings.gradient, regions)
    model, inputs = model_and_inputs(arguments, wishes, settings.net, say)
    found = find_jobs(inputs)
    for name in ("start", "duration", "codec"):
        if getattr(settings, name) is not None and not any(job.is_moving for job in found):
            raise UsageError(f"--{name} is for videos, and none is given")
    if settings.format is not None and all(job.is_moving for job in found):
        raise UsageError(
            f"--format {settings.format} is for pictures, and here only videos are given; name"
            " the video, as in -o painted.mkv"
        )
    paint = Stylizer(
        model,
        provider=settings.provider,
        threads=settings.threads,
        size=settings.size or None,
        restore_size=settings.restore_size,
        brush=settings.brush,
        original_colors=settings.original_colors,
        color_transfer=settings.color_transfer,
        strength=settings.strength,
        style=settings.style,
        gradient=settings.gradient,
        regions=regions,
        texture=settings.texture,
        max_pixels=settings.max_pixels,
        tile=settings.tile,
        announce=say,
    )
    say(paint.session.describe_provider())
    jobs = place(
        found,
        output,
        style=style_name(paint.label, model),
        format=settings.format,
        has_folder=is_batch(inputs),
        masks=[mask for mask, _ in regions],
    )
    if len(jobs) < len(found):
        say(f"{len(found) - len(jobs)} files in the output folder are left out")
    check_targets(jobs, may_exist=settings.overwrite or settings.skip_existing)
    for job in jobs:
        if job.is_moving and job.target is not None:
            output_format(job.target)
            if settings.codec is not None:
                encoder_for(job.target, settings.codec)
        if job.note:
            say(f"{job.name}: {job.note}")
    _report(paint, _paint(paint, jobs, settings), jobs, settings)


def _region(text: str) -> tuple[str, str]:
    """Split ``MASK=STYLE``."""
    mask, sign, style = text.rpartition("=")
    if not sign or not mask or not style:
        raise UsageError(f"--region {text}: write MASK=STYLE, as in sky.png=wave")
    return mask, style


def _check_flags(output: str | None, settings: StylizeConfig) -> None:
    if settings.overwrite and settings.skip_existing:
        raise UsageError("--overwrite and --skip-existing exclude each other")
    if output == STDOUT and settings.json:
        raise UsageError("-o - and --json both want stdout; write to a file to get JSON")
    if output == STDOUT and sys.stdout.isatty():
        raise UsageError("-o - writes a picture to stdout, and stdout is the terminal; redirect it")


def _paint(
    paint: Stylizer, jobs: Sequence[Job], settings: StylizeConfig
) -> Generator[Record, None, None]:
    """Yield a record for each job; a row of pictures shares one bar, a video has its own."""
    from infer.images import Record

    for is_moving, group in groupby(jobs, key=lambda job: job.is_moving):
        todo = []
        for job in group:
            if settings.skip_existing and job.target is not None and job.target.exists():
                yield Record(name=job.name, target=job.target, is_skipped=True)
            else:
                todo.append(job)
        if is_moving:
            for job in todo:
                yield _paint_moving(paint, job, settings)
        else:
            yield from _paint_still(paint, todo, settings)


def _paint_still(
    paint: Stylizer, jobs: Sequence[Job], settings: StylizeConfig
) -> Generator[Record, None, None]:
    from infer.images import paint_image

    if len(jobs) == 1:  # else the bar is that of the pictures
        paint.painter.bars = progress
    with progress("painting", len(jobs)) if len(jobs) > 1 else nullcontext() as bar:
        for done, job in enumerate(jobs, start=1):
            yield paint_image(
                paint,
                job,
                overwrite=settings.overwrite,
                format=settings.format or "png",
                quality=settings.quality,
            )
            if bar is not None:
                bar.update(done, job.name)


def _paint_moving(paint: Stylizer, job: Job, settings: StylizeConfig) -> Record:
    from infer.frames import cut_of
    from infer.images import Record, paint_moving

    with closing(
        paint_moving(
            paint,
            job,
            overwrite=settings.overwrite,
            quality=settings.quality,
            codec=settings.codec,
            cut=cut_of(settings.start, settings.duration),
            announce=say,
        )
    ) as records:
        first = next(records)
        if isinstance(first, Record):
            return first
        shown = 0
        with progress(job.name, first.total_frames) as bar:
            for record in chain([first], records):
                if isinstance(record, Record):
                    return record
                if record.frame > shown:  # the last one is that of the finished file
                    bar.update(record.frame)
                shown = record.frame
                for note in record.notes:
                    say(note)
    raise AssertionError("the last record of a job is its Record")


def _report(
    paint: Stylizer,
    records: Generator[Record, None, None],
    jobs: Sequence[Job],
    settings: StylizeConfig,
) -> None:
    """Print what became of each input, and end with the error that fits.

    Raises:
        NSTError: The error of the only input.
        InferenceError: Every input failed.
        SomeFailed: Some inputs failed.
    """
    n = len(jobs)
    failed: list[NSTError] = []
    painted, skipped, is_hinted = 0, 0, False
    started_at = time.monotonic()
    with closing(records):
        try:
            for record in records:
                if settings.json:
                    result_json(record.to_json() | _painter_of(paint, record))
                if record.error is not None:
                    failed.append(record.error)
                    if n > 1:
                        say(f"nst: {record.error}")
                    continue
                if record.is_skipped:
                    skipped += 1
                    say(f"{record.name}: skipped, {record.target} exists")
                    continue
                painted += 1
                if record.target is not None and not settings.json:
                    result(str(record.target))
                if record.frames is not None and not settings.json:
                    say(record.pace())
                _say_notes(record, with_hint=not is_hinted and not paint.restore_size)
                is_hinted |= record.is_reduced
        except KeyboardInterrupt:
            if n > 1:
                say(f"{painted} of {n} inputs painted; add --skip-existing to go on from there")
            raise
    if n > 1 and not failed:
        left = f", {skipped} skipped" if skipped else ""
        took = format_duration(time.monotonic() - started_at)
        say(f"{painted} of {n} inputs painted{left}, {took}")
    if failed:
        raise _failure(failed, n)


def _painter_of(paint: Stylizer, record: Record) -> dict[str, str]:
    """Return what JSON tells of the model; of the style where something was painted."""
    values = {"model": paint.session.name, "provider": paint.session.obtained}
    if record.error is None and not record.is_skipped:
        values["style"] = paint.label
    return values


def _failure(failed: Sequence[NSTError], n: int) -> NSTError:
    if n == 1:
        return failed[0]
    if len(failed) == n:
        return InferenceError(f"none of the {n} inputs could be painted")
    return SomeFailed(f"{len(failed)} of {n} inputs failed, the others were written")


def _say_notes(record: Record, *, with_hint: bool) -> None:
    """Say what was done to a picture beside the painting; the first time, how to have it else."""
    lines = [f"{record.name}: {note}" for note in record.notes]
    if record.is_reduced and with_hint:
        lines[-1] += "; --size 0 for all of it, --restore-size to bring it back"
    for line in lines:
        say(line)

"""What the command line names, as jobs: which picture is read, and which file is written.

Everything that can be refused before the first picture is painted is refused here.
"""

from __future__ import annotations

import glob
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from infer.video_format import FORMATS, PICTURE_FORMATS, VIDEO_SUFFIXES, output_suffix
from nst.contract import safe_name
from nst.errors import ImageError, NSTError, OutputError, UsageError
from nst.files import is_pattern
from nst.image import check_output, find_images, is_animated

Format = Literal["png", "jpeg", "webp", "tiff"]
"""Formats that are written."""

SUFFIXES: dict[Format, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif"}
KEPT_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
"""Photographs of these kinds keep their kind; every other becomes a PNG."""

STANDARD_STREAM = "-"


@dataclass(frozen=True, slots=True)
class Job:
    """One input and its output."""

    name: str
    """The input as the user knows it."""
    source: Path | None
    """The file to read; None: stdin."""
    target: Path | None = None
    """The file to write; None: stdout."""
    within: Path | None = None
    """The folder that was named and in which the file was found."""
    is_moving: bool = False
    """Whether it is a video or an animated picture."""
    problem: NSTError | None = None
    """Why it cannot be read at all."""
    note: str = ""
    """What to say of the choice of its output."""


def find_jobs(inputs: Sequence[str]) -> list[Job]:
    """Expand what the user named: files, folders and all below them, patterns, ``-`` for stdin.

    What names nothing becomes a job with a problem, so that the other inputs can be painted. A
    file that is named in several ways is one job, in the place of the first.

    Args:
        inputs: The arguments of the command.

    Raises:
        UsageError: stdin is named twice, or an input is empty.
    """
    if list(inputs).count(STANDARD_STREAM) > 1:
        raise UsageError("- (stdin) can be named once only")
    if "" in inputs:
        raise UsageError("one of the INPUTs is empty; a folder that is meant is written .")
    found: list[Job] = []
    for text in inputs:
        if text == STANDARD_STREAM:
            found.append(Job("stdin", None))
        elif Path(text).is_dir():
            found += _in_folder(Path(text))
        elif is_pattern(text):
            found += _matching(text)
        else:
            found.append(_of_file(Path(text)))
    return _once(found)


def is_batch(inputs: Sequence[str]) -> bool:
    """Whether a folder or a pattern was named, so that the number of pictures is open."""
    return any(Path(text).is_dir() or is_pattern(text) for text in inputs)


def style_name(label: str, model: str | Path) -> str:
    """Return what is painted as a part of a file name; the model's where that gives none."""
    return safe_name(label) or safe_name(Path(model).stem) or "styled"


def place(
    jobs: Sequence[Job],
    output: str | None,
    *,
    style: str,
    format: Format | None,
    has_folder: bool,
    masks: Sequence[str] = (),
) -> list[Job]:
    """Give each job its output.

    Where the output folder lies inside an input folder, what is in it already are paintings of an
    earlier run: those are left out.

    Args:
        jobs: The inputs.
        output: What ``--output`` names: a file for one input, a folder for more, ``-`` for stdout.
            None: ``<stem>-<style>`` in the current folder, and ``<folder>-<style>/`` for a folder.
        style: Name of the style, for names of files.
        format: Format that was asked for; None keeps the photograph's where it can be written.
        has_folder: Whether a folder or a pattern was named, so that a single picture in it does not
            change what ``--output`` means.
        masks: Files that are read too.

    Raises:
        UsageError: The output fits neither the number of inputs nor the format, two inputs would
            write the same file, or a photograph or a mask would be written over.
    """
    if all(job.problem is not None for job in jobs):
        return list(jobs)  # nothing is written: what is wrong with them matters more than where
    if output == "":
        raise UsageError("-o is empty; the folder where you are is written .")
    if output == STANDARD_STREAM:
        if len(jobs) != 1 or has_folder:
            raise UsageError(f"-o - writes one picture to stdout, found {len(jobs)} inputs")
        if jobs[0].is_moving:
            raise UsageError(f"{jobs[0].name} moves; -o - writes still pictures only, give a file")
        return [replace(jobs[0], target=None)]
    is_one = len(jobs) == 1 and not has_folder
    if output is not None and not _is_folder(output, is_one=is_one):
        _check_suffix(output, format)
        placed = [replace(jobs[0], target=Path(output))]
    else:
        placed = []
        for job in jobs:
            folder = _folder_for(job, output, style)
            if not _is_painting(job, folder):
                suffix = _suffix(job, format)
                name = _file_name(job, output, style, suffix)
                placed.append(replace(job, target=folder / name, note=_note(job, suffix)))
        if not placed:
            raise UsageError(f"all inputs lie in the output folder {folder}; give another --output")
        placed = _apart(placed)
    _check_clashes(placed, masks)
    return placed


def existing(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs whose output is there already."""
    return [job for job in jobs if job.target is not None and job.target.exists()]


def check_targets(jobs: Sequence[Job], *, may_exist: bool) -> None:
    """Refuse outputs that could not be written, before the work and not after it.

    Raises:
        OutputError: One exists and ``may_exist`` is False, or is a folder.
        UsageError: There is no format of that suffix.
    """
    for job in jobs:
        if job.target is not None and not job.is_moving and job.problem is None:
            check_output(job.target, overwrite=True)
    there = existing(jobs)
    if there and not may_exist:
        more = f" and {len(there) - 1} more outputs exist" if len(there) > 1 else " exists"
        raise OutputError(
            f"{there[0].target}{more} already; --overwrite to replace, --skip-existing to leave"
        )


def _in_folder(folder: Path) -> list[Job]:
    lost: list[Job] = []
    paths = find_images(
        folder,
        also=(*VIDEO_SUFFIXES, *PICTURE_FORMATS),
        unreadable=lambda name, why: lost.append(_lost(name, why)),
    )
    if not paths and not lost:
        return [_lost(str(folder), f"{folder}: no pictures or videos in this folder")]
    jobs = [replace(_of_file(path), within=folder) for path in paths]
    jobs.sort(key=lambda job: job.is_moving)  # a film takes as long as many pictures
    return lost + jobs


def _once(jobs: Sequence[Job]) -> list[Job]:
    """Return the first of the jobs for each file."""
    first: dict[object, Job] = {}
    for job in jobs:
        first.setdefault(job.source and _key(job.source), job)
    return list(first.values())


def _matching(pattern: str) -> list[Job]:
    paths = sorted(Path(p) for p in glob.glob(pattern, recursive=True))  # noqa: PTH207
    files = [path for path in paths if path.is_file()]
    if not files:
        return [_lost(pattern, f"{pattern}: no file matches")]
    return [_of_file(path) for path in files]


def _of_file(path: Path) -> Job:
    if not path.exists():
        return _lost(str(path), f"{path}: no such file")
    is_video = path.suffix.lower() in VIDEO_SUFFIXES
    return Job(str(path), path, is_moving=is_video or is_animated(path))


def _lost(name: str, message: str) -> Job:
    return Job(name, Path(name), problem=ImageError(message))


def _is_folder(output: str, *, is_one: bool) -> bool:
    """Whether ``--output`` means a folder; what could be either is refused."""
    path = Path(output)
    if output.endswith(("/", os.sep)) or path.is_dir():
        return True
    if is_one and path.suffix:
        return False
    if is_one:
        raise UsageError(
            f"-o {output} is no folder that exists and has no suffix;"
            f" write {output}.png for a file or {output}/ for a folder"
        )
    if path.is_file() or path.suffix.lower() in (*KEPT_SUFFIXES, *FORMATS, *PICTURE_FORMATS):
        raise UsageError(
            f"-o {output} is one file for several inputs; give a folder, as in -o out/"
        )
    return True


def _check_suffix(output: str, format: Format | None) -> None:
    if format is None:
        return
    same = {".jpeg": ".jpg", ".tiff": ".tif"}
    suffix = Path(output).suffix.lower()
    if same.get(suffix, suffix) != SUFFIXES[format]:
        raise UsageError(f"-o {output} and --format {format} do not agree; leave one out")


def _suffix(job: Job, format: Format | None) -> str:
    own = job.source.suffix if job.source is not None else ""
    if job.is_moving and job.source is not None:
        return output_suffix(job.source)
    if format is not None:
        return SUFFIXES[format]
    return own if own.lower() in KEPT_SUFFIXES else ".png"


def _note(job: Job, suffix: str) -> str:
    is_other = job.source is not None and job.source.suffix.lower() != ".mkv"
    if job.is_moving and is_other and suffix == ".mkv":
        return "is written as .mkv, because an .mp4 cannot hold its sound"
    return ""


def _folder_for(job: Job, output: str | None, style: str) -> Path:
    if output is not None:
        return Path(output)
    if job.within is not None:
        return Path(f"{job.within.resolve().name or 'pictures'}-{style}")
    return Path()


def _is_painting(job: Job, folder: Path) -> bool:
    """Whether a picture found below an input folder lies in the output folder inside that."""
    if job.within is None or job.source is None:
        return False
    within, folder = job.within.resolve(), folder.resolve()
    is_inside = folder != within and folder.is_relative_to(within)
    return is_inside and job.source.resolve().is_relative_to(folder)


def _file_name(job: Job, output: str | None, style: str, suffix: str) -> Path:
    """Return the name below the output folder; the folders below an input folder are kept."""
    if job.within is not None and job.source is not None:
        return job.source.relative_to(job.within).with_name(job.source.stem + suffix)
    stem = job.source.stem if job.source is not None else "stdin"
    return Path(stem + suffix if output is not None else f"{stem}-{style}{suffix}")


def _apart(jobs: Sequence[Job]) -> list[Job]:
    """Give a painting the photograph's whole name, a.bmp.png, where it would clash with another.

    One that keeps its suffix keeps its name too, whatever lies beside it.
    """
    count = Counter(_key(job.target) for job in jobs if job.target is not None)

    def apart(job: Job) -> Job:
        source, target = job.source, job.target
        if source is None or target is None or source.suffix == target.suffix:
            return job
        name = source.name + target.name.removeprefix(source.stem)
        return replace(job, target=target.with_name(name)) if count[_key(target)] > 1 else job

    return [apart(job) for job in jobs]


def _check_clashes(jobs: Sequence[Job], masks: Sequence[str]) -> None:
    sources = {_key(job.source): job.name for job in jobs if job.source is not None}
    kept = {_key(Path(mask)): mask for mask in masks}
    writers: dict[str, str] = {}
    for job in jobs:
        if job.target is None:
            continue
        key = _key(job.target)
        if key in sources:
            which = "itself" if sources[key] == job.name else sources[key]
            raise UsageError(
                f"{job.name}: the painting would be written over the photograph {which};"
                " give another --output"
            )
        if key in kept:
            raise UsageError(
                f"{job.name}: the painting would be written over the mask {kept[key]};"
                " give another --output"
            )
        if key in writers:
            raise UsageError(
                f"{writers[key]} and {job.name} would both write {job.target};"
                " paint them with two commands, into two folders"
            )
        writers[key] = job.name


def _key(path: Path) -> str:
    """Return what is alike for two names of one file: macOS and Windows take a for A."""
    key = os.path.normcase(path.resolve())
    return key.casefold() if sys.platform == "darwin" else key

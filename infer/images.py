"""Painting one job: a record says what became of it, so that one failure stops no other."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from infer.frames import WHOLE, Cut
from infer.jobs import Format, Job
from infer.stylizer import Stylizer
from nst.errors import NSTError, OutputError
from nst.files import describe
from nst.image import Picture, check_output, encode_image, save_image

if TYPE_CHECKING:
    from infer.video import VideoRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What became of one input."""

    name: str
    """The input as the user knows it."""
    target: Path | None = None
    """The file that was written; None: stdout, or nothing."""
    width: int = 0
    """Size of what was written, px."""
    height: int = 0
    decode_ms: float = 0.0
    """Reading the photograph."""
    paint_ms: float = 0.0
    """The network, with resizing and colours."""
    write_ms: float = 0.0
    """Encoding and writing."""
    wait_ms: float = 0.0
    """Of a video, whose stages overlap: what the painter waited for the other two."""
    total_ms: float = 0.0
    """Of a video: all of it."""
    notes: tuple[str, ...] = ()
    """What was done to the picture beside the painting."""
    frames: int | None = None
    """Frames of a video; None for a still picture."""
    is_reduced: bool = False
    """Whether the network saw less than all pixels of the photograph."""
    is_skipped: bool = False
    """Whether it was left alone because its output exists."""
    error: NSTError | None = None
    """Why it failed."""

    def to_json(self) -> dict[str, Any]:
        """Return the record as one flat object."""
        if self.error is not None:
            return {"input": self.name, "output": None, "error": str(self.error)}
        values: dict[str, Any] = {
            "input": self.name,
            "output": None if self.target is None else str(self.target),
        }
        if self.is_skipped:
            return values | {"skipped": True}
        values |= {"width": self.width, "height": self.height, "paint_ms": round(self.paint_ms, 1)}
        values["decode_ms"] = round(self.decode_ms, 1)
        values["write_ms"] = round(self.write_ms, 1)
        if self.frames is not None:
            values["wait_ms"] = round(self.wait_ms, 1)
            values["total_ms"] = round(self.total_ms, 1)
            values["frames"] = self.frames
        return values | {"notes": list(self.notes)}

    def pace(self) -> str:
        """Say how long a video took, and which of its stages, which overlap, set the pace."""
        stages = {
            "decoding": self.decode_ms,
            "painting": self.paint_ms,
            "encoding": self.write_ms,
        }
        parts = ", ".join(f"{name} {ms / 1e3:.1f} s" for name, ms in stages.items())
        slowest = max(stages, key=lambda name: stages[name])
        return (
            f"{self.name}: {self.frames} frames in {self.total_ms / 1e3:.1f} s; at the same time"
            f" {parts}: {slowest} sets the pace"
        )


def paint_image(
    paint: Stylizer,
    job: Job,
    *,
    overwrite: bool = False,
    format: Format = "png",
    quality: int = 95,
    stdin: BinaryIO | None = None,
    stdout: BinaryIO | None = None,
) -> Record:
    """Paint one still picture; what a user can act on ends in the record, not in an exception.

    Args:
        paint: The model.
        job: The input with its output.
        overwrite: Whether a file that exists may be replaced.
        format: Format of a picture that goes to stdout; a file's is in its suffix.
        quality: Of JPEG and WebP, 1 to 100.
        stdin: Where a job without a source is read from; None: the program's.
        stdout: Where a job without a target is written to; None: the program's.
    """
    try:
        if job.problem is not None:
            raise job.problem
        started_at = time.perf_counter()
        source = job.source or stdin or sys.stdin.buffer
        photograph = paint.read(source, name=job.name)
        if job.target is not None:  # a JPEG holds no transparency: said before the work
            has_alpha = photograph.alpha is not None
            check_output(job.target, overwrite=overwrite, has_alpha=has_alpha)
        read_at = time.perf_counter()
        chosen: tuple[str, ...] = ()
        if paint.is_choosing:
            chosen = (f"style {paint.choose(photograph.rgb, name=job.name)}",)
        painted = paint(photograph, name=job.name)
        painted_at = time.perf_counter()
        if job.target is not None:
            save_image(job.target, painted.rgb, painted.alpha, overwrite=overwrite, quality=quality)
        else:
            _write(stdout or sys.stdout.buffer, painted, format, quality)
    except NSTError as error:
        return Record(name=job.name, error=error)
    return Record(
        name=job.name,
        target=job.target,
        width=painted.width,
        height=painted.height,
        decode_ms=(read_at - started_at) * 1e3,
        paint_ms=(painted_at - read_at) * 1e3,
        write_ms=(time.perf_counter() - painted_at) * 1e3,
        notes=chosen + painted.notes,
        is_reduced=paint.is_reduced(photograph.height, photograph.width),
    )


def paint_moving(
    paint: Stylizer,
    job: Job,
    *,
    overwrite: bool = False,
    quality: int = 95,
    codec: str | None = None,
    cut: Cut = WHOLE,
    announce: Callable[[str], object] = lambda line: None,
) -> Generator[VideoRecord | Record, None, None]:
    """Paint a video or an animated picture: yield one record for each frame, last one for the job.

    Args:
        paint: The model; its size, colours and strength hold for every frame.
        job: The input with its output, both files.
        overwrite: Whether a file that exists may be replaced.
        quality: Of the film, 1 to 100.
        codec: Of the film, as ``infer.video.stylize_video`` takes it.
        cut: The part that is wanted.
        announce: Told, when the painting is stopped, which file holds how many frames.
    """
    from infer.video import stylize_video  # here, because pictures do not need it

    if job.source is None or job.target is None:
        raise ValueError("a video is read from a file and written to a file")
    seen: list[Picture] = []
    is_reduced = False

    def paint_frame(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        nonlocal is_reduced
        if paint.is_choosing and not seen:
            style = paint.choose(frame, name=job.name)
            announce(f"{job.name}: style {style}, which suits its first picture")
        painted = paint(frame, name=job.name)
        if not seen:
            seen.append(painted)
            is_reduced = paint.is_reduced(frame.shape[0], frame.shape[1])
        return painted.rgb

    frames, times = 0, None
    try:
        records = stylize_video(
            paint_frame,
            job.source,
            job.target,
            overwrite=overwrite,
            quality=quality,
            codec=codec,
            cut=cut,
            max_pixels=paint.max_pixels,
            announce=announce,
        )
        with contextlib.closing(records):
            for record in records:
                frames, times = record.frame, record.times
                yield record
    except NSTError as error:
        yield Record(name=job.name, error=error)
        return
    assert times is not None  # the last record of a film that was written has them
    yield Record(
        name=job.name,
        target=job.target,
        width=seen[0].width if seen else 0,
        height=seen[0].height if seen else 0,
        frames=frames,
        decode_ms=times.decode_s * 1e3,
        paint_ms=times.paint_s * 1e3,
        write_ms=times.encode_s * 1e3,
        wait_ms=times.waiting_s * 1e3,
        total_ms=times.total_s * 1e3,
        notes=seen[0].notes if seen else (),
        is_reduced=is_reduced,
    )


def _write(stdout: BinaryIO, picture: Picture, format: Format, quality: int) -> None:
    try:
        stdout.write(encode_image(picture.rgb, picture.alpha, format=format, quality=quality))
        stdout.flush()
    except OSError as error:
        raise OutputError(f"stdout: the picture cannot be written, {describe(error)}") from None

"""``nst optimize``: paint one photograph slowly and well, the reference of every fast model."""

from __future__ import annotations

import dataclasses
import glob
import json
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nst.config import OptimizeConfig
from nst.errors import InferenceError, OutputError, UsageError
from nst.settings import is_given, with_settings
from nst.terminal import format_duration, progress, result, result_json, say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from nst.canvas import Canvas
    from nst.interrupt import StopRequest
    from nst.judge import Paint
    from nst.optimize import OptimizeRecord
    from nst.weights import VGGWeights

app = typer.Typer(add_completion=False)


@app.command()
@with_settings(OptimizeConfig)
def optimize(
    settings: OptimizeConfig,
    ctx: typer.Context,
    photo: Annotated[Path, typer.Argument(help="The photograph.")],
    styles: Annotated[
        list[Path], typer.Argument(metavar="STYLE...", help="The style image, or several.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture to write.")],
    style_weights: Annotated[
        str | None,
        typer.Option(
            "--style-weights", help="What each of several style images counts, as in 0.7,0.3."
        ),
    ] = None,
    masks: Annotated[
        list[Path] | None,
        typer.Option(
            "--mask",
            help="Where a style image shall be: a picture, white there; once for each style image,"
            " in their order.",
        ),
    ] = None,
    init_model: Annotated[
        str | None,
        typer.Option(
            "--init-model",
            metavar="MODEL",
            help="Start from what a style model paints, the ONNX file of nst export or a name of"
            " `nst models list`; it is refined at one size unless --scales says more.",
        ),
    ] = None,
    init_style: Annotated[
        str | None,
        typer.Option("--init-style", help="Of an --init-model of several styles which, or a mix."),
    ] = None,
    bits: Annotated[int, typer.Option(help="Bits of a channel: 8, or 16 in PNG and TIFF.")] = 8,
    save_every: Annotated[
        int,
        typer.Option(
            help="Iterations, over all sizes, between pictures OUT-000050.png; 0: none.", min=0
        ),
    ] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The record on stdout too.")] = False,
) -> None:
    """Paint one photograph in the style of one image, or of several, by optimising its pixels.

    Beside the picture stands OUT.json: settings, files, and J, S, C and the time of every
    iteration. Both are written after each size and at a stop too. Ctrl-C stops after the iteration,
    a second one at once; the last picture is kept in both cases.
    """
    from nst.files import check_writable
    from nst.image import check_output
    from nst.interrupt import Stopped, StopRequest

    check_output(output, overwrite=overwrite, bits=bits)
    for source in (photo, *styles, *(masks or ()), Path(settings.init)):
        if output.exists() and source.exists() and output.samefile(source):
            raise UsageError(f"-o {output}: the painting would replace {source}; name another file")
    check_writable(output)
    if not overwrite:
        _refuse_to_replace(output, has_pictures_on_the_way=save_every > 0)
    paint: Paint | None = None
    if init_model is not None:
        from infer.stylizer import Stylizer
        from nst.registry import chosen

        settings = _from_model(settings, ctx)
        model = Stylizer(chosen(init_model, say), size=None, style=init_style, announce=say)
        say(f"{init_model}: {model.session.describe_provider()}")

        def paint(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return model(rgb, name=str(photo)).rgb
    elif init_style is not None:
        raise UsageError("--init-style belongs to --init-model")
    job = _Job.prepare(
        photo,
        styles,
        output,
        settings,
        bits=bits,
        style_weights=_numbers(style_weights),
        masks=masks or (),
        init_model=init_model,
        paint=paint,
    )
    failure: InferenceError | None = None
    with StopRequest() as stop:
        try:
            job.run(stop, save_every=save_every)
        except KeyboardInterrupt:  # asked twice
            if job.last is None:
                raise
        except InferenceError as error:
            if job.last is None:
                raise
            failure = error
        with StopRequest("saving; once more to stop without it"):
            job.write()
    say(job.summary())
    if failure is not None:
        raise InferenceError(f"{failure}; {job.what_is_kept()}")
    if not job.is_complete:
        raise Stopped(f"stopped; {job.what_is_kept()}", stop.signal_number or signal.SIGINT)
    if as_json:
        result_json(job.record())
    else:
        result(str(output))


def _refuse_to_replace(output: Path, *, has_pictures_on_the_way: bool) -> None:
    """Look for everything that will stand beside the picture, before the work."""
    beside = [output.with_suffix(".json")]
    if has_pictures_on_the_way:
        digits = "[0-9]" * 6
        stem = glob.escape(output.stem)
        beside += sorted(output.parent.glob(f"{stem}-{digits}{glob.escape(output.suffix)}"))
    for path in beside:
        if path.exists():
            raise OutputError(f"{path} exists; pass --overwrite to replace it")


@dataclasses.dataclass(eq=False)
class _Job:
    """One picture on its way from files to files."""

    canvas: Canvas
    weights: VGGWeights
    settings: OptimizeConfig
    scales: int
    header: dict[str, Any]
    output: Path
    bits: int
    lines: list[dict[str, float]] = dataclasses.field(default_factory=list)
    accepted: int = 0
    """Accepted iterations over all sizes."""
    last: OptimizeRecord | None = None
    started_at: float = dataclasses.field(default_factory=time.perf_counter)

    @classmethod
    def prepare(
        cls,
        photo: Path,
        styles: Sequence[Path],
        output: Path,
        settings: OptimizeConfig,
        *,
        bits: int,
        style_weights: Sequence[float],
        masks: Sequence[Path],
        init_model: str | None,
        paint: Paint | None,
    ) -> _Job:
        """Read everything, say what will run, and refuse before the work what cannot end well."""
        from nst.canvas import load_canvas
        from nst.files import sha256_of
        from nst.footprint import check_memory, is_tiled
        from nst.guidance import objective_for
        from nst.image import check_output
        from nst.loss_network import find_loss_network
        from nst.optimize import phases
        from nst.registry import identity
        from nst.runtime import describe, keep_freed_memory
        from nst.scales import scales_for

        canvas = load_canvas(
            photo,
            styles,
            settings,
            weights=style_weights,
            masks=masks,
            has_start=paint is not None,
        )
        for note in canvas.notes:
            say(note)
        check_output(output, overwrite=True, has_alpha=canvas.picture.alpha is not None, bits=bits)
        device = canvas.photograph.device
        if device.type == "cpu" and not is_tiled(canvas.photograph, settings):
            keep_freed_memory()  # in pieces of many sizes it would pile up
        weights = find_loss_network(
            settings.loss_network, settings.vgg, announce=say, bars=progress
        )
        largest = max(canvas.styles, key=lambda style: style.numel())
        masks_kept = 0 if canvas.guides is None else canvas.guides.mask_count
        check_memory(canvas.photograph, largest, weights, settings, masks=masks_kept)
        criterion = objective_for(weights, canvas.styles, settings, canvas.guides)
        height, width = canvas.photograph.shape[-2:]
        smallest = min(range(len(styles)), key=lambda n: min(canvas.styles[n].shape[-2:]))
        sides = canvas.styles[smallest].shape[-2:]
        scales = settings.scales or scales_for((height, width), sides)
        if paint is not None:
            canvas = dataclasses.replace(canvas, start=_painted(paint, canvas))
        say(criterion.describe())
        dtype, *later = phases(settings, device, is_last=True)
        say(
            f"{describe(device, dtype)}{', then float32' if later else ''};"
            f" {photo}: {canvas.picture.width}x{canvas.picture.height} px painted at"
            f" {width}x{height} px, {scales} {'sizes' if scales > 1 else 'size'}"
        )
        wanted = scales_for((height, width), (height, width))
        if not settings.scales and scales < wanted:
            say(f"{styles[smallest]}: too small for more sizes, {wanted} would suit the photograph")
        header = {
            "photograph": {"name": photo.name, "sha256": sha256_of(photo)},
            "styles": [{"name": style.name, "sha256": sha256_of(style)} for style in styles],
            "style_weights": list(style_weights),
            "masks": [{"name": mask.name, "sha256": sha256_of(mask)} for mask in masks],
            "init_model": None if init_model is None else identity(init_model),
            "vgg_sha256": weights.sha256,
            "settings": dataclasses.asdict(settings),
            "objective": criterion.describe(),
        }
        return cls(canvas, weights, settings, scales, header, output, bits)

    def run(self, stop: StopRequest, *, save_every: int) -> None:
        """Paint until it is done or a stop is asked for; write what is due on the way."""
        from nst.optimize import optimize as iterations

        records = iterations(
            self.canvas.photograph,
            self.canvas.styles,
            self.weights,
            self.settings,
            start=self.canvas.start,
            guides=self.canvas.guides,
        )
        with progress("optimising, evaluations at full size", self._work(self.scales)) as bar:
            for record in records:
                is_accepted = self.note(record)
                bar.update(self._done(record), _figures(record))
                if record.reason:
                    say(f"{_size(record)}: {record.reason}; {_figures(record)}")
                if save_every and is_accepted and self.accepted % save_every == 0:
                    number = f"{self.accepted:06d}"
                    self.save(record, self.output.with_stem(f"{self.output.stem}-{number}"))
                if stop.signal_number is not None:
                    return
                if record.reason and not self.is_complete:
                    self.write()  # whatever happens at the next size, this one is there

    def note(self, record: OptimizeRecord) -> bool:
        """Keep the figures of one record; return whether it is a new iteration."""
        is_same_scale = self.last is not None and self.last.scale == record.scale
        before = self.last.iteration if self.last is not None and is_same_scale else 0
        self.accepted += record.iteration - before
        self.last = record
        names = ("scale", "iteration", "evaluations", "total", "content", "style")
        line = {name: getattr(record, name) for name in (*names, "total_variation")}
        self.lines.append(line | {"accepted": self.accepted, "seconds": self._seconds()})
        return record.iteration > before

    @property
    def is_complete(self) -> bool:
        """Whether the last record is the last one of the finest size."""
        return self.last is not None and bool(self.last.reason) and self.last.scale == self.scales

    def save(self, record: OptimizeRecord, path: Path) -> None:
        """Write the picture of one iteration, with the photograph's transparency."""
        from nst.image import resize_image, save_image
        from nst.scales import resized
        from nst.tensors import to_uint8, with_luminance_of

        image = record.image
        height, width = image.shape[-2:]
        if self.settings.original_colors and self.settings.color_transfer == "luminance":
            image = with_luminance_of(image, resized(self.canvas.photograph, height, width))
        alpha = self.canvas.picture.alpha
        if alpha is not None:
            alpha = resize_image(alpha, height, width)
        if self.bits == 16:
            deep = image[0].permute(1, 2, 0).contiguous().cpu().numpy()
            save_image(path, deep, alpha, overwrite=True, bits=16)
        else:
            save_image(path, to_uint8(image)[0], alpha, overwrite=True)

    def write(self) -> None:
        """Write the last picture, in the size that it has, and the record of the run beside it."""
        from nst.files import atomic_write

        assert self.last is not None
        self.header["size"] = [self.last.image.shape[-1], self.last.image.shape[-2]]
        self.header["seconds"] = self._seconds()
        self.header["is_stopped"] = not self.is_complete
        self.save(self.last, self.output)
        with atomic_write(self.output.with_suffix(".json")) as file:
            file.write(json.dumps(self.record(), indent=1).encode())

    def record(self) -> dict[str, Any]:
        """Return settings, files and figures as plain values."""
        from nst import __version__

        return {"made_with": f"nst {__version__}", **self.header, "iterations": self.lines}

    def summary(self) -> str:
        """Say how long it took and what was reached."""
        assert self.last is not None
        return f"{format_duration(self.header['seconds'])}; {_figures(self.last)}"

    def what_is_kept(self) -> str:
        """Say which file holds what, after an early end."""
        assert self.last is not None
        height, width = self.canvas.photograph.shape[-2:]
        found, asked = _size(self.last), f"{width}x{height}"
        size = "" if found == asked else f", {found} of {asked} px"
        return f"{self.output} holds the picture so far{size}"

    def _seconds(self) -> float:
        return round(time.perf_counter() - self.started_at, 3)

    def _work(self, scales: int) -> float:
        """Return the evaluations of the coarsest so many sizes, each counted by its pixels."""
        shares = (4.0 ** (scale - self.scales) for scale in range(1, scales + 1))
        return round(self.settings.evaluations * sum(shares), 1)

    def _done(self, record: OptimizeRecord) -> float:
        if record.reason:
            return self._work(record.scale)
        return self._work(record.scale - 1) + record.evaluations * 4.0 ** (
            record.scale - self.scales
        )


def _from_model(settings: OptimizeConfig, ctx: typer.Context) -> OptimizeConfig:
    """Return the settings of a run that begins with what a model painted."""
    if is_given(ctx, "init"):
        raise UsageError("--init and --init-model exclude each other")
    return settings.replace(init="model", scales=settings.scales or 1)


def _painted(paint: Paint, canvas: Canvas) -> Tensor:
    """Paint the photograph with a style model, in the size of the result."""
    from nst.tensors import to_tensor, to_uint8

    rgb = to_uint8(canvas.photograph)[0]
    return to_tensor(paint(rgb), canvas.photograph.device)


def _numbers(text: str | None) -> list[float]:
    """Read numbers that are separated by commas."""
    try:
        return [] if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--style-weights {text}: write numbers, as in 0.7,0.3") from None


def _size(record: OptimizeRecord) -> str:
    return f"{record.image.shape[-1]}x{record.image.shape[-2]}"


def _figures(record: OptimizeRecord) -> str:
    return f"J {record.total:.4g}  content {record.content:.4g}  style {record.style:.4g}"

"""``nst optimize``: paint one photograph slowly and well, the reference of every fast model."""

from __future__ import annotations

import dataclasses
import glob
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nst.config import OptimizeConfig
from nst.errors import ImageError, OutputError, UsageError
from nst.settings import with_settings
from nst.terminal import format_duration, progress, result, result_json, say

if TYPE_CHECKING:
    from torch import Tensor

    from nst.image import Picture
    from nst.optimize import OptimizeRecord

app = typer.Typer(add_completion=False)


@app.command()
@with_settings(OptimizeConfig)
def optimize(
    settings: OptimizeConfig,
    photo: Annotated[Path, typer.Argument(help="The photograph.")],
    style: Annotated[Path, typer.Argument(help="The style image.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture to write.")],
    bits: Annotated[int, typer.Option(help="Bits of a channel: 8, or 16 in PNG and TIFF.")] = 8,
    save_every: Annotated[
        int, typer.Option(help="Iterations between pictures OUT-000050.png; 0: none.", min=0)
    ] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The record on stdout too.")] = False,
) -> None:
    """Paint one photograph in the style of one image by optimising its pixels.

    Beside the picture stands OUT.json: settings, files, and J, S and C of every iteration.
    """
    from nst.image import check_output
    from nst.interrupt import Stopped, StopRequest
    from nst.optimize import optimize as iterations

    check_output(output, overwrite=overwrite, bits=bits)
    if not overwrite:
        _refuse_to_replace(output, has_pictures_on_the_way=save_every > 0)
    job = _Job.prepare(photo, style, output, settings, bits=bits)
    total = settings.evaluations * job.scales
    with StopRequest() as stop, progress("optimising, evaluation", total) as bar:
        for record in iterations(job.image, job.style, job.weights, settings, start=job.start):
            job.note(record)
            done = (record.scale - 1) * settings.evaluations + record.evaluations
            bar.update(done, _figures(record))
            if record.reason:
                size = f"{record.image.shape[-1]}x{record.image.shape[-2]}"
                say(f"{size}: {record.reason}; {_figures(record)}")
            line = len(job.lines) - 1
            if save_every and line and line % save_every == 0:
                job.save(record, output.with_stem(f"{output.stem}-{line:06d}"))
            if stop.signal_number is not None:
                break
    job.finish(is_stopped=stop.signal_number is not None)
    if stop.signal_number is not None:
        raise Stopped(f"stopped; {output} holds the picture so far", stop.signal_number)
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

    image: Tensor
    style: Tensor
    weights: Any
    start: Tensor | None
    picture: Picture
    header: dict[str, Any]
    output: Path
    bits: int
    scales: int
    lines: list[dict[str, float]] = dataclasses.field(default_factory=list)
    last: OptimizeRecord | None = None
    started_at: float = dataclasses.field(default_factory=time.perf_counter)

    @classmethod
    def prepare(
        cls,
        photo: Path,
        style: Path,
        output: Path,
        settings: OptimizeConfig,
        *,
        bits: int,
    ) -> _Job:
        """Read everything, say what will run, and refuse before the work what cannot end well."""
        from nst.files import sha256_of
        from nst.image import check_output, fit_long_side, load_image, resize_image
        from nst.losses import PerceptualLoss
        from nst.optimize import LEAST_PX, scales_for
        from nst.runtime import choose_device, choose_precision, describe, keep_freed_memory
        from nst.tensors import load_style, to_tensor
        from nst.weights import find_weights

        device = choose_device(settings.device)
        if device.type == "cpu":
            keep_freed_memory()
        picture = load_image(photo)
        check_output(output, overwrite=True, has_alpha=picture.alpha is not None, bits=bits)
        style_image, style_picture = load_style(style, settings.style_size)
        for name, found in ((photo, picture), (style, style_picture)):
            for note in found.notes:
                say(f"{name}: {note}")
        height, width = picture.height, picture.width
        if settings.size:
            height, width = fit_long_side(height, width, settings.size)
        if min(height, width) < LEAST_PX:
            raise ImageError(
                f"{photo}: {width}x{height} px is too small to be painted; both sides need"
                f" {LEAST_PX} px"
            )
        start = None
        if settings.init not in ("content", "noise"):
            if not Path(settings.init).is_file():
                raise UsageError(
                    f"--init must be content, noise or a picture file, got {settings.init}"
                )
            start = to_tensor(load_image(settings.init).rgb, device)
        weights = find_weights(settings.vgg, announce=say)
        image = to_tensor(resize_image(picture.rgb, height, width), device)
        criterion = PerceptualLoss.from_config(weights, style_image, settings)
        scales = settings.scales or scales_for(height, width)
        say(criterion.describe())
        say(
            f"{describe(device, choose_precision(settings.precision, device))};"
            f" {photo}: {picture.width}x{picture.height} px painted at {width}x{height} px,"
            f" {scales} {'sizes' if scales > 1 else 'size'}"
        )
        header = {
            "photograph": {"name": photo.name, "sha256": sha256_of(photo)},
            "style": {"name": style.name, "sha256": sha256_of(style)},
            "vgg_sha256": weights.sha256,
            "settings": dataclasses.asdict(settings),
            "size": [width, height],
            "objective": criterion.describe(),
        }
        return cls(
            image, style_image.to(device), weights, start, picture, header, output, bits, scales
        )

    def note(self, record: OptimizeRecord) -> None:
        """Keep the figures of one iteration."""
        self.last = record
        names = ("scale", "iteration", "evaluations", "total", "content", "style")
        self.lines.append({name: getattr(record, name) for name in (*names, "total_variation")})

    def save(self, record: OptimizeRecord, path: Path) -> None:
        """Write the picture of one iteration, with the photograph's transparency."""
        from nst.image import resize_image, save_image
        from nst.tensors import to_uint8

        height, width = record.image.shape[-2:]
        alpha = self.picture.alpha
        if alpha is not None:
            alpha = resize_image(alpha, height, width)
        if self.bits == 16:
            deep = record.image[0].permute(1, 2, 0).contiguous().cpu().numpy()
            save_image(path, deep, alpha, overwrite=True, bits=16)
        else:
            save_image(path, to_uint8(record.image)[0], alpha, overwrite=True)

    def finish(self, *, is_stopped: bool) -> None:
        """Write the last picture and the record of the run beside it."""
        from nst.files import atomic_write

        assert self.last is not None
        self.header["seconds"] = round(time.perf_counter() - self.started_at, 2)
        self.header["is_stopped"] = is_stopped
        self.save(self.last, self.output)
        with atomic_write(self.output.with_suffix(".json")) as file:
            file.write(json.dumps(self.record(), indent=1).encode())
        say(f"{format_duration(self.header['seconds'])}; {_figures(self.last)}")

    def record(self) -> dict[str, Any]:
        """Return settings, files and figures as plain values."""
        from nst import __version__

        return {"made_with": f"nst {__version__}", **self.header, "iterations": self.lines}


def _figures(record: OptimizeRecord) -> str:
    return f"J {record.total:.4g}  content {record.content:.4g}  style {record.style:.4g}"

"""A photograph on its way to a painting: files read, figures kept, picture and record written."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from nst import __version__
from nst.canvas import Canvas, load_canvas
from nst.config import OptimizeConfig
from nst.files import atomic_write, sha256_of
from nst.footprint import check_memory, is_tiled
from nst.guidance import objective_for
from nst.image import check_output, resize_image, save_image
from nst.interrupt import StopRequest
from nst.judge import Paint
from nst.loss_network import find_loss_network
from nst.optimize import OptimizeRecord, optimize, phases
from nst.registry import identity
from nst.runtime import describe, keep_freed_memory
from nst.scales import resized, scales_for
from nst.tensors import to_tensor, to_uint8, with_luminance_of
from nst.terminal import format_duration, progress, say
from nst.weights import VGGWeights


@dataclasses.dataclass(eq=False)
class Painting:
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
    ) -> Painting:
        """Read everything, say what will run, and refuse before the work what cannot end well."""
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
        records = optimize(
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
        assert self.last is not None
        self.header["size"] = [self.last.image.shape[-1], self.last.image.shape[-2]]
        self.header["seconds"] = self._seconds()
        self.header["is_stopped"] = not self.is_complete
        self.save(self.last, self.output)
        with atomic_write(self.output.with_suffix(".json")) as file:
            file.write(json.dumps(self.record(), indent=1).encode())

    def record(self) -> dict[str, Any]:
        """Return settings, files and figures as plain values."""
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


def _painted(paint: Paint, canvas: Canvas) -> Tensor:
    """Paint the photograph with a style model, in the size of the result."""
    rgb = to_uint8(canvas.photograph)[0]
    return to_tensor(paint(rgb), canvas.photograph.device)


def _size(record: OptimizeRecord) -> str:
    return f"{record.image.shape[-1]}x{record.image.shape[-2]}"


def _figures(record: OptimizeRecord) -> str:
    return f"J {record.total:.4g}  content {record.content:.4g}  style {record.style:.4g}"

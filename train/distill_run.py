"""The run folder of a distillation.

runs/compact-<n>/
  config.toml            the settings, for people
  last.safetensors       the newest checkpoint; prev.safetensors is the one before
  log.jsonl              one line every few steps
  compact.safetensors    the finished network, as ``--vgg`` takes it
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from nst import __version__
from nst.checkpoint import (
    LAST,
    PREVIOUS,
    Checkpoint,
    load_newest,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from nst.encoder import VGG19
from nst.errors import CheckpointError, DataError, UsageError
from nst.files import atomic_write, held, sha256_of
from nst.image import find_images
from nst.interrupt import StopRequest
from nst.runtime import choose_device, choose_precision, tune
from nst.settings import from_dict, to_toml
from nst.tensors import as_rgb, load_style
from nst.weights import VGGWeights, find_weights
from train.data import Photographs, joined_identity, open_photographs
from train.distill import LAYERS, PRESET, Distillation, DistillRecord, Student
from train.distill_config import DistillConfig
from train.feed import Crops, Feed, open_feed
from train.pruning import narrow, prune
from train.reading import Reading
from train.records import append_line
from train.run import FOR_READING, cut_log, new_folder
from train.sources import find_sources, places_of

FITTED = 48
"""Photographs that the first, pruned network is fitted to."""
NAME = "compact"


@dataclass(frozen=True, slots=True)
class DistillLine:
    """The figures of some steps as numbers, means since the last line; see ``DistillRecord``."""

    step: int
    features: float
    grams: float
    gradient: float
    cosine: float
    painted: float

    def __str__(self) -> str:
        return (
            f"features {self.features:.3f}  Grams {self.grams:.3f}  gradient {self.gradient:.3f}"
            f" (cosine {self.cosine:.2f})"
        )


@dataclass(eq=False)
class DistillSession:
    """A distillation that is ready to run."""

    folder: Path
    config: DistillConfig
    given: dict[str, Any]
    """What a run that is resumed must find unchanged or know: places and identities."""
    distillation: Distillation
    teacher: VGGWeights
    feed: Feed
    photographs: Photographs
    stopped_by: int = 0

    def steps(self, stop: StopRequest) -> Iterator[DistillLine]:
        """Train to the end, or until a stop is asked for, and yield the lines of the log.

        Raises:
            OutputError: The disk is full; the last checkpoint stays.
        """
        log, seen = self.folder / "log.jsonl", list[DistillRecord]()
        distillation, config = self.distillation, self.config
        for record in distillation.run(self.feed.batches(distillation.step, config.steps)):
            seen.append(record)
            is_last = record.step == config.steps
            if record.step % config.log_every == 0 or is_last:
                line = _mean_of(seen)
                seen.clear()
                append_line(log, line)
                yield line
            if record.step % config.checkpoint_every == 0 or is_last or stop.signal_number:
                self.save()
            if stop.signal_number:
                self.stopped_by = stop.signal_number
                return

    def write_config(self) -> None:
        """Write ``config.toml``, which nothing reads but people."""
        with atomic_write(self.folder / "config.toml") as file:
            file.write(f"{FOR_READING}\n{to_toml(self.config)}".encode())

    def save(self) -> None:
        """Write a checkpoint; the one before stays as ``prev``."""
        distillation = self.distillation
        header = {
            "step": distillation.step,
            "config": dataclasses.asdict(self.config),
            **self.given,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "made_with": f"nst {__version__}",
        }
        tensors: dict[str, Tensor] = {
            f"student.{name}": value for name, value in distillation.student.state_dict().items()
        }
        tensors |= optimizer_tensors(distillation.optimizer, distillation.parameter_names)
        checkpoint = Checkpoint(tensors, header)
        save_checkpoint(self.folder / LAST, checkpoint, keep_previous=self.folder / PREVIOUS)

    def write(self) -> Path:
        """Write the network, in half precision, as the file that is embedded; return its path.

        Raises:
            OutputError: The disk is full.
        """
        student = self.distillation.student
        metadata = {
            "name": NAME,
            "mean": json.dumps(student.weights.mean),
            "std": json.dumps(student.weights.std),
            "padding": student.weights.padding,
            "pooling": student.weights.pooling,
            "ceil_mode": str(student.weights.ceil_mode).lower(),
            "made_with": f"nst {__version__}",
            "teacher_sha256": self.teacher.sha256,
            "step": str(self.distillation.step),
        }
        tensors = {k: v.detach().cpu().half().contiguous() for k, v in student.tensors().items()}
        path = self.folder / f"{NAME}.safetensors"
        with atomic_write(path) as file:
            file.write(save(tensors, metadata=metadata))
        return path


def new_distillation(
    data: Sequence[str], styles: Path, config: DistillConfig, *, runs: Path, reading: Reading
) -> DistillSession:
    """Check every input, prune the teacher, then make a run folder.

    Args:
        data: Photographs, as ``train.sources.WAYS`` says; several are joined.
        styles: A folder of paintings.
        config: Settings.
        runs: Where run folders are made.
        reading: How photographs are read.

    Raises:
        NSTError: An input cannot be used; no folder was made.
    """
    ready = _Inputs.read(data, styles, config, reading)
    encoder = VGG19(ready.teacher, deepest=PRESET.deepest_layer)
    pictures = [
        ready.photographs.sample(k, size=config.size, seed=config.seed) for k in range(FITTED)
    ]
    stack = torch.stack([as_rgb(torch.from_numpy(picture)[None])[0] for picture in pictures])
    reading.announce(f"pruning {ready.teacher.source} to {config.channels} channels")
    with torch.no_grad():
        start, matrices = prune(
            encoder, ready.teacher, stack, channels=config.widths, layers=LAYERS, seed=config.seed
        )
    student = Student(start, matrices, painters=len(ready.styles), seed=config.seed)
    session = ready.session(new_folder(runs, NAME), student)
    session.write_config()
    session.save()
    return session


def resumed_distillation(
    folder: Path, *, steps: int | None = None, reading: Reading
) -> DistillSession:
    """Go on with a distillation from its newest checkpoint.

    Args:
        folder: The run folder.
        steps: A new length; the learning rate follows it from here on. None keeps the old one.
        reading: How photographs are read.

    Raises:
        CheckpointError: No checkpoint, or the inputs are not those of the run.
        UsageError: More steps than that are done already, or another process trains in the folder.
    """
    checkpoint, source, note = load_newest(folder)
    if note:
        reading.announce(note)
    header = checkpoint.header
    if "styles" not in header:
        raise CheckpointError(f"{source}: no checkpoint of a distillation; nst train --resume")
    config = from_dict(DistillConfig, header["config"], source=str(folder))
    if steps is not None:
        if steps <= header["step"]:
            raise UsageError(f"--steps {steps}: the run has made {header['step']} already")
        config = config.replace(steps=steps)
    ready = _Inputs.read(header["data"], Path(header["styles"]), config, reading)
    for key, value in ready.given.items():
        if header[key] != value:
            raise CheckpointError(f"{folder}: {key} is not what the run began with")
    saved = {
        name.removeprefix("student."): tensor
        for name, tensor in checkpoint.tensors.items()
        if name.startswith("student.")
    }
    prefix = "encoder.convolutions."
    tensors = {k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)}
    matrices = {layer: saved[f"matrices.{layer}"] for layer in LAYERS}
    student = Student(
        narrow(ready.teacher, tensors), matrices, painters=len(ready.styles), seed=config.seed
    )
    session = ready.session(folder, student)
    student.load_state_dict(saved)
    distillation = session.distillation
    distillation.step = int(header["step"])
    restore_optimizer(distillation.optimizer, distillation.parameter_names, checkpoint.tensors)
    with held(folder):  # before its log is cut: it may be trained at this moment
        cut_log(folder / "log.jsonl", distillation.step)
        session.write_config()
    return session


@dataclass(frozen=True, slots=True, eq=False)
class _Inputs:
    """Everything that a distillation is made of, checked."""

    config: DistillConfig
    teacher: VGGWeights
    photographs: Photographs
    feed: Feed
    styles: list[Tensor]
    device: torch.device
    dtype: torch.dtype
    given: dict[str, Any]

    @classmethod
    def read(
        cls, data: Sequence[str], styles: Path, config: DistillConfig, reading: Reading
    ) -> _Inputs:
        device = choose_device(config.device)
        dtype = choose_precision(config.precision, device)
        tune(device, dtype)
        files = find_images(styles)
        if not files:
            raise DataError(f"--styles {styles}: no pictures in it")
        images = [load_style(file, config.style_size)[0].to(device) for file in files]
        teacher = find_weights(config.vgg, announce=reading.announce, bars=reading.progress)
        sources = find_sources(data, shards=config.shards, reading=reading)
        photographs = open_photographs(sources, size=config.size, reading=reading)
        crops = Crops(batch=config.batch, size=config.size, seed=config.seed)
        feed = open_feed(photographs, crops, device, reading.workers)
        given = {
            "data": places_of(data),
            "styles": str(styles.absolute()),
            "data_identity": joined_identity(sources),
            "styles_sha256": [sha256_of(file) for file in files],
            "teacher_sha256": teacher.sha256,
        }
        return cls(config, teacher, photographs, feed, images, device, dtype, given)

    def session(self, folder: Path, student: Student) -> DistillSession:
        distillation = Distillation(
            student.to(self.device), self.teacher, self.styles, self.config, self.dtype
        )
        return DistillSession(
            folder,
            self.config,
            self.given,
            distillation,
            self.teacher,
            self.feed,
            self.photographs,
        )


def _mean_of(records: Sequence[DistillRecord]) -> DistillLine:
    """Average the figures of some steps; this waits for the device."""
    names = ("features", "grams", "gradient", "cosine", "painted")
    means = {n: float(torch.stack([getattr(r, n) for r in records]).mean()) for n in names}
    return DistillLine(records[-1].step, **means)

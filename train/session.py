"""One training from its inputs to its run folder: the parts put together."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nst.errors import DataError
from nst.files import sha256_of
from nst.image import Picture
from nst.interrupt import StopRequest
from nst.losses import PerceptualLoss
from nst.runtime import (
    choose_device,
    choose_precision,
    describe,
    keep_freed_memory,
    precision_name,
)
from nst.tensors import load_style
from nst.weights import VGGWeights, find_weights
from train.config import TrainConfig
from train.data import Photographs, joined_identity, open_photographs
from train.feed import Crops, Feed, open_feed
from train.loop import Learner, StepRecord, fit
from train.preview import preview_strip, save_preview
from train.reading import Reading
from train.records import LogLine, append_line
from train.run import (
    Run,
    check_identity,
    cut_log,
    load_newest,
    new_folder,
    restore,
    run_of,
    style_name_of,
)
from train.sources import Source, find_sources

CALIBRATION_STEPS = 6
"""Steps that ``--minutes`` measures on a copy of the network before the training."""
PREVIEW_PHOTOGRAPHS = 4


@dataclass(eq=False)
class Session:
    """A training that is ready to run."""

    run: Run
    learner: Learner
    criterion: PerceptualLoss
    photographs: Photographs
    feed: Feed
    style: Picture
    device: torch.device
    dtype: torch.dtype

    def describe(self) -> list[str]:
        """Say what will really run, one line each."""
        config = self.run.config
        parameters = sum(p.numel() for p in self.learner.network.parameters())
        return [
            self.criterion.describe(),
            f"{describe(self.device, self.dtype)}; network johnson, width {config.width},"
            f" {parameters:,} parameters",
            f"{len(self.photographs)} photographs; {config.length} steps of {config.batch} at"
            f" {config.size} px, from step {self.learner.step}; run folder {self.run.folder}",
            self.feed.describe(),
        ]

    def steps(self, stop: StopRequest) -> Iterator[LogLine]:
        """Train to the end, or until a stop is asked for, and yield the lines of the log.

        Checkpoints, previews and log are written on the way, a last checkpoint at the end. A
        training whose steps are all done yields nothing.

        Raises:
            TrainingError: The objective is not finite.
            OutputError: The disk is full; the last checkpoint stays.
        """
        config = self.run.config
        started_at = logged_at = time.perf_counter()
        logged_step = self.learner.step
        batches = self.feed.batches(self.learner.step, config.length)
        for record in fit(self.learner, self.criterion, batches, config, self.dtype):
            is_last = record.step == config.length or stop.signal_number is not None
            if record.step % config.log_every == 0 or is_last:
                now = time.perf_counter()
                rate = (record.step - logged_step) * config.batch / (now - logged_at)
                logged_at, logged_step = now, record.step
                line = LogLine.of(record, images_per_s=rate, elapsed_s=now - started_at)
                append_line(self.run.log_file, line)
                yield line
            if record.step % config.checkpoint_every == 0 or is_last:
                self.run.save(self.learner)
            if record.step % config.preview_every == 0 or record.step == config.length:
                save_preview(self.run.preview_file(record.step), self.preview())
            if is_last:
                return

    @property
    def is_finished(self) -> bool:
        """Whether no step is left."""
        return self.learner.step >= self.run.config.length

    def preview(self) -> NDArray[np.uint8]:
        """Paint the same few photographs of the set and lay them beside the style image."""
        size, seed = self.run.config.size, self.run.config.seed
        photographs = [
            self.photographs.sample(k, size=size, seed=seed) for k in range(PREVIEW_PHOTOGRAPHS)
        ]
        return preview_strip(self.learner.network, photographs, self.style.rgb)


def new_session(
    style: Path, data: Sequence[str], config: TrainConfig, *, runs: Path, reading: Reading
) -> Session:
    """Check every input, then make a run folder and a network with random weights.

    Args:
        style: The style image.
        data: Photographs, as ``train.sources.WAYS`` says; several are joined.
        config: Settings; ``minutes`` is measured and turned into ``steps``, an automatic
            ``precision`` into what was chosen.
        runs: Where run folders are made.
        reading: How photographs are read; told before something long starts.

    Raises:
        NSTError: An input cannot be used; no folder was made.
    """
    announce = reading.announce
    device, dtype, weights, picture, criterion = _prepare(style, config, announce)
    sources = find_sources(data, shards=config.shards, reading=reading)
    photographs, feed = _open(sources, config, device, reading)
    if config.minutes is not None:
        config = _measure(config, criterion, feed, device, dtype, announce)
    # What was chosen is written down: a run that is resumed elsewhere computes as it began.
    config = config.replace(precision=precision_name(dtype))
    learner = Learner.new(config, device)
    run = Run(
        folder=new_folder(runs, style_name_of(style)),
        config=config,
        style_name=style_name_of(style),
        style_sha256=sha256_of(style),
        data=list(data),
        data_identity=photographs.identity,
        vgg_sha256=weights.sha256,
    )
    try:
        run.begin(style)
        run.list_bad_files(photographs.bad)
        run.save(learner)
    except BaseException:
        shutil.rmtree(run.folder, ignore_errors=True)  # nothing half made is left behind
        raise
    return Session(run, learner, criterion, photographs, feed, picture, device, dtype)


def resumed_session(
    folder: Path,
    *,
    data: Sequence[str] | None,
    vgg: str | None,
    reading: Reading,
) -> Session:
    """Go on with a run from its newest checkpoint.

    Args:
        folder: The run folder.
        data: Where the photographs are now; None for where they were.
        vgg: Where the weights are now; None for where they were.
        reading: How photographs are read; told before something long starts, and which checkpoint
            is taken if not the last.

    Raises:
        CheckpointError: No checkpoint, or the inputs are not those of the run.
    """
    announce = reading.announce
    checkpoint, note = load_newest(folder)
    if note:
        announce(note)
    run = run_of(folder, checkpoint.header)
    config = run.config if vgg is None else run.config.replace(vgg=vgg)
    run = dataclasses.replace(run, config=config, data=list(data or run.data))
    device, dtype, weights, picture, criterion = _prepare(run.style_file, config, announce)
    sources = find_sources(run.data, shards=config.shards, reading=reading)
    found = {
        "style": sha256_of(run.style_file),
        "--data": joined_identity(sources),
        "--vgg": weights.sha256,
    }
    check_identity(run, found)
    photographs, feed = _open(sources, config, device, reading)
    learner = Learner.new(config, device)
    restore(learner, checkpoint, source=str(folder))
    threads = checkpoint.header.get("threads")
    if device.type == "cpu" and threads != torch.get_num_threads():
        announce(
            f"{threads} threads until now, {torch.get_num_threads()} from here on: the last bits"
            " will not be those of an unbroken run"
        )
    run.save_config()
    run.list_bad_files(photographs.bad)
    cut_log(run.log_file, learner.step)
    return Session(run, learner, criterion, photographs, feed, picture, device, dtype)


def _prepare(
    style: Path, config: TrainConfig, announce: Callable[[str], None]
) -> tuple[torch.device, torch.dtype, VGGWeights, Picture, PerceptualLoss]:
    device = choose_device(config.device)
    if device.type == "cpu":
        keep_freed_memory()
    dtype = choose_precision(config.precision, device)
    image, picture = load_style(style, config.style_size)
    for note in picture.notes:
        announce(f"{style}: {note}")
    weights = find_weights(config.vgg, announce=announce)
    criterion = PerceptualLoss.from_config(weights, image.to(device), config)
    criterion = criterion.to(memory_format=torch.channels_last)
    return device, dtype, weights, picture, criterion


def _open(
    sources: Sequence[Source], config: TrainConfig, device: torch.device, reading: Reading
) -> tuple[Photographs, Feed]:
    photographs = open_photographs(sources, size=config.size, reading=reading)
    if len(photographs) < PREVIEW_PHOTOGRAPHS:
        raise DataError(
            f"--data {', '.join(source.name for source in sources)}: {len(photographs)}"
            f" photographs, at least {PREVIEW_PHOTOGRAPHS} needed"
        )
    crops = Crops(batch=config.batch, size=config.size, seed=config.seed)
    return photographs, open_feed(photographs, crops, device, reading.workers)


def _measure(
    config: TrainConfig,
    criterion: PerceptualLoss,
    feed: Feed,
    device: torch.device,
    dtype: torch.dtype,
    announce: Callable[[str], None],
) -> TrainConfig:
    """Turn minutes into steps by a few steps with a network that is thrown away."""
    assert config.minutes is not None
    trial = config.replace(minutes=None, steps=CALIBRATION_STEPS)
    learner = Learner.new(trial, device)
    batches = feed.batches(0, CALIBRATION_STEPS)
    ends = [_end_of(record) for record in fit(learner, criterion, batches, trial, dtype)]
    step_s = (ends[-1] - ends[0]) / (len(ends) - 1)
    steps = max(1, round(config.minutes * 60 / step_s))
    announce(f"{config.minutes:g} minutes at {step_s:.2f} s a step: {steps} steps")
    return config.replace(minutes=None, steps=steps)


def _end_of(record: StepRecord) -> float:
    """Wait until a step is computed and return the time."""
    record.terms.content.sum().item()
    return time.perf_counter()

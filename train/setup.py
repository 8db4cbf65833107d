"""From what was asked for to a session that is ready: inputs checked, run folder made or found."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nst.checkpoint import load_newest
from nst.errors import CheckpointError, DataError
from nst.files import held, sha256_of
from nst.image import Picture
from nst.loss_network import find_loss_network
from nst.losses import PerceptualLoss
from nst.runtime import choose_device, choose_precision, precision_name, tune
from nst.tensors import load_style
from nst.weights import VGGWeights
from train.cast import cast_of, known_by
from train.config import TrainConfig
from train.data import Photographs, joined_identity, open_photographs
from train.distributed import Ranks
from train.feed import Crops, Feed, open_feed
from train.learner import Learner
from train.mixes import Mixes
from train.reading import Reading
from train.run import (
    Run,
    check_identity,
    cut_log,
    identity_of,
    new_folder,
    restore,
    run_of,
)
from train.schedule import CALIBRATION_STEPS, measure_once, measure_step, steps_within
from train.session import PREVIEW_PHOTOGRAPHS, Session
from train.sources import find_sources, places_of
from train.warm_start import start_from


def new_session(
    styles: Sequence[Path],
    data: Sequence[str],
    config: TrainConfig,
    *,
    runs: Path,
    reading: Reading,
    ranks: Ranks = Ranks(),  # noqa: B008, it is frozen
    shown: Sequence[NDArray[np.uint8]] = (),
    adds: bool = False,
    finds_net: bool = True,
) -> Session:
    """Check every input, then make a run folder and a network.

    Args:
        styles: The style images; a network of several mixes them at run time.
        data: Photographs, as ``train.sources.WAYS`` says; several are joined.
        config: Settings; ``minutes`` is measured and turned into ``steps``; ``precision``,
            ``batch`` and ``learning_rate`` become what was chosen.
        runs: Where run folders are made.
        reading: How photographs are read; told before something long starts.
        ranks: Who shares the training.
        shown: Photographs of the previews, uint8 ``(H, W, 3)``, all of one size; else a few of the
            set.
        adds: Whether the network that ``config.init`` names keeps its styles, and these are added.
        finds_net: Whether such a network's dimensions are taken from it.

    Raises:
        NSTError: An input cannot be used; no folder was made.
    """
    cast = cast_of(styles, config, reading.announce, adds=adds)
    if cast.trained and finds_net:
        config = config.replace(net=cast.trained.network.dimensions.name, width=None)
    inputs = _prepare(cast.files, data, config, reading, ranks)
    hashes, sketches = known_by(cast, styles, config.style_size)
    started_at = time.perf_counter()  # downloading and decoding, once for all styles, is no part
    # What was chosen is written down: a run that is resumed elsewhere computes as it began.
    config = config.replace(
        precision=precision_name(inputs.dtype),
        batch=config.batch_on(inputs.device.type),
        learning_rate=config.peak_rate,
        norm_rate=config.norm_factor(alone=cast.added > 0 and not config.thaw),
    )
    run = Run(
        folder=Path(),
        config=config,
        styles=cast.names,
        style_sha256=hashes,
        sketches=sketches,
        added=cast.added,
        learns_strength=cast.trained is not None and cast.trained.network.styles == 0,
        data=places_of(data),
        data_identity=inputs.photographs.identity,
        vgg_sha256=inputs.weights.sha256,
        loss_network=inputs.weights.name,
    )
    session = _session(inputs, run)
    session.shown = shown
    start_from(session.learner.network, config.init, reading.announce)
    if config.minutes is not None:
        config = _plan(session, started_at)
    folder = ranks.first_does(lambda: new_folder(runs, session.run.name))
    folder = ranks.told_by_first(folder)
    assert folder is not None
    session.run = dataclasses.replace(session.run, folder=folder, config=config)

    def begin() -> None:
        try:
            session.run.begin(cast.images)
            session.run.list_bad_files(session.photographs.bad)
            session.run.save(session.learner)
        except BaseException:
            shutil.rmtree(session.run.folder, ignore_errors=True)  # nothing half made stays
            raise

    ranks.first_does(begin)
    return session


def resumed_session(
    folder: Path,
    *,
    data: Sequence[str] | None,
    places: Mapping[str, str | None],
    reading: Reading,
    ranks: Ranks = Ranks(),  # noqa: B008, it is frozen
) -> Session:
    """Go on with a run from its newest checkpoint.

    Args:
        folder: The run folder.
        data: Where the photographs are now; None for where they were.
        places: Settings that name places, ``vgg`` and ``device``, where they are others now.
        reading: How photographs are read; told before something long starts, and which checkpoint
            is taken if not the last.
        ranks: Who shares the training; another number of processes than before may.

    Raises:
        CheckpointError: No checkpoint, or the inputs are not those of the run.
        UsageError: Another process trains in the run folder.
    """
    if folder.is_file():
        raise CheckpointError(f"--resume {folder}: name the run folder, {folder.parent}")
    checkpoint, _, note = load_newest(folder)
    if note:
        reading.announce(note)
    run = run_of(folder, checkpoint.header)
    config = run.config.replace(**places)
    run = dataclasses.replace(run, config=config, data=places_of(data) if data else run.data)
    for file in run.style_files:
        if not file.is_file():
            name = file.name
            raise CheckpointError(
                f"{folder}: the style image is gone; put it back, as {name}.jpg or {name}.png"
            )
    inputs = _prepare(run.style_files, run.data, config, reading, ranks, run=run)
    session = _session(inputs, run)
    restore(session.learner, checkpoint, source=str(folder))
    for change in _changes(checkpoint.header, inputs.device):
        reading.announce(f"{change}: the last bits will not be those of an unbroken run")

    def go_on() -> None:
        with held(folder):  # before its log is cut: it may be trained at this moment
            run.save_config()
            run.list_bad_files(session.photographs.bad)
            cut_log(run.log_file, session.learner.step)

    ranks.first_does(go_on)
    return session


def _changes(header: Mapping[str, Any], device: torch.device) -> Iterator[str]:
    """Yield what the results depend on, to the bit, and what is another than it was."""
    header = {**header, "device": _numbered(str(header.get("device")))}
    now: dict[str, str | int] = {"device": _numbered(str(device)), "torch": torch.__version__}
    if device.type == "cpu":
        now["threads"] = torch.get_num_threads()
    for name, value in now.items():
        if header.get(name) != value:
            yield f"{name} {header.get(name)} until now, {value} from here on"


def _numbered(device: str) -> str:
    return f"{device}:0" if device in ("cuda", "mps") else device


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Everything that a training is made of, checked."""

    device: torch.device
    dtype: torch.dtype
    weights: VGGWeights
    styles: Sequence[Picture]
    criterion: PerceptualLoss
    photographs: Photographs
    feed: Feed
    reading: Reading
    ranks: Ranks


def _prepare(
    styles: Sequence[Path],
    data: Sequence[str],
    config: TrainConfig,
    reading: Reading,
    ranks: Ranks,
    *,
    run: Run | None = None,
) -> _Inputs:
    """Read and check everything; against a run that is resumed before anything long begins."""
    device = choose_device(ranks.device(config.device))
    batch = config.batch_on(device.type)
    ranks.share_of(batch)
    dtype = choose_precision(config.precision, device)
    tune(device, dtype)
    images, pictures = [], []
    for style in styles:
        for long_side in config.style_sizes:
            image, picture = load_style(style, long_side)
            images.append(image.to(device))
        for note in picture.notes:
            reading.announce(f"{style}: {note}")
        pictures.append(picture)

    def read_weights() -> VGGWeights:
        return find_loss_network(
            config.loss_network, config.vgg, announce=reading.announce, bars=reading.progress
        )

    # The first process downloads and decodes, the others find what it left.
    weights = ranks.first_does(read_weights) or read_weights()
    criterion = PerceptualLoss.from_config(weights, images, config)
    criterion = criterion.to(memory_format=torch.channels_last)
    sources = find_sources(data, shards=config.shards, reading=reading)
    if run is not None:
        hashes = [sha256_of(style) for style in styles]
        check_identity(run, identity_of(hashes, joined_identity(sources), weights.sha256))

    def read_photographs() -> Photographs:
        return open_photographs(sources, size=config.size, reading=reading)

    photographs = ranks.first_does(read_photographs) or read_photographs()
    if len(photographs) < PREVIEW_PHOTOGRAPHS:
        raise DataError(
            f"--data {', '.join(data)}: {len(photographs)} photographs, at least"
            f" {PREVIEW_PHOTOGRAPHS} needed"
        )
    crops = Crops(
        batch=batch, size=config.size, seed=config.seed, rank=ranks.rank, ranks=ranks.size
    )
    feed = open_feed(photographs, crops, device, reading.workers)
    return _Inputs(device, dtype, weights, pictures, criterion, photographs, feed, reading, ranks)


def _session(inputs: _Inputs, run: Run) -> Session:
    mixes = None
    is_mixing = len(run.styles) > 1 or run.config.mix
    sizes = len(run.config.style_sizes)
    if is_mixing or sizes > 1:
        mixes = Mixes(
            styles=len(run.styles) if is_mixing else 0,
            sizes=sizes,
            drawn=run.drawn,
            batch=run.config.batch_on(inputs.device.type),
            seed=run.config.seed,
            rank=inputs.ranks.rank,
            ranks=inputs.ranks.size,
        )
    return Session(
        run,
        _learner(run, inputs, mixes),
        inputs.criterion,
        inputs.photographs,
        inputs.feed,
        inputs.styles,
        inputs.device,
        inputs.dtype,
        inputs.reading,
        inputs.ranks,
    )


def _learner(run: Run, inputs: _Inputs, mixes: Mixes | None) -> Learner:
    learner = Learner.new(run.config, inputs.device, mixes, learns_strength=run.learns_strength)
    learner.rank, learner.ranks = inputs.ranks.rank, inputs.ranks.size
    return learner


def _plan(session: Session, started_at: float) -> TrainConfig:
    """Turn minutes into steps, by a few steps that are forgotten again."""
    config = session.run.config
    assert config.minutes is not None
    session.make_ready()  # what runs later is measured, and compiling counts
    trial = config.replace(minutes=None, steps=CALIBRATION_STEPS)
    batches = session.feed.batches(0, CALIBRATION_STEPS)
    with session.learner.rehearsal():
        step_s = measure_step(session.learner, session.criterion, batches, trial, session.dtype)
    preview_s = measure_once(session.preview)
    left_s = config.minutes * 60 - (time.perf_counter() - started_at)
    steps = steps_within(left_s, config, step_s=step_s, preview_s=preview_s)
    steps = session.ranks.told_by_first(steps)
    session.reading.announce(f"{config.minutes:g} minutes at {step_s:.2f} s a step: {steps} steps")
    return config.replace(minutes=None, steps=steps)

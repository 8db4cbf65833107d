"""From what was asked for to a session that is ready: inputs checked, run folder made or found."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nst.errors import DataError
from nst.files import sha256_of
from nst.image import Picture
from nst.losses import PerceptualLoss
from nst.runtime import choose_device, choose_precision, keep_freed_memory, precision_name
from nst.tensors import load_style
from nst.weights import VGGWeights, find_weights
from train.config import TrainConfig
from train.data import Photographs, open_folder
from train.distributed import Ranks, parallelize
from train.loop import Learner
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
from train.schedule import CALIBRATION_STEPS, measure_once, measure_step, steps_within
from train.session import PREVIEW_PHOTOGRAPHS, Session
from train.warm_start import start_from

Announce = Callable[[str], None]


def new_session(
    style: Path,
    data: str,
    config: TrainConfig,
    *,
    runs: Path,
    announce: Announce,
    ranks: Ranks = Ranks(),  # noqa: B008, it is frozen
) -> Session:
    """Check every input, then make a run folder and a network.

    Args:
        style: The style image.
        data: A folder of photographs.
        config: Settings; ``minutes`` is measured and turned into ``steps``, an automatic
            ``precision`` into what was chosen.
        runs: Where run folders are made.
        announce: Told before something long starts.
        ranks: Who shares the training.

    Raises:
        NSTError: An input cannot be used; no folder was made.
    """
    started_at = time.perf_counter()
    inputs = _prepare(style, data, config, announce, ranks)
    # What was chosen is written down: a run that is resumed elsewhere computes as it began.
    config = config.replace(precision=precision_name(inputs.dtype))
    session = _session(inputs, config, Path(), style, data, announce, ranks)
    if config.init is not None:
        start_from(session.learner.network, Path(config.init))
    if config.minutes is not None:
        config = _plan(session, started_at)
    folder = ranks.first_does(lambda: new_folder(runs, style_name_of(style)))
    folder = ranks.told_by_first(folder)
    assert folder is not None
    session.run = dataclasses.replace(session.run, folder=folder, config=config)

    def begin() -> None:
        try:
            session.run.begin(style)
            session.run.save(session.learner)
        except BaseException:
            shutil.rmtree(session.run.folder, ignore_errors=True)  # nothing half made stays
            raise

    ranks.first_does(begin)
    return session


def resumed_session(
    folder: Path,
    *,
    data: str | None,
    places: Mapping[str, str | None],
    announce: Announce,
    ranks: Ranks = Ranks(),  # noqa: B008, it is frozen
) -> Session:
    """Go on with a run from its newest checkpoint.

    Args:
        folder: The run folder.
        data: Where the photographs are now; None for where they were.
        places: Settings that name places, ``vgg`` and ``device``, where they are others now.
        announce: Told before something long starts, and which checkpoint is taken if not the last.
        ranks: Who shares the training; another number of processes than before may.

    Raises:
        CheckpointError: No checkpoint, or the inputs are not those of the run.
    """
    checkpoint, note = load_newest(folder)
    if note:
        announce(note)
    run = run_of(folder, checkpoint.header)
    config = run.config.replace(**places)
    run = dataclasses.replace(run, config=config, data=data or run.data)
    inputs = _prepare(run.style_file, run.data, config, announce, ranks)
    session = _session(inputs, config, folder, run.style_file, run.data, announce, ranks)
    check_identity(run, session.run.identity)
    session.run = run
    restore(session.learner, checkpoint, source=str(folder))
    for change in _changes(checkpoint.header, inputs.device):
        announce(f"{change}: the last bits will not be those of an unbroken run")

    def go_on() -> None:
        run.save_config()
        cut_log(run.log_file, session.learner.step)

    ranks.first_does(go_on)
    return session


def _changes(header: Mapping[str, Any], device: torch.device) -> Iterator[str]:
    """Yield what the results depend on, to the bit, and what is another than it was."""
    now: dict[str, str | int] = {"device": str(device), "torch": torch.__version__}
    if device.type == "cpu":
        now["threads"] = torch.get_num_threads()
    for name, value in now.items():
        if header.get(name) != value:
            yield f"{name} {header.get(name)} until now, {value} from here on"


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Everything that a training is made of, checked."""

    device: torch.device
    dtype: torch.dtype
    weights: VGGWeights
    style: Picture
    criterion: PerceptualLoss
    photographs: Photographs


def _prepare(
    style: Path, data: str, config: TrainConfig, announce: Announce, ranks: Ranks
) -> _Inputs:
    ranks.share_of(config.batch)
    device = choose_device(ranks.device(config.device))
    if device.type == "cpu":
        keep_freed_memory()
    dtype = choose_precision(config.precision, device)
    image, picture = load_style(style, config.style_size)
    for note in picture.notes:
        announce(f"{style}: {note}")
    # The first process downloads, the others find what it downloaded.
    ranks.first_does(lambda: find_weights(config.vgg, announce=announce))
    weights = find_weights(config.vgg, announce=announce)
    criterion = PerceptualLoss.from_config(weights, image.to(device), config)
    criterion = criterion.to(memory_format=torch.channels_last)
    ranks.first_does(lambda: _open(data))
    return _Inputs(device, dtype, weights, picture, criterion, _open(data))


def _open(data: str) -> Photographs:
    photographs = open_folder(data)
    if len(photographs) < PREVIEW_PHOTOGRAPHS:
        raise DataError(
            f"--data {data}: {len(photographs)} photographs, at least {PREVIEW_PHOTOGRAPHS} needed"
        )
    return photographs


def _session(
    inputs: _Inputs,
    config: TrainConfig,
    folder: Path,
    style: Path,
    data: str,
    announce: Announce,
    ranks: Ranks,
) -> Session:
    run = Run(
        folder=folder,
        config=config,
        style_name=style_name_of(style),
        style_sha256=sha256_of(style),
        data=data,
        data_identity=inputs.photographs.identity,
        vgg_sha256=inputs.weights.sha256,
    )
    return Session(
        run,
        Learner.new(config, inputs.device),
        inputs.criterion,
        inputs.photographs,
        inputs.style,
        inputs.device,
        inputs.dtype,
        announce,
        ranks,
    )


def _plan(session: Session, started_at: float) -> TrainConfig:
    """Turn minutes into steps, by a few steps with a network that is thrown away."""
    config = session.run.config
    assert config.minutes is not None
    trial = config.replace(minutes=None, steps=CALIBRATION_STEPS)
    learner = Learner.new(trial, session.device)
    parallelize(learner, session.ranks)
    batches = session.batches(0, CALIBRATION_STEPS)
    step_s = measure_step(learner, session.criterion, batches, trial, session.dtype)
    left_s = config.minutes * 60 - (time.perf_counter() - started_at)
    steps = steps_within(left_s, config, step_s=step_s, preview_s=measure_once(session.preview))
    steps = session.ranks.told_by_first(steps)
    session.announce(f"{config.minutes:g} minutes at {step_s:.2f} s a step: {steps} steps")
    return config.replace(minutes=None, steps=steps)

"""The race of ``nst bench race``: equal time for us and for the plain loop, then the judge."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nst.commands.contest import PLAIN, describe_machine
from nst.commands.plain_loop import PlainLoop
from nst.config import ObjectiveConfig
from nst.image import load_image
from nst.interrupt import Stopped, StopRequest
from nst.judge import STYLE_PX, Score, fit_photograph, judge, mean_score
from nst.losses import PerceptualLoss
from nst.network import StyleNetwork
from nst.runtime import choose_device, exact_float32
from nst.tensors import load_style, to_tensor, to_uint8
from nst.terminal import progress, say
from nst.weights import find_weights

PLAIN_BATCH = 4
"""As in the PyTorch examples."""
SHOWN = 4
"""Photographs in a strip."""
SHOWN_PX = 384


@dataclass(frozen=True, slots=True)
class Finish:
    """Where one side stands after its time."""

    side: str
    seconds: float
    """Of training; ours with planning, log, previews and checkpoints."""
    photographs: int
    """Views: steps times batch."""
    score: Score


class Racers:
    """Both sides and the judge.

    Args:
        style: The style image.
        data: Photographs of both sides, as ``nst train`` has them.
        files: Photographs that judge.
        folder: Where run folders and strips are written.
        minutes: Time of each side.
        width: Channels of the first convolution.
        size: Side of the crops, px.
        vgg: VGG-19 weights, as ``nst train`` has them.
        device: auto, cpu, cuda ...
    """

    def __init__(
        self,
        style: Path,
        data: Sequence[str],
        files: Sequence[Path],
        folder: Path,
        *,
        minutes: float,
        width: int,
        size: int,
        vgg: str | None,
        device: str,
    ) -> None:
        from train.config import TrainConfig
        from train.data import open_photographs
        from train.reading import Reading
        from train.sources import find_sources

        self.style, self.data, self.files, self.folder = style, data, files, folder
        self.seconds = 60 * minutes
        self.config = TrainConfig(
            net="johnson",
            minutes=minutes,
            width=width,
            size=size,
            vgg=vgg,
            device=device,
            lattice_weight=0.0,  # the plain loop has none
        )
        self.device = choose_device(device)
        self.machine = describe_machine(self.device)
        self.reading = Reading(announce=say, progress=progress)
        self.weights = find_weights(vgg, announce=say, bars=progress)
        sources = find_sources(data, shards=None, reading=self.reading)
        self.photographs = open_photographs(sources, size=size, reading=self.reading)
        image, self.picture = load_style(style, STYLE_PX)
        self.image = image.to(self.device)
        self.criterion = PerceptualLoss.from_config(
            self.weights, self.image, ObjectiveConfig(vgg=vgg)
        )

    def run_plain(self) -> Finish:
        """Train by the plain loop until a step ends after the time."""
        config = self.config
        started_at = time.perf_counter()
        torch.manual_seed(config.seed)
        width = config.dimensions.width
        plain = PlainLoop(self.weights, self.image, width=width, preset=config.preset)
        plain = plain.to(self.device)
        step = 0
        with StopRequest() as stop, progress("plain loop, seconds", self.seconds) as bar:
            while (elapsed := time.perf_counter() - started_at) < self.seconds:
                crops = self.photographs.batch(
                    step, batch=PLAIN_BATCH, size=config.size, seed=config.seed
                )
                plain.step(torch.from_numpy(crops).to(self.device).permute(0, 3, 1, 2))
                step += 1
                bar.update(elapsed, f"step {step}")
                if stop.signal_number:
                    raise Stopped("stopped: a race cannot be resumed", stop.signal_number)
        elapsed = time.perf_counter() - started_at
        return self._finish(PLAIN, plain.network, elapsed, step * PLAIN_BATCH)

    def run_ours(self) -> Finish:
        """Train as ``nst train --minutes`` does."""
        from train.cli import run_session
        from train.setup import new_session

        started_at = time.perf_counter()
        session = new_session(
            [self.style], self.data, self.config, runs=self.folder, reading=self.reading
        )
        try:
            run_session(session)
        except Stopped:
            raise Stopped("stopped: a race cannot be resumed", session.stopped_by) from None
        elapsed = time.perf_counter() - started_at
        photographs = session.learner.step * session.batch
        return self._finish("nst", session.learner.network, elapsed, photographs)

    def _finish(
        self, side: str, network: torch.nn.Module, seconds: float, photographs: int
    ) -> Finish:
        """Judge a network in torch, float32, by the measuring protocol, and write its strip."""
        from train.preview import fill_frame, preview_strip, save_preview

        def paint(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
            with torch.inference_mode():
                painted: NDArray[np.uint8] = to_uint8(network(to_tensor(rgb, self.device)))[0]
                return painted

        network.eval()
        with exact_float32():
            photos = [load_image(file).rgb for file in self.files]
            scores = judge(paint, [fit_photograph(rgb) for rgb in photos], self.criterion)
        shown = [fill_frame(rgb, SHOWN_PX, SHOWN_PX) for rgb in photos[:SHOWN]]
        assert isinstance(network, StyleNetwork)
        strip = preview_strip(network, shown, {0: self.picture.rgb})
        self.folder.mkdir(parents=True, exist_ok=True)
        save_preview(self.folder / f"{side.replace(' ', '-')}.jpg", strip)
        return Finish(side, seconds, photographs, mean_score(scores))

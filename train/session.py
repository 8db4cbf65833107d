"""One training that is ready: its steps, and what is done when they go wrong."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from nst.checkpoint import load_newest
from nst.errors import TrainingError
from nst.image import Picture
from nst.interrupt import StopRequest
from nst.losses import PerceptualLoss
from nst.runtime import describe, why_no_compiler
from train.data import Photographs
from train.diary import Diary
from train.distributed import Ranks, parallelize
from train.feed import Feed
from train.learner import Learner
from train.loop import StepRecord, compile_step, fit
from train.preview import preview_strip
from train.reading import Reading
from train.records import LogLine, Stopwatch, Tally, elapsed_in
from train.run import Run, cut_log, restore

PREVIEW_PHOTOGRAPHS = 4
PREVIEW_OF_SEVERAL = 2
"""Photographs that are painted in every one of several styles."""
CHECK_EVERY = 10
"""Steps between looks at whether gradients were finite; a look waits for the device."""
SKIPS_ALLOWED = 3
"""So many steps in a row without a finite gradient, and the training goes back and slows down."""
SLOWER = 0.5
"""What the learning rate is multiplied by then."""
LEAST_FACTOR = SLOWER**5
"""Below this share of the learning rate the training gives up."""


@dataclass(eq=False)
class Session:
    """A training that is ready to run."""

    run: Run
    learner: Learner
    criterion: PerceptualLoss
    photographs: Photographs
    feed: Feed
    styles: Sequence[Picture]
    """Images of the styles that are trained, in the order of the run."""
    device: torch.device
    dtype: torch.dtype
    reading: Reading
    ranks: Ranks = field(default_factory=Ranks)
    shown: Sequence[NDArray[np.uint8]] = ()
    """Photographs of the previews, uint8 ``(H, W, 3)``, all of one size; else a few of the set."""
    stopped_by: int = 0
    """Number of the signal that ended the training early, in whichever process it arrived."""
    _is_ready: bool = field(default=False, init=False)

    def describe(self) -> list[str]:
        """Say what will really run, one line each."""
        config = self.run.config
        network = self.learner.network
        parameters = sum(p.numel() for p in network.parameters())
        how = "; compiled" if self.is_compiled else ""
        if self.ranks.size > 1:
            how += f"; {self.ranks.size} processes"
        return [
            self.criterion.describe(),
            f"{describe(self.device, self.dtype)}{how}; network {network.dimensions.name},"
            f" {parameters:,} parameters{self._learnt()}",
            *self._about_styles(),
            f"{len(self.photographs)} photographs; {config.length} steps of {self.batch} at"
            f" {config.size} px, from step {self.learner.step}; run folder {self.run.folder}",
            self.feed.describe(),
        ]

    def _learnt(self) -> str:
        """Say how many parameters change, where not all do."""
        network, learnt = self.learner.network, len(self.run.drawn)
        if learnt == network.styles or not network.styles:
            return ""
        rows = sum(p[0].numel() for p in network.parameters() if p.requires_grad)
        return f", of which {learnt * rows:,} learn"

    def _about_styles(self) -> list[str]:
        """Say which styles are trained, where the network mixes them."""
        if not self.learner.network.styles:
            return []
        names = ", ".join(self.run.drawn_styles)
        return [f"styles: {names}; each in turn, one in three at less than full strength"]

    @property
    def is_compiled(self) -> bool:
        """Whether torch compiles the step."""
        wish = self.run.config.compile
        if wish != "auto":
            return wish == "on"
        return self.device.type == "cuda" and not why_no_compiler(self.device)

    @property
    def batch(self) -> int:
        """Photographs in a step, of all processes together."""
        return self.run.config.batch_on(self.device.type)

    @property
    def is_finished(self) -> bool:
        """Whether no step is left."""
        return self.learner.step >= self.run.config.length

    def make_ready(self) -> None:
        """Compile the step and join the processes, unless that is done."""
        if self._is_ready:
            return
        if self.is_compiled:
            self.reading.announce("the first step compiles, which takes a while")
            compile_step(self.learner, self.criterion)
        elif self.run.config.compile == "auto" and self.device.type == "cuda":
            self.reading.announce(f"the step is not compiled: {why_no_compiler(self.device)}")
        parallelize(self.learner, self.ranks)
        self._is_ready = True

    def steps(self, stop: StopRequest) -> Iterator[LogLine]:
        """Train to the end, or until a stop is asked for, and yield the lines of the log.

        Checkpoints, previews, curves and log are written on the way, a last checkpoint at the end.
        A training whose steps are all done yields nothing. After ``SKIPS_ALLOWED`` steps in a row
        without a finite gradient it goes on from the last checkpoint with a lower learning rate.

        Raises:
            TrainingError: Even the lowest learning rate gives no finite gradient.
            OutputError: The disk is full; the last checkpoint stays.
        """
        if self.is_finished:
            return
        self.make_ready()
        diary = Diary(
            self.run,
            self.learner,
            self.preview,
            self.reading.announce,
            is_kept=self.ranks.is_first,
        )
        with closing(diary):
            diary.open()
            while (yield from self._steps_until_trouble(stop, diary)):
                self._go_back()

    def _steps_until_trouble(
        self, stop: StopRequest, diary: Diary
    ) -> Generator[LogLine, None, bool]:
        """Train; the value is whether gradients were not finite too often in a row."""
        config = self.run.config
        before_s = elapsed_in(self.run.log_file)
        watch = Stopwatch(self.learner.step, self.batch, before_s=before_s)
        tally = Tally(self.run.drawn_styles, self.device)
        batches = self.feed.batches(self.learner.step, config.length)
        for record in fit(self.learner, self.criterion, batches, config, self.dtype):
            for note in record.notes:
                self.reading.announce(note)
            self.stopped_by = self.ranks.highest(stop.signal_number or 0)
            is_last = record.step == config.length or self.stopped_by > 0
            is_saved = record.step % config.checkpoint_every == 0 or is_last
            if (is_saved or record.step % CHECK_EVERY == 0) and self._is_in_trouble(record):
                return True
            tally.add(record)
            line = None
            if record.step % config.log_every == 0 or is_last:
                images_per_s, elapsed_s = watch.lap(record.step)
                line = LogLine.of(
                    record,
                    images_per_s=images_per_s,
                    elapsed_s=elapsed_s,
                    mean=self.ranks.mean,
                    styles=tally.take(),
                )
                diary.note(line)
            with watch.paused():
                if is_saved:
                    diary.save()
                if config.has_preview(record.step):
                    diary.picture()
            if line is not None:
                yield line  # when all is written: whoever shows it may fail
            if is_last:
                break
        return False

    def _is_in_trouble(self, record: StepRecord) -> bool:
        in_a_row = int(record.skipped_in_a_row)
        if in_a_row and in_a_row < SKIPS_ALLOWED:
            self.reading.announce(
                f"step {record.step}: the gradient is not finite, the step is skipped"
            )
        return in_a_row >= SKIPS_ALLOWED

    def _go_back(self) -> None:
        """Go on from the newest checkpoint with a lower learning rate, which is written down."""
        learner, folder = self.learner, self.run.folder
        failed_at = learner.step
        checkpoint, _, note = load_newest(folder)
        if note:
            self.reading.announce(note)
        restore(learner, checkpoint, source=str(folder))
        learner.rate_factor *= SLOWER
        if learner.rate_factor < LEAST_FACTOR:
            raise TrainingError(
                f"the gradient is not finite at step {failed_at} and was not with a lower learning"
                f" rate; the checkpoint of step {learner.step} is good, but begin anew with other"
                " settings: --precision float32, a lower --learning-rate, other --vgg weights"
            )
        self.reading.announce(
            f"step {failed_at}: {SKIPS_ALLOWED} gradients or more in a row are not finite; back to"
            f" step {learner.step}, learning rate times {learner.rate_factor:g} from here on"
        )
        self.ranks.highest(0)  # only when all have read it, a slower process would read the new one
        if self.ranks.is_first:
            cut_log(self.run.log_file, learner.step)
            self.run.save(learner)

    def preview(self) -> NDArray[np.uint8]:
        """Paint the same few photographs and lay them beside the style image."""
        size, seed = self.run.config.size, self.run.config.seed
        photographs = self.shown or [
            self.photographs.sample(k, size=size, seed=seed) for k in range(PREVIEW_PHOTOGRAPHS)
        ]
        images = (style.rgb for style in self.styles)
        drawn = dict(zip(self.run.drawn, images, strict=True))
        if len(drawn) > 1:
            photographs = photographs[:PREVIEW_OF_SEVERAL]
        return preview_strip(self.learner.network, photographs, drawn)

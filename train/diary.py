"""What a training leaves behind while it runs: log, checkpoints, previews, curves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from train.learner import Learner
from train.preview import save_preview
from train.records import Board, LogLine, append_line, save_loss_plot
from train.run import Run


@dataclass(eq=False)
class Diary:
    """The writing side of a run folder.

    Args:
        run: Where.
        learner: What is saved.
        preview: Makes a preview strip, uint8 ``(H, W, 3)``.
        announce: Told what is not written, for want of a package.
        is_kept: False in all processes but the first: then nothing is written at all.
    """

    run: Run
    learner: Learner
    preview: Callable[[], NDArray[np.uint8]]
    announce: Callable[[str], None]
    is_kept: bool = True
    _board: Board | None = field(init=False, default=None)
    _draws: bool = field(init=False, default=True)

    def open(self) -> None:
        """Begin, or go on from the step of the learner.

        Raises:
            OutputError: The disk is full.
        """
        if not self.is_kept:
            return
        try:
            self._board = Board(self.run.folder, self.learner.step)
        except ImportError:
            self.announce("no TensorBoard files are written: pip install tensorboard")
        if self.learner.step == 0:
            self.picture()

    def close(self) -> None:
        """Write what is pending."""
        if self._board is not None:
            self._board.close()

    def note(self, line: LogLine) -> None:
        """Write down the figures of a step.

        Raises:
            OutputError: The disk is full.
        """
        if self.is_kept:
            append_line(self.run.log_file, line)
            if self._board is not None:
                self._board.add(line)

    def save(self) -> None:
        """Write a checkpoint.

        Raises:
            OutputError: The disk is full; the last checkpoint stays.
        """
        if self.is_kept:
            self.run.save(self.learner)

    def picture(self) -> None:
        """Write a preview of the present step, and the curves so far.

        Raises:
            OutputError: The disk is full.
        """
        if not self.is_kept:
            return
        step, strip = self.learner.step, self.preview()
        save_preview(self.run.preview_file(step), strip)
        if self._board is not None:
            self._board.add_preview(step, strip)
        if self._draws:
            try:
                save_loss_plot(self.run.folder / "loss.png", self.run.log_file)
            except ImportError:
                self._draws = False
                self.announce("loss.png is not drawn: pip install matplotlib")

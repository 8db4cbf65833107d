"""What the keys of ``nst webcam`` do, and the line that says how things stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infer.recorder import Recorder
from infer.stylizer import Stylizer
from nst.errors import NSTError

STRENGTH_STEP = 0.1
HELP = (
    "1-9: style   n, p: next, previous   [ ]: strength   o: original colours",
    "m: mirror   s: snapshot   r: record   h: help   q: end",
)


class Keys:
    """Changes a painter between two frames, and records.

    Args:
        paint: The painter.
        name: Returns what is painted, as a part of file names.
        announce: Takes a line for the user: what was recorded, what went wrong.
        deliver: Takes the name of a film that is complete.
        record: Starts a recording.
    """

    def __init__(
        self,
        paint: Stylizer,
        *,
        name: Callable[[], str],
        announce: Callable[[str], object],
        deliver: Callable[[str], object],
        record: Callable[[Path], Recorder] = Recorder,
    ) -> None:
        self._paint, self._name = paint, name
        self._announce, self._deliver, self._record = announce, deliver, record
        self._recorder: Recorder | None = None
        self._message = ""
        self._is_helping = False
        self.actions: dict[str, Callable[[], None]] = {
            "o": self._switch_colors,
            "[": lambda: self._change_strength(-STRENGTH_STEP),
            "-": lambda: self._change_strength(-STRENGTH_STEP),
            "]": lambda: self._change_strength(STRENGTH_STEP),
            "+": lambda: self._change_strength(STRENGTH_STEP),
            "=": lambda: self._change_strength(STRENGTH_STEP),
            "n": lambda: self._step_style(1),
            "p": lambda: self._step_style(-1),
            "r": self._switch_recording,
            "h": self._switch_help,
        }
        """What each key does."""
        for number in range(1, 10):
            self.actions[str(number)] = lambda number=number: self._take_style(number - 1)  # type: ignore[misc]

    @property
    def is_recording(self) -> bool:
        """Whether a film is being recorded."""
        return self._recorder is not None

    def caption(self) -> str:
        """Return the lines below the figures: what is painted, how strongly, and the help."""
        parts = [self._paint.label, f"{self._paint.strength:.0%}"]
        if self._paint.original_colors:
            parts.append("original colours")
        if self._recorder is not None:
            parts.append(f"REC {self._recorder.seconds:.0f} s")
        parts.append(self._message or ("" if self._is_helping else "h: help"))
        lines = ["   ".join(part for part in parts if part)]
        return "\n".join([*lines, *(HELP if self._is_helping else ())])

    def take(self, painted: NDArray[np.uint8], captured_at: float) -> None:
        """Record a painted frame, if one is wanted; a film that fails ends, and the show goes on.

        Args:
            painted: (H, W, 3).
            captured_at: When it was taken, seconds.
        """
        if self._recorder is None:
            return
        try:
            self._recorder.add(painted, captured_at)
        except NSTError as error:
            self._announce(str(error))
            self._message = "the recording has ended"
            self.close()

    def close(self) -> None:
        """Complete a film that is being recorded."""
        if self._recorder is None:
            return
        recorder, self._recorder = self._recorder, None
        try:
            self._announce(recorder.close())
            self._deliver(str(recorder.path))
        except NSTError as error:
            self._announce(str(error))

    def _switch_recording(self) -> None:
        self._message = ""
        if self._recorder is not None:
            self.close()
            return
        try:
            self._recorder = self._record(free_name(self._name(), ".mp4"))
        except NSTError as error:
            self._announce(str(error))
            self._message = "cannot record"

    def _switch_help(self) -> None:
        self._is_helping, self._message = not self._is_helping, ""

    def _switch_colors(self) -> None:
        self._paint.original_colors = not self._paint.original_colors

    def _change_strength(self, step: float) -> None:
        self._message = ""
        self._paint.strength = round(min(1.0, max(0.0, self._paint.strength + step)), 2)

    def _step_style(self, step: int) -> None:
        styles = self._paint.info.styles
        label = self._paint.label
        place = styles.index(label) if label in styles else -1 if step > 0 else len(styles)
        self._take_style((place + step) % len(styles))

    def _take_style(self, place: int) -> None:
        styles, mixture = self._paint.info.styles, self._paint.mixture
        if mixture is None or place >= len(styles):
            many = "one style" if len(styles) == 1 else f"{len(styles)} styles"
            self._message = f"this model has {many}"
            return
        self._message = ""
        self._paint.mixture = mixture.with_style(styles[place], styles)


def free_name(style: str, suffix: str) -> Path:
    """Return the first of ``style-001.png``, ``style-002.png`` ... that does not exist."""
    number = 1
    while (path := Path(f"{style}-{number:03d}{suffix}")).exists():
        number += 1
    return path

"""The loop from the camera to the screen; it yields a record for each frame shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from infer.camera import Shot
from infer.timing import FrameRate

Paint = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Paints one frame, uint8 (H, W, 3) RGB, into one of the same or another size."""

Output = Callable[[NDArray[np.uint8], float], object]
"""Takes a painted frame, (H, W, 3), and when its source was taken, seconds."""

WAIT_S = 0.1
"""How long to wait for a frame before the keys are looked at again."""


class Source(Protocol):
    """Where frames come from, as ``infer.camera.Camera``."""

    dropped: int

    @property
    def is_over(self) -> bool:
        """Whether no frame will come any more."""

    def read(self, timeout_s: float) -> Shot | None:
        """Return a frame newer than the last one; None when none came in time."""

    def close(self) -> None:
        """Let go of the source."""


class Screen(Protocol):
    """Where frames are shown, as ``infer.window.Window``."""

    def show(self, rgb: NDArray[np.uint8], caption: str = "") -> None:
        """Show a picture with a line of text that is not part of it."""

    def key(self) -> str:
        """Return the key pressed, "" for none, "q" to end."""

    def close(self) -> None:
        """Close the screen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebcamRecord:
    """One frame was shown."""

    frame: int
    """How many were shown so far."""
    fps: float
    """Frames shown per second, over the last second."""
    latency_ms: float
    """From the frame's capture, as far back as the driver tells, until the window was told to show
    it, ms; neither the exposure nor the screen's own delay is in it."""
    dropped: int
    """Frames of the camera that were never painted, so far."""
    snapshot: NDArray[np.uint8] | None = None
    """The painted frame, RGB (H, W, 3), when the user asked to keep it; where no frame came after
    that, the last record comes once more with it."""


def run_webcam(
    source: Source,
    paint: Paint,
    screen: Screen,
    *,
    mirror: bool = True,
    actions: Mapping[str, Callable[[], None]] | None = None,
    caption: Callable[[], str] = lambda: "",
    outputs: Sequence[Output] = (),
) -> Generator[WebcamRecord, None, None]:
    """Paint frames until the user or the source ends it.

    Keys: q, Escape or closing the window end it, s marks the frame to be saved, m turns the mirror
    on and off. While no frame comes the last one stays. Source and screen are closed at every exit,
    once the first record was asked for.

    Args:
        source: Where frames come from.
        paint: Paints one frame.
        screen: Where they are shown.
        mirror: Whether left and right change places, as in a mirror.
        actions: What further keys do.
        caption: Returns lines of text that are shown below the figures.
        outputs: Who else gets the painted frames.

    Raises:
        MediaError: The camera was lost, or an output.
    """
    actions = {} if actions is None else actions
    rate, fps, latency_ms, count = FrameRate(), 0.0, 0.0, 0
    is_wanted, record, last = False, None, None
    with closing(source), closing(screen):
        while True:
            shot = source.read(WAIT_S)
            painted = None
            if shot is not None:
                rgb = np.ascontiguousarray(shot.rgb[:, ::-1]) if mirror else shot.rgb
                painted = paint(rgb)
                for output in outputs:
                    output(painted, shot.captured_at)
                screen.show(painted, f"{fps:.1f} fps  {latency_ms:.0f} ms\n{caption()}".rstrip())
            key = screen.key()
            is_wanted = is_wanted or key == "s"
            if shot is not None and painted is not None:
                now = time.perf_counter()
                fps, latency_ms = rate.tick(now), (now - shot.captured_at) * 1e3
                count += 1
                last = painted
                record = WebcamRecord(
                    frame=count,
                    fps=fps,
                    latency_ms=latency_ms,
                    dropped=source.dropped,
                    snapshot=painted if is_wanted else None,
                )
                yield record
                is_wanted = False
            if key == "q" or (shot is None and source.is_over):
                if is_wanted and record is not None:  # what is on the screen, since nothing came
                    yield replace(record, snapshot=last)
                return
            if key == "m":
                mirror = not mirror
            elif key in actions:
                actions[key]()

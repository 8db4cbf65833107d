"""Predicting whether a picture fits into memory, before the system starts to swap or to kill."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nst.contract import ModelInfo
from nst.errors import InferenceError
from nst.image import fit_long_side
from nst.memory import USABLE, free_bytes


def needed_bytes(info: ModelInfo, height: int, width: int, batch: int = 1) -> int:
    """Return the predicted peak of a run, bytes; the graph pads to ``info.size_multiple``."""
    m = info.size_multiple
    return info.bytes_per_pixel * batch * (-(-height // m) * m) * (-(-width // m) * m)


def usable_bytes() -> int:
    """Return how much of the free memory may be taken, bytes."""
    return int(USABLE * free_bytes())


def check_memory(
    info: ModelInfo, height: int, width: int, *, name: str, brush: float = 1.0
) -> None:
    """Refuse a run that would take more than ``USABLE`` of the free memory.

    Args:
        info: The model.
        height: Height that the network sees, px.
        width: Width that the network sees, px.
        name: What to call the picture.
        brush: By which ``--size`` is divided.

    Raises:
        InferenceError: It would; the message names the largest ``--size`` that fits.
    """
    needed, free = needed_bytes(info, height, width), free_bytes()
    if needed <= USABLE * free:
        return
    fitting = int(brush * largest_size(info, height, width, int(USABLE * free)))
    advice = f"--size {fitting} fits" if fitting else "no --size fits, close other programs"
    raise InferenceError(
        f"{name}: {width}x{height} px need {needed / 1e9:.1f} GB of memory,"
        f" {free / 1e9:.1f} GB are free, of which {USABLE:.0%} may be used; {advice}"
    )


class Claims:
    """The memory of runs in several threads: looked at and claimed in one step.

    What a run has claimed it takes in its course, and then counts twice. So nobody is refused for
    what others claim: who does not fit beside them waits until they are done.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._claimed = 0

    @contextmanager
    def claim(
        self, info: ModelInfo, height: int, width: int, *, name: str, give_back: Callable[[], None]
    ) -> Iterator[None]:
        """Hold the memory of a run while a block lasts.

        Args:
            info: The model.
            height: Height that the network sees, px.
            width: Width that the network sees, px.
            name: What to call the picture.
            give_back: Called where memory is short: lets go of what earlier runs left.

        Raises:
            InferenceError: It would not even fit alone; see ``check_memory``.
        """
        needed = needed_bytes(info, height, width)
        with self._changed:
            self._changed.wait_for(
                lambda: not self._claimed or self._claimed + needed <= usable_bytes()
            )
            if not self._claimed:
                try:
                    check_memory(info, height, width, name=name)
                except InferenceError:
                    give_back()
                    check_memory(info, height, width, name=name)
            self._claimed += needed
        try:
            yield
        finally:
            with self._changed:
                self._claimed -= needed
                self._changed.notify_all()


def largest_size(info: ModelInfo, height: int, width: int, budget: int) -> int:
    """Return the greatest long side, px, at which a picture of that shape fits; 0 if none."""
    low, high = 0, max(height, width)
    while low < high:  # low fits or is 0, above high nothing fits
        middle = (low + high + 1) // 2
        if needed_bytes(info, *fit_long_side(height, width, middle)) <= budget:
            low = middle
        else:
            high = middle - 1
    return low

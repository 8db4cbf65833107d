"""A model on pictures of any size: as a whole where that fits into memory, else in tiles.

What is done for want of memory is said, in one line for each step. On a graphics card, whose free
memory nobody tells, the steps are: the whole; once more, when memory was given back; tiles, smaller
and smaller; the CPU, where the choice was left to ``auto``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.memory import check_memory, needed_bytes, usable_bytes
from infer.session import Session
from infer.tile_plan import TILE_PX, TilePlan, plan_tiles, plan_within, tile_bytes, tile_side
from infer.tiles import Tiling, kept_bytes
from nst.errors import InferenceError, OutOfMemoryError
from nst.terminal import Bars, format_duration, format_size

SAID_FROM_BYTES = 1_000_000_000
"""What a picture will take is said before it is painted where it is so much."""
MOST_VALUES = 2**31 - 1
"""Of one map on a graphics card, whose kernels count in 32 bits."""
SHARE_BYTES = 24
"""For each value of a mix: what its shares take while they are computed."""

Painted = tuple[NDArray[np.uint8], tuple[str, ...]]
"""A painting, and what is to be noted beside it."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Job:
    """A picture and how to paint it."""

    image: NDArray[np.uint8]
    """RGB, (H, W, 3)."""
    name: str
    """What to call it."""
    texture: float = 1.0
    """As ``Session.run`` takes it."""
    mix: NDArray[np.float32] | None = None
    """As ``Session.run`` takes it."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.image.shape[0], self.image.shape[1]


class Painter:
    """Runs a model on one picture after the other.

    Args:
        session: The model.
        tile: ``auto``, in tiles where the whole does not fit; ``off``, never; or a side in px, in
            tiles of that side whatever the memory.
        announce: Told in one line what is done for want of memory.

    Attributes:
        bars: What a long painting reports its advance to, or None.

    Raises:
        UsageError: ``tile`` is none of these.
    """

    def __init__(
        self,
        session: Session,
        *,
        tile: str | int = "auto",
        announce: Callable[[str], object] = lambda line: None,
    ) -> None:
        self.session = session
        self.side = tile_side(tile)
        self.bars: Bars | None = None
        self._announce = announce
        # Sizes of the last picture for which ...
        self._checked: tuple[int, int] | None = None  # ... there was memory,
        self._short: tuple[int, int] | None = None  # ... there was none for the whole of it,
        self._said: tuple[int, int] | None = None  # ... tiles were announced,
        self._left: tuple[int, int] | None = None  # ... the CPU took over.
        self._on_cpu: Painter | None = None

    def look(self, height: int, width: int, *, name: str, brush: float = 1.0) -> str:
        """Find out, before there is a picture, whether it can be painted as a whole.

        Args:
            height: Of the picture, px.
            width: Of the picture, px.
            name: What to call it.
            brush: By which ``--size`` was divided, for the advice in an error.

        Returns:
            Why it is to be painted in tiles, or nothing.

        Raises:
            InferenceError: It does not fit into memory, and not in tiles either where these are
                allowed.
        """
        size = height, width
        info = self.session.info
        if self.side and len(plan_tiles(info, *size, self.side).tiles) > 1:
            return f"--tile {self.side}"
        if self._short == size:
            return f"{self.session.obtained} had not enough memory for the whole"
        if self.session.has_own_memory:
            most = needed_bytes(info, *size) / 4  # float32, all maps together
            if self.side == 0 or most <= MOST_VALUES:
                return ""
            values = self.session.graphs.facts.peak_values * height * width
            return f"a map has {values / 1e9:.1f} billion values" if values > MOST_VALUES else ""
        try:
            self._check(size, name, brush)
        except InferenceError as error:
            if self.side == 0 or self._next_plan(size, TILE_PX) is None:
                raise
            return _first_half(error).removeprefix(f"{name}: ")
        return ""

    def paint(self, job: Job, why_in_tiles: str = "") -> Painted:
        """Paint a picture.

        Args:
            job: The picture.
            why_in_tiles: What ``look`` returned.

        Returns:
            The painting, and a note where it was made in tiles.

        Raises:
            InferenceError: It does not fit into memory, not even in tiles where these are allowed.
        """
        if self._on_cpu is not None and self._left == job.size:
            return self._paint_on_cpu(job)
        if not why_in_tiles:
            try:
                return self._whole(job), ()
            except OutOfMemoryError as error:
                has_way = self._next_plan(job.size, TILE_PX) is not None or self._may_leave
                if self.side == 0 or not has_way:
                    raise
                self._checked, self._short = None, job.size
                why_in_tiles = _first_half(error)
        return self._smaller_and_smaller(job, why_in_tiles)

    # --- as a whole ------------------------------------------------------------------------------

    def _whole(self, job: Job) -> NDArray[np.uint8]:
        """Paint a picture as a whole, a second time where the first one found too little memory."""
        try:
            return self._once(job)
        except OutOfMemoryError as error:
            self._announce(f"{job.name}: {_first_half(error)}; giving memory back and trying again")
        self.session.give_memory_back()
        return self._once(job)

    def _once(self, job: Job) -> NDArray[np.uint8]:
        painted = self.session.run(job.image[None], texture=job.texture, mix=job.mix)
        return np.asarray(painted[0])

    def _check(self, size: tuple[int, int], name: str, brush: float) -> None:
        """Look at the free memory before the first picture of a size.

        The next ones of that size in a row are painted in what this one took: a film on a small
        machine must not end because its own second frame finds the memory taken.
        """
        if self._checked == size:
            return
        try:
            check_memory(self.session.info, *size, name=name, brush=brush)
        except InferenceError:
            self._checked = None
            self.session.give_memory_back()  # taken by pictures of another size
            check_memory(self.session.info, *size, name=name, brush=brush)
        self._checked = size
        needed = needed_bytes(self.session.info, *size)
        if needed >= SAID_FROM_BYTES:
            self._announce(f"{name}: {size[1]}x{size[0]} px, {format_size(needed)} of memory")

    # --- in tiles --------------------------------------------------------------------------------

    def _smaller_and_smaller(self, job: Job, reason: str) -> Painted:
        """Paint in tiles that fit; where none do, on the CPU if that may be chosen.

        Raises:
            InferenceError: Not even the smallest tiles fit, or those that were asked for.
        """
        failed: InferenceError = OutOfMemoryError(f"{job.name}: {reason}, and no tiles fit either")
        plan = self._first_plan(job)
        while plan is not None:
            try:
                return self._in_tiles(job, plan, reason)
            except OutOfMemoryError as error:
                failed, reason = error, _first_half(error)
                self.session.give_memory_back()
            plan = None if self.side else self._next_plan(job.size, plan.tile // 2, job.mix)
        if not self._may_leave:
            raise failed
        self._announce(f"{job.name}: {reason}; painting it on the CPU")
        if self._on_cpu is None:
            tile = {None: "auto", 0: "off"}.get(self.side, str(self.side))
            self._on_cpu = Painter(self.session.on_cpu(), tile=tile, announce=self._announce)
        self._left = job.size
        return self._paint_on_cpu(job)

    def _paint_on_cpu(self, job: Job) -> Painted:
        assert self._on_cpu is not None
        self._on_cpu.bars = self.bars
        return self._on_cpu.paint(job, self._on_cpu.look(*job.size, name=job.name))

    @property
    def _may_leave(self) -> bool:
        """Whether the CPU may take over."""
        return self.session.asked == "auto" and self.session.obtained != "CPU"

    def _first_plan(self, job: Job) -> TilePlan | None:
        """Return the tiles that were asked for, or the largest that are expected to fit.

        Raises:
            InferenceError: Those that were asked for do not fit.
        """
        info = self.session.info
        if not self.side:
            return self._next_plan(job.size, TILE_PX, job.mix)
        plan = plan_tiles(info, *job.size, self.side)
        needed, budget = tile_bytes(info, plan), self._budget(job.size, job.mix)
        if needed > budget:
            raise InferenceError(
                f"{job.name}: --tile {self.side} needs {format_size(needed)} of memory,"
                f" {format_size(max(0, budget))} may be used; try a smaller one, or --tile auto"
            )
        return plan

    def _next_plan(
        self, size: tuple[int, int], most: int, mix: NDArray[np.float32] | None = None
    ) -> TilePlan | None:
        """Return the largest tiles that are expected to fit, of a side of at most so many px."""
        return plan_within(self.session.info, *size, self._budget(size, mix), most)

    def _budget(self, size: tuple[int, int], mix: NDArray[np.float32] | None) -> int:
        """Return how much memory one tile may take beside the painting and the mix, bytes."""
        return sys.maxsize if self.session.has_own_memory else self._host_bytes(size, mix)

    def _host_bytes(self, size: tuple[int, int], mix: NDArray[np.float32] | None) -> int:
        """Return how much memory of the computer is left beside the painting and the mix."""
        grid = 0 if mix is None or mix.shape[2:] == (1, 1) else mix.size
        return usable_bytes() - 3 * size[0] * size[1] - SHARE_BYTES * grid

    def _in_tiles(self, job: Job, plan: TilePlan, reason: str) -> Painted:
        """Paint in tiles, and say so before it begins; of pictures of one size once."""
        memory, kept = tile_bytes(self.session.info, plan), kept_bytes(self.session, plan)
        left = self._host_bytes(job.size, job.mix)
        left -= 0 if self.session.has_own_memory else memory
        keeps = kept is not None and kept <= left
        tiling = Tiling(self.session, job.image, plan, job.texture, job.mix, keeps)
        if self._said != job.size:
            seconds = max(1.0, tiling.predict_seconds())
            words = f", {format_size(kept)} for what lies between" if keeps and kept else ""
            self._announce(
                f"{job.name}: {reason}; painting {job.size[1]}x{job.size[0]} px in"
                f" {plan.describe()}, {format_size(memory)} at a time{words},"
                f" about {format_duration(seconds)}"
            )
        with nullcontext() if self.bars is None else self.bars(job.name, 100) as bar:
            try:
                for done in tiling.paint():
                    if bar is not None:
                        bar.update(int(100 * done))
            except MemoryError:  # of numpy, for the painting or what lies between
                raise OutOfMemoryError(
                    f"{job.name}: not enough memory to put tiles together; try a smaller --size"
                ) from None
        self._said = job.size
        assert tiling.painted is not None
        return tiling.painted, (f"painted in {len(plan.tiles)} tiles",)


def _first_half(error: InferenceError) -> str:
    """Return what is wrong without the advice."""
    return str(error).partition(";")[0]

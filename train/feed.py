"""Batches of crops on the device, ready when the step is.

On CUDA a set that takes under half of the memory that is free is put there once, and crops are
cut and mirrored there. Else threads cut them here, some batches ahead. Both give the same bytes,
and so does any number of threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nst.terminal import format_size
from train.data import Photographs

AHEAD = 3
"""Batches that are made before they are asked for."""
RESIDENT_SHARE = 0.5
"""The share of the free memory of a device that photographs may take."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crops:
    """Which crops a process trains on."""

    batch: int
    """Photographs of a step in all processes together."""
    size: int
    """px."""
    seed: int
    rank: int = 0
    """Which contiguous piece of the batch this process takes."""
    ranks: int = 1


class Feed(Protocol):
    """Where the batches of a training come from."""

    def batches(self, start: int, stop: int) -> Iterator[Tensor]:
        """Yield the crops of steps ``start`` to ``stop - 1``.

        Each is uint8 ``(batch / ranks, size, size, 3)`` on the device.
        """

    def describe(self) -> str:
        """Say in one line what really runs."""


def open_feed(photographs: Photographs, crops: Crops, device: torch.device, workers: int) -> Feed:
    """Choose where crops are cut: on the device if the photographs fit there, else here.

    Args:
        photographs: What crops are cut from.
        crops: Which ones.
        device: Where batches are wanted.
        workers: Threads that cut crops here.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if sum(part.nbytes for part in photographs.parts) < RESIDENT_SHARE * free:
            return DeviceFeed(photographs, crops, device)
    return HostFeed(photographs, crops, device, workers)


@dataclass(frozen=True, eq=False)
class HostFeed:
    """Crops are cut by threads of this process and copied to the device."""

    photographs: Photographs
    crops: Crops
    device: torch.device
    workers: int

    def batches(self, start: int, stop: int) -> Iterator[Tensor]:
        """Yield the crops of steps ``start`` to ``stop - 1``."""
        for batch in _made_ahead(self._batch, start, stop, self.workers):
            # From pinned memory alone: MPS may still read what was freed (torch, issue 189690).
            yield batch.to(self.device, non_blocking=batch.is_pinned())

    def describe(self) -> str:
        """Say in one line what really runs."""
        memory = "pinned memory" if self.device.type == "cuda" else "memory"
        return f"crops are cut by {self.workers} threads, {AHEAD} batches ahead in {memory}"

    def _batch(self, step: int) -> Tensor:
        batch = torch.from_numpy(self.photographs.batch(step, **asdict(self.crops)))
        return batch.pin_memory() if self.device.type == "cuda" else batch


class DeviceFeed:
    """All photographs stand in the memory of the device, and crops are cut there."""

    def __init__(self, photographs: Photographs, crops: Crops, device: torch.device) -> None:
        self.photographs = photographs
        self.crops = crops
        self.device = device
        total = sum(part.size for part in photographs.parts)
        self._pixels = torch.empty((total // 3, 3), dtype=torch.uint8, device=device)
        flat, end = self._pixels.view(-1), 0
        for part in photographs.parts:
            start, end = end, end + part.size
            flat[start:end] = torch.from_numpy(np.array(part)).to(device)
        self._widths = photographs.sizes[:, 1]
        lengths = photographs.sizes.prod(axis=1)
        self._starts = np.cumsum(lengths) - lengths  # px
        self._places = torch.arange(crops.size, device=device)

    def batches(self, start: int, stop: int) -> Iterator[Tensor]:
        """Yield the crops of steps ``start`` to ``stop - 1``."""
        for corners in _made_ahead(self._corners, start, stop, 1):
            yield self._cut(corners.to(self.device, non_blocking=True))

    def describe(self) -> str:
        """Say in one line what really runs."""
        size = format_size(self._pixels.nbytes)
        return f"{size} of photographs stand on the device, crops are cut there"

    def _corners(self, step: int) -> Tensor:
        """Where the crops of a step begin, px; the widths of their photographs; mirrored or not.

        Returns:
            ``(3, B, 1, 1)``.
        """
        rows, tops, lefts, mirrored = self.photographs.draws(step, **asdict(self.crops)).T
        widths = self._widths[rows]
        drawn: NDArray[np.int64] = np.stack(
            [self._starts[rows] + tops * widths + lefts, widths, mirrored]
        )
        corners = torch.from_numpy(drawn[..., None, None])
        return corners.pin_memory() if self.device.type == "cuda" else corners

    def _cut(self, corners: Tensor) -> Tensor:
        """Gather the pixels of all crops at once; nothing waits for the device."""
        first, width, is_mirrored = corners  # each (B, 1, 1)
        size = self.crops.size
        rows, columns = self._places[:, None], self._places
        columns = torch.where(is_mirrored.bool(), size - 1 - columns, columns)  # (B, 1, S)
        index = first + rows * width + columns  # (B, S, S)
        return self._pixels.index_select(0, index.view(-1)).view(-1, size, size, 3)


def _made_ahead(make: Callable[[int], T], start: int, stop: int, workers: int) -> Iterator[T]:
    """Yield ``make(start)`` to ``make(stop - 1)`` in order, made by threads before their turn."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="feed")
    waiting: deque[Future[T]] = deque()
    try:
        for step in range(start, stop):
            waiting.append(pool.submit(make, step))
            if len(waiting) > max(AHEAD, workers):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)

"""Photographs for training: crops, each a pure function of seed, epoch and index.

Nothing about the position in the data has to be saved: step ``s`` of a training with batch ``b``
takes the samples ``s * b`` to ``s * b + b - 1`` of an endless sequence of shuffled epochs, and
crop and flip of a sample are drawn from a generator of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nst.errors import UsageError
from train.cache import Cache, open_cache
from train.entries import Source
from train.reading import Reading

ROOM = 9 / 8
"""The short side of a photograph is this times the crop, so that crops have room to move."""


class Photographs:
    """The decoded photographs of one or several sources, joined in their order.

    Args:
        caches: At least one photograph in them can be read.
    """

    def __init__(self, caches: Sequence[Cache]) -> None:
        self.bad = [
            f"{cache.name}: {reason}" for cache in caches for reason in cache.unreadable.values()
        ]
        """Photographs that cannot be read, with the reason."""
        self.identity = joined_identity(caches)
        self.parts = [part for cache in caches for part in cache.parts]
        """The pixels, flat, uint8."""
        self.sizes = np.concatenate([cache.sizes for cache in caches])
        """(N, 2) heights and widths, px."""
        self.part_of = np.concatenate(
            [
                first + np.arange(len(cache.sizes)) // cache.part_rows
                for cache, first in zip(caches, _firsts(caches), strict=True)
            ]
        )
        """(N,) the part in which a photograph stands."""
        lengths = 3 * self.sizes.prod(axis=1)
        ends = np.cumsum(lengths)
        ends_of_parts = np.cumsum([0, *(part.size for part in self.parts)])
        self.starts = ends - lengths - ends_of_parts[self.part_of]
        """(N,) where it begins there, bytes."""
        readable = np.flatnonzero(self.sizes[:, 0])
        after = np.searchsorted(readable, np.arange(len(self))) % len(readable)
        self._readable = readable[after]  # (N,) the row itself, or the next one that can be read

    def __len__(self) -> int:
        return len(self.sizes)

    def batch(
        self, step: int, *, batch: int, size: int, seed: int, rank: int = 0, ranks: int = 1
    ) -> NDArray[np.uint8]:
        """Return the crops of one step, uint8 ``(batch / ranks, size, size, 3)``.

        Args:
            step: From 0.
            batch: Photographs of the step in all processes together.
            size: Side of a crop, px.
            seed: Of everything that is drawn.
            rank: Which contiguous piece of the batch to return.
            ranks: In how many pieces the batch is cut.
        """
        draws = self.draws(step, batch=batch, size=size, seed=seed, rank=rank, ranks=ranks)
        crops = np.empty((len(draws), size, size, 3), np.uint8)
        for crop, draw in zip(crops, draws.tolist(), strict=True):
            self._cut(crop, *draw)
        return crops

    def sample(self, k: int, *, size: int, seed: int) -> NDArray[np.uint8]:
        """Return the ``k``-th crop of the endless sequence, uint8 ``(size, size, 3)``."""
        crop = np.empty((size, size, 3), np.uint8)
        self._cut(crop, *self._draw(k, size, seed))
        return crop

    def draws(
        self, step: int, *, batch: int, size: int, seed: int, rank: int = 0, ranks: int = 1
    ) -> NDArray[np.int64]:
        """Return what is drawn for ``batch``: row, top, left, 1 where mirrored; ``(B, 4)``.

        Raises:
            UsageError: The batch cannot be cut into equal pieces.
        """
        if batch % ranks:
            raise UsageError(f"--batch {batch} cannot be shared among {ranks} processes equally")
        first, count = step * batch + rank * (batch // ranks), batch // ranks
        return np.array([self._draw(k, size, seed) for k in range(first, first + count)], np.int64)

    def _draw(self, k: int, size: int, seed: int) -> tuple[int, int, int, int]:
        epoch, place = divmod(k, len(self))
        index = int(_order(seed, epoch, len(self))[place])
        random = np.random.default_rng((seed, epoch, index))
        row = int(self._readable[index])  # whatever is resumed where, the same one
        height, width = self.sizes[row].tolist()
        top = int(random.integers(height - size + 1))
        left = int(random.integers(width - size + 1))
        return row, top, left, int(random.random() < 0.5)

    def _cut(
        self, crop: NDArray[np.uint8], row: int, top: int, left: int, is_mirrored: int
    ) -> None:
        """Fill ``crop``, uint8 ``(size, size, 3)``."""
        size, (height, width) = len(crop), self.sizes[row].tolist()
        start = int(self.starts[row])
        part = self.parts[self.part_of[row]]
        photograph = part[start : start + 3 * height * width].reshape(height, width, 3)
        piece = photograph[top : top + size, left : left + size]
        if not is_mirrored:
            crop[:] = piece
        else:  # channel by channel: three times as fast as moving pixels of three bytes
            for channel in range(3):
                crop[..., channel] = piece[:, ::-1, channel]


def open_photographs(sources: Sequence[Source], *, size: int, reading: Reading) -> Photographs:
    """Decode what is not decoded yet, and join it.

    Args:
        sources: At least one, as ``train.sources.find_sources`` returns them.
        size: Side of the crops, px.
        reading: How.

    Raises:
        DataError: One of them cannot be used.
        OutputError: The disk is too small.
    """
    short_side = round(size * ROOM)
    return Photographs([open_cache(s, short_side=short_side, reading=reading) for s in sources])


def joined_identity(parts: Sequence[Source | Cache]) -> str:
    """Return a hash that changes when one of several sets does, or their order."""
    if len(parts) == 1:
        return parts[0].identity
    return hashlib.sha256("\n".join(part.identity for part in parts).encode()).hexdigest()


def _firsts(caches: Sequence[Cache]) -> list[int]:
    """The number of the first part of each cache among all parts."""
    counts = [len(cache.parts) for cache in caches]
    return [sum(counts[:n]) for n in range(len(caches))]


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, length: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(length)

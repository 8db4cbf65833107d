"""Which style each photograph of a step is painted in, and how much of the photograph stays.

Like the crops, a pure function of seed and place in the training: a run that is resumed draws the
same, and so does any number of processes together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nst.runtime import sent

FULL_STRENGTH = 2 / 3
"""So many photographs are painted in full strength; of the others a share stays, 0 to 1."""
SALT = 0x6D6978
"""Keeps these draws apart from those of the crops."""


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """What is asked for each photograph of a step."""

    which: Tensor
    """The style, by its place among those that are drawn, int64 ``(B,)``."""
    target: Tensor
    """The style image in one of its sizes, by its place among all of them, int64 ``(B,)``."""
    original: Tensor
    """Share of the photograph that stays, ``(B,)``."""
    mix: Tensor | None
    """Style and share as the network takes them, ``(B, K + 1, 1, 1)``; None where it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixes:
    """What a process draws, step by step.

    Each style comes once in every row of so many photographs, in an order that is drawn.

    Args:
        styles: K, of the network; 0 where it has one and does not mix.
        drawn: Numbers of those that are trained, in the network.
        batch: Photographs of a step in all processes together.
        seed: Of the training.
        sizes: In how many sizes each style image is seen.
        rank: Which contiguous piece of the batch this process takes.
        ranks: Processes.
    """

    styles: int
    drawn: Sequence[int]
    batch: int
    seed: int
    sizes: int = 1
    rank: int = 0
    ranks: int = 1

    def at(self, step: int, device: torch.device) -> Draw:
        """Draw for the photographs of one step, on the device."""
        count = self.batch // self.ranks
        first = step * self.batch + self.rank * count
        places = range(first, first + count)
        which = np.array([self._which(n) for n in places], np.int64)
        target = which * self.sizes + np.array([self._size(n) for n in places])
        if not self.styles:
            numbers, targets = (sent(torch.from_numpy(v), device) for v in (which, target))
            return Draw(numbers, targets, torch.zeros(count, device=device), None)
        original = np.array([self._original(n) for n in places], np.float32)
        mix = np.zeros((count, self.styles + 1), np.float32)
        mix[:, 0] = original
        mix[np.arange(count), 1 + np.array(self.drawn)[which]] = 1 - original
        drawn = (which, target, original, mix[..., None, None])
        return Draw(*(sent(torch.from_numpy(values), device) for values in drawn))

    def _which(self, n: int) -> int:
        row, place = divmod(n, len(self.drawn))
        order = np.random.default_rng((SALT, self.seed, row)).permutation(len(self.drawn))
        return int(order[place])

    def _size(self, n: int) -> int:
        return int(np.random.default_rng((SALT + 2, self.seed, n)).integers(self.sizes))

    def _original(self, n: int) -> float:
        chance, share = np.random.default_rng((SALT + 1, self.seed, n)).random(2)
        return 0.0 if chance < FULL_STRENGTH else float(share)

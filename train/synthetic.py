"""``--data synthetic``: procedural photographs as a source like any other."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from nst.errors import UsageError
from train.entries import Entry
from train.procedural.picture import VERSION, procedural_picture

NAME = "synthetic"
COUNT = 1200
"""Pictures when no number is given."""
MOST = 1_000_000
SEED = 0
"""Of every set, so that all trainings share one cache; the order and the crops have another."""

_GIVEN = re.compile(rf"{NAME}(:(?P<count>.*))?")


@dataclass(frozen=True)
class Synthetic:
    """The first pictures of an endless series."""

    name: str
    count: int
    is_made = True

    @classmethod
    def of(cls, given: str) -> Synthetic:
        """Read ``synthetic`` or ``synthetic:COUNT``.

        Raises:
            UsageError: The count is none.
        """
        match = _GIVEN.fullmatch(given)
        count = match["count"] if match else None
        if count is None:
            return cls(given, COUNT)
        if not (count.isascii() and count.isdigit() and 1 <= int(count) <= MOST):
            raise UsageError(
                f"--data {given}: {NAME}:COUNT takes a number of pictures from 1 to {MOST:,}"
            )
        return cls(given, int(count))

    @property
    def identity(self) -> str:
        """Of what makes the pictures, and how many there are."""
        text = f"procedural pictures, version {VERSION}, seed {SEED}, {self.count}"
        return hashlib.sha256(text.encode()).hexdigest()

    def __len__(self) -> int:
        return self.count

    def entries(self, first: int) -> Iterator[Entry]:
        """Yield the recipes from one on."""
        for index in range(first, self.count):
            yield Entry(f"picture {index}", partial(procedural_picture, SEED, index))


def is_synthetic(given: str) -> bool:
    """Whether ``--data`` names procedural pictures; a folder of that name is ``./synthetic``."""
    return _GIVEN.fullmatch(given) is not None

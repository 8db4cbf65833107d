"""A source of photographs: a list of entries that are not decoded yet.

``train.sources`` makes sources of what ``--data`` names; ``train.cache`` decodes each entry once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Recipe = Callable[[int], NDArray[np.uint8]]
"""Makes a picture, uint8 ``(H, W, 3)``, given its short side in px; it can be pickled."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture that is not decoded yet."""

    name: str
    """For errors: a path below the folder, or a file and a row."""
    content: Path | bytes | Recipe
    """Empty where a row holds none."""


class Source(Protocol):
    """A sequence of pictures whose order never changes."""

    @property
    def name(self) -> str:
        """As ``--data`` names it."""

    @property
    def identity(self) -> str:
        """SHA-256 that changes when the set does and not when it moves."""

    @property
    def is_made(self) -> bool:
        """Whether its entries are recipes, which take processes to make in parallel."""

    def __len__(self) -> int:
        """Rows, those that cannot be read included."""

    def entries(self, first: int) -> Iterator[Entry]:
        """Yield the rows from one on."""

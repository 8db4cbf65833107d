"""What is closed at the end of its ``with`` block. Torch-free."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closing:
    """Has ``close``, and calls it where its ``with`` block ends."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what is held."""
        raise NotImplementedError

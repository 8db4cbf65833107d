"""How photographs are read: what a training needs to know and what changes no result."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nst.cache_folder import cache_folder
from nst.terminal import Bars


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How photographs are read."""

    announce: Callable[[str], None]
    """Told before something long starts, and what is done in another way than it was asked for."""
    progress: Bars
    """Shows the advance of downloading and decoding."""
    cache: Path = field(default_factory=cache_folder)
    """Where decoded photographs are kept."""
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Threads that decode photographs and cut crops."""

"""Where the program keeps what it can make again: decoded photographs, curves. Torch-free."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return ``$NST_CACHE``, else the user's folder for such files."""
    if place := os.environ.get("NST_CACHE"):
        return Path(place)
    home = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "nst"

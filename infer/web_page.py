"""What the studio's page is made of, served or written into a folder."""

from __future__ import annotations

from importlib import resources
from typing import Any

from infer import web_runtime
from infer.shelf import Shelf
from infer.wish import MOST_CELLS, MOST_SIZE
from nst import __version__
from nst.settings import MOST_TEXTURE


def page_files() -> dict[str, bytes]:
    """Return the files of the page by name, ``index.html`` and what it loads."""
    folder = resources.files("infer") / "web"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def manifest(shelf: Shelf, *, size: int, is_served: bool, has_runtime: bool) -> dict[str, Any]:
    """Return ``models.json``, by which the page knows what there is.

    Args:
        shelf: The models.
        size: Long side that the network sees at first, px.
        is_served: Whether a server is there to paint.
        has_runtime: Whether the files of onnxruntime-web are there.
    """
    session = shelf.first.session
    return {
        "made_with": f"nst {__version__}",
        "server": {"provider": session.obtained, "reason": session.reason} if is_served else None,
        "runtime": web_runtime.FOLDER if has_runtime else None,
        "runtime_version": web_runtime.VERSION,
        "size": size,
        "most_size": MOST_SIZE,
        "most_cells": MOST_CELLS,
        "most_texture": MOST_TEXTURE,
        "models": [model.describe() for model in shelf],
    }

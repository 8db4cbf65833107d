"""The studio as a folder that any web server can give away: no program behind it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from infer import web_runtime
from infer.shelf import Shelf
from infer.web_page import manifest, page_files
from nst.errors import OutputError
from nst.files import atomic_write, describe


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds something, before the work.

    Raises:
        OutputError: It does, or cannot be looked at.
    """
    try:
        is_taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise OutputError(f"{folder}: cannot be read, {describe(error)}") from None
    if is_taken:
        raise OutputError(f"{folder} exists and is not empty; name a new folder with --write")


def write_folder(folder: Path, shelf: Shelf, runtime: Path, *, size: int) -> int:
    """Write the page, the models and what runs them in the browser.

    Args:
        folder: Where to; it is made when missing.
        shelf: The models.
        runtime: The folder of onnxruntime-web.
        size: Long side that the network sees at first, px.

    Returns:
        How many bytes were written.

    Raises:
        OutputError: It cannot be written.
    """
    known = manifest(shelf, size=size, is_served=False, has_runtime=True)
    files = page_files()
    for model in shelf:
        files[f"models/{model.name}.onnx"] = model.data
        for number, thumbnail in enumerate(model.thumbnails):
            files[f"thumbnails/{model.name}/{number}.jpg"] = thumbnail
    files["models.json"] = json.dumps(known, indent=1).encode()
    for name, data in files.items():
        with atomic_write(folder / name) as file:
            file.write(data)
    written = sum(map(len, files.values()))
    for name in web_runtime.FILES:
        with (runtime / name).open("rb") as source:
            with atomic_write(folder / web_runtime.FOLDER / name) as file:
                shutil.copyfileobj(source, file)
            written += source.tell()
    return written

"""Photographs for training: a folder in, crops out, each a pure function of seed, epoch and index.

Nothing about the position in the data has to be saved: step ``s`` of a training with batch ``b``
takes the samples ``s * b`` to ``s * b + b - 1`` of an endless sequence of shuffled epochs, and
crop and flip of a sample are drawn from a generator of its own.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nst.errors import DataError, ImageError
from nst.image import find_images, load_image

ROOM = 9 / 8
"""The short side of a photograph is this times the crop, so that crops have room to move."""
BAD_SHARE = 0.01
"""More unreadable files than this share stop the training: something is wrong with the folder."""


@dataclass(eq=False)
class Photographs:
    """A set of photographs, read through HF ``datasets`` without decoding.

    Args:
        rows: A dataset whose column ``image`` holds ``{"path": ..., "bytes": ...}``.
        identity: A hash that changes when the set does.
    """

    rows: Any
    identity: str
    bad: dict[int, str] = field(default_factory=dict)
    """Row numbers that could not be read, with the reason; filled while training."""

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, step: int, *, batch: int, size: int, seed: int) -> NDArray[np.uint8]:
        """Return the crops of one step, uint8 ``(batch, size, size, 3)``.

        Raises:
            DataError: Too many photographs cannot be read.
        """
        first = step * batch
        return np.stack([self.sample(k, size=size, seed=seed) for k in range(first, first + batch)])

    def sample(self, k: int, *, size: int, seed: int) -> NDArray[np.uint8]:
        """Return the ``k``-th crop of the endless sequence, uint8 ``(size, size, 3)``.

        A photograph that cannot be read is replaced by the next row that can, whatever is
        resumed where.
        """
        epoch, place = divmod(k, len(self))
        index = int(_order(seed, epoch, len(self))[place])
        random = np.random.default_rng((seed, epoch, index))
        return _crop(self._read(index, size), size, random)

    def _read(self, index: int, size: int) -> NDArray[np.uint8]:
        for offset in range(len(self)):
            row = (index + offset) % len(self)
            if row in self.bad:
                continue
            try:
                return _decode(self.rows[row]["image"], round(size * ROOM))
            except ImageError as error:
                self.bad[row] = str(error)
                self._check_share()
        raise DataError("none of the photographs can be read")

    def _check_share(self) -> None:
        if len(self.bad) > max(1.0, BAD_SHARE * len(self)):
            examples = "; ".join(list(self.bad.values())[:3])
            raise DataError(
                f"{len(self.bad)} of {len(self)} photographs cannot be read,"
                f" more than {BAD_SHARE:.0%}: {examples}"
            )


def open_folder(folder: Path | str) -> Photographs:
    """Find the photographs below a folder, sorted, whatever its sub-folders are called.

    HF's ``imagefolder`` loader is not used: it takes folder names such as ``train`` or ``cat`` for
    splits and classes, and copies the list into a cache.

    Raises:
        DataError: There is no such folder, no image file in it, or a name that is not UTF-8.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"--data {folder}: no such folder")
    paths = find_images(folder)
    if not paths:
        raise DataError(f"--data {folder}: no photographs in it (png, jpg, webp, tiff ...)")
    digest = hashlib.sha256()
    for path in paths:
        digest.update(_line_of(path, folder).encode())
    import datasets

    column = datasets.Image(decode=False)
    rows = datasets.Dataset.from_dict({"image": [str(p) for p in paths]}).cast_column(
        "image", column
    )
    return Photographs(rows, digest.hexdigest())


def prefetch(
    photographs: Photographs, *, start: int, stop: int, batch: int, size: int, seed: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield the batches of steps ``start`` to ``stop - 1``, the next one read meanwhile."""
    with ThreadPoolExecutor(1, thread_name_prefix="photographs") as pool:

        def read(step: int) -> Any:  # noqa: ANN401
            return pool.submit(photographs.batch, step, batch=batch, size=size, seed=seed)

        coming = read(start) if start < stop else None
        for step in range(start, stop):
            assert coming is not None
            ready = coming.result()
            if step + 1 < stop:
                coming = read(step + 1)
            yield ready


def _line_of(path: Path, folder: Path) -> str:
    """Name and size of a photograph: what the identity of a folder is made of."""
    name = path.relative_to(folder).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(f"--data {folder}: {name!a} is no UTF-8 name; rename the file") from None
    try:
        size = path.stat().st_size
    except OSError:  # a link to nowhere: counted as unreadable when its turn comes
        size = -1
    return f"{name} {size}\n"


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, length: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(length)


def _decode(entry: dict[str, Any], short_side: int) -> NDArray[np.uint8]:
    if entry.get("bytes"):
        name = str(entry.get("path") or "a row of the data set")
        return load_image(io.BytesIO(entry["bytes"]), name=name, short_side=short_side).rgb
    return load_image(Path(entry["path"]), short_side=short_side).rgb


def _crop(rgb: NDArray[np.uint8], size: int, random: np.random.Generator) -> NDArray[np.uint8]:
    top = int(random.integers(rgb.shape[0] - size + 1))
    left = int(random.integers(rgb.shape[1] - size + 1))
    crop = rgb[top : top + size, left : left + size]
    return crop[:, ::-1] if random.random() < 0.5 else crop

"""What ``--data`` names: procedural pictures, a folder, parquet files, a data set of the hub."""

from __future__ import annotations

import glob
import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nst.checkpoint import LAST
from nst.errors import DataError, UsageError
from nst.image import find_images
from train.entries import Entry, Source
from train.hub import COCO, COCO_REVISION, find_files
from train.reading import Reading
from train.synthetic import Synthetic, is_synthetic

WAYS = (
    "synthetic (procedural pictures; synthetic:500 makes so many), coco (MS-COCO from the hub,"
    " 19 GB, or 2 GB with --shards 4), a folder of pictures, .parquet files, or a data set of the"
    " hub as owner/name[@revision][:column]"
)
_HUB_ID = re.compile(
    r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[^:@\s]+))?(:(?P<column>[^:]+))?"
)


@dataclass(frozen=True, eq=False)
class Folder:
    """The pictures below a folder, sorted, whatever its sub-folders are called.

    HF's ``imagefolder`` loader is not used: it takes folder names such as ``train`` or ``cat`` for
    splits and classes, and copies the list into a cache.
    """

    name: str
    paths: Sequence[Path]
    is_made = False

    @cached_property
    def identity(self) -> str:
        """Of names and sizes."""
        digest = hashlib.sha256()
        for path in self.paths:
            digest.update(_line_of(path, Path(self.name)).encode())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.paths)

    def entries(self, first: int) -> Iterator[Entry]:
        """Yield the files from one on."""
        for path in self.paths[first:]:
            yield Entry(path.relative_to(self.name).as_posix(), path)


@dataclass(frozen=True, eq=False)
class Parquet:
    """The pictures in one column of parquet files.

    Args:
        name: As ``--data`` names it.
        identity: SHA-256.
        fetch: Returns the files; those of the hub are downloaded by it, when they are needed.
        column: None where the files have to tell.
    """

    name: str
    identity: str
    fetch: Callable[[], list[Path]]
    column: str | None
    is_made = False

    @cached_property
    def paths(self) -> list[Path]:
        """The files on this disk."""
        return self.fetch()

    @cached_property
    def counts(self) -> list[int]:
        """Rows of each file."""
        import pyarrow.parquet

        counts = []
        for path in self.paths:
            try:
                counts.append(int(pyarrow.parquet.read_metadata(path).num_rows))
            except (pyarrow.ArrowException, OSError) as error:
                raise self._damaged(path, error) from error
        return counts

    def __len__(self) -> int:
        return sum(self.counts)

    def entries(self, first: int) -> Iterator[Entry]:
        """Yield the rows from one on; whole files before it are not read.

        Raises:
            DataError: A file is damaged, or no one column holds pictures.
        """
        for path, count in zip(self.paths, self.counts, strict=True):
            if first < count:
                yield from self._rows(path, first)
            first = max(0, first - count)

    def _rows(self, path: Path, first: int) -> Iterator[Entry]:
        import datasets
        import pyarrow.parquet

        datasets.disable_progress_bars()
        datasets.utils.logging.set_verbosity(logging.CRITICAL)
        try:
            schema = pyarrow.parquet.read_schema(path)
            features = datasets.Features.from_arrow_schema(schema)
            column = self._column(features)
            rows = datasets.load_dataset(  # streaming: nothing is copied into another cache
                "parquet", data_files=str(path), split="train", streaming=True, columns=[column]
            )
            if isinstance(features[column], datasets.Image):
                rows = rows.cast_column(column, datasets.Image(decode=False))
            for number, row in enumerate(rows.skip(first), start=first):
                yield _entry_of(row[column], f"{path.name} row {number}")
        except (pyarrow.ArrowException, ValueError, OSError) as error:
            raise self._damaged(path, error) from error

    def _column(self, features: Any) -> str:  # noqa: ANN401
        """Find the one column of pictures: declared as such, else the only one of bytes."""
        import datasets

        images = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
        found = images or [name for name, kind in features.items() if _holds_bytes(kind)]
        if self.column is not None:
            found = [name for name in found if name == self.column]
        if len(found) == 1:
            return str(found[0])
        columns = ", ".join(features)
        if self.column is not None:
            raise DataError(
                f"--data {self.name}: no pictures in a column {self.column}; its columns are"
                f" {columns}"
            )
        raise DataError(
            f"--data {self.name}: which column holds the pictures? Name it,"
            f" --data {self.name}:COLUMN; its columns are {columns}"
        )

    def _damaged(self, path: Path, error: Exception) -> DataError:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return DataError(f"--data {self.name}: {path.name} is damaged or cut off: {reason}")


def find_sources(given: Sequence[str], *, shards: int | None, reading: Reading) -> list[Source]:
    """Return what each ``--data`` names; nothing is downloaded yet.

    Args:
        given: Each as ``WAYS`` says, looked at in that order.
        shards: Take only the first so many parquet files of each; None for all.
        reading: Told before a download starts.

    Raises:
        DataError: One of them names nothing that can be read.
        UsageError: ``--shards`` without parquet files.
    """

    def of_hub(name: str, repo: str, revision: str | None, column: str | None) -> Parquet:
        files = find_files(name, repo, revision, shards=shards, reading=reading)
        lines = [f"hub {repo} {files.commit}", *(f"{k} {v}" for k, v in files.sizes.items())]
        return Parquet(name, _hash(column, lines), lambda: files.fetch(reading), column)

    def source_of(name: str) -> Source:
        if is_synthetic(name):
            return Synthetic.of(name)
        if name == "coco":
            return of_hub(name, COCO, COCO_REVISION, "image")
        if (local := _local(name, shards, reading)) is not None:
            return local
        if match := _HUB_ID.fullmatch(name):
            return of_hub(name, match["repo"], match["revision"], match["column"])
        raise DataError(f"--data {name}: no such folder; photographs are {WAYS}")

    sources = [source_of(name) for name in given]
    if shards is not None and not any(isinstance(source, Parquet) for source in sources):
        raise UsageError("--shards counts parquet files, and --data names none: leave it out")
    return sources


def places_of(data: Sequence[str]) -> list[str]:
    """Write paths so that they can be found from elsewhere; names of sets stay what they are."""
    return [
        name
        if name == "coco" or is_synthetic(name) or not Path(name).exists()
        else str(Path(name).absolute())
        for name in data
    ]


def _local(text: str, shards: int | None, reading: Reading) -> Source | None:
    """Return the folder or the parquet files that a text names; None where there is neither."""
    name, column = text, None
    if not Path(name).exists() and ":" in text:
        before, _, after = text.rpartition(":")
        is_drive = len(before) == 1 and after[:1] in ("/", "\\")  # of Windows
        if not is_drive:
            name, column = before, after
    path = Path(name)
    if name and path.is_dir():
        if column is None and (found := find_images(path)):
            pictures = _without_runs(found, path)
            if left_out := len(found) - len(pictures):
                reading.announce(f"{name}: {left_out} pictures in run folders are left out")
            if pictures:
                return Folder(name, pictures)
        files = [p for p in sorted(path.rglob("*.parquet")) if not _is_hidden(p, path)]
        if not files:
            raise DataError(
                f"--data {text}: no photographs in it (png, jpg, webp, tiff ..., or parquet files)"
            )
    elif path.is_file():
        if path.suffix != ".parquet":
            raise DataError(f"--data {text}: neither a folder nor a .parquet file; give {WAYS}")
        files = [path]
    else:
        files = [Path(p) for p in sorted(glob.glob(name, recursive=True))]  # noqa: PTH207
        files = [p for p in files if p.suffix == ".parquet"]
        if not files:
            return None
    if shards is not None and shards > len(files):
        raise DataError(f"--shards {shards}: {text} has {len(files)} parquet files")
    files = files[:shards]
    root = Path(os.path.commonpath([p.parent for p in files]))
    return Parquet(text, _hash(column, (_line_of(p, root) for p in files)), lambda: files, column)


def _without_runs(pictures: Sequence[Path], root: Path) -> list[Path]:
    """Leave out style images, previews and curves of trainings below the photographs.

    They would be trained on, and a training begun there could not be resumed: its own previews
    would make the photographs another set.
    """
    folders = {parent for picture in pictures for parent in picture.parents}
    runs = {folder for folder in folders - set(root.parents) if (folder / LAST).is_file()}
    return [picture for picture in pictures if runs.isdisjoint(picture.parents)]


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _line_of(path: Path, folder: Path) -> str:
    """Name and size of a file: what the identity of a folder is made of."""
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


def _hash(column: str | None, lines: Iterable[str]) -> str:
    text = "".join([f"column {column}\n", *(f"{line.rstrip()}\n" for line in lines)])
    return hashlib.sha256(text.encode()).hexdigest()


def _holds_bytes(kind: Any) -> bool:  # noqa: ANN401
    """Whether a column holds bytes, or a struct of bytes and a name as HF writes it."""
    if isinstance(kind, dict):
        kind = kind.get("bytes")
    return getattr(kind, "dtype", None) in ("binary", "large_binary")


def _entry_of(value: Any, name: str) -> Entry:  # noqa: ANN401
    """Read a cell: bytes, or a struct of bytes and the name of the file they come from."""
    if isinstance(value, dict):
        if value.get("path"):
            # Only a name: what a stranger's file names on this disk is not opened.
            name += f" ({value['path']})"
        value = value.get("bytes")
    return Entry(name, value or b"")

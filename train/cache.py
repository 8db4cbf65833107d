"""Photographs decoded once and kept: uint8 files that are mapped into memory.

Each source has a folder of its own, ``<cache>/<identity>-<short side>-v<version>/``::

    part-00000.u8      some hundred photographs one behind the other, RGB, row by row
    part-00000.json    their sizes, and the rows that could not be read
    index.json         the same of all parts, written last

Each file appears whole or not at all. A process that is killed loses the part it was at, and two
that build the same cache at once only do some of the work twice.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nst.errors import DataError, ImageError, OutputError
from nst.files import allow_open_files, atomic_write, describe, free_space
from nst.image import load_image
from nst.terminal import Progress, format_size
from train.entries import Entry, Source
from train.pool import open_pool
from train.reading import Reading

VERSION = 1
"""Raised when the files or the pixels change: caches of another version are not looked at."""
BAD_SHARE = 0.01
"""More unreadable photographs than this share stop the training: something is wrong with them."""

T = TypeVar("T")

_PART_BYTES = 90_000_000
_ASPECT = 1.4
"""Mean of the long side over the short side, to estimate sizes."""
_ABANDONED_S = 3600.0
"""A temporary file of this age was left by a process that was killed."""


@dataclass(frozen=True, slots=True, eq=False)
class Cache:
    """The decoded photographs of one source."""

    name: str
    identity: str
    sizes: NDArray[np.int64]
    """(N, 2) heights and widths, px; 0 where a photograph could not be read."""
    unreadable: dict[int, str]
    """Rows that could not be read, with the reason."""
    parts: list[NDArray[np.uint8]]
    """The pixels, flat, mapped into memory."""
    part_rows: int
    """Photographs in each part but the last."""


def open_cache(source: Source, *, short_side: int, reading: Reading) -> Cache:
    """Return the decoded photographs of a source; what is missing of them is decoded now.

    Args:
        source: Not read when everything is there already.
        short_side: To which photographs are scaled, px.
        reading: Where caches are kept, and how many threads decode.

    Raises:
        DataError: Too many photographs cannot be read, or a file of the source is damaged.
        OutputError: The disk is too small or cannot be written.
    """
    place = reading.cache / f"{source.identity[:16]}-{short_side}-v{VERSION}"
    part_rows = min(512, max(1, round(_PART_BYTES / _estimate(1, short_side))))
    index = _read(place / "index.json")
    if index is None or _is_damaged(place, index, part_rows, reading):
        index = _build(source, place, short_side, part_rows, reading)
    count = -(-len(index["sizes"]) // part_rows)
    allow_open_files()  # a map keeps its file open
    return Cache(
        name=source.name,
        identity=source.identity,
        sizes=np.array(index["sizes"], np.int64).reshape(-1, 2),
        unreadable={int(row): reason for row, reason in index["unreadable"].items()},
        parts=[_mapped(_part_file(place, number)) for number in range(count)],
        part_rows=part_rows,
    )


def _build(
    source: Source, place: Path, short_side: int, part_rows: int, reading: Reading
) -> dict[str, Any]:
    """Decode the parts that are missing, write the index and return it."""
    length = len(source)
    if length == 0:
        raise DataError(f"--data {source.name}: no photographs in it")
    rows = [min(part_rows, length - first) for first in range(0, length, part_rows)]
    parts = {n: part for n, count in enumerate(rows) if (part := _whole_part(place, n, count))}
    missing = [number for number in range(len(rows)) if number not in parts]
    left = sum(rows[number] for number in missing)
    doing, what = ("making", "pictures") if source.is_made else ("decoding", "photographs")
    if missing:
        _prepare(place, _estimate(left, short_side), source.name)
        reading.announce(
            f"{source.name}: {doing} {left:,} {what} once, about"
            f" {format_size(_estimate(left, short_side))}, to {place}"
        )
    with reading.progress(f"{doing} {source.name}", length) as bar:
        for _, run in groupby(enumerate(missing), lambda pair: pair[1] - pair[0]):
            numbers = [number for _, number in run]
            entries = islice(source.entries(numbers[0] * part_rows), sum(rows[n] for n in numbers))
            pool = open_pool(reading.workers, is_made=source.is_made)
            decoded = _decoded(entries, short_side, pool, ahead=part_rows)
            with closing(decoded):
                pictures = _counted(decoded, length - left, bar)
                for number in numbers:
                    parts[number] = _write_part(place, number, islice(pictures, rows[number]))
                    if len(parts[number]["sizes"]) < rows[number]:
                        raise DataError(f"--data {source.name} has fewer rows than it says")
                    left -= rows[number]
                    _check_share(place, parts, source)
    _check_share(place, parts, source)
    index = {
        "identity": source.identity,
        "sizes": [size for n in range(len(rows)) for size in parts[n]["sizes"]],
        "unreadable": {
            str(n * part_rows + int(row)): reason
            for n in range(len(rows))
            for row, reason in parts[n]["unreadable"].items()
        },
    }
    _write(place / "index.json", index)
    return index


def _decoded(
    entries: Iterable[Entry], short_side: int, pool: Executor, *, ahead: int
) -> Generator[NDArray[np.uint8] | str, None, None]:
    """Yield each photograph in its turn, uint8 ``(H, W, 3)``, or why it cannot be read."""
    waiting: deque[Future[NDArray[np.uint8] | str]] = deque()
    try:
        for entry in entries:
            waiting.append(pool.submit(_decode, entry, short_side))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError(
            "a process that makes pictures has ended, perhaps for want of memory; each takes about"
            " 200 MB: give --workers 1 or another small number"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _counted(items: Iterable[T], done: int, bar: Progress) -> Iterator[T]:
    """Report each item when it is taken, on top of what was done before."""
    for count, item in enumerate(items, start=done + 1):
        bar.update(count)
        yield item


def _decode(entry: Entry, short_side: int) -> NDArray[np.uint8] | str:
    if callable(entry.content):
        return entry.content(short_side)
    try:
        return load_image(entry.content, name=entry.name, short_side=short_side).rgb
    except ImageError as error:
        return str(error)


def _write_part(
    place: Path, number: int, pictures: Iterable[NDArray[np.uint8] | str]
) -> dict[str, Any]:
    sizes, unreadable = [], {}
    with atomic_write(_part_file(place, number)) as file:
        for row, picture in enumerate(pictures):
            if isinstance(picture, str):
                unreadable[str(row)] = picture
                sizes.append((0, 0))
            else:
                file.write(picture.data)
                sizes.append(picture.shape[:2])
    part = {"sizes": sizes, "unreadable": unreadable}
    _write(_part_file(place, number).with_suffix(".json"), part)
    return part


def _whole_part(place: Path, number: int, rows: int) -> dict[str, Any] | None:
    """Return what stands in a part, if it is all there."""
    file = _part_file(place, number)
    part = _read(file.with_suffix(".json"))
    is_whole = part is not None and len(part["sizes"]) == rows
    return part if part and is_whole and _length(file) == _bytes_of(part["sizes"]) else None


def _is_damaged(place: Path, index: dict[str, Any], part_rows: int, reading: Reading) -> bool:
    """Whether a part is not as long as the index says; a spoken line tells which."""
    sizes = index["sizes"]
    damaged = [
        _part_file(place, number)
        for number, first in enumerate(range(0, len(sizes), part_rows))
        if _length(_part_file(place, number)) != _bytes_of(sizes[first : first + part_rows])
    ]
    for file in damaged:
        reading.announce(f"{file} is missing or cut off; its photographs are decoded again")
    return bool(damaged)


def _check_share(place: Path, parts: dict[int, dict[str, Any]], source: Source) -> None:
    """Stop when too many photographs cannot be read, and try these again the next time."""
    reasons = [r for n in sorted(parts) for r in parts[n]["unreadable"].values()]
    length = len(source)
    if len(reasons) <= max(1, BAD_SHARE * length) and len(reasons) < length:
        return
    for number, part in parts.items():
        if part["unreadable"]:
            with suppress(OSError):
                _part_file(place, number).with_suffix(".json").unlink()
    raise DataError(
        f"--data {source.name}: {len(reasons)} of {length} photographs cannot be read, more than"
        f" {BAD_SHARE:.0%}; delete or replace them: {'; '.join(reasons[:3])}"
    )


def _prepare(place: Path, needed: int, name: str) -> None:
    """Refuse a disk that is too small; remove what killed processes have left."""
    free = free_space(place)
    if free < needed:
        raise OutputError(
            f"--data {name}: decoding it needs about {format_size(needed)} in {place.parent}, where"
            f" {format_size(free)} are free; name another place by --cache DIR"
        )
    for file in place.glob(".*.tmp"):
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > _ABANDONED_S:
                file.unlink()


def _estimate(rows: int, short_side: int) -> int:
    """Bytes of so many photographs."""
    return round(rows * short_side**2 * _ASPECT * 3)


def _part_file(place: Path, number: int) -> Path:
    return place / f"part-{number:05d}.u8"


def _bytes_of(sizes: Iterable[tuple[int, int]]) -> int:
    return sum(height * width * 3 for height, width in sizes)


def _length(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return -1


def _mapped(file: Path) -> NDArray[np.uint8]:
    try:
        if file.stat().st_size == 0:  # not one photograph of it could be read
            return np.empty(0, np.uint8)
        return np.asarray(np.memmap(file, np.uint8, mode="r"))  # an array proper is indexed faster
    except OSError as error:
        raise DataError(f"{file}: cannot be read, {describe(error)}") from error


def _read(file: Path) -> dict[str, Any] | None:
    """Return what a JSON file of the cache holds; None where it is missing or no such file."""
    try:
        values = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    is_ours = isinstance(values, dict) and {"sizes", "unreadable"} <= values.keys()
    return values if is_ours else None


def _write(file: Path, values: dict[str, Any]) -> None:
    with atomic_write(file) as opened:
        opened.write(json.dumps(values).encode())

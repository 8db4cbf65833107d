"""The cache of decoded photographs: what stands in it, kills, damage, two at once, full disks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nst.cache_folder import cache_folder
from nst.errors import DataError, OutputError
from nst.image import load_image
from train.cache import Cache, open_cache
from train.entries import Entry, Source
from train.reading import Reading
from train.sources import find_sources

SHORT_SIDE = 72
PART_ROWS = 4

BUILDING = """
import os, signal, sys
from pathlib import Path
import train.cache
from nst.terminal import progress, say
from train.reading import Reading
from train.sources import find_sources

train.cache._PART_BYTES = {part_bytes}
reading = Reading(announce=say, progress=progress, cache=Path(sys.argv[2]), workers=2)
(source,) = find_sources([sys.argv[1]], shards=None, reading=reading)
{more}
train.cache.open_cache(source, short_side=72, reading=reading)
"""
KILLED = """
sync, calls = os.fsync, []

def fsync(file):
    calls.append(file)
    if len(calls) == {number}:
        os.kill(os.getpid(), signal.SIGKILL)
    sync(file)

os.fsync = fsync
"""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    """Twelve photographs stand in three parts of four."""
    size = round(PART_ROWS * SHORT_SIDE**2 * 1.4 * 3)
    monkeypatch.setattr("train.cache._PART_BYTES", size)
    return size


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the pictures that are decoded."""
    names: list[str] = []

    def load(*source: Any, name: str, short_side: int) -> Any:
        names.append(name)
        return load_image(*source, name=name, short_side=short_side)

    monkeypatch.setattr("train.cache.load_image", load)
    return names


def source_of(folder: Path, reading: Reading) -> Source:
    (source,) = find_sources([str(folder)], shards=None, reading=reading)
    return source


def opened(folder: Path, reading: Reading) -> Cache:
    return open_cache(source_of(folder, reading), short_side=SHORT_SIDE, reading=reading)


def place_of(reading: Reading) -> Path:
    (place,) = reading.cache.iterdir()
    return place


def assert_whole(cache: Cache, folder: Path) -> None:
    """By another implementation: each photograph decoded anew stands where it belongs."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    rest = np.concatenate(cache.parts)
    for path, size in zip(paths, cache.sizes.tolist(), strict=True):
        rgb = load_image(path, short_side=SHORT_SIDE).rgb
        assert size == list(rgb.shape[:2])
        np.testing.assert_array_equal(rest[: rgb.size], rgb.ravel())
        rest = rest[rgb.size :]
    assert rest.size == 0


def test_what_stands_in_a_cache(photo_folder: Path, reading: Reading, said: list[str]) -> None:
    """By hand: three parts of four, their sizes, an index; short sides of 72 px."""
    cache = opened(photo_folder, reading)
    assert_whole(cache, photo_folder)
    assert cache.unreadable == {}
    assert set(cache.sizes.min(axis=1)) == {SHORT_SIDE}
    place = place_of(reading)
    assert place.name == f"{cache.identity[:16]}-72-v1"
    parts = [f"part-{number:05d}.{suffix}" for number in range(3) for suffix in ("json", "u8")]
    assert sorted(path.name for path in place.iterdir()) == ["index.json", *parts]
    assert [part.size for part in cache.parts] == [
        3 * int(cache.sizes[first : first + 4].prod(axis=1).sum()) for first in (0, 4, 8)
    ]
    (line,) = said
    assert line.startswith(f"{photo_folder}: decoding 12 photographs once, about 0.3 MB, to ")


def test_the_second_time_nothing_is_decoded(
    photo_folder: Path, tmp_path: Path, reading: Reading, decoded: list[str], said: list[str]
) -> None:
    """By hand: also from a copy of the folder elsewhere; another size is another cache."""
    opened(photo_folder, reading)
    assert len(decoded) == 12
    moved = Path(shutil.copytree(photo_folder, tmp_path / "moved"))
    for folder in (photo_folder, moved):
        cache = opened(folder, reading)
        assert_whole(cache, photo_folder)
        assert cache.name == str(folder)
    assert len(decoded) == 12
    assert len(said) == 1
    open_cache(source_of(photo_folder, reading), short_side=80, reading=reading)
    assert len(decoded) == 24


class Untouchable:
    """A set that is known but not here, as one of the hub that was removed after decoding."""

    name = "far away"
    is_made = False

    def __init__(self, identity: str) -> None:
        self.identity = identity

    def __len__(self) -> int:
        raise AssertionError("it was read")

    def entries(self, first: int) -> Iterator[Entry]:
        raise AssertionError("it was read")


def test_a_whole_cache_does_without_its_source(photo_folder: Path, reading: Reading) -> None:
    identity = opened(photo_folder, reading).identity
    cache = open_cache(Untouchable(identity), short_side=SHORT_SIDE, reading=reading)
    assert_whole(cache, photo_folder)


@pytest.mark.parametrize(
    ("number", "whole_parts"), [(1, 0), (2, 0), (3, 1), (5, 2), (6, 2), (7, 3)]
)
def test_a_killed_process_loses_the_part_it_was_at(
    photo_folder: Path,
    reading: Reading,
    decoded: list[str],
    start: Callable[..., Any],
    small_parts: int,
    number: int,
    whole_parts: int,
) -> None:
    """By hand: SIGKILL when the n-th file is written but has no name yet; a part has two files.

    Beside each file its folder is synchronised.
    """
    program = BUILDING.format(part_bytes=small_parts, more=KILLED.format(number=2 * number - 1))
    child = start(photo_folder, reading.cache, program=program)
    assert child.wait() == -signal.SIGKILL, child.err.read_text()
    left = [path for path in place_of(reading).iterdir() if path.suffix == ".tmp"]
    assert len(left) == 1
    assert_whole(opened(photo_folder, reading), photo_folder)
    assert len(decoded) == 12 - PART_ROWS * whole_parts
    unbroken = Reading(
        announce=reading.announce, progress=reading.progress, cache=reading.cache / "unbroken"
    )
    opened(photo_folder, unbroken)
    for path in place_of(unbroken).iterdir():
        assert (place_of_other(reading, unbroken) / path.name).read_bytes() == path.read_bytes()


def place_of_other(reading: Reading, other: Reading) -> Path:
    (place,) = (path for path in reading.cache.iterdir() if path != other.cache)
    return place


def test_kills_at_any_moment_are_survived(
    photo_folder: Path,
    reading: Reading,
    start: Callable[..., Any],
    small_parts: int,
    wait_until: Callable[[Callable[[], bool]], None],
) -> None:
    """By invariant: process after process is killed after some milliseconds, then one may end."""
    slow = "import time\nload = train.cache.load_image\ndef slow(*a, **k):\n"
    slow += "    time.sleep(0.01)\n    return load(*a, **k)\ntrain.cache.load_image = slow\n"
    slow += "print('begun', flush=True)"
    program = BUILDING.format(part_bytes=small_parts, more=slow)
    for wait_s in (0.0, 0.02, 0.03, 0.04, 0.05):
        child = start(photo_folder, reading.cache, program=program)

        def has_begun(out: Path = child.out) -> bool:
            return out.is_file() and "begun" in out.read_text()

        wait_until(has_begun)
        time.sleep(wait_s)
        child.send(signal.SIGKILL)
        child.wait()
    assert_whole(opened(photo_folder, reading), photo_folder)


def test_two_that_build_the_same_cache_at_once(
    photo_folder: Path, reading: Reading, start: Callable[..., Any], small_parts: int
) -> None:
    program = BUILDING.format(part_bytes=small_parts, more="")
    children = [start(photo_folder, reading.cache, program=program) for _ in range(3)]
    assert_whole(opened(photo_folder, reading), photo_folder)
    for child in children:
        assert child.wait() == 0, child.err.read_text()
    assert_whole(opened(photo_folder, reading), photo_folder)
    assert len(list(place_of(reading).iterdir())) == 7


def test_what_killed_processes_leave_is_swept_up_later(
    photo_folder: Path, reading: Reading
) -> None:
    """By hand: an hour later; a younger file may be that of a process at work."""
    opened(photo_folder, reading)
    place = place_of(reading)
    for name, age in ((".part-00000.u8.ab.tmp", 4000), (".part-00001.u8.cd.tmp", 10)):
        (place / name).write_bytes(b"x")
        os.utime(place / name, (time.time() - age,) * 2)
    (place / "part-00002.u8").unlink()
    opened(photo_folder, reading)
    assert [path.name for path in place.glob(".*.tmp")] == [".part-00001.u8.cd.tmp"]


@pytest.mark.parametrize("damage", ["cut", "longer", "empty", "missing"])
def test_a_damaged_part_is_made_again(
    photo_folder: Path, reading: Reading, decoded: list[str], said: list[str], damage: str
) -> None:
    opened(photo_folder, reading)
    decoded.clear()
    path = place_of(reading) / "part-00001.u8"
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": data[:-1], "longer": data + b"x", "empty": b""}[damage])
    assert_whole(opened(photo_folder, reading), photo_folder)
    assert len(decoded) == PART_ROWS
    assert said[1] == f"{path} is missing or cut off; its photographs are decoded again"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", '"sizes"'])
def test_a_damaged_index_is_made_from_the_parts(
    photo_folder: Path, reading: Reading, decoded: list[str], content: str
) -> None:
    opened(photo_folder, reading)
    index = place_of(reading) / "index.json"
    before = index.read_bytes()
    index.write_text(content)
    decoded.clear()
    assert_whole(opened(photo_folder, reading), photo_folder)
    assert decoded == []
    assert index.read_bytes() == before


@pytest.fixture
def greys(tmp_path: Path) -> Path:
    """Ten photographs, 00.png to 09.png."""
    (tmp_path / "greys").mkdir()
    for index in range(10):
        Image.new("RGB", (80, 75), (index,) * 3).save(tmp_path / "greys" / f"{index:02d}.png")
    return tmp_path / "greys"


def test_an_unreadable_photograph_is_known_when_the_cache_is_built(
    greys: Path, reading: Reading
) -> None:
    """By hand: row 5 is a link to nowhere; one is always forgiven."""
    (greys / "05.png").unlink()
    (greys / "05.png").symlink_to("nowhere.png")
    for _ in range(2):
        cache = opened(greys, reading)
        assert cache.unreadable == {5: "05.png: cannot be read, no such file or folder"}
        assert cache.sizes[4:7].tolist() == [[72, 77], [0, 0], [72, 77]]
    index = json.loads((place_of(reading) / "index.json").read_text())
    assert list(index["unreadable"]) == ["5"]


def test_two_unreadable_ones_of_ten_are_too_many(greys: Path, reading: Reading) -> None:
    """By hand: two of ten are 20 %, said in one line with examples, and said again."""
    for name in ("04.png", "07.png"):
        (greys / name).write_text("no picture")
    for _ in range(2):
        with pytest.raises(DataError, match=r"2 of 10 photographs cannot be read.*07\.png") as told:
            opened(greys, reading)
        assert str(told.value).startswith(f"--data {greys}: ")
        assert "more than 1%; delete or replace them: 04.png looks like a text file" in str(
            told.value
        )
        assert "\n" not in str(told.value)


def test_what_could_not_be_read_is_tried_again_after_a_refusal(
    greys: Path, reading: Reading
) -> None:
    """By hand: names and sizes stay as they were, so it is the same set, now in order."""
    good = {name: (greys / name).read_bytes() for name in ("04.png", "07.png")}
    for name, data in good.items():
        (greys / name).write_bytes(bytes(len(data)))
    with pytest.raises(DataError, match="2 of 10"):
        opened(greys, reading)
    for name, data in good.items():
        (greys / name).write_bytes(data)
    assert_whole(opened(greys, reading), greys)


@pytest.mark.parametrize(("bad", "is_allowed"), [(3, True), (4, False)])
def test_one_in_a_hundred_may_be_unreadable(
    greys: Path, reading: Reading, bad: int, is_allowed: bool
) -> None:
    """By hand: 3 of 300 are 1 %, 4 are more."""

    class Repeated:
        name, identity, is_made = "repeated", "ab" * 32, False

        def __len__(self) -> int:
            return 300

        def entries(self, first: int) -> Iterator[Entry]:
            for row in range(first, 300):
                content: bytes | Path = b"no picture" if row >= 300 - bad else greys / "01.png"
                yield Entry(f"row {row}", content)

    if is_allowed:
        cache = open_cache(Repeated(), short_side=SHORT_SIDE, reading=reading)
        assert sorted(cache.unreadable) == [297, 298, 299]
    else:
        with pytest.raises(DataError, match="4 of 300"):
            open_cache(Repeated(), short_side=SHORT_SIDE, reading=reading)


def test_a_source_that_ends_too_early_is_refused(reading: Reading) -> None:
    class Short:
        name, identity, is_made = "short", "cd" * 32, False

        def __len__(self) -> int:
            return 3

        def entries(self, first: int) -> Iterator[Entry]:
            return iter(())

    with pytest.raises(DataError, match="--data short has fewer rows than it says"):
        open_cache(Short(), short_side=SHORT_SIDE, reading=reading)


def test_any_number_of_threads_gives_the_same_bytes(photo_folder: Path, tmp_path: Path) -> None:
    """By invariant: every file of the cache."""
    contents = []
    for workers in (1, 5):
        reading = Reading(
            announce=lambda line: None,
            progress=_Silent,
            cache=tmp_path / str(workers),
            workers=workers,
        )
        opened(photo_folder, reading)
        contents.append({path.name: path.read_bytes() for path in place_of(reading).iterdir()})
    assert contents[0] == contents[1]


class _Silent:
    """Progress that is remembered."""

    seen: list[float]

    def __init__(self, label: str, total: float | None) -> None:
        self.label, self.total = label, total

    def __enter__(self) -> _Silent:
        type(self).seen = []
        return self

    def __exit__(self, *error: object) -> None:
        assert self.label.startswith("decoding ")

    def update(self, completed: float, note: str = "") -> None:
        self.seen.append(completed)


def test_the_advance_is_reported(photo_folder: Path, tmp_path: Path) -> None:
    """By hand: each photograph counts; of three parts of four, two are there the second time."""
    reading = Reading(announce=lambda line: None, progress=_Silent, cache=tmp_path / "cache")
    opened(photo_folder, reading)
    assert _Silent.seen == list(range(1, 13))
    (place_of(reading) / "part-00001.u8").unlink()
    opened(photo_folder, reading)
    assert _Silent.seen == [9, 10, 11, 12]


def test_a_disk_that_is_too_small_is_refused_before_the_work(
    photo_folder: Path, reading: Reading, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: 12 photographs of 72 x 72 x 1.4 px, 3 bytes each, are 261,274 bytes."""
    monkeypatch.setattr("train.cache.free_space", lambda path: 261_273)
    with pytest.raises(OutputError, match=r"needs about 0\.3 MB in .*; name another .* --cache"):
        opened(photo_folder, reading)
    assert decoded == []
    monkeypatch.setattr("train.cache.free_space", lambda path: 261_274)
    opened(photo_folder, reading)


def test_a_cache_that_cannot_be_written_is_an_error_in_one_line(
    photo_folder: Path, reading: Reading
) -> None:
    reading.cache.write_text("a file is in the way")
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        opened(photo_folder, reading)


@pytest.mark.skipif(os.name == "nt", reason="Windows has its own variable")
def test_where_caches_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NST_CACHE", "/a/b")
    assert cache_folder() == Path("/a/b")
    monkeypatch.delenv("NST_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert cache_folder() == Path("/c/nst")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "nst"

"""What ``--data`` names: folders, parquet files of every layout, identities, refusals."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from nst.errors import DataError, UsageError
from train.data import open_photographs
from train.entries import Entry, Source
from train.reading import Reading
from train.sources import Parquet, find_sources

SIZE = 64


def sources_of(reading: Reading, *given: object, shards: int | None = None) -> list[Source]:
    return find_sources([str(each) for each in given], shards=shards, reading=reading)


def refusal(reading: Reading, *given: object, shards: int | None = None) -> str:
    """What is said where something cannot be used, which must be one line."""

    def read_all() -> None:
        for source in sources_of(reading, *given, shards=shards):
            list(source.entries(0))

    with pytest.raises((DataError, UsageError)) as caught:
        read_all()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def png(grey: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (80, 75), (grey,) * 3).save(file, "png")
    return file.getvalue()


def write_table(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_a_folder_is_its_pictures_sorted(photo_folder: Path, reading: Reading) -> None:
    """By hand: twelve photographs, six of them below train/ and val/, which mean nothing here."""
    (source,) = sources_of(reading, photo_folder)
    assert len(source) == 12
    entries = list(source.entries(0))
    names = [entry.name for entry in entries]
    assert names == sorted(
        path.relative_to(photo_folder).as_posix()
        for path in photo_folder.rglob("*")
        if path.is_file()
    )
    assert sum(name.startswith(("train/", "val/")) for name in names) == 9
    assert list(source.entries(10)) == entries[10:]


def test_pictures_of_run_folders_are_no_photographs(
    photo_folder: Path, reading: Reading, tmp_path: Path
) -> None:
    """By invariant: a training below its own photographs leaves them the same set."""
    folder = Path(shutil.copytree(photo_folder, tmp_path / "photos"))
    (before,) = sources_of(reading, folder)
    for place in ("runs/night-1", "runs/night-1/deeper"):
        (folder / place).mkdir(parents=True)
        shutil.copyfile(folder / "00.png", folder / place / "preview-000010.png")
    (folder / "runs/night-1/last.safetensors").write_bytes(b"")
    (after,) = sources_of(reading, folder)
    assert len(after) == 12
    assert after.identity == before.identity


def test_the_identity_is_that_of_names_and_sizes(
    photo_folder: Path, tmp_path: Path, reading: Reading
) -> None:
    """By invariant: the same files elsewhere are the same set; one more, fewer or other are not."""

    def identity_of(folder: Path) -> str:
        (source,) = sources_of(reading, folder)
        return source.identity

    moved = tmp_path / "moved"
    shutil.copytree(photo_folder, moved)
    identity = identity_of(photo_folder)
    assert identity_of(moved) == identity
    shutil.copyfile(moved / "00.png", moved / "zz.png")
    with_one_more = identity_of(moved)
    assert with_one_more != identity
    (moved / "zz.png").write_bytes((moved / "zz.png").read_bytes() + b"\0")
    assert identity_of(moved) not in (identity, with_one_more)
    (moved / "zz.png").unlink()
    assert identity_of(moved) == identity
    (moved / "00.png").rename(moved / "01.png")
    assert identity_of(moved) != identity


def test_the_identity_of_a_folder_never_changes(tmp_path: Path, reading: Reading) -> None:
    """By hand: sha256sum of the line "a.png 5"; runs of older versions can be resumed."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(b"12345")
    (source,) = sources_of(reading, tmp_path / "set")
    assert source.identity == ("dbc4ad6c13c555225d46ea1aa8844389dfbb3e9d166e76057cfbf9ca11b302fe")


def test_a_name_that_is_not_utf8_is_refused_by_name(tmp_path: Path, reading: Reading) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes no such names")
    (source,) = sources_of(reading, tmp_path)
    with pytest.raises(DataError, match=r"caf.*rename the file"):
        _ = source.identity


@pytest.fixture
def hub_layout(tmp_path: Path, write_hub_layout: Callable[..., None]) -> Path:
    """Two files of five and four rows, beside a split that is not for training."""
    folder = tmp_path / "coco" / "data"
    write_hub_layout(folder / "train-00000-of-00002-aa.parquet", [png(g) for g in range(5)])
    write_hub_layout(folder / "train-00001-of-00002-bb.parquet", [png(g) for g in range(5, 9)], 5)
    return folder


@pytest.mark.parametrize("form", ["folder", "folder above", "pattern"])
def test_parquet_files_in_the_layout_of_the_hub(
    hub_layout: Path, reading: Reading, form: str
) -> None:
    """By hand: nine rows with the bytes of PNG files, the same set in whatever way it is named."""
    given = {"folder": hub_layout, "folder above": hub_layout.parent}
    (source,) = sources_of(reading, given.get(form, hub_layout / "train-*.parquet"))
    assert len(source) == 9
    entries = list(source.entries(0))
    assert [entry.content for entry in entries] == [png(grey) for grey in range(9)]
    assert entries[6].name == "train-00001-of-00002-bb.parquet row 1 (000000000006.jpg)"
    (other,) = sources_of(reading, hub_layout)
    assert source.identity == other.identity


def test_rows_are_read_from_any_one_on(hub_layout: Path, reading: Reading) -> None:
    """By invariant: within a group of rows, at its end, in the second file, behind the last."""
    (source,) = sources_of(reading, hub_layout)
    entries = list(source.entries(0))
    for first in range(11):
        assert list(source.entries(first)) == entries[first:], first


def test_a_file_before_the_first_row_is_not_read(
    hub_layout: Path, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source,) = sources_of(reading, hub_layout)
    read: list[tuple[str, int]] = []

    def rows(self: Parquet, path: Path, first: int) -> Iterator[Entry]:
        read.append((path.name, first))
        return iter(())

    monkeypatch.setattr(Parquet, "_rows", rows)
    list(source.entries(6))
    assert read == [("train-00001-of-00002-bb.parquet", 1)]


def test_parquet_files_give_what_a_folder_gives(
    photo_folder: Path,
    tmp_path: Path,
    reading: Reading,
    write_hub_layout: Callable[..., None],
) -> None:
    """By invariant: the same pictures in rows in the order of the folder."""
    paths = sorted(path for path in photo_folder.rglob("*") if path.is_file())
    write_hub_layout(tmp_path / "all.parquet", [path.read_bytes() for path in paths])
    one, other = (
        open_photographs(sources_of(reading, each), size=SIZE, reading=reading)
        for each in (photo_folder, tmp_path / "all.parquet")
    )
    assert one.identity != other.identity
    for k in range(24):
        np.testing.assert_array_equal(
            one.sample(k, size=SIZE, seed=0), other.sample(k, size=SIZE, seed=0)
        )


def test_shards_takes_the_first_files(hub_layout: Path, reading: Reading) -> None:
    (source,) = sources_of(reading, hub_layout, shards=1)
    (whole,) = sources_of(reading, hub_layout, shards=2)
    assert (len(source), len(whole)) == (5, 9)
    assert source.identity != whole.identity == sources_of(reading, hub_layout)[0].identity
    assert refusal(reading, hub_layout, shards=3) == f"--shards 3: {hub_layout} has 2 parquet files"


def test_shards_without_parquet_files_is_refused(photo_folder: Path, reading: Reading) -> None:
    assert "--shards counts parquet files" in refusal(reading, photo_folder, shards=2)


def test_a_drive_of_windows_is_no_column(reading: Reading) -> None:
    """By hand: the path as a whole is what is missing."""
    for path in (r"C:\shards\missing", "C:/shards/missing"):
        assert f"{path}: no such folder" in refusal(reading, path)


def test_a_column_of_plain_bytes_is_found(tmp_path: Path, reading: Reading) -> None:
    """By hand: no sign of HF in the file; the only column of bytes."""
    path = write_table(tmp_path / "a.parquet", name=["x", "y"], data=[png(3), png(4)])
    (source,) = sources_of(reading, path)
    assert list(source.entries(0)) == [
        Entry("a.parquet row 0", png(3)),
        Entry("a.parquet row 1", png(4)),
    ]


def test_a_struct_without_a_sign_of_hf_is_found(tmp_path: Path, reading: Reading) -> None:
    cells = [{"bytes": png(3), "path": "x.png"}, {"bytes": png(4), "path": None}]
    (source,) = sources_of(reading, write_table(tmp_path / "a.parquet", picture=cells, n=[1, 2]))
    assert [entry.content for entry in source.entries(0)] == [png(3), png(4)]


def test_two_columns_that_could_be_meant_are_asked_for(tmp_path: Path, reading: Reading) -> None:
    path = write_table(tmp_path / "a.parquet", photo=[png(3)], mask=[png(4)], n=[1])
    line = refusal(reading, path)
    assert f"--data {path}:COLUMN" in line
    assert "photo, mask, n" in line
    (source,) = sources_of(reading, f"{path}:mask")
    assert [entry.content for entry in source.entries(0)] == [png(4)]
    assert source.identity != sources_of(reading, f"{path}:photo")[0].identity
    for column in ("n", "nothing"):
        assert f"no pictures in a column {column}" in refusal(reading, f"{path}:{column}")


def test_no_column_of_pictures_is_said(tmp_path: Path, reading: Reading) -> None:
    path = write_table(tmp_path / "a.parquet", n=[1], text=["x"])
    assert "its columns are n, text" in refusal(reading, path)


def test_rows_without_bytes_are_unreadable_rows(tmp_path: Path, reading: Reading) -> None:
    """By hand: a name of a file on this disk in a stranger's data set is not followed."""
    Image.new("RGB", (80, 75)).save(tmp_path / "secret.png")
    cells: list[Any] = [{"bytes": None, "path": str(tmp_path / "secret.png")}, None]
    cells += [{"bytes": png(3), "path": None}] * 298
    path = write_table(tmp_path / "a.parquet", image=cells)
    photographs = open_photographs(sources_of(reading, path), size=SIZE, reading=reading)
    assert [reason.removeprefix(f"{path}: ") for reason in photographs.bad] == [
        f"a.parquet row 0 ({tmp_path / 'secret.png'}) is empty",
        "a.parquet row 1 is empty",
    ]


@pytest.mark.parametrize("damage", ["cut", "text", "page", "footer"])
def test_a_damaged_parquet_file_is_an_error_in_one_line(
    hub_layout: Path, reading: Reading, damage: str
) -> None:
    path = hub_layout / "train-00000-of-00002-aa.parquet"
    data = bytearray(path.read_bytes())
    if damage == "page":
        group = pq.read_metadata(path).row_group(0)
        columns = [group.column(n) for n in range(group.num_columns)]
        (column,) = (each for each in columns if each.path_in_schema == "image.bytes")
        start = column.dictionary_page_offset or column.data_page_offset
        data[start : start + 40] = bytes(40)
    elif damage == "footer":
        data[-400:-8] = bytes(392)
    elif damage == "cut":
        del data[-100:]
    else:
        data = bytearray(b"PAR1 no")
    path.write_bytes(data)
    line = refusal(reading, path)
    assert line.startswith(f"--data {path}: {path.name} is damaged or cut off: ")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("nowhere/at/all", "no such folder; photographs are synthetic"),
        ("/nowhere", "no such folder; photographs are synthetic"),
        ("/nowhere/*.parquet", "no such folder; photographs are synthetic"),
        ("", "no such folder; photographs are synthetic"),
        ("{}/notes.txt", "neither a folder nor a .parquet file; give synthetic"),
        ("{}/empty", "no photographs in it"),
    ],
)
def test_what_names_nothing_is_refused_with_the_ways(
    tmp_path: Path, reading: Reading, given: str, expected: str
) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "empty").mkdir()
    line = refusal(reading, given.format(tmp_path))
    assert line.startswith(f"--data {given.format(tmp_path)}: {expected}")


def test_an_empty_parquet_file_is_refused(tmp_path: Path, reading: Reading) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": pa.array([], pa.binary())}), path)
    with pytest.raises(DataError, match=r"a\.parquet: no photographs in it"):
        open_photographs(sources_of(reading, path), size=SIZE, reading=reading)

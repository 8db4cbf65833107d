"""Photographs for training: order, crops, unreadable files, identity, prefetching."""

from __future__ import annotations

import os
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from nst.errors import DataError
from train.data import Photographs, open_folder, prefetch

SIZE = 64
SHORT_SIDE = 72
"""By hand: 9/8 of the crop, the size to which photographs are scaled before they are cut."""


def rows_of(paths: list[Path]) -> list[dict[str, dict[str, Any]]]:
    return [{"image": {"path": str(path), "bytes": None}} for path in paths]


def read_all(photographs: Photographs) -> None:
    for k in range(len(photographs)):
        photographs.sample(k, size=SIZE, seed=0)


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Ten photographs of one grey each: the grey is ten times the place in the list."""
    folder = tmp_path / "colours"
    folder.mkdir()
    for index in range(10):
        Image.new("RGB", (80, 75), (index * 10,) * 3).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def map_of_places(tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.uint8]:
    """A picture that says where its pixels stand: red is the row, green the column."""
    rows, columns = np.mgrid[0:SHORT_SIDE, 0:100].astype(np.uint8)
    return np.stack([rows, columns, np.zeros_like(rows)], axis=-1)


@pytest.fixture
def places(map_of_places: NDArray[np.uint8], tmp_path: Path) -> Photographs:
    Image.fromarray(map_of_places).save(tmp_path / "places.png")
    return Photographs(rows_of([tmp_path / "places.png"]), "one picture")


def test_a_sample_is_a_function_of_seed_and_place_alone(photo_folder: Path) -> None:
    """By invariant: whatever was read before, in whatever order, by whatever threads."""
    places = [0, 5, 11, 12, 30]
    fresh = [open_folder(photo_folder).sample(k, size=SIZE, seed=3) for k in places]
    used = open_folder(photo_folder)
    order = list(range(36))
    random.Random(0).shuffle(order)
    with ThreadPoolExecutor(4) as pool:
        read = dict(
            zip(order, pool.map(lambda k: used.sample(k, size=SIZE, seed=3), order), strict=True)
        )
    for k, sample in zip(places, fresh, strict=True):
        np.testing.assert_array_equal(read[k], sample)


def test_another_seed_gives_another_sequence(colours: Path) -> None:
    photographs = open_folder(colours)
    sequences = [
        [int(photographs.sample(k, size=SIZE, seed=seed)[0, 0, 0]) for k in range(10)]
        for seed in (0, 1)
    ]
    assert sequences[0] != sequences[1]


def test_each_epoch_is_a_permutation(colours: Path) -> None:
    """By hand: every grey once in an epoch, in an order that changes from epoch to epoch."""
    photographs = open_folder(colours)
    greys = [int(photographs.sample(k, size=SIZE, seed=0)[0, 0, 0]) for k in range(30)]
    epochs = [greys[:10], greys[10:20], greys[20:]]
    for epoch in epochs:
        assert sorted(epoch) == list(range(0, 100, 10))
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_crop_is_a_piece_of_the_photograph(
    places: Photographs, map_of_places: NDArray[np.uint8]
) -> None:
    """By hand: the colours of a crop say where it was cut and whether it was mirrored."""
    corners, mirrored = set(), 0
    for k in range(400):
        crop = places.sample(k, size=SIZE, seed=0)
        assert crop.shape == (SIZE, SIZE, 3)
        is_mirrored = crop[0, 0, 1] > crop[0, -1, 1]
        upright = crop[:, ::-1] if is_mirrored else crop
        top, left = int(upright[0, 0, 0]), int(upright[0, 0, 1])
        np.testing.assert_array_equal(
            upright, map_of_places[top : top + SIZE, left : left + SIZE], strict=True
        )
        corners.add((top, left))
        mirrored += int(is_mirrored)
    # 9 x 37 corners are possible. 400 throws of a coin: 200, give or take four deviations of 10.
    assert {top for top, _ in corners} == set(range(9))
    assert {left for _, left in corners} == set(range(37))
    assert 160 <= mirrored <= 240


def test_crops_differ_between_epochs(places: Photographs) -> None:
    crops = [places.sample(k, size=SIZE, seed=0) for k in range(4)]
    assert not any(np.array_equal(crops[0], crop) for crop in crops[1:])


def test_a_batch_is_its_samples_and_prefetching_changes_nothing(photo_folder: Path) -> None:
    """By invariant: batch b takes the samples b * size and on, read ahead or not."""
    photographs = open_folder(photo_folder)
    ahead = list(prefetch(photographs, start=2, stop=7, batch=3, size=SIZE, seed=5))
    assert len(ahead) == 5
    for step, crops in enumerate(ahead, start=2):
        assert crops.dtype == np.uint8
        np.testing.assert_array_equal(
            crops, photographs.batch(step, batch=3, size=SIZE, seed=5), strict=True
        )
        for place, crop in enumerate(crops):
            np.testing.assert_array_equal(
                crop, photographs.sample(3 * step + place, size=SIZE, seed=5)
            )


def test_prefetching_nothing_yields_nothing(photo_folder: Path) -> None:
    photographs = open_folder(photo_folder)
    assert list(prefetch(photographs, start=4, stop=4, batch=1, size=SIZE, seed=0)) == []


def test_an_error_of_the_reading_thread_arrives(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    photographs = Photographs(rows_of([tmp_path / "a.png"]), "")
    with pytest.raises(DataError):
        list(prefetch(photographs, start=0, stop=2, batch=1, size=SIZE, seed=0))


def test_folder_names_become_neither_splits_nor_classes(photo_folder: Path) -> None:
    """By hand: twelve photographs stand in the folder, six of them below train/ and val/."""
    photographs = open_folder(photo_folder)
    assert len(photographs) == 12
    assert photographs.rows.column_names == ["image"]
    assert photographs.bad == {}
    read_all(photographs)
    assert photographs.bad == {}


def test_an_unreadable_photograph_is_replaced_by_the_next(colours: Path) -> None:
    """By hand: grey 40 cannot be read, so grey 50 comes twice, whatever was read before."""
    (colours / "4.png").write_text("no picture")
    photographs = open_folder(colours)
    greys = [int(photographs.sample(k, size=SIZE, seed=0)[0, 0, 0]) for k in range(10)]
    assert sorted(greys) == [0, 10, 20, 30, 50, 50, 60, 70, 80, 90]
    assert list(photographs.bad) == [4]
    assert "4.png" in photographs.bad[4]
    for k in range(10):
        assert int(open_folder(colours).sample(k, size=SIZE, seed=0)[0, 0, 0]) == greys[k]


def test_a_link_to_nowhere_counts_as_unreadable(colours: Path) -> None:
    (colours / "a.png").symlink_to("nowhere.png")
    photographs = open_folder(colours)
    assert len(photographs) == 11
    read_all(photographs)
    assert [Path(reason.split(":")[0]).name for reason in photographs.bad.values()] == ["a.png"]


def test_two_unreadable_ones_of_ten_are_too_many(colours: Path) -> None:
    """By hand: one bad file is always forgiven, two of ten are 20 %."""
    for name in ("4.png", "7.png"):
        (colours / name).write_text("no picture")
    photographs = open_folder(colours)
    with pytest.raises(DataError, match=r"2 of 10 photographs cannot be read.*7\.png") as caught:
        read_all(photographs)
    assert "4.png" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("bad", "is_allowed"), [(3, True), (4, False)])
def test_one_in_a_hundred_may_be_unreadable(colours: Path, bad: int, is_allowed: bool) -> None:
    """By hand: 3 of 300 are 1 %, 4 are more."""
    (colours / "text.png").write_text("no picture")
    paths = [colours / "1.png"] * (300 - bad) + [colours / "text.png"] * bad
    photographs = Photographs(rows_of(paths), "")
    if is_allowed:
        read_all(photographs)
        assert sorted(photographs.bad) == [297, 298, 299]
    else:
        with pytest.raises(DataError, match="4 of 300"):
            read_all(photographs)


def test_a_row_may_hold_the_bytes_of_a_file(places: Photographs) -> None:
    """By invariant: a data set that carries its pictures gives what a folder gives."""
    path = Path(places.rows[0]["image"]["path"])
    rows = [{"image": {"path": "inside.png", "bytes": path.read_bytes()}}]
    np.testing.assert_array_equal(
        Photographs(rows, "").sample(3, size=SIZE, seed=0), places.sample(3, size=SIZE, seed=0)
    )


def test_small_photographs_are_enlarged(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), (9, 8, 7)).save(tmp_path / "small.png")
    crop = Photographs(rows_of([tmp_path / "small.png"]), "").sample(0, size=SIZE, seed=0)
    np.testing.assert_array_equal(crop, np.full((SIZE, SIZE, 3), (9, 8, 7)))


def test_the_identity_is_that_of_names_and_sizes(photo_folder: Path, tmp_path: Path) -> None:
    """By invariant: the same files elsewhere are the same set; one more, fewer or other are not."""
    moved = tmp_path / "moved"
    shutil.copytree(photo_folder, moved)
    identity = open_folder(photo_folder).identity
    assert open_folder(moved).identity == identity
    shutil.copyfile(moved / "00.png", moved / "zz.png")
    with_one_more = open_folder(moved).identity
    assert with_one_more != identity
    (moved / "zz.png").write_bytes((moved / "zz.png").read_bytes() + b"\0")
    assert open_folder(moved).identity not in (identity, with_one_more)
    (moved / "zz.png").unlink()
    assert open_folder(moved).identity == identity
    (moved / "00.png").rename(moved / "01.png")
    assert open_folder(moved).identity != identity


def test_a_missing_folder_and_one_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--data .*nowhere: no such folder"):
        open_folder(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(DataError, match="no photographs in it"):
        open_folder(tmp_path)
    with pytest.raises(DataError, match=r"notes\.txt: no such folder"):
        open_folder(tmp_path / "notes.txt")


def test_a_name_that_is_not_utf8_is_refused_by_name(colours: Path) -> None:
    try:
        (colours / os.fsdecode(b"caf\xe9.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes no such names")
    with pytest.raises(DataError, match=r"caf.*rename the file"):
        open_folder(colours)

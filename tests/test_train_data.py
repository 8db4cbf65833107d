"""Crops for training: order, corners, mirrors, replaced photographs, pieces of a batch."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from nst.errors import DataError, UsageError
from nst.image import load_image
from train.data import Photographs, open_photographs
from train.reading import Reading
from train.sources import find_sources

SIZE = 64
SHORT_SIDE = 72
"""By hand: 9/8 of the crop, the size to which photographs are scaled before they are cut."""


def photographs_of(reading: Reading, *given: Path) -> Photographs:
    sources = find_sources([str(path) for path in given], shards=None, reading=reading)
    return open_photographs(sources, size=SIZE, reading=reading)


def grey_of(photographs: Photographs, k: int, seed: int = 0) -> int:
    return int(photographs.sample(k, size=SIZE, seed=seed)[0, 0, 0])


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Ten photographs of one grey each: the grey is ten times the place in the list."""
    folder = tmp_path / "colours"
    folder.mkdir()
    for index in range(10):
        Image.new("RGB", (80, 75), (index * 10,) * 3).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def map_of_places() -> NDArray[np.uint8]:
    """A picture that says where its pixels stand: red is the row, green the column."""
    rows, columns = np.mgrid[0:SHORT_SIDE, 0:100].astype(np.uint8)
    return np.stack([rows, columns, np.full_like(rows, 7)], axis=-1)


@pytest.fixture
def places(map_of_places: NDArray[np.uint8], tmp_path: Path, reading: Reading) -> Photographs:
    (tmp_path / "places").mkdir()
    Image.fromarray(map_of_places).save(tmp_path / "places" / "places.png")
    return photographs_of(reading, tmp_path / "places")


def test_a_sample_is_what_the_definition_says(photo_folder: Path, reading: Reading) -> None:
    """By another implementation: the words of train/data.py, one photograph at a time."""
    photographs = photographs_of(reading, photo_folder)
    paths = sorted(path for path in photo_folder.rglob("*") if path.is_file())
    for k in range(30):
        epoch, place = divmod(k, 12)
        index = int(np.random.default_rng((5, epoch)).permutation(12)[place])
        rgb = load_image(paths[index], short_side=SHORT_SIDE).rgb
        draw = np.random.default_rng((5, epoch, index))
        top = draw.integers(rgb.shape[0] - SIZE + 1)
        left = draw.integers(rgb.shape[1] - SIZE + 1)
        crop = rgb[top : top + SIZE, left : left + SIZE]
        expected = crop[:, ::-1] if draw.random() < 0.5 else crop
        np.testing.assert_array_equal(photographs.sample(k, size=SIZE, seed=5), expected)


def test_a_sample_is_a_function_of_seed_and_place_alone(
    photo_folder: Path, reading: Reading
) -> None:
    """By invariant: whatever was read before, in whatever order, by whatever threads."""
    places = [0, 5, 11, 12, 30]
    fresh = [photographs_of(reading, photo_folder).sample(k, size=SIZE, seed=3) for k in places]
    used = photographs_of(reading, photo_folder)
    order = list(range(36))
    random.Random(0).shuffle(order)
    with ThreadPoolExecutor(4) as pool:
        read = dict(
            zip(order, pool.map(lambda k: used.sample(k, size=SIZE, seed=3), order), strict=True)
        )
    for k, sample in zip(places, fresh, strict=True):
        np.testing.assert_array_equal(read[k], sample)


def test_another_seed_gives_another_sequence(colours: Path, reading: Reading) -> None:
    photographs = photographs_of(reading, colours)
    sequences = [[grey_of(photographs, k, seed) for k in range(10)] for seed in (0, 1)]
    assert sequences[0] != sequences[1]


def test_each_epoch_is_a_permutation(colours: Path, reading: Reading) -> None:
    """By hand: every grey once in an epoch, in an order that changes from epoch to epoch."""
    photographs = photographs_of(reading, colours)
    greys = [grey_of(photographs, k) for k in range(30)]
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


def test_a_batch_is_its_samples(photo_folder: Path, reading: Reading) -> None:
    """By invariant: batch b takes the samples b * size and on, of one epoch or of two."""
    photographs = photographs_of(reading, photo_folder)
    for step in range(2, 7):
        crops = photographs.batch(step, batch=5, size=SIZE, seed=5)
        assert crops.dtype == np.uint8
        for place, crop in enumerate(crops):
            np.testing.assert_array_equal(
                crop, photographs.sample(5 * step + place, size=SIZE, seed=5), strict=True
            )


@pytest.mark.parametrize("ranks", [1, 2, 3, 6])
def test_processes_share_a_batch_in_pieces(
    photo_folder: Path, reading: Reading, ranks: int
) -> None:
    """By invariant: the pieces one behind the other are the batch of one process."""
    photographs = photographs_of(reading, photo_folder)
    pieces = [
        photographs.batch(3, batch=6, size=SIZE, seed=1, rank=rank, ranks=ranks)
        for rank in range(ranks)
    ]
    whole = photographs.batch(3, batch=6, size=SIZE, seed=1)
    np.testing.assert_array_equal(np.concatenate(pieces), whole, strict=True)


def test_a_batch_that_cannot_be_shared_equally_is_refused(
    photo_folder: Path, reading: Reading
) -> None:
    photographs = photographs_of(reading, photo_folder)
    with pytest.raises(UsageError, match="--batch 4 cannot be shared among 3 processes"):
        photographs.batch(0, batch=4, size=SIZE, seed=0, rank=0, ranks=3)


def test_an_unreadable_photograph_is_replaced_by_the_next(colours: Path, reading: Reading) -> None:
    """By hand: grey 40 cannot be read, so grey 50 comes twice, cut as grey 40 would have been."""
    (colours / "4.png").write_text("no picture")
    photographs = photographs_of(reading, colours)
    assert len(photographs) == 10
    greys = [grey_of(photographs, k) for k in range(10)]
    assert sorted(greys) == [0, 10, 20, 30, 50, 50, 60, 70, 80, 90]
    (reason,) = photographs.bad
    assert "4.png" in reason
    assert str(colours) in reason
    again = photographs_of(reading, colours)
    assert [grey_of(again, k) for k in range(10)] == greys
    assert again.bad == photographs.bad


def test_the_last_photograph_is_replaced_by_the_first(colours: Path, reading: Reading) -> None:
    (colours / "9.png").write_text("no picture")
    photographs = photographs_of(reading, colours)
    greys = [grey_of(photographs, k) for k in range(10)]
    assert sorted(greys) == [0, 0, 10, 20, 30, 40, 50, 60, 70, 80]


def test_several_sets_are_joined_in_their_order(
    colours: Path, tmp_path: Path, reading: Reading
) -> None:
    """By hand: rows 0 to 9 are the one set, 10 to 12 the other, with sizes of their own."""
    other = tmp_path / "other"
    other.mkdir()
    for index in range(3):
        Image.new("RGB", (90, 140), (200 + index,) * 3).save(other / f"{index}.png")
    (other / "2.png").write_text("no picture")
    photographs = photographs_of(reading, colours, other)
    assert len(photographs) == 13
    greys = [grey_of(photographs, k) for k in range(13)]
    # The last row is replaced by the first of all: that of the first set.
    assert sorted(greys) == [0, 0, *range(10, 100, 10), 200, 201]
    assert [reason.split(": ")[0] for reason in photographs.bad] == [str(other)]
    alone = [photographs_of(reading, folder).identity for folder in (colours, other)]
    turned = photographs_of(reading, other, colours).identity
    assert len({*alone, photographs.identity, turned}) == 4


def test_parts_are_joined_to_one_sequence(
    photo_folder: Path, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By invariant: in how many files the photographs stand changes nothing."""
    whole = photographs_of(reading, photo_folder, photo_folder)
    assert len(whole.parts) == 2
    monkeypatch.setattr("train.cache._PART_BYTES", 5 * SHORT_SIDE**2 * 1.4 * 3)
    other = Reading(
        announce=reading.announce, progress=reading.progress, cache=reading.cache / "other"
    )
    cut = photographs_of(other, photo_folder, photo_folder)
    assert len(cut.parts) == 6  # of 5, 5 and 2 photographs, twice
    for k in range(48):
        np.testing.assert_array_equal(
            cut.sample(k, size=SIZE, seed=0), whole.sample(k, size=SIZE, seed=0)
        )


def test_small_photographs_are_enlarged(tmp_path: Path, reading: Reading) -> None:
    (tmp_path / "small").mkdir()
    Image.new("RGB", (30, 20), (9, 8, 7)).save(tmp_path / "small" / "small.png")
    crop = photographs_of(reading, tmp_path / "small").sample(0, size=SIZE, seed=0)
    np.testing.assert_array_equal(crop, np.full((SIZE, SIZE, 3), (9, 8, 7)))


def test_a_set_without_one_readable_photograph_is_refused(tmp_path: Path, reading: Reading) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.png").write_text("no picture")
    with pytest.raises(DataError, match=r"1 of 1 photographs cannot be read.*a\.png"):
        photographs_of(reading, tmp_path / "texts")

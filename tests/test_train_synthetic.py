"""Procedural photographs: the same again, of natural statistics, a source like any other."""

from __future__ import annotations

import dataclasses
import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import typer
from numpy.typing import NDArray

from nst.checkpoint import load_checkpoint
from nst.errors import DataError, NSTError, UsageError
from nst.terminal import progress
from train import synthetic
from train.cache import open_cache
from train.cli import app
from train.data import joined_identity
from train.procedural import picture, textures
from train.procedural.fields import KINDS
from train.procedural.picture import procedural_picture
from train.reading import Reading
from train.sources import find_sources, places_of
from train.synthetic import Synthetic

SIDE = 72


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    """Twelve pictures of 144 px."""
    return np.stack([procedural_picture(0, index, 144) for index in range(12)])


def test_a_picture_is_a_function_of_seed_and_index(pictures: NDArray[np.uint8]) -> None:
    """By invariant: the same again to the byte, whatever was made between; another with another."""
    assert pictures.dtype == np.uint8
    assert pictures.shape == (12, 144, 144, 3)
    np.testing.assert_array_equal(procedural_picture(0, 3, 144), pictures[3])
    assert len({each.tobytes() for each in pictures}) == 12
    assert np.abs(procedural_picture(1, 3, 144).astype(int) - pictures[3]).mean() > 5


@pytest.mark.parametrize("size", [72, 99])
def test_any_size(size: int) -> None:
    made = procedural_picture(0, 5, size)
    assert made.shape == (size, size, 3)
    assert made.std() > 5


def test_spectra_and_tones_are_those_of_photographs(pictures: NDArray[np.uint8]) -> None:
    """By invariant: power falls about as 1 / f^2 (Field 1987; Ruderman 1997), tones fill the range,
    and neighbouring pixels differ rarely but then much: a kurtosis far above the 3 of noise.
    """
    grey = pictures.mean(axis=-1)
    window = np.hanning(144)[:, None] * np.hanning(144)
    power = np.abs(np.fft.fft2((grey - grey.mean(axis=(1, 2), keepdims=True)) * window)) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(144), np.fft.fftfreq(144))) * 144
    edges = np.geomspace(3, 60, 8)
    rings = [
        power[:, (frequency >= low) & (frequency < high)].mean() for low, high in pairwise(edges)
    ]
    slope = np.polyfit(np.log(np.sqrt(edges[:-1] * edges[1:])), np.log(rings), 1)[0]
    assert -3.2 < slope < -1.6
    assert 60 < grey.mean() < 170
    assert 35 < grey.std() < 90
    steps = np.diff(grey, axis=2)
    assert (steps**4).mean() / (steps**2).mean() ** 2 > 8


def test_every_texture_is_grey_on_average() -> None:
    """By hand: they are scaled to a mean of 128 and a deviation of 50, then clipped to 8 bits."""
    for kind in KINDS:
        cut = textures.piece(kind, np.random.default_rng(0), 500, 500, scale=1.0, angle=0.0)
        assert cut.shape == (500, 500)
        assert 95 < cut.mean() < 160, kind
        assert cut.std() > 20, kind


@pytest.mark.parametrize("angle", [0.0, 0.7, 3.0])
@pytest.mark.parametrize("scale", [0.3, 1.0, 3.2, 40.0])
def test_a_piece_lies_within_its_texture(scale: float, angle: float) -> None:
    """By invariant: outside would be black, and no texture is so dark there."""
    cut = textures.piece("clouds", np.random.default_rng(1), 60, 200, scale=scale, angle=angle)
    assert cut.shape == (60, 200)
    assert (cut == 0).mean() < 0.02


def test_a_plane_recedes() -> None:
    """By invariant: farther rows show finer detail, none lies outside of the texture."""
    cut = textures.plane("tiles", np.random.default_rng(0), 100, 200, far=3, near=0.5)
    assert cut.shape == (100, 200)
    assert (cut == 0).mean() < 0.02


def test_what_data_names(reading: Reading) -> None:
    """By hand."""
    (usual,) = find_sources(["synthetic"], shards=None, reading=reading)
    (few,) = find_sources(["synthetic:30"], shards=None, reading=reading)
    assert len(usual) == synthetic.COUNT
    assert len(few) == 30
    assert [entry.name for entry in few.entries(28)] == ["picture 28", "picture 29"]
    pickle.dumps(next(iter(few.entries(0))))
    for bad in ("synthetic:", "synthetic:0", "synthetic:-3", "synthetic:many"):
        with pytest.raises(UsageError, match=f"--data {bad}: synthetic:COUNT takes a number"):
            find_sources([bad], shards=None, reading=reading)
    with pytest.raises(DataError, match="no such folder; photographs are synthetic"):
        find_sources(["synthetics"], shards=None, reading=reading)
    with pytest.raises(UsageError, match="--shards counts parquet files"):
        find_sources(["synthetic"], shards=1, reading=reading)


def test_identity_tells_count_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """By invariant: the name does not count, all that changes a picture of the set does."""
    named = Synthetic.of(f"synthetic:{synthetic.COUNT}")
    assert named.identity == Synthetic.of("synthetic").identity
    others = {dataclasses.replace(named, count=n).identity for n in (10, 11)}
    assert len(others | {named.identity}) == 3
    before = named.identity
    monkeypatch.setattr(synthetic, "VERSION", picture.VERSION + 1)
    assert named.identity != before


def test_processes_make_what_one_thread_makes(tmp_path: Path, photo_folder: Path) -> None:
    """By invariant: every file of the cache, and the pictures in it are those of the function."""
    contents, lines = [], list[str]()
    for workers in (1, 2):
        reading = Reading(
            announce=lines.append, progress=progress, cache=tmp_path / str(workers), workers=workers
        )
        cache = open_cache(Synthetic.of("synthetic:6"), short_side=SIDE, reading=reading)
        files = sorted((tmp_path / str(workers)).rglob("*.*"))
        contents.append([(file.name, file.read_bytes()) for file in files if file.is_file()])
    assert contents[0] == contents[1]
    assert lines[0].startswith("synthetic:6: making 6 pictures once, about")
    assert cache.sizes.tolist() == [[SIDE, SIDE]] * 6
    made = cache.parts[0][3 * SIDE**2 :][: 3 * SIDE**2].reshape(SIDE, SIDE, 3)
    np.testing.assert_array_equal(made, procedural_picture(synthetic.SEED, 1, SIDE))
    (folder,) = find_sources([str(photo_folder)], shards=None, reading=reading)
    joined = joined_identity([cache, folder])
    assert joined not in (cache.identity, folder.identity)


def test_names_of_sets_are_no_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: a folder that happens to be called so does not turn them into one."""
    for name in ("synthetic", "coco", "photos"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert places_of(["synthetic", "coco", "photos", "owner/set"]) == [
        "synthetic",
        "coco",
        str(tmp_path / "photos"),
        "owner/set",
    ]


@pytest.mark.usefixtures("one_thread")
def test_training_without_data(
    style_file: Path,
    vgg_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By invariant: said aloud, resumed from another folder, and refused with another count."""
    monkeypatch.setattr(synthetic, "COUNT", 6)
    command = typer.main.get_command(app)
    small = ("--width", "8", "--size", "64", "--batch", "1", "--style-size", "64")
    shared = ["--workers", "1", "--cache", str(tmp_path / "cache")]
    arguments = [str(style_file), "--vgg", str(vgg_file), *small, "--device", "cpu", *shared]
    folder = command.main(
        [*arguments, "--steps", "2", "--checkpoint-every", "1", "--runs", str(tmp_path / "runs")],
        standalone_mode=False,
    )
    said = capsys.readouterr().err
    assert "no --data: training on procedural pictures, --data synthetic;" in said
    assert "give --data FOLDER" in " ".join(said.split())
    assert "synthetic: making 6 pictures once" in said
    assert "6 photographs; 2 steps of 1 at 64 px" in said
    header = load_checkpoint(folder / "last.safetensors").header
    assert header["data"] == ["synthetic"]
    assert header["data_identity"] == Synthetic.of("synthetic").identity

    (folder / "prev.safetensors").replace(folder / "last.safetensors")
    (tmp_path / "synthetic").mkdir()
    monkeypatch.chdir(tmp_path)
    resume = ["--resume", str(folder), *shared]
    command.main(resume, standalone_mode=False)
    assert "making" not in capsys.readouterr().err
    again = load_checkpoint(folder / "last.safetensors").header
    assert again["tensors_sha256"] == header["tensors_sha256"]
    assert again["data"] == ["synthetic"]
    with pytest.raises(NSTError, match="--data is not what the run was trained with"):
        command.main([*resume, "--data", "synthetic:7"], standalone_mode=False)

"""Batches on the device: what is cut there and what is cut here are the same bytes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nst.errors import UsageError
from train import feed
from train.data import Photographs, open_photographs
from train.feed import Crops, DeviceFeed, Feed, HostFeed, open_feed
from train.reading import Reading
from train.sources import find_sources

SIZE = 64
CPU = torch.device("cpu")
CROPS = Crops(batch=5, size=SIZE, seed=7)


@pytest.fixture
def photographs(photo_folder: Path, tmp_path: Path, reading: Reading) -> Photographs:
    """Two sets of other sizes; one photograph cannot be read."""
    other = tmp_path / "other"
    other.mkdir()
    Image.linear_gradient("L").resize((300, 81)).convert("RGB").save(other / "wide.png")
    Image.radial_gradient("L").resize((75, 200)).convert("RGB").save(other / "tall.png")
    (other / "text.png").write_text("no picture")
    given = [str(photo_folder), str(other)]
    sources = find_sources(given, shards=None, reading=reading)
    return open_photographs(sources, size=SIZE, reading=reading)


def taken(batches: Iterator[torch.Tensor]) -> list[torch.Tensor]:
    found = list(batches)
    for batch in found:
        assert batch.dtype == torch.uint8
        assert batch.is_contiguous()
    return found


def test_both_ways_give_the_same_bytes(photographs: Photographs) -> None:
    """By invariant: three epochs of crops, photographs of all shapes and parts among them."""
    here = taken(HostFeed(photographs, CROPS, CPU, 2).batches(0, 9))
    there = taken(DeviceFeed(photographs, CROPS, CPU).batches(0, 9))
    assert len(here) == len(there) == 9
    for step, (one, other) in enumerate(zip(here, there, strict=True)):
        expected = photographs.batch(step, batch=5, size=SIZE, seed=7)
        np.testing.assert_array_equal(one.numpy(), expected, strict=True)
        np.testing.assert_array_equal(other.numpy(), expected, strict=True)


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_any_number_of_threads_gives_the_same_batches(
    photographs: Photographs, workers: int
) -> None:
    """By invariant: also from a step in the middle on, as a run that is resumed begins."""
    batches = taken(HostFeed(photographs, CROPS, CPU, workers).batches(3, 12))
    for step, batch in enumerate(batches, start=3):
        expected = photographs.batch(step, batch=5, size=SIZE, seed=7)
        np.testing.assert_array_equal(batch.numpy(), expected)


@pytest.mark.parametrize("kind", ["host", "device"])
def test_processes_share_a_batch_in_pieces(photographs: Photographs, kind: str) -> None:
    """By invariant: the pieces of three processes, one behind the other, are the batch of one."""

    def feed_of(rank: int, ranks: int) -> Feed:
        crops = Crops(batch=6, size=SIZE, seed=1, rank=rank, ranks=ranks)
        if kind == "host":
            return HostFeed(photographs, crops, CPU, 1)
        return DeviceFeed(photographs, crops, CPU)

    whole = taken(feed_of(0, 1).batches(2, 5))
    pieces = [taken(feed_of(rank, 3).batches(2, 5)) for rank in range(3)]
    for step, batch in enumerate(whole):
        assert torch.equal(torch.cat([piece[step] for piece in pieces]), batch)


def test_nothing_yields_nothing(photographs: Photographs) -> None:
    assert taken(HostFeed(photographs, CROPS, CPU, 2).batches(4, 4)) == []
    assert taken(DeviceFeed(photographs, CROPS, CPU).batches(4, 4)) == []


def test_batches_are_made_before_they_are_asked_for() -> None:
    """By hand: three ahead of the one in use, and not one more."""
    made: list[int] = []

    def make(step: int) -> int:
        made.append(step)
        return step

    batches = feed._made_ahead(make, 0, 100, 1)
    assert next(batches) == 0
    end_at = time.monotonic() + 10
    while len(made) < 4 and time.monotonic() < end_at:
        time.sleep(0.01)
    time.sleep(0.05)
    assert made == [0, 1, 2, 3]
    batches.close()  # type: ignore[attr-defined]


def test_an_error_of_a_thread_arrives_and_ends_the_threads(photographs: Photographs) -> None:
    crops = Crops(batch=5, size=SIZE, seed=0, ranks=2)
    before = threading.active_count()
    for broken in (HostFeed(photographs, crops, CPU, 2), DeviceFeed(photographs, crops, CPU)):
        with pytest.raises(UsageError, match="--batch 5 cannot be shared"):
            next(broken.batches(0, 9))
    assert threading.active_count() == before


def test_a_training_that_stops_early_ends_the_threads(photographs: Photographs) -> None:
    before = threading.active_count()
    for _ in HostFeed(photographs, CROPS, CPU, 3).batches(0, 1000):
        break
    assert threading.active_count() == before


@pytest.mark.parametrize(("free", "kind"), [(2, "HostFeed"), (2.01, "DeviceFeed")])
def test_photographs_stand_on_a_device_where_they_take_under_half_of_what_is_free(
    photographs: Photographs, monkeypatch: pytest.MonkeyPatch, free: float, kind: str
) -> None:
    """By hand: at twice their size free they take the half, not under it."""
    size = sum(part.nbytes for part in photographs.parts)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (int(free * size), 1 << 40))
    for name in ("HostFeed", "DeviceFeed"):
        monkeypatch.setattr(f"train.feed.{name}", lambda *given, name=name: name)
    chosen: object = open_feed(photographs, CROPS, torch.device("cuda"), 2)
    assert chosen == kind


def test_what_runs_is_said_in_one_line(photographs: Photographs) -> None:
    here = open_feed(photographs, CROPS, CPU, 2)
    assert here.describe() == "crops are cut by 2 threads, 3 batches ahead in memory"
    size = sum(part.nbytes for part in photographs.parts) / 1e6
    there = DeviceFeed(photographs, CROPS, CPU)
    assert (
        there.describe() == f"{size:.1f} MB of photographs stand on the device, crops are cut there"
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_same_bytes(photographs: Photographs) -> None:
    cuda = torch.device("cuda")
    for given in (HostFeed(photographs, CROPS, cuda, 2), DeviceFeed(photographs, CROPS, cuda)):
        for step, batch in enumerate(taken(given.batches(0, 9))):
            assert batch.device.type == "cuda"
            expected = photographs.batch(step, batch=5, size=SIZE, seed=7)
            np.testing.assert_array_equal(batch.cpu().numpy(), expected, strict=True)

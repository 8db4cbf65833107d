"""As a whole, in tiles, on the CPU: what is done for want of memory. Truths: by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

import infer.memory
import infer.session
from infer.cli import app
from infer.model_file import read_model
from infer.painter import Job, Painter
from infer.session import Session, open_session
from infer.stylizer import Stylizer
from infer.tiles import Tiling
from nst.contract import INPUT
from nst.errors import InferenceError, OutOfMemoryError, UsageError
from nst.ort import create_session

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
IMAGE = np.random.default_rng(0).integers(0, 256, (150, 201, 3), dtype=np.uint8)
"""30,150 pixels; the negative model takes 6 bytes for each, 181 kB, and has no margin."""


class Card:
    """Stands for the negative model on hardware with room for so many pixels."""

    def __init__(self, provider: str, room: int) -> None:
        self.provider, self.room = provider, room
        self.sizes: list[tuple[int, int]] = []

    def get_providers(self) -> list[str]:
        return [self.provider, CPU]

    def get_inputs(self) -> list[Any]:
        class Input:
            name = INPUT

        return [Input()]

    def get_overridable_initializers(self) -> list[Any]:
        return []

    def run(self, names: list[str], feed: dict[str, NDArray[np.uint8]], options: object) -> Any:
        _, height, width, _ = feed[INPUT].shape
        self.sizes.append((height, width))
        if height * width > self.room:
            raise RuntimeError("CUDA failure 2: out of memory ; GPU=0")
        return [255 - feed[INPUT]]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def card(invert_model: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Session]:
    """A session on a card with room for so many pixels, and on a CPU with room for so many."""

    def make(room: int, *, cpu: int = 0, asked: str = "auto") -> Session:
        runtimes = {CUDA: Card(CUDA, room), CPU: Card(CPU, cpu)}
        monkeypatch.setattr(
            infer.session, "create_session", lambda model, chain, **options: runtimes[chain[0]]
        )
        found = read_model(invert_model)
        return Session(runtimes[CUDA], found, asked=asked, chain=[CUDA])

    return make


def painted(painter: Painter) -> NDArray[np.uint8]:
    why = painter.look(*IMAGE.shape[:2], name="photo.jpg")
    result, _ = painter.paint(Job(image=IMAGE, name="photo.jpg"), why)
    return result


# --- the ladder ----------------------------------------------------------------------------------


def test_a_card_with_room_is_silent(card: Callable[..., Session], said: list[str]) -> None:
    painter = Painter(card(40_000), announce=said.append)
    np.testing.assert_array_equal(painted(painter), 255 - IMAGE)
    assert said == []


def test_tiles_after_a_second_try(card: Callable[..., Session], said: list[str]) -> None:
    """Room for 8,000 pixels: the whole fails twice, tiles of 128 px (100x75) fit."""
    painter = Painter(card(8_000), announce=said.append)
    np.testing.assert_array_equal(painted(painter), 255 - IMAGE)
    assert said == [
        "photo.jpg: CUDA has not enough memory for 201x150 px; giving memory back and trying again",
        "photo.jpg: CUDA has not enough memory for 201x150 px; painting 201x150 px in 4 tiles of"
        " up to 101x75 px, 0.1 MB at a time, about 1 s",
    ]


def test_the_next_picture_of_the_size_goes_straight_to_tiles(
    card: Callable[..., Session], said: list[str]
) -> None:
    session = card(8_000)
    painter = Painter(session, announce=said.append)
    painted(painter)
    lines, sizes = len(said), session._runtime.sizes
    sizes.clear()
    np.testing.assert_array_equal(painted(painter), 255 - IMAGE)
    assert len(said) == lines
    assert max(height * width for height, width in sizes) <= 8_000


def test_smaller_tiles_where_the_first_do_not_fit(
    card: Callable[..., Session], said: list[str]
) -> None:
    """Room for 4,000: of 128 px tiles are 101x75, too large; of 64 px they are 51x50."""
    painter = Painter(card(4_000), announce=said.append)
    np.testing.assert_array_equal(painted(painter), 255 - IMAGE)
    assert "12 tiles of up to 51x50 px" in said[-1]
    assert said[-1].startswith("photo.jpg: CUDA has not enough memory for a tile of 100x75 px; ")


def test_the_cpu_where_no_tile_fits_and_auto_was_asked_for(
    card: Callable[..., Session], said: list[str]
) -> None:
    painter = Painter(card(100, cpu=40_000), announce=said.append)
    np.testing.assert_array_equal(painted(painter), 255 - IMAGE)
    assert said[-1].endswith("; painting it on the CPU")
    lines = len(said)
    np.testing.assert_array_equal(painted(painter), 255 - IMAGE)
    assert len(said) == lines


def test_a_provider_that_was_named_is_not_left(
    card: Callable[..., Session], said: list[str]
) -> None:
    painter = Painter(card(100, cpu=40_000, asked="CUDA"), announce=said.append)
    with pytest.raises(OutOfMemoryError, match=r"CUDA has not enough memory for a tile of"):
        painted(painter)
    assert not any("on the CPU" in line for line in said)


def test_without_tiles_the_error_is_that_of_the_whole(
    card: Callable[..., Session], said: list[str]
) -> None:
    painter = Painter(card(8_000), tile="off", announce=said.append)
    with pytest.raises(InferenceError, match=r"CUDA has not enough memory for 201x150 px; try"):
        painted(painter)
    assert len(said) == 1


def test_more_values_than_a_card_counts_are_not_tried(
    card: Callable[..., Session], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: 3 values for each of 30,150 pixels, and a card that counts to 90,000."""
    monkeypatch.setattr("infer.painter.MOST_VALUES", 30_000)
    session = card(40_000)
    monkeypatch.setattr(
        infer.session.Session, "graphs", open_session(session.model.data, "cpu").graphs
    )
    np.testing.assert_array_equal(painted(Painter(session, announce=said.append)), 255 - IMAGE)
    assert said[0].startswith("photo.jpg: a map has 0.0 billion values; painting 201x150 px in 4")


def test_tiles_run_where_the_model_runs(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card that cannot be had was tried once; its provider is not asked for again."""
    chains: list[Any] = []

    def create_here(model: bytes, chain: list[Any], *, threads: int) -> Any:
        chains.append(chain)
        if chain != [CPU]:
            raise RuntimeError("CUDA driver version is insufficient")
        return create_session(model, chain)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(infer.session, "create_session", create_here)
    paint = Stylizer(invert_model, size=None, tile=64)
    np.testing.assert_array_equal(paint(IMAGE).rgb, 255 - IMAGE)
    assert [chain for chain in chains if chain != [CPU]] == chains[:1]


# --- the memory of the computer ------------------------------------------------------------------


def test_tiles_where_the_whole_does_not_fit(
    invert_model: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: 181 kB, and 176 of 220 kB may be used, 85 beside the painting; 101x75 take 82."""
    monkeypatch.setattr(infer.memory, "free_bytes", lambda: 220_000)
    paint = Stylizer(invert_model, provider="cpu", size=None, announce=said.append)
    picture = paint(IMAGE, name="photo.jpg")
    np.testing.assert_array_equal(picture.rgb, 255 - IMAGE)
    assert picture.notes == ("painted in 4 tiles",)
    assert said == [
        "photo.jpg: 201x150 px need 0.0 GB of memory, 0.0 GB are free, of which 80% may be used;"
        " painting 201x150 px in 4 tiles of up to 101x75 px, 0.1 MB at a time, about 1 s"
    ]
    paint(IMAGE, name="photo.jpg")
    assert len(said) == 1


def test_tiles_can_be_forbidden(invert_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infer.memory, "free_bytes", lambda: 212_000)
    paint = Stylizer(invert_model, provider="cpu", size=None, tile="off")
    with pytest.raises(InferenceError, match=r"201x150 px need .* --size \d+ fits"):
        paint(IMAGE)


def test_tiles_that_were_asked_for(invert_model: Path, said: list[str]) -> None:
    """In as many as that side makes; a picture that is one tile is painted as it is."""
    paint = Stylizer(invert_model, provider="cpu", size=None, tile=64, announce=said.append)
    picture = paint(IMAGE)
    np.testing.assert_array_equal(picture.rgb, 255 - IMAGE)
    assert picture.notes == ("painted in 12 tiles",)
    assert said[0].startswith("the picture: --tile 64; painting 201x150 px in 12 tiles")
    assert paint(IMAGE[:60, :50]).notes == ()


def test_tiles_that_were_asked_for_and_do_not_fit(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(infer.memory, "free_bytes", lambda: 130_000)
    paint = Stylizer(invert_model, provider="cpu", size=None, tile=128)
    with pytest.raises(InferenceError, match=r"--tile 128 needs .*try a smaller one, or --tile au"):
        paint(IMAGE)


def test_maps_are_kept_where_there_is_memory(
    invert_model: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: 176 of 220 kB may be used, 90 are the painting's, a tile takes 28; 58 are left."""
    monkeypatch.setattr(infer.memory, "free_bytes", lambda: 220_000)
    paint = Stylizer(invert_model, provider="cpu", size=None, tile=64, announce=said.append)
    for needed, is_kept in ((58_000, True), (59_000, False)):
        monkeypatch.setattr("infer.painter.kept_bytes", lambda session, plan, n=needed: n)
        paint.painter._said = None
        paint(IMAGE)
        assert ("0.1 MB for what lies between" in said[-1]) is is_kept


def test_memory_that_runs_out_between_the_tiles(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, as when a run finds too little."""

    def paint_none(self: Tiling) -> Iterator[float]:
        yield 0.1
        raise MemoryError

    monkeypatch.setattr(Tiling, "paint", paint_none)
    paint = Stylizer(invert_model, provider="cpu", size=None, tile=64)
    with pytest.raises(OutOfMemoryError, match="not enough memory to put tiles together"):
        paint(IMAGE)


def test_a_large_picture_says_what_it_takes(
    invert_model: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infer.painter.SAID_FROM_BYTES", 100_000)
    paint = Stylizer(invert_model, provider="cpu", size=None, announce=said.append)
    paint(IMAGE, name="photo.jpg")
    paint(IMAGE, name="photo.jpg")
    assert said == ["photo.jpg: 201x150 px, 0.2 MB of memory"]


def test_a_bar_advances(invert_model: Path) -> None:
    seen: list[float] = []

    class Bar:
        def update(self, completed: float, note: str = "") -> None:
            seen.append(completed)

    @contextmanager
    def bars(label: str, total: float | None) -> Iterator[Bar]:
        assert (label, total) == ("the picture", 100)
        yield Bar()

    paint = Stylizer(invert_model, provider="cpu", size=None, tile=64)
    paint.painter.bars = bars
    paint(IMAGE)
    assert len(seen) == 12
    assert seen[-1] == 100
    assert seen == sorted(seen)


# --- the command ---------------------------------------------------------------------------------


def test_the_command(invert_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nst.image import load_image, save_image

    monkeypatch.chdir(tmp_path)
    save_image(Path("a.png"), IMAGE)
    done = CliRunner().invoke(app, [str(invert_model), "a.png", "--size", "0", "--tile", "64"])
    assert done.exit_code == 0
    assert "a.png: --tile 64; painting 201x150 px in 12 tiles" in done.stderr
    assert "a.png: painted in 12 tiles" in done.stderr
    np.testing.assert_array_equal(load_image("a-negative.png").rgb, 255 - IMAGE)


def test_a_side_that_is_none(invert_model: Path) -> None:
    with pytest.raises(UsageError, match="--tile must be auto, off or a side"):
        Stylizer(invert_model, provider="cpu", tile="many")

"""Pictures in tiles. Truths: the whole picture, by invariant; plans and sums by hand."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from export.to_onnx import to_model, write_info
from infer.noise_field import NoiseField
from infer.session import Session, open_session
from infer.tile_facts import Norm
from infer.tile_graphs import Affine
from infer.tile_plan import Span, plan_tiles, plan_within, tile_bytes, tile_side
from infer.tiles import Moments, Tiling, kept_bytes
from nst.contract import INPUT, Controls, ModelInfo
from nst.dimensions import SwiftDimensions
from nst.errors import ModelError, UsageError
from nst.nets import build_network
from nst.noise import EndlessNoise
from nst.seal import sealed

STYLES = ("wave", "scream")
LEVELS = 1
"""Grey levels: sums in another order land on the other side of a half here and there."""


def info_of(controls: Controls, *, reach_px: int, bytes_per_pixel: int = 130) -> ModelInfo:
    styles = STYLES[: 1 if controls == "none" else 2]
    return ModelInfo(
        styles=styles,
        style_sha256=("0" * 64, "1" * 64)[: len(styles)],
        network="swift",
        width=8,
        reach_px=reach_px,
        size_multiple=4,
        bytes_per_pixel=bytes_per_pixel,
        controls=controls,
    )


INFO = info_of("none", reach_px=10)


def traced(dimensions: SwiftDimensions, controls: Controls) -> bytes:
    """A random network of the real depth, whose norms all differ."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = build_network(dimensions, 0 if controls == "none" else len(STYLES)).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return write_info(to_model(network, controls), info_of(controls, reach_px=network.reach_px))


@pytest.fixture(scope="module")
def swift() -> Session:
    return open_session(traced(SwiftDimensions(width=8, blocks=1), "none"), "cpu")


@pytest.fixture(scope="module")
def johnson(tiny_model: ModelProto) -> Session:
    return open_session(write_info(tiny_model, info_of("none", reach_px=60)), "cpu")


@pytest.fixture(scope="module")
def regional() -> Session:
    return open_session(traced(SwiftDimensions(width=8, blocks=1), "regional"), "cpu")


@pytest.fixture(scope="module")
def of_one_mix() -> Session:
    return open_session(traced(SwiftDimensions(width=8, blocks=1), "global"), "cpu")


def photograph(height: int, width: int) -> NDArray[np.uint8]:
    """Darker to the right and brighter downwards, so that no tile has the statistics of all."""
    rng = np.random.default_rng(height * width)
    rows, columns = np.mgrid[0:height, 0:width]
    light = 120 + 100 * rows / height - 110 * columns / width
    grain = rng.normal(0, 25, (height, width, 3))
    clipped: NDArray[np.float64] = np.clip(light[..., None] + grain, 0, 255)
    return clipped.astype(np.uint8)


def in_tiles(
    session: Session,
    image: NDArray[np.uint8],
    side: int,
    *,
    texture: float = 1.0,
    mix: NDArray[np.float32] | None = None,
    keeps: bool = False,
) -> NDArray[np.uint8]:
    plan = plan_tiles(session.info, image.shape[0], image.shape[1], side)
    assert len(plan.tiles) > 1
    tiling = Tiling(session, image, plan, texture, mix, keeps)
    shares = list(tiling.paint())
    assert all(before < after for before, after in pairwise(shares))
    assert shares[-1] == pytest.approx(1)
    assert tiling.painted is not None
    return tiling.painted


def compare(
    session: Session,
    image: NDArray[np.uint8],
    side: int,
    *,
    texture: float = 1.0,
    mix: NDArray[np.float32] | None = None,
) -> None:
    whole = session.run(image[None], texture=texture, mix=mix)[0]
    assert whole.std() > 10  # an even painting would hide everything
    for keeps in (False, True):
        tiled = in_tiles(session, image, side, texture=texture, mix=mix, keeps=keeps)
        assert tiled.shape == whole.shape
        off = np.abs(tiled.astype(int) - whole)
        assert off.max() <= LEVELS
        assert np.count_nonzero(off) < 0.01 * off.size


# --- tiles are the whole -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(130, 197), (203, 71), (5, 301), (257, 1)])
def test_swift_in_tiles_is_swift(swift: Session, size: tuple[int, int]) -> None:
    compare(swift, photograph(*size), 64)


def test_the_noise_is_that_of_the_place(swift: Session) -> None:
    """With more of it than it was trained with, over more than one cell and period."""
    image = photograph(80, 190)
    compare(swift, image, 64, texture=2.5)
    plain = in_tiles(swift, image, 64, texture=0.0)
    assert np.abs(plain.astype(int) - in_tiles(swift, image, 64)).max() > LEVELS


def test_johnson_in_tiles_is_johnson(johnson: Session) -> None:
    compare(johnson, photograph(150, 201), 72)


def test_one_mix_for_all_of_a_picture(of_one_mix: Session) -> None:
    """With a part of the photograph left."""
    mix = np.array([0.3, 0.5, 0.2], np.float32).reshape(1, 3, 1, 1)
    compare(of_one_mix, photograph(90, 150), 64, mix=mix)


@pytest.mark.parametrize("grid", [(1, 1), (1, 5), (7, 3), (34, 50)])
def test_a_mix_that_differs_from_place_to_place(regional: Session, grid: tuple[int, int]) -> None:
    """With cells of one style, of two, of the photograph in part and of nothing else."""
    mix = np.random.default_rng(1).random((1, 3, *grid), np.float32) ** 3
    mix[..., :1, :1] = np.array([0.2, 0, 0.8]).reshape(1, 3, 1, 1)
    if grid[1] > 2:
        mix[..., 1] = 0
    compare(regional, photograph(133, 197), 64, mix=mix)


def test_statistics_of_each_tile_alone_would_show(swift: Session) -> None:
    """By counting: what is compared above is worth comparing."""
    image = photograph(130, 197)
    whole = swift.run(image[None])[0]
    alone = np.hstack(
        [swift.run(image[None, :, part])[0] for part in (slice(100), slice(100, 197))]
    )
    assert np.abs(alone.astype(int) - whole).max() > 20


def test_a_model_without_norms(invert_model: Path) -> None:
    session = open_session(invert_model, "cpu")
    image = photograph(100, 130)
    np.testing.assert_array_equal(in_tiles(session, image, 64), 255 - image)
    plan = plan_tiles(session.info, 100, 130, 64)
    assert Tiling(session, image, plan).predict_seconds() > 0


def test_time_is_predicted_before_it_begins(swift: Session) -> None:
    image = photograph(130, 197)
    for keeps in (False, True):
        tiling = Tiling(swift, image, plan_tiles(swift.info, 130, 197, 64), keeps=keeps)
        assert tiling.predict_seconds() > 0
        assert tiling.painted is None


def test_a_pass_begins_where_the_last_one_ended(swift: Session) -> None:
    """By hand: what is kept of the first block is what its convolutions give, and what passes by;
    a graph that is given these has one convolution, and no picture comes in."""
    facts, graphs = swift.graphs.facts, swift.graphs
    first, second, third = ([each.name for each in maps] for maps in facts.kept[:3])
    assert first == [facts.norms[0].given]
    assert set(second) == {facts.norms[1].given, "relu"}
    assert set(third) == {facts.norms[2].given, "relu"}
    known = [Affine(norm.scale, norm.shift) for norm in facts.norms[:2]]
    graph = onnx.load_model_from_string(graphs.statistics(known, second, third)).graph
    assert [node.op_type for node in graph.node].count("Conv") == 1
    assert INPUT not in [value.name for value in graph.input]


def test_what_is_kept_takes_by_hand(swift: Session) -> None:
    """Two maps of 8 channels and a third one in the making, at a sixteenth of the pixels; behind
    the enlargement 4 channels at a quarter beside two of those. 1.5 and 2 values for each pixel."""
    plan = plan_tiles(swift.info, 130, 197, 64)
    assert plan.padded == (132, 200)
    assert [round(sum(m.values for m in maps), 2) for maps in swift.graphs.facts.kept] == [
        *(0.5, 1.0, 1.0, 1.0),
    ]
    assert kept_bytes(swift, plan) == 4 * 2 * 132 * 200
    assert kept_bytes(swift, plan_tiles(swift.info, 8, 8, 64)) == 4 * 2 * 64


def test_noise_of_another_kind_is_refused(swift: Session) -> None:
    """A file whose noise is not computed as ours would be painted with seams."""
    model = onnx.load_model_from_string(swift.model.data)
    gain = next(t for t in model.graph.initializer if numpy_helper.to_array(t).tolist() == 1.5)
    gain.CopyFrom(numpy_helper.from_array(np.array(1.7, np.float32), gain.name))
    session = open_session(sealed(model), "cpu")
    with pytest.raises(ModelError, match="cannot be painted in tiles, its noise is of another"):
        _ = session.graphs


def test_what_is_known_of_a_network(swift: Session, regional: Session) -> None:
    """By hand: a stem, a block of two convolutions and one enlargement with a norm behind each;
    32 times as many values as there are pixels are in no map."""
    facts = swift.graphs.facts
    assert len(facts.norms) == 4
    work = [norm.work for norm in facts.norms]
    assert work == sorted(work)
    assert 0 < work[0] < work[-1] < 1
    assert facts.mixes == ()
    assert 3 <= facts.peak_values < 32
    # At a quarter and at a half of the padded picture, and at the size of the picture itself.
    fractions = {m.sides and (m.sides[0][0] / m.sides[0][1]) for m in regional.graphs.facts.mixes}
    assert fractions == {0.25, 0.5, None}


# --- the plan ------------------------------------------------------------------------------------


def test_a_plan_by_hand() -> None:
    """70 px are 18 blocks of 4, in two tiles of 9; 10 px that an output sees are 3 blocks."""
    plan = plan_tiles(INFO, 70, 30, 40)
    assert plan.rows == (Span(0, 36, 0, 48), Span(36, 72, 24, 72))
    assert plan.columns == (Span(0, 32, 0, 32),)
    assert plan.padded == (72, 32)
    assert plan.largest == (48, 32)
    assert plan.seen_pixels == 96 * 32
    assert plan.describe() == "2 tiles of up to 32x48 px"
    assert tile_bytes(INFO, plan) == 130 * 48 * 32 * 9 // 5


@given(height=st.integers(1, 500), width=st.integers(1, 500), tile=st.integers(64, 200))
def test_tiles_cover_the_padded_picture_once(height: int, width: int, tile: int) -> None:
    """By counting pixels; no tile is longer than was asked for."""
    plan = plan_tiles(INFO, height, width, tile)
    counts = np.zeros(plan.padded, int)
    for row, column in plan.tiles:
        counts[row.start : row.stop, column.start : column.stop] += 1
        for span, side in ((row, counts.shape[0]), (column, counts.shape[1])):
            assert span.stop - span.start <= tile
            assert span.seen_start == max(0, span.start - 12)
            assert span.seen_stop == min(side, span.stop + 12)
    assert (counts == 1).all()
    for padded, side in zip(plan.padded, (height, width), strict=True):
        assert padded == max(8, -(-side // 4) * 4)


def test_tiles_that_fit_by_hand() -> None:
    """1.8 times 130 bytes a pixel: 536x536 seen for tiles of 512, 67.2 MB; 18.3 MB for 256."""
    plan = plan_within(INFO, 2048, 2048, 70_000_000)
    assert plan is not None
    assert (plan.tile, plan.largest) == (512, (536, 536))
    assert plan_within(INFO, 2048, 2048, 500_000) is None
    assert plan_within(INFO, 64, 64, 10**9) is None  # it would be one tile
    halved = plan_within(INFO, 2048, 2048, 70_000_000, most=256)
    assert halved is not None
    assert halved.tile == 256


@pytest.mark.parametrize(("text", "side"), [("auto", None), ("off", 0), ("64", 64), (900, 900)])
def test_the_flag(text: str | int, side: int | None) -> None:
    assert tile_side(text) == side


@pytest.mark.parametrize("text", ["63", "0", "-5", "big", ""])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--tile must be auto, off or a side of at least 64 px"):
        tile_side(text)


# --- sums and noise ------------------------------------------------------------------------------


def test_moments_of_parts_are_those_of_the_whole() -> None:
    """By another implementation, at values far from zero, where sums of squares lose them all."""
    values = np.random.default_rng(2).normal(1000, 0.01, (3, 12, 20)).astype(np.float32)
    moments = Moments()
    for part in (values[:, :5, :20], values[:, 5:, :7], values[:, 5:, 7:]):
        means = part.mean(2, dtype=np.float64).astype(np.float32)
        squares = np.square(part - means[..., None]).sum(2)
        moments.add(means, squares, part.shape[2])
    exact = values.astype(np.float64).reshape(3, -1)
    np.testing.assert_allclose(moments.mean, exact.mean(1), rtol=1e-7)
    np.testing.assert_allclose(moments.squares / moments.count, exact.var(1), rtol=0.05)
    ones = np.ones(3, np.float32)
    affine = moments.affine(Norm("x", "y", 2 * ones, 5 * ones, 1e-5, 0.0))
    normal = values * affine.factor[:, None, None] + affine.term[:, None, None]
    np.testing.assert_allclose(normal.mean((1, 2)), 5, atol=0.05)


@pytest.mark.parametrize("origin", [(0, 0), (4, 1000), (4080, 975), (63, 17)])
def test_noise_without_torch_is_that_of_torch(origin: tuple[int, int]) -> None:
    """By another implementation, beyond every period."""
    noise = EndlessNoise(0.3)
    signs, values = (t.numpy() for t in (noise.get_buffer("signs"), noise.get_buffer("values")))
    field = NoiseField(signs, values)
    y, x = origin
    part = field.part((y, y + 40), (x, x + 90))
    np.testing.assert_allclose(part, noise(40, 90, torch.tensor(origin)), rtol=0, atol=1e-6)

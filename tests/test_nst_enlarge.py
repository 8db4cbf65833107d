"""Bringing a painting back to its size. Truths: by hand, and Pillow's own enlargement."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nst.enlarge import restored
from nst.image import resize_image


def edge(height: int, width: int) -> NDArray[np.uint8]:
    """A dark left and a light right half, with an edge between two pixels."""
    picture = np.full((height, width, 3), 40, np.uint8)
    picture[:, width // 2 :] = 220
    return picture


def test_an_edge_of_the_photograph_stays_an_edge() -> None:
    """By hand: the painting is the negative; enlarged alone its edge is six pixels wide."""
    large = edge(160, 240)
    seen = resize_image(large, 40, 60)
    found = restored(255 - seen, seen, large).astype(int)
    plain = resize_image(255 - seen, 160, 240).astype(int)
    steps = np.abs(np.diff(found[80, :, 0]))
    assert steps.max() > 1.5 * np.abs(np.diff(plain[80, :, 0])).max()
    expected = 255 - large.astype(int)
    assert np.abs(found - expected).mean() < 0.6 * np.abs(plain - expected).mean()


def test_strokes_that_the_photograph_knows_nothing_of_stay() -> None:
    """By hand: where a photograph is flat nothing guides, and all is enlarged as it is."""
    flat = np.full((120, 160, 3), 128, np.uint8)
    strokes = np.random.default_rng(0).integers(0, 256, (10, 14, 3), dtype=np.uint8)
    painted = resize_image(strokes, 30, 40)
    found = restored(painted, flat[:30, :40], flat)
    assert np.abs(resize_image(found, 30, 40).astype(int) - painted).mean() < 4


@pytest.mark.parametrize(("height", "width"), [(40, 60), (20, 30), (41, 61)])
def test_what_is_not_enlarged_is_only_reduced(height: int, width: int) -> None:
    painted = np.random.default_rng(1).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    photograph = np.zeros((height, width, 3), np.uint8)
    found = restored(painted, painted, photograph)
    np.testing.assert_array_equal(found, resize_image(painted, height, width))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 3)])
def test_any_size(shape: tuple[int, int]) -> None:
    painted = np.full((*shape, 3), 99, np.uint8)
    photograph = np.full((31, 50, 3), 12, np.uint8)
    assert np.abs(restored(painted, painted, photograph).astype(int) - 99).max() <= 1


def test_what_was_kept_of_the_photograph_comes_back_whole() -> None:
    """By definition: where nothing was painted the photograph is, to the bit."""
    photograph = np.random.default_rng(2).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    seen = resize_image(photograph, 30, 40)
    everything = np.ones((1, 1), np.float32)
    np.testing.assert_array_equal(restored(seen, seen, photograph, everything), photograph)
    half = np.array([[1.0, 0.0]], np.float32)
    found = restored(seen // 2, seen, photograph, half)
    plain = restored(seen // 2, seen, photograph)
    np.testing.assert_array_equal(found[:, -15:], plain[:, -15:])

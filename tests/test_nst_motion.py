"""Steadiness under known motion. Truths: by hand, and pictures whose motion can be written down."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from nst.motion import MARGIN_PX, MOTIONS, Motion, move, steadiness, to_uint8

Picture = NDArray[np.uint8]


@pytest.fixture
def large(photo: Picture) -> Picture:
    """96x128 px."""
    return np.tile(photo, (2, 2, 1))


def smooth(height: int, width: int, motion: Motion) -> NDArray[np.float64]:
    """A wavy picture as it looks after a motion, written down from the formula."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    x, y = columns - width / 2 - motion.right_px, rows - height / 2 - motion.down_px
    turn = math.radians(motion.angle_deg)
    # Positive angles turn against the clock on a screen, where y points down.
    x, y = math.cos(turn) * x + math.sin(turn) * y, -math.sin(turn) * x + math.cos(turn) * y
    wave = 128 + 60 * np.sin(x / motion.zoom / 9) + 50 * np.cos(y / motion.zoom / 7)
    return np.asarray(np.repeat(wave[..., None], 3, axis=-1))


def test_whole_steps_by_hand(large: Picture) -> None:
    """By another way: a shift by whole pixels is a roll, away from the sides."""
    moved = move(large, Motion(right_px=3, down_px=-2))
    np.testing.assert_array_equal(moved[:-2, 3:], large[2:, :-3])
    np.testing.assert_array_equal(move(large, Motion()), large)


@pytest.mark.parametrize("motion", [*MOTIONS.values(), Motion(2.5, -1.25, 1.03, 2.0)])
def test_motions_are_those_that_are_written_down(motion: Motion) -> None:
    still = smooth(96, 128, Motion()).astype(np.float32)
    inside = slice(MARGIN_PX, -MARGIN_PX)
    moved = move(still, motion)[inside, inside]
    np.testing.assert_allclose(moved, smooth(96, 128, motion)[inside, inside], atol=0.5)
    back = move(move(still, motion), motion.inverse())[inside, inside]
    np.testing.assert_allclose(back, still[inside, inside], atol=0.5)


def test_what_moves_along_is_steady(large: Picture) -> None:
    """By invariant: a negative moves with its photograph; what is left is rounding, 1/sqrt(12)."""

    def negative(rgb: Picture) -> Picture:
        return np.asarray(255 - rgb)

    found = steadiness(negative, large, negative(large))
    assert found.mean == pytest.approx(12**-0.5, abs=0.1)
    assert found.floor > found.mean
    assert found.painted_floor == pytest.approx(found.floor, rel=0.1)


def test_what_stays_on_the_screen_is_not_steady(large: Picture) -> None:
    """By hand: stripes of amplitude 20 fixed to the screen, laid over a flat photograph.

    Two of them differ by at most twice their rms, 20 sqrt(2), and by that times sqrt(2) where they
    lie in all phases.
    """
    flat = np.full_like(large, 128)
    stripes = 20 * np.sin(np.arange(flat.shape[1]) * 2 * np.pi / 5)[None, :, None]

    def paint(rgb: Picture) -> Picture:
        return to_uint8((rgb + stripes).astype(np.float32))

    found = steadiness(paint, flat, paint(flat))
    assert found.floor < 0.01
    # Half a period of a stripe of 5 px: the shift by 2.5 px turns it into its own negative.
    assert found.shift == pytest.approx(40 / 2**0.5, rel=0.1)
    assert min(found.zoom, found.rotation) > 5 > found.painted_floor
    assert found.mean == pytest.approx((found.shift + found.zoom + found.rotation) / 3)

"""Own colours and blending. Truth: by hand, by invariant, by scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nst.color import blend, with_matched_colors, with_original_colors

GENERATOR = np.random.default_rng(5)
PHOTO = GENERATOR.integers(0, 256, (600, 7, 3)).astype(np.uint8)  # more rows than one strip
PAINTED = GENERATOR.integers(0, 256, (600, 7, 3)).astype(np.uint8)


def flat(*colour: int) -> NDArray[np.uint8]:
    return np.full((2, 3, 3), colour, np.uint8)


def test_luminance_by_hand() -> None:
    """Y of the photo: 0.299 * 100 + 0.587 * 50 + 0.114 * 200 = 82.05; of the painting 120."""
    result = with_original_colors(flat(120, 120, 120), flat(100, 50, 200))
    np.testing.assert_array_equal(result, flat(138, 88, 238))


def test_clipping_by_hand() -> None:
    np.testing.assert_array_equal(
        with_original_colors(flat(255, 255, 255), flat(100, 50, 200)), flat(255, 223, 255)
    )
    np.testing.assert_array_equal(
        with_original_colors(flat(0, 0, 0), flat(100, 50, 200)), flat(18, 0, 118)
    )


def test_own_colours_of_the_photograph_itself_are_the_photograph() -> None:
    np.testing.assert_array_equal(with_original_colors(PHOTO, PHOTO), PHOTO)


def test_grey_photograph_gives_a_grey_painting() -> None:
    grey = np.repeat(PHOTO[..., :1], 3, axis=-1)
    result = with_original_colors(PAINTED, grey)
    assert (result == result[..., :1]).all()
    luminance = PAINTED @ np.array([0.299, 0.587, 0.114])
    assert np.abs(result[..., 0] - luminance).max() <= 0.51


def test_as_scikit_image_swaps_the_channels() -> None:
    """Through its YCbCr in floating point; the scale of that space does not matter."""
    color = pytest.importorskip("skimage.color")
    theirs = color.rgb2ycbcr(PHOTO)
    theirs[..., 0] = color.rgb2ycbcr(PAINTED)[..., 0]
    theirs = np.clip(255 * color.ycbcr2rgb(theirs), 0, 255)
    assert np.abs(with_original_colors(PAINTED, PHOTO) - theirs).max() < 0.6  # rounding, 3 digits


def test_blend_by_hand() -> None:
    photo, painted = np.array([[[0, 100, 255]]], np.uint8), np.array([[[255, 50, 0]]], np.uint8)
    assert blend(photo, painted, 0.25).tolist() == [[[64, 88, 191]]]  # 63.75, 87.5, 191.25
    assert blend(photo, painted, 1.0).tolist() == painted.tolist()
    assert blend(photo, painted, 0.0).tolist() == photo.tolist()


@given(st.floats(0, 1))
def test_blend_lies_between_and_is_rounded(strength: float) -> None:
    result = blend(PHOTO, PAINTED, strength)
    exact = strength * PAINTED.astype(float) + (1 - strength) * PHOTO
    assert result.dtype == np.uint8
    assert np.abs(result - exact).max() <= 0.501
    assert (result >= np.minimum(PHOTO, PAINTED)).all()
    assert (result <= np.maximum(PHOTO, PAINTED)).all()


def test_arguments_are_left_alone() -> None:
    photo, painted = PHOTO.copy(), PAINTED.copy()
    with_original_colors(painted, photo)
    blend(photo, painted, 0.3)
    np.testing.assert_array_equal(photo, PHOTO)
    np.testing.assert_array_equal(painted, PAINTED)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        with_original_colors(PAINTED[1:], PHOTO)
    with pytest.raises(ValueError, match="differ in size"):
        blend(PHOTO, PAINTED[1:], 0.5)
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="from 0 to 1"):
            blend(PHOTO, PAINTED, strength)


def test_matched_colors_have_the_statistics_of_the_photograph() -> None:
    """By definition: mean and covariance, where nothing is clipped; ours adds one grey level^2."""
    random = np.random.default_rng(0)
    mixing = np.array([[20, 5, 0], [3, 12, 4], [0, 6, 15]])
    photo = np.rint(random.normal(size=(60, 70, 3)) @ mixing + 120).astype(np.uint8)
    painted = np.rint(random.normal(size=(50, 40, 3)) * (9, 30, 14) + (90, 140, 110)).astype(
        np.uint8
    )
    found = with_matched_colors(painted, photo).reshape(-1, 3).astype(np.float64)
    expected = photo.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(found.mean(0), expected.mean(0), atol=0.3)
    np.testing.assert_allclose(np.cov(found.T), np.cov(expected.T), atol=0.03 * 500)


def test_matched_colors_of_the_photograph_itself_change_nothing() -> None:
    np.testing.assert_array_equal(with_matched_colors(PHOTO, PHOTO), PHOTO)


def test_matched_colors_of_a_picture_of_one_colour() -> None:
    """By hand: its colour becomes the mean."""
    found = with_matched_colors(flat(10, 20, 30), PHOTO)
    mean = np.rint(PHOTO.reshape(-1, 3).mean(0))
    assert np.abs(found.reshape(-1, 3) - mean).max() <= 1

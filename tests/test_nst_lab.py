"""Colour drift. Truths: scikit-image, and distances by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import rgb2lab

from nst.lab import color_drift, palette, palette_distance, to_lab


def test_lab_is_that_of_another_implementation(photo: NDArray[np.uint8]) -> None:
    np.testing.assert_allclose(to_lab(photo), rgb2lab(photo), atol=0.02)
    np.testing.assert_allclose(to_lab(np.full((1, 3), 255, np.uint8)), [[100, 0, 0]], atol=1e-6)


def test_palettes_do_not_know_places(photo: NDArray[np.uint8]) -> None:
    """By invariant: the same colours elsewhere are the same palette, but not the same places."""
    turned = np.ascontiguousarray(photo[::-1, ::-1])
    assert palette_distance(palette(photo), palette(turned)) == 0
    drift = color_drift(turned, photo, palette(photo))
    assert drift.from_style == drift.unstyled == 0
    assert drift.of_places > 10


def test_distances_of_grays_by_hand() -> None:
    """Between two grays only L differs.

    Of 13 unit directions nine lean towards L: one with a share of 1, four of 1 / sqrt(2), four of
    1 / sqrt(3).
    """
    dark, bright = (np.full((32, 48, 3), level, np.uint8) for level in (100, 140))
    step = float(to_lab(bright)[0, 0, 0] - to_lab(dark)[0, 0, 0])
    drift = color_drift(bright, dark, palette(dark))
    assert drift.of_places == pytest.approx(step)
    assert drift.from_style == pytest.approx(step * (1 + 4 / 2**0.5 + 4 / 3**0.5) / 13)
    assert drift.unstyled == 0

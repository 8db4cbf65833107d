"""Dots and grid: peaks in spectra. Truths: by hand, by another transform, by invariants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from nst.spectrum import (
    WINDOW_PX,
    Spectra,
    Texture,
    contrast,
    flat_places,
    join,
    off_plane,
    places,
    spectra,
    texture,
)

Gray = NDArray[np.float64]
HEIGHT, WIDTH = 160, 224


def rgb(gray: Gray) -> NDArray[np.uint8]:
    return np.repeat(np.rint(np.clip(gray, 0, 255)).astype(np.uint8)[..., None], 3, axis=-1)


def strokes(seed: int) -> Gray:
    """Organic strokes: noise with the spectrum of pictures, 1 / f, of 12 grey levels."""
    noise = np.fft.fft2(np.random.default_rng(seed).normal(size=(HEIGHT, WIDTH)))
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.fftfreq(WIDTH))
    made = np.fft.ifft2(noise / np.maximum(frequency, 0.02)).real
    return np.asarray(128 + 12 * made / made.std())


ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
PAINTINGS: dict[str, Callable[[Gray], Gray]] = {
    "strokes": lambda s: s,
    "hatching of 4 px": lambda s: s + 3 * np.cos(np.pi / 2 * COLUMNS),
    "hatching of 8 px, slanted": lambda s: s + 6 * np.cos(np.pi / 4 * (COLUMNS + ROWS)),
    "checkerboard": lambda s: s + 1.5 * (-1.0) ** (ROWS + COLUMNS),
    "stripes of 5 px": lambda s: s + 6 * np.cos(2 * np.pi / 5 * ROWS),
    "white noise": lambda s: s + np.random.default_rng(9).normal(0, 10, s.shape),
    "blur": lambda s: np.asarray(Image.fromarray(rgb(s)).filter(ImageFilter.GaussianBlur(2)))[
        ..., 0
    ],
}


@pytest.fixture(scope="module")
def style() -> Spectra:
    return spectra(rgb(strokes(0)), places(HEIGHT, WIDTH))


@pytest.fixture(scope="module")
def found(style: Spectra) -> dict[str, Texture]:
    """Of two photographs, flat everywhere, painted with other strokes than the style image's."""
    at = flat_places(np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    textures = {}
    for name, paint in PAINTINGS.items():
        both = join([spectra(rgb(np.asarray(paint(strokes(seed)))), at) for seed in (1, 2)])
        measured = texture(both, style)
        assert measured is not None
        textures[name] = measured
    return textures


def test_strokes_are_like_the_style_image(found: dict[str, Texture]) -> None:
    """By invariant: what is drawn from the same spectrum scores 1, noise and blur no more."""
    assert 0.6 < found["strokes"].grid < 1.6
    assert 0.6 < found["strokes"].dots < 1.6
    for name in ("white noise", "blur"):
        assert found[name].grid < 1.6
    assert found["strokes"].windows == 2 * len(places(HEIGHT, WIDTH))


@pytest.mark.parametrize(
    ("name", "period"), [("hatching of 4 px", 4), ("hatching of 8 px, slanted", 8)]
)
def test_a_faint_hatching_is_a_grid(found: dict[str, Texture], name: str, period: int) -> None:
    """By hand: a quarter of the strokes' contrast, at the frequencies of its own lattice alone."""
    lattices = {p: getattr(found[name], f"grid_{p}") for p in (2, 4, 8)}
    assert lattices.pop(period) > 3
    assert max(lattices.values()) < 1.6
    assert found[name].grid > 3


def test_a_checkerboard_is_a_grid(found: dict[str, Texture]) -> None:
    assert found["checkerboard"].grid_2 > found["checkerboard"].grid > 10
    assert max(found["checkerboard"].grid_4, found["checkerboard"].grid_8) < 1.6


def test_other_periods_are_dots_and_no_grid(found: dict[str, Texture]) -> None:
    assert found["stripes of 5 px"].dots > 3
    assert found["stripes of 5 px"].grid < 1.6


def test_the_spectrum_is_that_of_another_transform() -> None:
    """By the sums of the definition, at a few frequencies; the window is normalised."""
    gray = strokes(3)
    window = off_plane(gray[32:96, 64:128])
    n = np.arange(WINDOW_PX)
    hann = np.sin(np.pi * n / WINDOW_PX) ** 2
    shape = np.outer(hann, hann)
    picture = np.stack([gray] * 3, axis=-1)
    (power,) = spectra(picture, [(32, 64)]).power  # type: ignore[arg-type]
    for v, u in ((0, 16), (8, 32), (5, 61)):
        wave = np.exp(-2j * np.pi * (v * n[:, None] + u * n) / WINDOW_PX)
        expected = np.abs(np.sum(window * shape * wave)) ** 2 / np.sum(shape**2)
        assert power[v, u] == pytest.approx(expected, rel=1e-6)


def test_white_noise_has_the_power_of_its_variance() -> None:
    noise = np.random.default_rng(0).normal(128, 7, (HEIGHT, WIDTH))
    picture = np.stack([noise] * 3, axis=-1)
    power = spectra(picture, places(HEIGHT, WIDTH)).power  # type: ignore[arg-type]
    assert power[:, 8:-8, 8:-8].mean() == pytest.approx(49, rel=0.1)


def test_a_plane_is_flat_and_an_edge_is_not() -> None:
    shading = np.asarray(40 + 0.8 * COLUMNS + 0.3 * ROWS, np.float64)
    assert np.abs(off_plane(shading[:64, :64])).max() < 1e-9
    assert flat_places(rgb(shading)) == places(HEIGHT, WIDTH)
    edge = rgb(np.where(COLUMNS < 100, 60.0, 120.0))
    assert {column for _, column in flat_places(edge)} == {0, 32, 128, 160}


def test_contrast_by_hand() -> None:
    """A single frequency of power 99 in a floor of nothing: 100 where it is, 1 elsewhere."""
    power = np.zeros((WINDOW_PX, WINDOW_PX))
    power[16, 0] = 99
    sharp = contrast(power, is_spread=False)
    assert sharp[16, 0] == pytest.approx(100)
    assert sharp[40, 40] == pytest.approx(1)
    assert contrast(power, is_spread=True)[16, 0] == pytest.approx((100 + 8) / 9)


def test_without_flat_places_nothing_is_measured(style: Spectra) -> None:
    busy = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    assert flat_places(busy) == []
    none = spectra(busy, [])
    assert none.windows == 0
    assert texture(none, style) is None
    assert texture(style, none) is None
    assert places(WINDOW_PX - 1, 500) == []

"""Dots and grid: peaks in the spectrum of a painting where its photograph is flat. Torch-free.

Where the photograph shows nothing, a good painting shows irregular strokes, whose spectrum is
smooth. What repeats itself, as the lattice of a network that works in steps of 2, 4 or 8 pixels
does, stands out of it as a peak. How high a peak stands is compared with the style image, measured
in the same way: 1 is like the style image itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WINDOW_PX = 64
"""Side of the squares that are looked at; lattices of 2, 4 and 8 px fall on whole frequencies."""
STRIDE_PX = 32
FLAT_LEVELS = 6.0
"""A window is flat when the luminance of the photograph is off a plane by less, rms of 255."""
PERIODS_PX = (2, 4, 8)
NEAR, FAR = 3.0, 6.0
"""Inner and outer radius of the neighbourhood of a frequency, in steps of 1 / 64 px."""
LEAST_STEPS = 4.0
"""Peaks nearer to the mean than this, periods above 16 px, are strokes and shading."""
LEAST_POWER = 1.0
"""Of white noise of one grey level: nobody sees what is fainter."""

_LUMINANCE = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601, as in ``nst.color``."""


@dataclass(frozen=True, slots=True, eq=False)
class Spectra:
    """Power spectra of the flat windows of one picture, or of several."""

    power: NDArray[np.float64]
    """``(N, 64, 64)``, of Hann windows; frequency 0 at [0, 0]."""

    @property
    def windows(self) -> int:
        """How many windows there are."""
        return len(self.power)


@dataclass(frozen=True, slots=True)
class Texture:
    """How far peaks stand out, over the same in the style image; 1 is like it."""

    grid: float
    """The highest peak at a frequency of a lattice of 2, 4 or 8 px."""
    grid_2: float
    grid_4: float
    grid_8: float
    """The same for each lattice alone, at the frequencies that a finer one does not have."""
    dots: float
    """The highest peak anywhere."""
    windows: int
    """Flat windows that were looked at."""


def flat_places(photograph: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return row and column of each window in which a photograph, ``(H, W, 3)``, is flat."""
    gray = luminance(photograph)
    return [
        (row, column)
        for row, column in places(gray.shape[0], gray.shape[1])
        if off_plane(_window(gray, row, column)).std() < FLAT_LEVELS
    ]


def places(height: int, width: int) -> list[tuple[int, int]]:
    """Return row and column of every window of a picture; none where it is too small."""
    rows = range(0, height - WINDOW_PX + 1, STRIDE_PX)
    columns = range(0, width - WINDOW_PX + 1, STRIDE_PX)
    return [(row, column) for row in rows for column in columns]


def spectra(rgb: NDArray[np.uint8], at: list[tuple[int, int]]) -> Spectra:
    """Return the power spectra of windows of a picture, uint8 ``(H, W, 3)``."""
    gray, hann = luminance(rgb), np.hanning(WINDOW_PX + 1)[:-1]
    shape = hann[:, None] * hann
    found = [
        np.abs(np.fft.fft2(off_plane(_window(gray, row, column)) * shape)) ** 2 / np.sum(shape**2)
        for row, column in at
    ]
    return Spectra(np.array(found).reshape(-1, WINDOW_PX, WINDOW_PX))


def join(parts: list[Spectra]) -> Spectra:
    """Put the windows of several pictures together."""
    return Spectra(np.concatenate([part.power for part in parts]))


def texture(painted: Spectra, style: Spectra) -> Texture | None:
    """Compare the peaks of paintings with those of the style image.

    Few windows have higher peaks by chance than many: the style image's windows are taken in
    groups of as many as the paintings have.

    Args:
        painted: The windows in which photographs are flat.
        style: All windows of the style image.

    Returns:
        None where no photograph is flat, or the style image is smaller than a window.
    """
    if not painted.windows or not style.windows:
        return None
    groups = max(1, style.windows // painted.windows)
    own = np.mean([np.log(_peaks(style.power[n::groups])) for n in range(groups)], axis=0)
    ratios = np.exp(np.log(_peaks(painted.power)) - own)
    grid_2, grid_4, grid_8, grid, dots = ratios.tolist()
    return Texture(grid, grid_2, grid_4, grid_8, dots, painted.windows)


def contrast(power: NDArray[np.float64], *, is_spread: bool) -> NDArray[np.float64]:
    """Return how far each frequency stands out of its neighbourhood, ``(64, 64)``.

    Args:
        power: ``(64, 64)``, frequency 0 at [0, 0].
        is_spread: Whether a peak may lie between whole frequencies, over which a Hann window then
            spreads it: the mean of 3 x 3 is taken in place of one.

    Returns:
        Its power over the geometric mean of a ring around it.
    """
    safe = power + LEAST_POWER
    around = np.exp(_around(np.log(safe), _ring()))
    if is_spread:
        safe = _around(safe, [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)])
    return np.asarray(safe / around)


def luminance(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the luminance, 0 to 255, ``(H, W)``."""
    return np.asarray(rgb @ _LUMINANCE)


def off_plane(window: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a square less the plane that fits it best: shading is flat."""
    steps = np.arange(len(window)) - (len(window) - 1) / 2
    rest = window - window.mean()
    squares = len(window) * np.sum(steps**2)
    down, right = np.sum(rest * steps[:, None]) / squares, np.sum(rest * steps) / squares
    return np.asarray(rest - down * steps[:, None] - right * steps)


def _peaks(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the highest contrast of lattices of 2, 4, 8 px, of all of them, and anywhere."""
    mean = power.mean(axis=0)
    sharp, found = contrast(mean, is_spread=False), contrast(mean, is_spread=True)
    lattices = [max(sharp[at] for at in _lattice(period)) for period in PERIODS_PX]
    steps = np.fft.fftfreq(WINDOW_PX, 1 / WINDOW_PX)
    radius = np.hypot(steps[:, None], steps)
    return np.array([*lattices, max(lattices), found[radius >= LEAST_STEPS].max()])


def _lattice(period: int) -> list[tuple[int, int]]:
    """Return the frequencies of a lattice of ``period`` px that one of half of it lacks."""
    steps, finer = range(0, WINDOW_PX, WINDOW_PX // period), 2 * WINDOW_PX // period
    return [(y, x) for y in steps for x in steps if y % finer or x % finer]


def _ring() -> list[tuple[int, int]]:
    reach = range(-int(FAR), int(FAR) + 1)
    return [(y, x) for y in reach for x in reach if NEAR <= np.hypot(y, x) <= FAR]


def _around(values: NDArray[np.float64], steps: list[tuple[int, int]]) -> NDArray[np.float64]:
    """Return the mean over neighbours; frequencies go round."""
    return np.asarray(sum(np.roll(values, step, (0, 1)) for step in steps) / len(steps))


def _window(gray: NDArray[np.float64], row: int, column: int) -> NDArray[np.float64]:
    return gray[row : row + WINDOW_PX, column : column + WINDOW_PX]

"""The endless field of noise. Truths: by hand, by invariant."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from nst.noise import PERIODS, EndlessNoise, origin_of

PERIOD = PERIODS[0] * PERIODS[1]


def field(height: int, width: int, origin: tuple[int, int] | None = None) -> Tensor:
    """Both fields, white and smooth, ``(2, height, width)``."""
    at = None if origin is None else torch.tensor(origin)
    found: Tensor = EndlessNoise(0.3)(height, width, at)
    return found[0]


def test_a_part_of_the_field_is_what_lies_there() -> None:
    """By invariant: a picture that begins elsewhere sees the same field from there on."""
    whole = field(200, 300)
    assert torch.equal(field(90, 120, (70, 150)), whole[:, 70:160, 150:270])
    assert torch.equal(field(1, 1, (79, 64)), whole[:, 79:80, 64:65])
    assert torch.equal(field(200, 300, (0, 0)), whole)
    assert torch.equal(field(10, 10, (PERIOD, 2 * PERIOD))[0], whole[0, :10, :10])


def test_mean_deviation_and_independence() -> None:
    """By hand: white noise of deviation 0.3. Of n values a correlation is off by 1 / sqrt(n); it
    is looked at where one of the tiles repeats, which a tile alone would not pass."""
    values = field(512, 512)[0].double()
    assert float(values.mean()) == pytest.approx(0, abs=0.01)
    assert float(values.std()) == pytest.approx(0.3, abs=0.01)
    normal = (values - values.mean()) / values.std()
    for period in (1, 2, 4, *PERIODS):
        for shifted in (normal.roll(period, 0), normal.roll(period, 1)):
            assert abs(float((normal * shifted).mean())) < 0.05


def test_the_smooth_field_by_another_implementation() -> None:
    """By numpy: linear between values that lie a cell apart, which are those of white noise, raised
    so that its deviation is the white one's: 4/9 of the variance is left between them."""
    nodes = 1.5 * field(4, 5)[0].numpy()
    rows = np.array([np.interp(np.arange(64), 16 * np.arange(5), row) for row in nodes])
    columns = [np.interp(np.arange(48), 16 * np.arange(4), column) for column in rows.T]
    smooth = field(48, 64)[1].numpy()
    np.testing.assert_allclose(smooth, np.transpose(columns), atol=1e-6)
    assert float(field(1024, 1024)[1].std()) == pytest.approx(0.3, rel=0.05)


def test_no_frequency_stands_out() -> None:
    """By invariant: neither the lattices of networks, 2, 4 and 8 px, nor the sides of the tiles."""
    values = field(512, 512)[0].numpy()
    power = np.abs(np.fft.fft2(values)) ** 2 / values.size / values.var()
    for period in (2, 4, 8):
        assert power[0, 512 // period] < 15
        assert power[512 // period, 512 // period] < 15
    assert power.max() < 20  # of exponential noise the highest of 262,144 is about 13


def test_origins_are_spread() -> None:
    """By hand: 400 steps begin at 400 different places in every direction."""
    origins = [origin_of(step, torch.device("cpu")).tolist() for step in range(400)]
    assert origins[:2] == [[0, 0], [1009, 2003]]
    assert len({y for y, _ in origins}) == len({x for _, x in origins}) == 400
    assert all(0 <= place < PERIOD for origin in origins for place in origin)


def test_the_same_at_every_run() -> None:
    """By snapshot: a trained network knows this field, so it may never change."""
    assert field(2, 3)[0].flatten().tolist() == pytest.approx(SNAPSHOT, abs=1e-6)
    assert field(17, 33)[1, ::16, ::16].flatten().tolist() == pytest.approx(
        [1.5 * value for value in SNAPSHOT], abs=1e-6
    )


SNAPSHOT = [0.003751, 0.195277, 0.302191, -0.422842, 0.000372, 0.273818]

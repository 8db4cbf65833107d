"""Where a fast painting stands on the slow method's curve, and curves in files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nst.curve import Curve, excess, read_curve, steps_to_reach, write_curve

TOTALS = (4.0, 2.0, 2.0, 1.0, 0.5)
"""J after 1, 2, 3, 4 and 5 evaluations; the third was of a step that was refused."""


@pytest.fixture
def curve() -> Curve:
    painted = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    return Curve("noise", TOTALS, 10.0, "an abacus", painted, 5)


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (5.0, 1.0),  # worse than the start
        (4.0, 1.0),
        (3.0, 1.5),
        (2.0, 2.0),  # first there: not 3
        (1.5, 3.5),
        (1.0, 4.0),
        (0.6, 4.8),
        (0.5, 5.0),
        (0.49, None),
    ],
)
def test_the_evaluation_that_is_as_good_by_hand(total: float, expected: float | None) -> None:
    assert steps_to_reach(TOTALS, total) == (expected and pytest.approx(expected))


def test_excess_by_hand() -> None:
    assert excess(TOTALS, 1.25) == 2.5
    assert excess((0.0, 0.0), 0.5) == pytest.approx(5e5)  # finite: a card is JSON


def test_a_curve_in_a_file_is_the_same(curve: Curve, tmp_path: Path) -> None:
    write_curve(tmp_path / "folder" / "a.npz", curve)
    found = read_curve(tmp_path / "folder" / "a.npz")
    assert found is not None
    np.testing.assert_array_equal(found.painted, curve.painted)
    for name in ("start", "totals", "seconds", "device", "painted_after", "seconds_each"):
        assert getattr(found, name) == getattr(curve, name)
    assert found.seconds_each == 2.0


def test_a_cut_curve_keeps_its_picture(curve: Curve) -> None:
    cut = curve.cut(2)
    assert cut.totals == (4.0, 2.0)
    assert (cut.seconds, cut.painted_after) == (4.0, 5)
    assert curve.cut(5) is curve
    assert curve.cut(9) is curve


def test_a_damaged_file_is_no_curve(curve: Curve, tmp_path: Path) -> None:
    """By every kind of damage: cut anywhere, a byte turned, a number that is none."""
    path = tmp_path / "a.npz"
    assert read_curve(path) is None
    write_curve(path, curve)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        assert read_curve(path) is None
    write_curve(path, replace(curve, totals=(1.0, float("nan"))))
    assert read_curve(path) is None
    write_curve(path, replace(curve, painted=curve.painted[0]))
    assert read_curve(path) is None

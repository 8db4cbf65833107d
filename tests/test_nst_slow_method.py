"""The slow method's curve and its cache, with the tiny VGG-19."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import nst.slow_method
from nst.config import OptimizeConfig
from nst.curve import STARTS, Curve, Start
from nst.judge import judge
from nst.losses import PerceptualLoss
from nst.optimize import paint_against
from nst.slow_method import slow_curve
from nst.tensors import load_style, to_tensor, to_uint8
from nst.weights import VGGWeights

Picture = NDArray[np.uint8]


@pytest.fixture
def style(style_file: Path) -> Picture:
    rgb: Picture = to_uint8(load_style(style_file, 64)[0])[0]
    return rgb


@pytest.fixture
def criterion(tiny_vgg: VGGWeights, style: Picture) -> PerceptualLoss:
    return PerceptualLoss(tiny_vgg, to_tensor(style))


class Ruler:
    """The slow method on one photograph, with a cache."""

    def __init__(self, photo: Picture, style: Picture, criterion: PerceptualLoss, cache: Path):
        self.photo, self.style, self.criterion, self.cache = photo, style, criterion, cache
        self.said: list[str] = []
        self.seen: list[int] = []

    def __call__(self, evaluations: int, start: Start = "photograph", seed: int = 0) -> Curve:
        return slow_curve(
            self.photo,
            self.style,
            self.criterion,
            start=start,
            evaluations=evaluations,
            seed=seed,
            cache=self.cache,
            announce=self.said.append,
            advance=lambda evaluation, total: self.seen.append(evaluation),
        )

    @property
    def files(self) -> list[Path]:
        return sorted((self.cache / "curves").iterdir())


@pytest.fixture
def ruler(photo: Picture, style: Picture, criterion: PerceptualLoss, tmp_path: Path) -> Ruler:
    return Ruler(photo, style, criterion, tmp_path)


@pytest.fixture
def no_computing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("the curve is computed")

    monkeypatch.setattr(nst.slow_method, "paint_against", refuse)


@pytest.mark.parametrize("start", STARTS)
def test_the_curve_is_that_of_the_reference_mode(ruler: Ruler, start: Start) -> None:
    """By another reading of the records: at each evaluation the last one that was yielded."""
    curve = ruler(25, start)
    init = "content" if start == "photograph" else "noise"
    config = OptimizeConfig(
        init=init, evaluations=25, tolerance=0, precondition=False, precision="float32"
    )
    photograph = to_tensor(ruler.photo)
    records = list(paint_against(ruler.criterion, photograph, config))
    expected = [
        [record.total for record in records if record.evaluations <= n][-1] for n in range(1, 26)
    ]
    assert curve.totals == pytest.approx(expected)
    assert list(curve.totals) == sorted(curve.totals, reverse=True)
    assert curve.totals[-1] < 0.7 * curve.totals[0]
    np.testing.assert_array_equal(curve.painted, to_uint8(records[-1].image)[0])
    assert ruler.seen[0] == 1


def test_the_curve_ends_at_the_score_of_its_picture(ruler: Ruler) -> None:
    """By the judge, who sees the picture rounded; it begins at that of the photograph."""
    curve = ruler(25)
    first, last = (
        judge(lambda rgb, p=p: p, [ruler.photo], ruler.criterion)[0]  # type: ignore[misc]
        for p in (ruler.photo, curve.painted)
    )
    assert curve.totals[0] == pytest.approx(first.total, rel=1e-4)
    assert curve.totals[-1] == pytest.approx(last.total, rel=0.05)


@pytest.mark.usefixtures("one_thread")
def test_a_kept_curve_is_not_computed_again(ruler: Ruler, request: pytest.FixtureRequest) -> None:
    curve = ruler(6)
    request.getfixturevalue("no_computing")
    again, shorter = ruler(6), ruler(4)
    assert again.totals == curve.totals
    assert shorter.totals == curve.totals[:4]
    assert (shorter.painted_after, ruler.said) == (6, [])
    with pytest.raises(AssertionError):
        ruler(7)
    assert "a curve of 6 evaluations is kept" in ruler.said[0]


def test_a_longer_curve_takes_the_place_of_a_shorter_one(ruler: Ruler) -> None:
    short, long = ruler(3), ruler(5)
    assert long.totals[:3] == pytest.approx(short.totals)
    assert len(ruler.files) == 1
    assert len(ruler(5).totals) == 5


def test_a_damaged_file_is_said_and_computed_again(ruler: Ruler) -> None:
    curve = ruler(3)
    (file,) = ruler.files
    file.write_bytes(file.read_bytes()[:100])
    assert ruler(3).totals == pytest.approx(curve.totals)
    assert ruler.said == [f"{file} is damaged; the curve is computed again"]
    ruler.said.clear()
    ruler(3)
    assert ruler.said == []


def test_each_thing_that_matters_has_a_curve_of_its_own(
    ruler: Ruler, tiny_vgg: VGGWeights, photo: Picture, style: Picture
) -> None:
    """By changing one after the other; the seed matters to noise alone."""
    ruler(2)
    ruler(2, seed=5)
    assert len(ruler.files) == 1
    ruler(2, "noise")
    ruler(2, "noise", seed=5)
    assert len(ruler.files) == 3
    ruler.photo = np.ascontiguousarray(photo[::-1])
    ruler(2)
    ruler.style = np.ascontiguousarray(style[::-1])
    ruler(2)
    ruler.criterion = PerceptualLoss(tiny_vgg, to_tensor(style), strength=2.0)
    ruler(2)
    assert len(ruler.files) == 6


def test_without_a_cache_nothing_is_kept(ruler: Ruler) -> None:
    slow_curve(
        ruler.photo,
        ruler.style,
        ruler.criterion,
        start="noise",
        evaluations=2,
        announce=ruler.said.append,
    )
    assert list(ruler.cache.iterdir()) == []

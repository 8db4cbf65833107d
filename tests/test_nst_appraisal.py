"""Everything that is measured on paintings: ranking of damaged ones, means, the slow method."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from nst.appraisal import (
    Appraisal,
    Yardstick,
    appraise,
    compare_with_slow_method,
    mean_figures,
)
from nst.curve import Curve, Start, steps_to_reach
from nst.losses import PerceptualLoss
from nst.slow_method import slow_curve
from nst.tensors import to_tensor
from nst.terminal import Progress
from nst.weights import ENVIRONMENT, VGGWeights, find_weights

Picture = NDArray[np.uint8]
HEIGHT, WIDTH = 96, 128


class Silent:
    def update(self, completed: float, note: str = "") -> None:
        pass


@contextmanager
def silent(label: str, total: float | None) -> Iterator[Progress]:
    yield Silent()


def strokes(seed: int, colours: tuple[int, int], slant: int) -> Picture:
    """A painting of slanted, broken strokes between two grays with a hue."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    wave = np.sin((columns + slant * rows) / 2.5 + 2 * np.sin(rows / 9) + random.uniform(0, 6))
    share = (wave[..., None] + random.normal(0, 0.2, (HEIGHT, WIDTH, 1)) + 1) / 2
    low, high = np.array([colours[0], 80, 60]), np.array([120, colours[1], 220])
    return np.asarray(np.clip(low + share * (high - low), 0, 255), np.uint8)


STYLE = strokes(1, (20, 200), 1)
OTHER = strokes(2, (230, 40), -2)


def photograph() -> Picture:
    """A sky that is flat in three windows, and a disc on shaded ground."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    made = np.stack([columns, 2 * rows, 255 - columns], axis=-1).astype(np.uint8)
    made[(rows - 76) ** 2 + (columns - 64) ** 2 < 400] = (110, 20, 30)
    made[:72] = (150, 170, 190)
    return made


def yardstick(weights: VGGWeights, style: Picture = STYLE) -> Yardstick:
    return Yardstick(PerceptualLoss(weights, to_tensor(style)), style)


def blurred(rgb: Picture) -> Picture:
    return np.array(Image.fromarray(rgb).filter(ImageFilter.GaussianBlur(1.5)))


def noisy(rgb: Picture) -> Picture:
    noise = np.random.default_rng(0).normal(0, 25, rgb.shape)
    return np.clip(rgb + noise, 0, 255).astype(np.uint8)


def checkered(rgb: Picture) -> Picture:
    """Squares of 2 px, that is a lattice of 4 px, of 12 grey levels."""
    rows, columns = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
    squares = 12.0 * (-1.0) ** (rows // 2 + columns // 2)
    return np.asarray(np.clip(rgb + squares[..., None], 0, 255), np.uint8)


def paintings_of(weights: VGGWeights, evaluations: int) -> dict[str, Picture]:
    """A good painting by the slow method, and five damaged ones."""

    def slow(count: int, style: Picture) -> Picture:
        ruler = yardstick(weights, style)
        return slow_curve(
            photograph(),
            style,
            ruler.criterion,
            start="photograph",
            evaluations=count,
            announce=lambda text: None,
        ).painted

    good = slow(evaluations, STYLE)
    return {
        "good": good,
        "checkered": checkered(good),
        "noisy": noisy(good),
        "blurred": blurred(good),
        "undertrained": slow(5, STYLE),
        "wrong style": slow(evaluations, OTHER),
    }


def check_ranking(weights: VGGWeights, evaluations: int) -> None:
    ruler = yardstick(weights)
    found = {
        name: appraise(name, photograph(), painted, ruler)
        for name, painted in paintings_of(weights, evaluations).items()
    }
    j = {name: each.score.total for name, each in found.items()}
    # Faults laid over a good painting, then paintings without strokes, then the wrong ones.
    assert j["good"] < min(j["checkered"], j["noisy"])
    assert max(j["checkered"], j["noisy"]) < min(j["blurred"], j["undertrained"])
    assert max(j["blurred"], j["undertrained"]) < j["wrong style"]
    palettes = {name: each.color.from_style for name, each in found.items()}
    assert max(palettes, key=palettes.__getitem__) == "wrong style"
    grids = {name: each.texture.grid_4 for name, each in found.items() if each.texture}
    assert max(grids, key=grids.__getitem__) == "checkered"
    assert grids["checkered"] > 3 * grids["good"]
    assert found["undertrained"].score.style > 2 * found["good"].score.style


def test_damaged_paintings_are_ranked_as_a_person_would(tiny_vgg: VGGWeights) -> None:
    """By eye: see ``check_ranking``; what spoils two of them shows in a figure of its own too."""
    check_ranking(tiny_vgg, 40)


@pytest.mark.vgg
@pytest.mark.skipif(not os.environ.get(ENVIRONMENT), reason=f"no genuine VGG-19: ${ENVIRONMENT}")
def test_damaged_paintings_are_ranked_so_by_genuine_weights_too() -> None:
    check_ranking(find_weights(), 18)


@pytest.fixture
def three(tiny_vgg: VGGWeights) -> tuple[list[Appraisal], Yardstick]:
    """Negatives of three photographs, of which the last is flat nowhere."""
    ruler = yardstick(tiny_vgg)
    busy = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    photographs = [photograph(), np.ascontiguousarray(photograph()[:, ::-1]), busy]
    found = [
        appraise(f"{n}.png", photo, 255 - photo, ruler, paint=lambda rgb: np.asarray(255 - rgb))
        for n, photo in enumerate(photographs)
    ]
    return found, ruler


def test_means_by_hand(three: tuple[list[Appraisal], Yardstick]) -> None:
    found, ruler = three
    mean = mean_figures(found, ruler)
    assert mean["total"] == pytest.approx(np.mean([each.score.total for each in found]))
    drifts = [each.color.of_places for each in found]
    assert mean["color"]["of_places"] == pytest.approx(np.mean(drifts))
    assert found[2].texture is None
    assert mean["texture"]["windows"] == found[0].flat.windows + found[1].flat.windows
    errors = [each.steadiness.mean for each in found if each.steadiness]
    assert len(errors) == 3
    assert mean["steadiness"]["mean"] == pytest.approx(np.mean(errors))
    assert mean["edges"]["left"] == pytest.approx(np.mean([each.edges.left for each in found]))
    assert mean["slow"] is None
    still = [replace(each, steadiness=None) for each in found]
    assert mean_figures(still, ruler)["steadiness"] is None
    assert mean_figures(found[2:], ruler)["texture"] is None


def test_the_distance_to_the_slow_method_by_hand(
    three: tuple[list[Appraisal], Yardstick],
) -> None:
    """Curves are made up around each J; the median of k, None above all."""
    found, ruler = three

    def curve(start: Start, end: float, j: float) -> Curve:
        totals = (4 * j, 2 * j, end * j)
        return Curve(start, totals, 6.0, "an abacus", found[0].painted, 3)

    js = [each.score.total for each in found]
    pairs = [(0.5, 0.5), (0.5, 1.25), (1.25, 1.25)]  # where the curves end, in units of J
    compared = [
        each.with_curves([curve("photograph", a, j), curve("noise", b, j)])
        for each, j, (a, b) in zip(found, js, pairs, strict=True)
    ]
    mean = mean_figures(compared, ruler)["slow"]
    k = 2 + 1 / 1.5  # from 2 J to J / 2, on the way through J
    assert mean["photograph"]["k"] == pytest.approx(k)
    assert mean["noise"]["k"] is None
    assert mean["photograph"]["excess"] == pytest.approx((2 + 2 + 0.8) / 3)
    assert mean["photograph"]["seconds_each"] == 2.0
    assert mean["photograph"]["photographs"] == 3
    assert mean_figures(compared[:1] + found[1:], ruler)["slow"]["noise"]["photographs"] == 1
    values = compared[1].to_json()["slow"]
    assert (values["photograph"]["k"], values["noise"]["k"]) == (pytest.approx(k), None)


def test_both_starts_are_computed_and_kept(
    three: tuple[list[Appraisal], Yardstick], tmp_path: Path
) -> None:
    found, ruler = three
    notes: list[str] = []

    def run() -> list[Appraisal]:
        return compare_with_slow_method(
            found[:1], ruler, evaluations=12, cache=tmp_path, announce=notes.append, bars=silent
        )

    (first,), (again,) = run(), run()
    assert [curve.start for curve in first.curves] == ["photograph", "noise"]
    assert [c.totals for c in again.curves] == [c.totals for c in first.curves]
    assert len(list((tmp_path / "curves").iterdir())) == 2
    assert notes == []
    k = steps_to_reach(first.curves[0].totals, first.score.total)
    assert first.to_json()["slow"]["photograph"]["k"] == k

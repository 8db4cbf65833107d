"""The judge: paintings whose scores are known, and what it refuses."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nst.errors import WeightsError
from nst.judge import PHOTO_PX, Score, fit_photograph, judge, mean_score
from nst.loss_terms import LossWeights
from nst.losses import PerceptualLoss
from nst.tensors import load_style, to_tensor, to_uint8
from nst.weights import VGGWeights


@pytest.fixture
def style(style_file: Path) -> NDArray[np.uint8]:
    """48x64 px, as large as the photograph."""
    return to_uint8(load_style(style_file, 64)[0]).reshape(48, 64, 3)


@pytest.fixture
def criterion(tiny_vgg: VGGWeights, style: NDArray[np.uint8]) -> PerceptualLoss:
    return PerceptualLoss(tiny_vgg, to_tensor(style))


def test_a_painting_that_is_the_photograph(
    photo: NDArray[np.uint8], criterion: PerceptualLoss
) -> None:
    """By invariant: all content is kept, C = 0; as much style as the photograph has."""
    (score,) = judge(lambda rgb: rgb.copy(), [photo], criterion)
    assert score.content == 0
    assert score.style == score.unstyled > 0
    assert score.total == pytest.approx(4.5 * score.style)


def test_a_painting_that_is_the_style_image(
    photo: NDArray[np.uint8], style: NDArray[np.uint8], criterion: PerceptualLoss
) -> None:
    """By invariant: in the style image's own size nothing is missing, S = 0."""
    assert style.shape == photo.shape
    (score,) = judge(lambda rgb: style, [photo], criterion)
    assert score.style == pytest.approx(0, abs=1e-9)
    assert score.content > 0.01
    assert score.unstyled > 0.01
    assert score.total == pytest.approx(score.content)


def test_a_painting_between_the_two_lies_between(
    photo: NDArray[np.uint8], style: NDArray[np.uint8], criterion: PerceptualLoss
) -> None:
    """By invariant: the more of the style image is laid over, the less content is kept."""

    def content(share: float) -> float:
        blend = np.rint((1 - share) * photo + share * style).astype(np.uint8)
        return judge(lambda rgb: blend, [photo], criterion)[0].content

    contents = [content(share) for share in (0.0, 0.3, 0.6, 1.0)]
    assert all(a < b for a, b in pairwise(contents))


def test_each_photograph_is_judged_alone(
    photo: NDArray[np.uint8], criterion: PerceptualLoss
) -> None:
    """By invariant: scores come in order and do not depend on what else is judged."""
    other = np.ascontiguousarray(photo[::-1, :56])

    def negative(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return 255 - rgb

    both = judge(negative, [photo, other], criterion)
    assert both == judge(negative, [photo], criterion) + judge(negative, [other], criterion)
    assert judge(negative, [], criterion) == []


@pytest.mark.parametrize(
    "wrong",
    [
        lambda rgb: rgb[:-1],
        lambda rgb: rgb[None],
        lambda rgb: rgb[..., :1],
        lambda rgb: rgb / np.float32(255),
        lambda rgb: rgb.astype(np.uint16),
    ],
    ids=["a row less", "a batch", "one channel", "float", "16 bits"],
)
def test_a_painting_of_another_kind_is_refused(
    photo: NDArray[np.uint8], criterion: PerceptualLoss, wrong: object
) -> None:
    with pytest.raises(ValueError, match="paint gave"):
        judge(wrong, [photo], criterion)  # type: ignore[arg-type]


def test_the_photograph_is_not_changed(photo: NDArray[np.uint8], criterion: PerceptualLoss) -> None:
    before = photo.copy()
    judge(lambda rgb: rgb.copy(), [photo], criterion)
    np.testing.assert_array_equal(photo, before)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((768, 1024), (288, 384)),
        ((1000, 333), (384, 128)),
        ((192, 100), (384, 200)),
        ((384, 389), (376, 384)),
        ((2000, 10), (384, 8)),
    ],
)
def test_photographs_are_fitted_by_hand(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    """The long side becomes 384 px, then both are cut to a multiple of 8."""
    assert PHOTO_PX == 384
    fitted = fit_photograph(np.zeros((*shape, 3), np.uint8))
    assert fitted.shape == (*expected, 3)


def test_the_mean_of_scores_by_hand() -> None:
    scores = [Score(1.0, 2.0, 3.0, 4.0), Score(3.0, 6.0, 3.0, 0.0)]
    assert mean_score(scores) == Score(2.0, 4.0, 3.0, 2.0)


def test_weights_that_give_no_finite_score_are_refused(
    photo: NDArray[np.uint8], criterion: PerceptualLoss
) -> None:
    criterion.weights = LossWeights(content=1.0, style=float("inf"))
    with pytest.raises(WeightsError, match="these VGG-19 weights cannot judge"):
        judge(lambda rgb: rgb, [photo], criterion)

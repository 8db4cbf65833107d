"""The optimiser of pictures against minima known by hand and against torch's own L-BFGS."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

import nst.lbfgs
from nst.lbfgs import BROAD, LBFGS, broad_first

Function = Callable[[Tensor], Tensor]


class Counted:
    """A function of pictures as an objective that keeps a record of what it was asked."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.asked: list[Tensor] = []

    def __call__(self, image: Tensor) -> tuple[float, Tensor]:
        self.asked.append(image.clone())
        with torch.enable_grad():
            image = image.detach().requires_grad_(True)
            value = self.function(image)
            (gradient,) = torch.autograd.grad(value, image)
        return float(value.detach()), gradient


def minimise(function: Function, start: Tensor, steps: int = 200) -> tuple[LBFGS, Counted]:
    """Run to the end and check on the way what must hold for every function."""
    objective = Counted(function)
    state = LBFGS(objective, start)
    values = [state.value]
    for _ in range(steps):
        if not state.step():
            break
        values.append(state.value)
    assert all(b < a for a, b in pairwise(values)), "the value rose"
    assert state.evaluations == len(objective.asked), "an evaluation was not counted"
    assert all(x.min() >= 0 and x.max() <= 1 for x in objective.asked), "left the box"
    assert state.value == float(function(state.image))
    return state, objective


def bowl(scales: Tensor, bottom: Tensor) -> Function:
    return lambda x: (scales * (x - bottom).square()).sum()


@pytest.fixture
def scales() -> Tensor:
    """Curvatures from 1 to 1000."""
    return torch.logspace(0, 3, 48, dtype=torch.float64).reshape(1, 3, 4, 4)


def test_a_minimum_inside_the_box(scales: Tensor) -> None:
    """By hand: a bowl has its minimum at its bottom."""
    bottom = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    state, _ = minimise(bowl(scales, bottom), torch.full_like(bottom, 0.5))
    torch.testing.assert_close(state.image, bottom, atol=1e-6, rtol=0)


def test_a_minimum_outside_the_box(scales: Tensor) -> None:
    """By hand: of a sum over single pixels the best point is the bottom, clipped."""
    random = torch.Generator().manual_seed(1)
    bottom = 4 * torch.rand(1, 3, 4, 4, generator=random).double() - 1.5
    assert ((bottom < 0) | (bottom > 1)).float().mean() > 0.5
    state, _ = minimise(bowl(scales, bottom), torch.full_like(bottom, 0.5))
    torch.testing.assert_close(state.image, bottom.clamp(0, 1), atol=1e-6, rtol=0)


def test_pixels_that_pull_at_each_other_at_the_border() -> None:
    """By hand: (x - 2)^2 + (y - x / 2)^2 has x = 1 at the border, and there y = 1/2."""

    def function(p: Tensor) -> Tensor:
        return (p[0] - 2).square() + (p[1] - p[0] / 2).square()

    for start in ([0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.3, 0.9]):
        state, _ = minimise(function, torch.tensor(start, dtype=torch.float64))
        torch.testing.assert_close(
            state.image, torch.tensor([1.0, 0.5], dtype=torch.float64), atol=1e-6, rtol=0
        )


def test_a_pixel_comes_back_from_the_border() -> None:
    """By hand: both start at a border; one belongs there, the other in the middle."""
    bottom = torch.tensor([-1.0, 0.5], dtype=torch.float64)
    state, _ = minimise(
        bowl(torch.ones(2, dtype=torch.float64), bottom), torch.tensor([0.0, 1.0]).double()
    )
    torch.testing.assert_close(state.image, torch.tensor([0.0, 0.5]).double(), atol=1e-7, rtol=0)


def valley(p: Tensor) -> Tensor:
    """Rosenbrock's function with its minimum, 0, at (3/4, 3/4)."""
    x, y = 2 * p[0] - 0.5, 2 * p[1] - 0.5
    return 100 * (y - x.square()).square() + (1 - x).square()


def torchs_minimum(function: Function, start: Tensor) -> tuple[Tensor, int]:
    """Another implementation: torch's L-BFGS with the strong Wolfe conditions."""
    point = start.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [point], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe"
    )
    calls = 0

    def closure() -> Tensor:
        nonlocal calls
        calls += 1
        optimizer.zero_grad()
        value = function(point)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return point.detach(), calls


def evaluations_down_to(value: float, objective: Counted) -> int:
    values = [float(objective.function(image)) for image in objective.asked]
    return next(i for i, found in enumerate(values, start=1) if found <= value)


def test_rosenbrocks_valley_as_torch_goes_through_it() -> None:
    """By another implementation: the same minimum, at no more than twice its evaluations."""
    start = torch.tensor([0.1, 0.9], dtype=torch.float64)
    expected, calls = torchs_minimum(valley, start)
    torch.testing.assert_close(
        expected, torch.tensor([0.75, 0.75], dtype=torch.float64), atol=1e-5, rtol=0
    )
    state, objective = minimise(valley, start, steps=500)
    torch.testing.assert_close(state.image, expected, atol=1e-5, rtol=0)
    assert evaluations_down_to(1e-9, objective) <= 2 * calls


def test_a_coupled_bowl_as_torch_finds_its_bottom() -> None:
    """By another implementation, in 30 dimensions that all depend on each other."""
    random = torch.Generator().manual_seed(2)
    matrix = torch.randn(30, 30, generator=random, dtype=torch.float64)
    bottom = 0.2 + 0.6 * torch.rand(30, generator=random, dtype=torch.float64)

    def function(x: Tensor) -> Tensor:
        return (matrix @ (x - bottom)).square().sum() + 0.1 * (x - bottom).square().sum()

    start = torch.full((30,), 0.5, dtype=torch.float64)
    expected, calls = torchs_minimum(function, start)
    state, objective = minimise(function, start, steps=1000)
    torch.testing.assert_close(state.image, expected, atol=1e-4, rtol=0)
    assert evaluations_down_to(float(function(expected)), objective) <= 2 * calls


def test_a_start_outside_the_box_is_clipped() -> None:
    state = LBFGS(Counted(lambda x: x.sum()), torch.tensor([-1.0, 0.5, 3.0]))
    assert state.image.tolist() == [0.0, 0.5, 1.0]


def test_the_start_of_the_caller_is_not_changed() -> None:
    start = torch.full((4,), 0.5)
    minimise(bowl(torch.ones(4), torch.zeros(4)), start)
    assert start.tolist() == [0.5] * 4


@pytest.mark.parametrize("corner", [[0.0, 1.0], [0.25, 0.25]])
def test_nothing_is_evaluated_where_nothing_can_be_better(corner: list[float]) -> None:
    """By hand: at the minimum, in a corner or at a gradient of zero, there is no step."""
    point = torch.tensor(corner, dtype=torch.float64)
    bottom = torch.where(point == 0.25, point, 3 * point - 1)  # beyond the corner, or at the point
    objective = Counted(bowl(torch.ones(2, dtype=torch.float64), bottom))
    state = LBFGS(objective, point)
    assert not state.step()
    assert state.evaluations == 1
    assert torch.equal(state.image, point)


@pytest.mark.parametrize("limit", [1, 2, 5, 9])
def test_the_limit_of_evaluations_is_kept(limit: int) -> None:
    objective = Counted(valley)
    state = LBFGS(objective, torch.tensor([0.1, 0.9], dtype=torch.float64), limit=limit)
    while state.step():
        pass
    assert state.evaluations == len(objective.asked) == limit


def test_a_step_that_makes_it_worse_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: from 0.5 the first step is far too long, but what is accepted is always lower."""
    monkeypatch.setattr(nst.lbfgs, "FIRST_STEP_RMS", 0.5)
    bottom = torch.full((4,), 0.45, dtype=torch.float64)
    objective = Counted(bowl(torch.ones(4, dtype=torch.float64), bottom))
    state = LBFGS(objective, torch.full((4,), 0.5, dtype=torch.float64))
    assert state.step()
    assert state.evaluations > 2  # 0 is worse, 1/4 is worse, 3/8 is worse: 7/16 is better
    assert torch.equal(objective.asked[1], torch.zeros(4, dtype=torch.float64))
    assert state.value < 4 * 0.05**2


def test_a_step_that_climbs_once_it_is_clipped_is_shortened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By hand: of y - x along (10, 0.3) from (0.99, 0.5) the box leaves a climb of 0.29.

    At 1/32 of it the climb of 0.3 / 32 is less than the descent of 0.01; nothing longer is tried.
    """
    direction = torch.tensor([10.0, 0.3], dtype=torch.float64)
    monkeypatch.setattr(LBFGS, "_direction", lambda self, gradient: direction)
    objective = Counted(lambda p: p[1] - p[0])
    state = LBFGS(objective, torch.tensor([0.99, 0.5], dtype=torch.float64))
    assert state.step()
    assert state.evaluations == 2
    assert state.image.tolist() == pytest.approx([1.0, 0.5 + 0.3 / 32])


def test_a_value_that_is_not_finite_ends_it() -> None:
    """By hand: nothing is lower than what is no number, so no step is accepted."""
    state = LBFGS(lambda x: (math.nan, torch.ones_like(x)), torch.full((4,), 0.5))
    assert not state.step()
    assert state.image.tolist() == [0.5] * 4


def test_broad_first_is_symmetric_and_positive() -> None:
    """By definition of a preconditioner, for a size that no grid fits."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 1, 3, 50, 37, dtype=torch.float64, generator=generator)
    left, right = (a * broad_first(b)).sum(), (broad_first(a) * b).sum()
    torch.testing.assert_close(left, right)
    assert (a * broad_first(a)).sum() > a.square().sum()


def test_broad_first_enhances_what_is_smooth() -> None:
    """By hand: a flat picture by 1 and both weights, the signs of single pixels not at all."""
    flat = torch.ones(1, 3, 64, 96, dtype=torch.float64)
    torch.testing.assert_close(broad_first(flat), flat * (1 + sum(w for _, w in BROAD)))
    signs = flat.clone()
    signs[..., ::2] *= -1
    signs[..., ::2, :] *= -1
    torch.testing.assert_close(broad_first(signs), signs, atol=1e-2, rtol=0)


def test_a_scaling_that_is_the_inverse_hessian_needs_few_steps(scales: Tensor) -> None:
    """By Newton's method: with the true inverse Hessian the recursion adds nothing to it."""
    bottom = torch.full_like(scales, 0.5)
    function = bowl(scales, bottom)
    plain, _ = minimise(function, bottom + 0.2, steps=8)
    objective = Counted(function)
    state = LBFGS(objective, bottom + 0.2, scaling=lambda x: x / scales)
    for _ in range(8):
        if not state.step():
            break
    assert state.value < 1e-6 * plain.value


def test_another_objective_goes_on_with_what_is_known(scales: Tensor) -> None:
    """By invariant: the picture and the pairs stay, value and gradient are the new objective's."""
    bottom = torch.full_like(scales, 0.5)
    state, _ = minimise(bowl(scales, bottom), bottom + 0.2, steps=5)
    image, evaluations = state.image, state.evaluations
    other = Counted(bowl(1.01 * scales, bottom))
    state.go_on(other)
    assert state.image is image
    assert state.evaluations == evaluations + 1
    assert state.value == float(bowl(1.01 * scales, bottom)(image))
    before = state.value
    assert state.step()
    assert state.value < before

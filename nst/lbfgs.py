"""Limited-memory BFGS for pictures: bounded to [0, 1], one accepted iteration at a time.

Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", 1989, with the
projection of Bertsekas 1982: pixels at a bound that the gradient would push across are held, and
every trial point is clipped. Each trial must satisfy Armijo's condition, so the objective never
rises. ``torch.optim.LBFGS`` knows no bounds, evaluates the last point again at each call and,
without its line search, accepts steps that make things worse.

What is slow to come right in a painting is light and colour of large areas. ``broad_first``, in
place of the identity where the recursion asks for what is known beforehand of the inverse Hessian,
takes a tenth to a quarter off the evaluations to the same objective.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

Objective = Callable[[Tensor], tuple[float, Tensor]]
"""A picture, any shape, to its value and gradient."""

ARMIJO = 1e-4
FIRST_STEP_RMS = 0.01
"""Root mean square of the first step, when nothing is known about the curvature."""
TRIALS = 12
"""Halvings of a step before it is given up."""
BROAD = ((16, 1.0), (32, 2.0))
"""Distances between the nodes of smooth changes, px, and what those count beside single pixels."""


@dataclass(eq=False)
class LBFGS:
    """The state of a minimisation.

    Args:
        objective: What is minimised.
        image: The start; values in [0, 1].
        history: Pairs of steps and gradient changes that are kept.
        limit: Evaluations of the objective after which no step is tried any more; None: no limit.
        scaling: A symmetric, positive definite operator in place of the identity where the inverse
            Hessian is not known yet, as ``broad_first``.
    """

    objective: Objective
    image: Tensor
    history: int = 20
    limit: int | None = None
    scaling: Callable[[Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        self.image = self.image.detach().clamp(0, 1).contiguous()
        self.value, self.gradient = self.objective(self.image)
        self.evaluations = 1
        self._pairs: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=self.history)

    def go_on(self, objective: Objective) -> None:
        """Go on from this picture with another objective, one that differs by rounding only.

        What is known about the curvature is kept.
        """
        self.objective = objective
        self.value, self.gradient = objective(self.image)
        self.evaluations += 1

    def step(self) -> bool:
        """Make one accepted iteration.

        Returns:
            False when no step lowers the objective any more, or the limit is reached.
        """
        if self._search():
            return True
        if not self._pairs:
            return False
        self._pairs.clear()  # a stale picture of the curvature: try the gradient itself
        return self._search()

    def _search(self) -> bool:
        is_held = ((self.image <= 0) & (self.gradient > 0)) | (
            (self.image >= 1) & (self.gradient < 0)
        )
        free = self.gradient.masked_fill(is_held, 0)
        direction = self._direction(free).masked_fill(is_held, 0)
        share = 1.0
        for _ in range(TRIALS):
            trial = (self.image + share * direction).clamp(0, 1)
            step = trial - self.image
            slope = _dot(self.gradient, step)
            if slope >= 0:  # clipped at the bounds, the rest of it climbs; a shorter one may not
                share *= 0.5
                continue
            if self.evaluations == self.limit:
                return False
            value, gradient = self.objective(trial)
            self.evaluations += 1
            # Of a tiny slope nothing is left after rounding: lower must be lower.
            if value < self.value and value <= self.value + ARMIJO * slope:
                self._remember(step, gradient - self.gradient)
                self.image, self.value, self.gradient = trial, value, gradient
                return True
            share *= 0.5
        return False

    def _direction(self, gradient: Tensor) -> Tensor:
        """Return minus the inverse Hessian times the gradient: the two-loop recursion."""
        if not self._pairs:
            rms = gradient.square().mean().sqrt()
            return -gradient * (FIRST_STEP_RMS / rms.clamp(min=1e-30))
        q = gradient.clone()
        shares = []
        for step, change, curvature in reversed(self._pairs):
            share = _dot(step, q) / curvature
            q.add_(change, alpha=-share)
            shares.append(share)
        step, change, curvature = self._pairs[-1]
        scale = self.scaling or (lambda x: x)
        q = scale(q).mul_(curvature / _dot(change, scale(change)))
        for (step, change, curvature), share in zip(self._pairs, reversed(shares), strict=True):
            q.add_(step, alpha=share - _dot(change, q) / curvature)
        return q.neg_()

    def _remember(self, step: Tensor, change: Tensor) -> None:
        curvature = _dot(step, change)
        # Without positive curvature the inverse Hessian would not stay positive definite.
        if curvature > 1e-10 * _dot(change, change) ** 0.5 * _dot(step, step) ** 0.5:
            self._pairs.append((step, change, curvature))


def broad_first(image: Tensor) -> Tensor:
    """Enhance what is smooth, ``(B, C, H, W)``: the identity, and smooth changes on two grids.

    With U the bilinear enlargement from a grid to the picture, of ``k`` px to a node, it is
    ``x + sum over grids of  weight / k^2 * U U^T x``, symmetric and positive definite.
    """
    size = [image.shape[-2], image.shape[-1]]
    enhanced = image.clone()
    for pixels, weight in BROAD:
        nodes = [max(1, side // pixels) for side in size]
        whole = [*image.shape[:2], *nodes]
        summed = torch.ops.aten.upsample_bilinear2d_backward(image, size, whole, False)
        mean = summed * (weight * nodes[0] * nodes[1] / (size[0] * size[1]))
        enhanced += F.interpolate(mean, size, mode="bilinear", align_corners=False)
    return enhanced


def _dot(a: Tensor, b: Tensor) -> float:
    return float(torch.dot(a.reshape(-1), b.reshape(-1)))

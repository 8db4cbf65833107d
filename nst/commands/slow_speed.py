"""How soon the reference mode reaches what plain L-BFGS reaches: ``nst bench optimize``."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nst.canvas import Canvas, load_canvas
from nst.config import OptimizeConfig
from nst.guidance import objective_for
from nst.optimize import OptimizeRecord, optimize
from nst.runtime import choose_device, keep_freed_memory, wait_for
from nst.weights import VGGWeights

MORE = 1.5
"""Times the evaluations of plain L-BFGS, which ours may have: what counts is time."""


@dataclass(frozen=True, slots=True)
class SlowFigures:
    """One photograph and one style image."""

    photograph: str
    style: str
    size: str
    """Of the painting, px."""
    plain_s: float
    """Of plain L-BFGS: one size, float32, no preconditioning."""
    total: float
    """J at its end."""
    own_s: float | None
    """Until ``nst optimize`` has a picture of that J; None where it never does."""
    own_evaluations: int
    own_total: float


def measure_pair(
    photo: Path,
    style: Path,
    weights: VGGWeights,
    config: OptimizeConfig,
    *,
    advance: Callable[[str, OptimizeRecord], None],
) -> SlowFigures:
    """Paint a photograph by plain L-BFGS, then as ``config`` says until J is as low.

    Both begin with the photograph, have the same objective, and are counted with what comes before
    the first evaluation. J is that of float32 in both.

    Args:
        photo: The photograph.
        style: The style image.
        weights: Of the loss network.
        config: Settings of ours; ``evaluations`` is that of plain, ours has half as many more.
        advance: Told of every iteration, and whose it is.
    """
    device = choose_device(config.device)
    if device.type == "cpu":
        keep_freed_memory()
    canvas = load_canvas(photo, style, config)
    plain = config.replace(
        scales=1, precision="float32", precondition=False, optimizer="lbfgs", tolerance=0.0
    )
    for plain_s, record in _timed(canvas, weights, plain):  # noqa: B007, the last ones count
        advance("plain", record)
    total = record.total
    exact = _exact(canvas, weights, config)
    own_s, own_total = None, math.inf
    own = config.replace(evaluations=int(MORE * config.evaluations), tolerance=0.0)
    for seconds, record in _timed(canvas, weights, own):
        advance("nst", record)
        if record.scale == record.scales and record.total <= total:
            own_total = exact(record.image)  # which half precision has only about
            if own_total <= total:
                own_s = seconds
                break
    return SlowFigures(
        photo.name,
        style.name,
        f"{canvas.photograph.shape[-1]}x{canvas.photograph.shape[-2]}",
        plain_s,
        total,
        own_s,
        record.evaluations,
        exact(record.image) if own_s is None else own_total,
    )


def ratio(pairs: list[SlowFigures]) -> float | None:
    """Return the geometric mean of the shares of time; None where one never came as low."""
    shares = [pair.own_s / pair.plain_s for pair in pairs if pair.own_s is not None]
    if len(shares) < len(pairs):
        return None
    return math.exp(sum(map(math.log, shares)) / len(shares))


def _exact(
    canvas: Canvas, weights: VGGWeights, config: OptimizeConfig
) -> Callable[[Tensor], float]:
    """Return what tells J of a painting in float32."""
    criterion = objective_for(weights, canvas.styles, config)
    target = criterion.content_target(canvas.photograph)

    def exact(painting: Tensor) -> float:
        with torch.inference_mode():
            return float(criterion(painting, target).total)

    return exact


def _timed(
    canvas: Canvas, weights: VGGWeights, config: OptimizeConfig
) -> Iterator[tuple[float, OptimizeRecord]]:
    """Yield every iteration with the seconds so far, without those of whoever takes them."""
    device = canvas.photograph.device
    seconds = 0.0
    records = optimize(canvas.photograph, canvas.styles, weights, config)
    while True:
        started_at = time.perf_counter()
        record = next(records, None)
        wait_for(device)
        seconds += time.perf_counter() - started_at
        if record is None:
            return
        yield seconds, record

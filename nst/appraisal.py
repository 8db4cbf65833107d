"""Everything that is measured on paintings, one photograph after the other.

J, S and C come from ``nst.judge``, the rest from a module for each noun. Nothing here loads a
model: paintings come as arrays, and what needs more of them asks a callable ``paint``.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nst.curve import STARTS, Curve, excess, steps_to_reach
from nst.functional import edge_roughness
from nst.judge import Paint, Score, judge, mean_score
from nst.lab import ColorDrift, color_drift, palette
from nst.losses import PerceptualLoss
from nst.motion import Steadiness, steadiness
from nst.slow_method import slow_curve
from nst.spectrum import Spectra, Texture, flat_places, join, places, spectra, texture
from nst.tensors import to_tensor
from nst.terminal import Bars


@dataclass(frozen=True, eq=False)
class Yardstick:
    """What paintings are measured against."""

    criterion: PerceptualLoss
    """The objective; strength 1 and no total variation for figures that shall be compared."""
    style: NDArray[np.uint8]
    """The style image that ``criterion`` was made from, ``(h, w, 3)``."""

    @cached_property
    def style_spectra(self) -> Spectra:
        """All windows of the style image, flat or not: strokes are everywhere in it."""
        return spectra(self.style, places(*self.style.shape[:2]))

    @cached_property
    def palette(self) -> NDArray[np.float64]:
        """The colours of the style image."""
        return palette(self.style)


@dataclass(frozen=True, slots=True)
class Edges:
    """How rough a painting is along its edges, see ``nst.functional.edge_roughness``."""

    left: float
    right: float
    top: float
    bottom: float
    unstyled: float
    """Mean of the four of the photograph."""

    @classmethod
    def of(cls, painted: NDArray[np.uint8], photograph: NDArray[np.uint8]) -> Edges:
        """Measure pictures ``(H, W, 3)``."""
        edges = [edge_roughness(to_tensor(rgb))[0].tolist() for rgb in (painted, photograph)]
        left, right, top, bottom = edges[0]
        return cls(left, right, top, bottom, unstyled=statistics.fmean(edges[1]))


@dataclass(frozen=True, slots=True, eq=False)
class Appraisal:
    """What was found on one photograph."""

    name: str
    photograph: NDArray[np.uint8]
    """In the size in which it was judged, ``(H, W, 3)``."""
    painted: NDArray[np.uint8]
    score: Score
    color: ColorDrift
    flat: Spectra
    """Of the painting, where the photograph is flat."""
    texture: Texture | None
    """None where the photograph is not flat anywhere."""
    steadiness: Steadiness | None
    """None where there is no model to paint the moved photograph."""
    edges: Edges
    curves: tuple[Curve, ...] = ()
    """Of the slow method, where it was compared."""

    def with_curves(self, curves: Sequence[Curve]) -> Appraisal:
        """Return it compared with the slow method."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return Appraisal(**(values | {"curves": tuple(curves)}))

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values, curves included."""
        size = f"{self.photograph.shape[1]}x{self.photograph.shape[0]}"
        return {
            "size": size,
            **asdict(self.score),
            "color": asdict(self.color),
            "texture": asdict(self.texture) if self.texture else None,
            "steadiness": asdict(self.steadiness) if self.steadiness else None,
            "edges": asdict(self.edges),
            "slow": {
                curve.start: {
                    "k": steps_to_reach(curve.totals, self.score.total),
                    "excess": excess(curve.totals, self.score.total),
                    "evaluations": len(curve.totals),
                    "painted_after": curve.painted_after,
                    "seconds": curve.seconds,
                    "device": curve.device,
                    "totals": [float(f"{total:.6g}") for total in curve.totals],
                }
                for curve in self.curves
            }
            or None,
        }


def appraise(
    name: str,
    photograph: NDArray[np.uint8],
    painted: NDArray[np.uint8],
    yardstick: Yardstick,
    *,
    paint: Paint | None = None,
) -> Appraisal:
    """Measure one painting, all but its distance to the slow method.

    Args:
        name: What to call the photograph.
        photograph: uint8 ``(H, W, 3)``, in the size in which it shall be judged, sides a multiple
            of 8.
        painted: The painting, the same size.
        yardstick: What it is measured against.
        paint: What painted it; None when only the painting is there.

    Raises:
        ImageError: The photograph is too small for the objective.
        WeightsError: The objective is not finite.
    """
    (score,) = judge(lambda rgb: painted, [photograph], yardstick.criterion)
    flat = spectra(painted, flat_places(photograph))
    return Appraisal(
        name,
        photograph,
        painted,
        score,
        color_drift(painted, photograph, yardstick.palette),
        flat,
        texture(flat, yardstick.style_spectra),
        None if paint is None else steadiness(paint, photograph, painted),
        Edges.of(painted, photograph),
    )


def compare_with_slow_method(
    appraisals: Sequence[Appraisal],
    yardstick: Yardstick,
    *,
    evaluations: int,
    seed: int = 0,
    cache: Path | None = None,
    announce: Callable[[str], None],
    bars: Bars,
) -> list[Appraisal]:
    """Return appraisals with the curves of the slow method on their photographs, from both starts.

    Args:
        appraisals: Those that shall be compared.
        yardstick: What they were measured against.
        evaluations: Of the slow method, for each curve.
        seed: Of the noise.
        cache: Where curves are kept; None keeps nothing.
        announce: Told when a file of the cache is damaged or too short.
        bars: Shows the advance.

    Raises:
        InferenceError: The memory is too small, or the objective is not finite.
        OutputError: The cache cannot be written.
    """
    total, done, found = evaluations * len(STARTS) * len(appraisals), 0, []
    with bars("the slow method, evaluations", total) as bar:
        for each in appraisals:
            curves = []
            for start in STARTS:

                def advance(evaluation: int, value: float, before: int = done) -> None:
                    bar.update(before + evaluation, f"J {value:.3f}")

                curves.append(
                    slow_curve(
                        each.photograph,
                        yardstick.style,
                        yardstick.criterion,
                        start=start,
                        evaluations=evaluations,
                        seed=seed,
                        cache=cache,
                        announce=announce,
                        advance=advance,
                    )
                )
                done += evaluations
            found.append(each.with_curves(curves))
    return found


def mean_figures(appraisals: Sequence[Appraisal], yardstick: Yardstick) -> dict[str, Any]:
    """Return the figures of all photographs together, as plain values.

    Means, but for dots and grid, where the windows of all photographs are put together, and for k,
    the median: a painting that is better than the slow method's last counts as more than any k.
    """
    compared = [each for each in appraisals if each.curves]
    steady = [each.steadiness for each in appraisals if each.steadiness]
    whole = texture(join([each.flat for each in appraisals]), yardstick.style_spectra)
    return {
        **asdict(mean_score([each.score for each in appraisals])),
        "color": _means([asdict(each.color) for each in appraisals]),
        "texture": asdict(whole) if whole else None,
        "steadiness": _means([asdict(each) for each in steady]) if steady else None,
        "edges": _means([asdict(each.edges) for each in appraisals]),
        "slow": {start: _mean_distance(compared, number) for number, start in enumerate(STARTS)}
        if compared
        else None,
    }


def _means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _mean_distance(compared: Sequence[Appraisal], number: int) -> dict[str, Any]:
    pairs = [(each.curves[number], each.score.total) for each in compared]
    steps = [steps_to_reach(curve.totals, total) for curve, total in pairs]
    k = statistics.median(float("inf") if step is None else step for step in steps)
    return {
        "k": None if k == float("inf") else k,
        "excess": float(np.mean([excess(curve.totals, total) for curve, total in pairs])),
        "evaluations": len(pairs[0][0].totals),
        "seconds_each": float(np.mean([curve.seconds_each for curve, _ in pairs])),
        "device": pairs[0][0].device,
        "photographs": len(pairs),
    }

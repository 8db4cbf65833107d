"""Everything that a card says about a model or a folder of paintings, measured and put together."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nst import __version__
from nst.appraisal import (
    Appraisal,
    Yardstick,
    appraise,
    compare_with_slow_method,
    mean_figures,
)
from nst.card import SCHEMA, Pictures
from nst.commands.subject import Subject, naming
from nst.config import JudgingConfig
from nst.files import sha256_of
from nst.image import load_image, resize_image
from nst.judge import Score, fit_photograph, judge, mean_score
from nst.runtime import exact_float32, keep_freed_memory
from nst.terminal import Bars

SPEED_PX = 360, 640
"""Height and width at which the speed is measured beside the judged size."""
PACKAGES = ("torch", "onnxruntime", "onnxruntime-gpu", "numpy", "pillow")


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What was found."""

    values: dict[str, Any]
    """For ``card.json``: subject, against, count, mean, speed and photographs."""
    pictures: dict[str, Pictures]
    """For ``card.html``, by the names of the photographs."""
    mean: Score
    line: str
    """J, S and C in a line."""


def judge_subject(
    subject: Subject,
    photographs: Mapping[str, Path],
    yardstick: Yardstick,
    settings: JudgingConfig,
    *,
    against: Subject | None = None,
    cache: Path | None = None,
    announce: Callable[[str], None],
    bars: Bars,
) -> Verdict:
    """Judge a model or a folder on photographs.

    Args:
        subject: What is judged.
        photographs: Their files by their names on the card; at least one.
        yardstick: What they are measured against.
        settings: Sizes, and how much is compared with the slow method; ``slow_photos`` None is
            none.
        against: What the blind comparison shows beside it.
        cache: Where the slow method's curves are kept; None keeps nothing.
        announce: Told what was odd about a photograph, and J, S and C before the slow method.
        bars: Shows the advance.

    Raises:
        NSTError: A photograph, a painting or the model cannot be used, or the memory is too small.
    """
    files = list(photographs.values())
    first = fit_photograph(load_image(files[0]).rgb, settings.photo_size)
    speed = _speed(subject, first)  # before anything changes how memory is handed out
    with exact_float32():
        found = []
        with bars("judging", len(files)) as bar:
            for done, (name, file) in enumerate(photographs.items(), start=1):
                found.append(_appraise(subject, name, file, yardstick, settings, announce))
                bar.update(done, f"{file.name} J {found[-1].score.total:.3f}")
        mean = mean_score([each.score for each in found])
        line = _line(mean, len(found))
        if settings.slow_photos:
            announce(line)
            if yardstick.criterion.style_content_energy.device.type == "cpu":
                keep_freed_memory()
            compared = compare_with_slow_method(
                found[: settings.slow_photos],
                yardstick,
                evaluations=settings.evaluations,
                seed=settings.seed,
                cache=cache,
                announce=announce,
                bars=bars,
            )
            found = [*compared, *found[len(compared) :]]
        second = {} if against is None else _rivals(against, files, found)
        waiting = iter(second.values())
        seen = [each.photograph for each in found[: len(second)]]
        scores = judge(lambda rgb: next(waiting), seen, yardstick.criterion)
    values = {
        "subject": subject.facts,
        "against": None if against is None else _rival_facts(against, subject, scores),
        "count": len(found),
        "mean": mean_figures(found, yardstick),
        "speed": speed,
        "photographs": {each.name: each.to_json() for each in found},
    }
    pictures = {
        each.name: Pictures(
            each.photograph,
            each.painted,
            each.curves[0].painted if each.curves else None,
            second.get(each.name),
        )
        for each in found
    }
    return Verdict(values, pictures, mean, line)


def sources(
    style: Path, yardstick: Yardstick, settings: JudgingConfig, *, device: str
) -> dict[str, Any]:
    """Return what the figures of a card depend on: program, machine, settings, style, network.

    Args:
        style: The file of the style image.
        yardstick: What paintings were measured against.
        settings: As they were used.
        device: What computed, in a line.
    """
    criterion = yardstick.criterion
    versions = {name: _version(name) for name in PACKAGES}
    return {
        "schema": SCHEMA,
        "made_with": f"nst {__version__}",
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": asdict(settings) | {"device": device},
        "style": {
            "name": style.name,
            "sha256": sha256_of(style),
            "size": f"{yardstick.style.shape[1]}x{yardstick.style.shape[0]}",
        },
        "loss_network": {
            "network": criterion.encoder.name,
            # Where it lies is nobody's business.
            "name": Path(criterion.encoder.source).name,
            "sha256": criterion.encoder.sha256,
            "preset": str(criterion.preset),
            "weighting": criterion.weighting,
            "weights": asdict(criterion.weights),
        },
        "machine": {
            "system": platform.platform(),
            "python": platform.python_version(),
            **{name: version for name, version in versions.items() if version},
        },
    }


def _appraise(
    subject: Subject,
    name: str,
    file: Path,
    yardstick: Yardstick,
    settings: JudgingConfig,
    announce: Callable[[str], None],
) -> Appraisal:
    picture = load_image(file)
    for note in picture.notes:
        announce(f"{file}: {note}")
    photograph = fit_photograph(picture.rgb, settings.photo_size)
    with naming(file):  # too narrow for the layers of the objective
        painted = subject.painted(file, photograph)
        return appraise(name, photograph, painted, yardstick, paint=subject.paint)


def _rivals(
    against: Subject, files: Sequence[Path], found: Sequence[Appraisal]
) -> dict[str, NDArray[np.uint8]]:
    """Return the paintings of the second subject, by the names of the photographs."""
    paintings = {}
    for file, each in zip(files, found, strict=True):
        with naming(file):
            paintings[each.name] = against.painted(file, each.photograph)
    return paintings


def _rival_facts(against: Subject, subject: Subject, scores: Sequence[Score]) -> dict[str, Any]:
    name = against.facts["name"]
    if name == subject.facts["name"]:
        name = f"{name} (the second)"
    return against.facts | {"name": name, "mean": asdict(mean_score(scores))}


def _speed(subject: Subject, photograph: NDArray[np.uint8]) -> dict[str, Any] | None:
    """Return the time of a painting in the size of the first photograph and at 640x360."""
    other = resize_image(photograph, *SPEED_PX)
    if (ms := subject.ms([photograph, other])) is None:
        return None
    judged = f"{photograph.shape[1]}x{photograph.shape[0]}"
    return {"provider": subject.provider, "judged": judged, "ms": ms}


def _line(mean: Score, count: int) -> str:
    return (
        f"J {mean.total:.3f}  S {mean.style:.4f}  C {mean.content:.3f}"
        f"  (unstyled S {mean.unstyled:.3f}; {count} photographs)"
    )


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""

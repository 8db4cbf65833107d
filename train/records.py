"""What is written down about the steps of a training."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nst.errors import OutputError
from nst.files import atomic_write, describe
from train.loop import StepRecord

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True, slots=True)
class LogLine:
    """The figures of one step as numbers; making one waits for the device."""

    step: int
    total: float
    content: float
    style: float
    total_variation: float
    learning_rate: float
    skipped: int
    """Steps so far without a finite gradient."""
    images_per_s: float
    elapsed_s: float
    styles: Mapping[str, float] = field(default_factory=dict)
    """S of each style since the last line, by name; empty where there is one."""

    @classmethod
    def of(
        cls,
        record: StepRecord,
        *,
        images_per_s: float,
        elapsed_s: float,
        mean: Callable[[Tensor], Tensor] = lambda values: values,
        styles: Mapping[str, float] | None = None,
    ) -> LogLine:
        """Turn a record into numbers; of a step that was skipped some are not finite.

        Args:
            record: The step.
            images_per_s: Of all processes together.
            elapsed_s: Since the training began or went on.
            mean: Averages over the processes that share the training.
            styles: S of each style.
        """
        terms = record.terms
        each = (terms.total, terms.content.mean(), terms.style.mean(), terms.total_variation.mean())
        shared = mean(torch.stack([value.float() for value in each]))
        total, content, style, total_variation = shared.tolist()
        return cls(
            step=record.step,
            total=total,
            content=content,
            style=style,
            total_variation=total_variation,
            learning_rate=record.learning_rate,
            skipped=int(record.skipped),
            images_per_s=images_per_s,
            elapsed_s=elapsed_s,
            styles=styles or {},
        )

    def __str__(self) -> str:
        return (
            f"J {self.total:.3f}  content {self.content:.3f}  style {self.style:.4f}"
            f"  {self.images_per_s:.2f} images/s"
        )


def append_line(path: Path, line: DataclassInstance) -> None:
    """Append a line of figures to a log, as JSON.

    Raises:
        OutputError: The disk is full.
    """
    values = {
        name: {key: _or_null(part) for key, part in value.items()}
        if isinstance(value, dict)
        else _or_null(value)
        for name, value in asdict(line).items()
    }
    try:
        with path.open("a") as file:
            file.write(json.dumps(values) + "\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written, {describe(error)}") from error


class Tally:
    """Adds up S of each style over some steps, of the photographs of this process.

    Nothing waits for the device before ``take``.

    Args:
        styles: Their names.
        device: Of the records.
    """

    def __init__(self, styles: Sequence[str], device: torch.device) -> None:
        self._styles = styles
        self._sums = torch.zeros(2, len(styles), device=device)

    def add(self, record: StepRecord) -> None:
        """Add the photographs of one step that were painted in full strength."""
        share, which = record.terms.style_share, record.which
        if share is None or which is None:
            return
        style = record.terms.style.float()
        counts = ((share == 1) & style.isfinite()).float()
        values = torch.stack((style.nan_to_num(0, 0, 0) * counts, counts))
        self._sums.index_add_(1, which, values)

    def take(self) -> dict[str, float]:
        """Return the means, of the styles that came, and begin anew; nothing of one alone."""
        if len(self._styles) == 1:
            return {}
        sums, counts = self._sums.tolist()
        self._sums.zero_()
        values = zip(self._styles, sums, counts, strict=True)
        return {name: value / count for name, value, count in values if count}


class Stopwatch:
    """Measures how fast a training goes.

    Args:
        step: Steps done when it is started.
        batch: Photographs in a step.
        before_s: Seconds that the training took until now, when it is resumed.
    """

    def __init__(self, step: int, batch: int, *, before_s: float = 0.0) -> None:
        self._lap_at = time.perf_counter()
        self._started_at = self._lap_at - before_s
        self._step, self._batch = step, batch

    def lap(self, step: int) -> tuple[float, float]:
        """Return photographs a second since the last lap, pauses left out, and all seconds."""
        now = time.perf_counter()
        images_per_s = (step - self._step) * self._batch / (now - self._lap_at)
        self._lap_at, self._step = now, step
        return images_per_s, now - self._started_at

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out of the speed what is done meanwhile."""
        began_at = time.perf_counter()
        yield
        self._lap_at += time.perf_counter() - began_at


class Board:
    """TensorBoard's files in the run folder: the figures of the log and the previews.

    Args:
        folder: Of the run; the files stand in ``tensorboard`` below it.
        step: From which step on what is there already is void.

    Raises:
        ImportError: tensorboard is not installed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(folder / "tensorboard", purge_step=step)

    def add(self, line: LogLine) -> None:
        """Add the figures of one step."""
        for name in ("total", "content", "style", "total_variation", "learning_rate"):
            self._writer.add_scalar(name, getattr(line, name), line.step)
        for style, value in line.styles.items():
            self._writer.add_scalar(f"style/{style}", value, line.step)

    def add_preview(self, step: int, strip: NDArray[np.uint8]) -> None:
        """Add a preview strip, uint8 ``(H, W, 3)``."""
        self._writer.add_image("preview", strip, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is pending."""
        self._writer.close()


def _or_null(value: float) -> float | None:
    """JSON knows no NaN and no infinity."""
    return value if math.isfinite(value) else None


def elapsed_in(log: Path) -> float:
    """Return the seconds that the last line of a log tells; 0 where there is none."""
    lines = log.read_text().splitlines() if log.is_file() else []
    return float(json.loads(lines[-1])["elapsed_s"]) if lines else 0.0


def save_loss_plot(path: Path, log: Path) -> None:
    """Draw the curves of a log: objective, content and style over the steps; none if it is empty.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = [json.loads(text) for text in log.read_text().splitlines()] if log.is_file() else []
    if not lines:
        return
    steps = [line["step"] for line in lines]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, label in (("total", "J"), ("content", "content C"), ("style", "style S")):
        values = [math.nan if line[name] is None else line[name] for line in lines]
        axes.plot(steps, _smooth(values), label=label)
    for name in dict.fromkeys(name for line in lines for name in line.get("styles", {})):
        told = [(line["step"], line["styles"][name]) for line in lines if name in line["styles"]]
        axes.plot([s for s, _ in told], _smooth([v for _, v in told]), lw=0.8, label=f"S {name}")
    axes.set(xlabel="step", ylabel="loss (mean of 20 lines)", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", ncols=2)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=100)


def _smooth(values: list[float], window: int = 20) -> list[float]:
    parts = [values[max(0, i + 1 - window) : i + 1] for i in range(len(values))]
    finite = [[value for value in part if math.isfinite(value)] for part in parts]
    return [sum(part) / len(part) if part else math.nan for part in finite]

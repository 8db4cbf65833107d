"""What is written down about the steps of a training."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from nst.errors import OutputError, TrainingError
from nst.files import atomic_write, describe
from train.loop import StepRecord


@dataclass(frozen=True, slots=True)
class LogLine:
    """The figures of one step as numbers; making one waits for the device."""

    step: int
    total: float
    content: float
    style: float
    total_variation: float
    learning_rate: float
    images_per_s: float
    elapsed_s: float

    @classmethod
    def of(cls, record: StepRecord, *, images_per_s: float, elapsed_s: float) -> LogLine:
        """Turn a record into numbers.

        Raises:
            TrainingError: The objective is not finite.
        """
        terms = record.terms
        line = cls(
            record.step,
            float(terms.total),
            float(terms.content.mean()),
            float(terms.style.mean()),
            float(terms.total_variation.mean()),
            record.learning_rate,
            images_per_s,
            elapsed_s,
        )
        if not line.total < float("inf"):
            raise TrainingError(
                f"the objective is {line.total} at step {record.step};"
                " the checkpoint before it is good, but a run that is resumed ends here again:"
                " begin anew with a lower --learning-rate"
            )
        return line

    def __str__(self) -> str:
        return (
            f"J {self.total:.3f}  content {self.content:.3f}  style {self.style:.4f}"
            f"  {self.images_per_s:.2f} images/s"
        )


def append_line(path: Path, line: LogLine) -> None:
    """Append one line of JSON to a log.

    Raises:
        OutputError: The disk is full.
    """
    values = {name: getattr(line, name) for name in LogLine.__slots__}
    try:
        with path.open("a") as file:
            file.write(json.dumps(values) + "\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written, {describe(error)}") from error


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
        axes.plot(steps, _smooth([line[name] for line in lines]), label=label)
    axes.set(xlabel="step", ylabel="loss (mean of 20 lines)", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=100)


def _smooth(values: list[float], window: int = 20) -> list[float]:
    return [
        sum(part) / len(part)
        for part in (values[max(0, i + 1 - window) : i + 1] for i in range(len(values)))
    ]

"""Where the time of a model goes, operator by operator: ``--operators``. Torch-free."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nst.ort import SILENT

RUNS = 5
"""That are counted; as many come before, in which a GPU chooses its algorithms."""


@dataclass(frozen=True, slots=True)
class OperatorFigures:
    """All nodes of one kind on one provider."""

    operator: str
    on: str
    """Which provider."""
    nodes: int
    """After ONNX Runtime's own fusions."""
    ms: float
    """Of one run; the profile itself slows small operators down."""
    share: float


def profile_operators(
    model: bytes,
    inputs: dict[str, NDArray[Any]],
    chain: Sequence[str | tuple[str, dict[str, Any]]],
) -> list[OperatorFigures]:
    """Run a model under ONNX Runtime's profiler.

    Args:
        model: The content of an ONNX file.
        inputs: What it is given.
        chain: Providers, the best first.

    Returns:
        The longest first.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(SILENT)
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(model, options, providers=list(chain))
        for _ in range(2 * RUNS):
            session.run(None, inputs)
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    return figures_of(events)


def figures_of(events: Sequence[dict[str, Any]]) -> list[OperatorFigures]:
    """Add up the events of a profile of ``2 * RUNS`` runs, of which the last half counts."""
    starts = sorted(e["ts"] for e in events if e["name"] == "model_run")
    first = starts[RUNS]
    times: Counter[tuple[str, str]] = Counter()
    nodes: dict[tuple[str, str], set[str]] = {}
    for event in events:
        is_kernel = event["cat"] == "Node" and event["name"].endswith("_kernel_time")
        if not is_kernel or event["ts"] < first:
            continue
        key = event["args"]["op_name"], event["args"]["provider"]
        times[key] += event["dur"]
        nodes.setdefault(key, set()).add(event["name"])
    total = sum(times.values())
    return [
        OperatorFigures(
            operator,
            provider.removesuffix("ExecutionProvider"),
            len(nodes[operator, provider]),
            float(np.round(us / RUNS / 1e3, 4)),
            us / total,
        )
        for (operator, provider), us in times.most_common()
    ]

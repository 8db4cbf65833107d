"""The levers of ONNX Runtime on a CPU, each alone against its defaults: ``--levers``. Torch-free.

Every turn has a process of its own: the threads of another session would wait in a loop, and what
is done about denormal numbers stays with the thread that asked for it.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nst.contract import INPUT, MIX, OUTPUT
from nst.ort import SILENT, create_session

CPU = "CPUExecutionProvider"
WARM = 2
"""Runs of a turn that are not counted."""
DEFAULT, OURS, BOUND = "defaults", "as nst sets them", "bound input and output"

Pull = Callable[[Any, NDArray[np.uint8]], object]
"""Changes the options of a session that paints a picture, uint8 ``(H, W, 3)``."""


@dataclass(frozen=True, slots=True)
class LeverFigures:
    """One lever; medians of turns."""

    lever: str
    ms: float
    ratio: float
    """Time with the defaults over time with the lever, turn by turn: above 1 it helps."""
    ratios: tuple[float, ...]
    """Of every turn."""
    processor_ratio: float
    """The same of processor time, which other work on the machine disturbs less."""
    grey_levels: int
    """The largest difference from the painting with the defaults."""


def _threads(count: int) -> Pull:
    return lambda options, rgb: setattr(options, "intra_op_num_threads", count)


def _level(name: str) -> Pull:
    def pull(options: Any, rgb: NDArray[np.uint8]) -> None:  # noqa: ANN401
        import onnxruntime

        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, name)

    return pull


def _parallel(options: Any, rgb: NDArray[np.uint8]) -> None:  # noqa: ANN401
    import onnxruntime

    options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL


def _off(name: str) -> Pull:
    return lambda options, rgb: setattr(options, name, False)


def _entry(key: str, value: str) -> Pull:
    return lambda options, rgb: options.add_session_config_entry(key, value)


def _fixed(options: Any, rgb: NDArray[np.uint8]) -> None:  # noqa: ANN401
    for name, side in zip(("batch", "height", "width"), (1, *rgb.shape[:2]), strict=True):
        options.add_free_dimension_override_by_name(name, side)


def _none(options: Any, rgb: NDArray[np.uint8]) -> None:  # noqa: ANN401
    pass


LEVERS: Mapping[str, Pull] = {
    DEFAULT: _none,
    OURS: _none,
    "no memory patterns": _off("enable_mem_pattern"),
    "one thread": _threads(1),
    "a thread for each processor": _threads(os.cpu_count() or 1),
    "threads do not wait in loops": _entry("session.intra_op.allow_spinning", "0"),
    "loops end with the run": _entry("session.force_spinning_stop", "1"),
    "work in smaller blocks": _entry("session.dynamic_block_base", "4"),
    "operators side by side": _parallel,
    "no graph optimisation": _level("ORT_DISABLE_ALL"),
    "basic graph optimisation": _level("ORT_ENABLE_BASIC"),
    "extended graph optimisation": _level("ORT_ENABLE_EXTENDED"),
    "no memory arena": _off("enable_cpu_mem_arena"),
    "weights not repacked": _entry("session.disable_prepacking", "1"),
    "denormal numbers as zero": _entry("session.set_denormal_as_zero", "1"),
    "sides fixed when loaded": _fixed,
    BOUND: _none,
}
"""By what they do."""


def measure_levers(
    model: Path,
    rgb: NDArray[np.uint8],
    mix: NDArray[np.float32] | None,
    *,
    rounds: int,
    runs: int,
    advance: Callable[[int], None] = lambda done: None,
) -> list[LeverFigures]:
    """Measure all levers in turns.

    Args:
        model: An exported file.
        rgb: What is painted, uint8 ``(H, W, 3)``.
        mix: For a file with controls.
        rounds: Turns of each lever.
        runs: That are counted in a turn; their median is the turn's.
        advance: Told how many turns are done.
    """
    walls: dict[str, list[float]] = {name: [] for name in LEVERS}
    processors: dict[str, list[float]] = {name: [] for name in LEVERS}
    painted: dict[str, NDArray[np.uint8]] = {}
    names = list(LEVERS)
    for turn in range(rounds):
        first = turn % len(names)  # nobody is always the first
        for place, name in enumerate(names[first:] + names[:first]):
            painted[name], wall, processor = _in_a_process(name, model, rgb, mix, runs)
            walls[name].append(wall)
            processors[name].append(processor)
            advance(turn * len(names) + place + 1)
    figures = []
    for name in LEVERS:
        ratios = _ratios(walls[DEFAULT], walls[name])
        off = np.abs(painted[name].astype(np.int16) - painted[DEFAULT])
        figures.append(
            LeverFigures(
                name,
                1e3 * statistics.median(walls[name]),
                statistics.median(ratios),
                tuple(ratios),
                statistics.median(_ratios(processors[DEFAULT], processors[name])),
                int(off.max()),
            )
        )
    return figures


def _ratios(default: Sequence[float], own: Sequence[float]) -> list[float]:
    return [d / o for d, o in zip(default, own, strict=True)]


def _in_a_process(*given: Any) -> tuple[NDArray[np.uint8], float, float]:  # noqa: ANN401
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(there, *given), daemon=True)
    process.start()
    there.close()
    try:
        answer: tuple[NDArray[np.uint8], float, float] = here.recv()
    finally:
        here.close()
        process.join()
    return answer


def _serve(connection: Connection, *given: Any) -> None:  # noqa: ANN401
    connection.send(take_turn(*given))
    connection.close()


def take_turn(
    lever: str, model: Path, rgb: NDArray[np.uint8], mix: NDArray[np.float32] | None, runs: int
) -> tuple[NDArray[np.uint8], float, float]:
    """Load a model with a lever and run it; return painting, seconds and processor seconds."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(SILENT)
    if lever == OURS:
        session = create_session(model.read_bytes(), [CPU])
    else:
        options = onnxruntime.SessionOptions()
        LEVERS[lever](options, rgb)
        session = onnxruntime.InferenceSession(model, options, providers=[CPU])
    inputs: dict[str, NDArray[Any]] = {INPUT: rgb[None]}
    if mix is not None:
        inputs[MIX] = mix
    run, painted = _plain_run(session, inputs)
    if lever == BOUND:
        run, painted = _bound_run(session, inputs)
    walls, processors = [], []
    for _ in range(WARM + runs):
        started_at, used = time.perf_counter(), time.process_time()
        run()
        processors.append(time.process_time() - used)
        walls.append(time.perf_counter() - started_at)
    return painted(), statistics.median(walls[WARM:]), statistics.median(processors[WARM:])


Painted = Callable[[], NDArray[np.uint8]]


def _plain_run(
    session: Any,  # noqa: ANN401
    inputs: Mapping[str, NDArray[Any]],
) -> tuple[Callable[[], object], Painted]:
    found: list[NDArray[np.uint8]] = []

    def run() -> None:
        found[:] = session.run([OUTPUT], inputs)

    return run, lambda: found[0][0]


def _bound_run(
    session: Any,  # noqa: ANN401
    inputs: Mapping[str, NDArray[Any]],
) -> tuple[Callable[[], object], Painted]:
    import onnxruntime

    binding = session.io_binding()
    for name, value in inputs.items():
        binding.bind_cpu_input(name, value)
    shape = inputs[INPUT].shape
    painted = onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, np.uint8, "cpu")
    binding.bind_ortvalue_output(OUTPUT, painted)
    return lambda: session.run_with_iobinding(binding), lambda: painted.numpy()[0]

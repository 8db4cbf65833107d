"""The contest of ``nst bench infer``: our way from bytes to bytes beside what everybody does."""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from nst.commands.floors import Rates, Work, measure_rates, work_of
from nst.commands.infer_case import Case, is_there
from nst.commands.operators import OperatorFigures, profile_operators
from nst.commands.peers import PLAIN_INPUT, dtype_of, eager, finish, plain_model, prepare
from nst.contract import INPUT, MIX, OUTPUT
from nst.errors import InferenceError
from nst.ort import create_session
from nst.settings import Provider

OURS, PLAIN, EAGER = "nst", "plain ONNX Runtime", "eager torch"
DIVIDED = "nst, two regions"
WARM = 2
"""Runs of each turn that are not counted."""

Turn = tuple[NDArray[np.uint8], list[float], list[float]]
"""A painting, and the seconds of every run: from bytes to bytes, and of the network alone."""


def measure_cases(
    cases: Sequence[Case],
    *,
    rounds: int,
    runs: int,
    advance: Callable[[int], None] = lambda done: None,
) -> list[dict[str, Any]]:
    """Let all ways paint in turns and return a row for each way of each case.

    In every round each is loaded, warmed up, timed and dropped again, one after the other: the
    threads of two sessions that are loaded together wait in loops and take each other's processors.

    Args:
        cases: What to measure.
        rounds: Turns of each way.
        runs: That are counted in a turn.
        advance: Told how many turns are done.

    Raises:
        InferenceError: A provider cannot be had, or not enough memory.
    """
    for case in cases:
        if case.provider != "cpu":
            _refuse_missing(case)
    plain = [plain_model(case.net.single, case.height, case.width) for case in cases]
    works = [work_of(model.graph) for model in plain]
    ways = [
        _ways(case, model.SerializeToString()) for case, model in zip(cases, plain, strict=True)
    ]
    places = dict.fromkeys((case.device, case.net.precision == "float16") for case in cases)
    places = {place: None for place in places if is_there(place[0])}
    rates = {place: measure_rates(place[0], is_half=place[1]) for place in places}
    turns: list[dict[str, list[Turn]]] = [{name: [] for name in each} for each in ways]
    done = 0
    for _ in range(rounds):
        for each, taken in zip(ways, turns, strict=True):
            for name, take in each.items():
                taken[name].append(take(runs))
                gc.collect()
                done += 1
                advance(done)
    for (device, is_half), before in rates.items():
        rates[device, is_half] = before.best(measure_rates(device, is_half=is_half))
    rows: list[dict[str, Any]] = []
    for case, work, taken in zip(cases, works, turns, strict=True):
        rate = rates.get((case.device, case.net.precision == "float16"))
        rows += _rows(case, work, rate, taken)
    return rows


def _refuse_missing(case: Case) -> None:
    from infer.session import open_session

    open_session(case.net.data, case.provider)


def _ways(case: Case, plain: bytes) -> dict[str, Callable[[int], Turn]]:
    ways: dict[str, Callable[[int], Turn]] = {
        OURS: lambda runs: _ours(case, runs, is_divided=False),
        PLAIN: lambda runs: _plain(case, plain, runs),
    }
    if is_there(case.device):
        ways[EAGER] = lambda runs: _eager(case, runs)
    if case.is_divisible:
        ways[DIVIDED] = lambda runs: _ours(case, runs, is_divided=True)
    return ways


def _ours(case: Case, runs: int, *, is_divided: bool) -> Turn:
    painted, walls = _stylized(case, runs, is_divided=is_divided)
    gc.collect()  # one session at a time
    return painted, walls, _bound(case, case.mix(is_divided=is_divided), runs)


def _stylized(case: Case, runs: int, *, is_divided: bool) -> tuple[NDArray[np.uint8], list[float]]:
    """Paint as ``nst stylize`` does, in one style or in two halves."""
    from infer.stylizer import Stylizer

    rgb = case.picture()
    with tempfile.TemporaryDirectory() as folder:
        regions = []
        if is_divided:
            mask = Path(folder) / "mask.png"
            Image.fromarray(case.mask()).save(mask)
            regions = [(mask, case.net.styles[1])]
        stylizer = Stylizer(
            case.net.data,
            provider=case.provider,
            size=None,
            style=case.net.style,
            regions=regions,
        )
    walls = list(_timed(lambda: stylizer(rgb), runs))
    return stylizer(rgb).rgb, walls


def _bound(case: Case, mix: NDArray[np.float32] | None, runs: int) -> list[float]:
    """Run the network alone, its input and output on the device."""
    import onnxruntime

    rgb = case.picture()
    session = create_session(case.net.data, _chain(case.provider))
    where = case.device.type
    image = onnxruntime.OrtValue.ortvalue_from_numpy(rgb[None], where)
    painted = onnxruntime.OrtValue.ortvalue_from_shape_and_type((1, *rgb.shape), np.uint8, where)
    binding = session.io_binding()
    binding.bind_ortvalue_input(INPUT, image)
    binding.bind_ortvalue_output(OUTPUT, painted)
    if mix is not None:
        binding.bind_cpu_input(MIX, mix)

    def run() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return list(_timed(run, runs))


def _plain(case: Case, model: bytes, runs: int) -> Turn:
    import onnxruntime

    names = [entry if isinstance(entry, str) else entry[0] for entry in _chain(case.provider)]
    session = onnxruntime.InferenceSession(model, providers=names)
    if session.get_providers()[0] != names[0]:
        raise InferenceError(f"--provider {case.provider}: the plain session got another provider")
    is_half = case.net.precision == "float16"

    def network(x: NDArray[np.float32]) -> NDArray[Any]:
        given = x.astype(np.float16) if is_half else x
        painted: NDArray[Any] = session.run(None, {PLAIN_INPUT: given})[0]
        return painted

    return _with_numpy(case.picture(), network, runs)


def _eager(case: Case, runs: int) -> Turn:
    device, dtype = case.device, dtype_of(case.net.single)
    plain = eager(case.net.single, case.height, case.width, device)

    def network(x: NDArray[np.float32]) -> NDArray[Any]:
        painted = plain(torch.from_numpy(x).to(device, dtype))
        return np.asarray(painted.float().cpu().numpy())

    with torch.inference_mode():
        return _with_numpy(case.picture(), network, runs)


def _with_numpy(
    rgb: NDArray[np.uint8], network: Callable[[NDArray[np.float32]], NDArray[Any]], runs: int
) -> Turn:
    walls, alone = [], []
    for _ in range(WARM + runs):
        started_at = time.perf_counter()
        x = prepare(rgb)
        prepared_at = time.perf_counter()
        found = network(x)
        found_at = time.perf_counter()
        painted = finish(found)
        walls.append(time.perf_counter() - started_at)
        alone.append(found_at - prepared_at)
    return painted, walls[WARM:], alone[WARM:]


def operators_of(case: Case) -> list[OperatorFigures]:
    """Return where the time of our file goes."""
    inputs: dict[str, NDArray[Any]] = {INPUT: case.picture()[None]}
    mix = case.mix()
    if mix is not None:
        inputs[MIX] = mix
    return profile_operators(case.net.data, inputs, _chain(case.provider))


def _timed(run: Callable[[], object], runs: int) -> Iterator[float]:
    for number in range(WARM + runs):
        started_at = time.perf_counter()
        run()
        if number >= WARM:
            yield time.perf_counter() - started_at


def _chain(provider: Provider) -> list[str | tuple[str, dict[str, Any]]]:
    import onnxruntime

    from infer import providers

    listed = onnxruntime.get_available_providers()
    return providers.with_options(providers.choose(provider, listed), listed)


def _rows(
    case: Case, work: Work, rates: Rates | None, taken: Mapping[str, Sequence[Turn]]
) -> list[dict[str, Any]]:
    floor = rates and rates.arithmetic_ms(work)
    medians = {name: [statistics.median(t[1]) for t in turns] for name, turns in taken.items()}
    ours = taken[OURS][0][0].astype(np.int16)
    rows = []
    for way, turns in taken.items():
        wall = [1e3 * s for _, walls, _ in turns for s in walls]
        alone = [1e3 * s for *_, alone in turns for s in alone]
        ratios = [p / own for p, own in zip(medians[PLAIN], medians[way], strict=True)]
        rows.append(
            {
                "net": case.net.name,
                "size": f"{case.width}x{case.height}",
                "provider": case.provider,
                "precision": case.net.precision,
                "way": way,
                "runs": len(wall),
                **{f"wall_p{p}_ms": float(np.percentile(wall, p)) for p in (50, 95)},
                **{f"network_p{p}_ms": float(np.percentile(alone, p)) for p in (50, 95)},
                "ratios": ratios,
                "ratio": statistics.median(ratios),
                "flops": work.flops,
                "arithmetic_floor_ms": floor,
                "compiled_floor_ms": rates and rates.compiled_ms(work),
                "floor_share": floor and floor / float(np.percentile(alone, 50)),
                # Two regions are another picture, which nothing here is compared with.
                "grey_levels": None if way == DIVIDED else int(np.abs(turns[0][0] - ours).max()),
            }
        )
    return rows

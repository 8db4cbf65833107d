"""``nst bench infer``: how fast pictures are painted, ours beside what everybody does."""

from __future__ import annotations

import dataclasses
import itertools
import re
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from nst.contract import FilePrecision
from nst.errors import UsageError
from nst.settings import Provider
from nst.terminal import Progress, progress, result, result_json, say

if TYPE_CHECKING:
    from nst.commands.infer_case import Case, Net

NETS = ("johnson:width=32", "swift")
SIZE = "640x360"
LEAST_PX = 8
PROVIDERS = tuple(name for name in get_args(Provider) if name != "auto")
"""Precision of a model."""


def bench_infer(
    nets: Annotated[
        list[str] | None,
        typer.Option(
            "--net",
            help="A network with random weights, as nst train has it; several."
            " Default johnson:width=32 and swift.",
        ),
    ] = None,
    models: Annotated[
        list[Path] | None, typer.Option("--model", help="An exported file; several.")
    ] = None,
    sizes: Annotated[
        list[str] | None, typer.Option("--size", help=f"WxH, px; several. Default {SIZE}.")
    ] = None,
    providers: Annotated[
        list[str] | None,
        typer.Option("--provider", help="Where ONNX Runtime runs; several. Default cpu."),
    ] = None,
    precisions: Annotated[
        list[str] | None,
        typer.Option(
            "--precision",
            help="float32, as exported files have it, or float16 between the norms; several.",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(help="Turns of each way.", min=1)] = 5,
    runs: Annotated[int, typer.Option(help="Of a turn that are counted.", min=1)] = 10,
    levers: Annotated[
        bool,
        typer.Option("--levers", help="Also ONNX Runtime's levers on the CPU, each alone."),
    ] = False,
    operators: Annotated[
        bool, typer.Option("--operators", help="Also where the time goes, operator by operator.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Paintings of ours against plain ONNX Runtime and eager torch, in turns, in one run.

    Ours goes from a uint8 RGB array to one through infer.stylizer; the network alone has its input
    and output bound on the device. The others prepare and finish pictures in numpy, as examples
    do; their network has one style and one size. Two floors stand above each table: the arithmetic
    over the rate of a big matrix product, and with it the maps that a compiled network must write
    and read, over the rate of a big copy. Both rates are measured in the same run.
    """
    pixels = [_size(text) for text in sizes or [SIZE]]
    places = [_one_of("--provider", text, PROVIDERS) for text in providers or ["cpu"]]
    kinds = [
        _one_of("--precision", text, get_args(FilePrecision)) for text in precisions or ["float32"]
    ]
    import onnxruntime

    from infer.providers import choose
    from nst.commands.contest import describe_machine
    from nst.commands.infer_case import Case
    from nst.commands.infer_speed import measure_cases, operators_of

    for provider in places:
        choose(provider, onnxruntime.get_available_providers())
    found = _nets(nets, models, kinds)
    cases = [
        Case(net, height, width, provider)
        for net, (width, height), provider in itertools.product(found, pixels, places)
    ]
    machine = describe_machine(cases[0].torch_device())
    machine["onnxruntime"] = onnxruntime.__version__
    say(
        f"{machine['device']}, {machine['threads']} threads,"
        f" onnxruntime {machine['onnxruntime']}, torch {machine['torch']}"
    )
    turns = rounds * sum(4 if case.is_divisible else 3 for case in cases)
    with progress("benchmark, turns", turns) as bar:
        rows = measure_cases(cases, rounds=rounds, runs=runs, advance=bar.update)
    record: dict[str, Any] = {
        "machine": machine,
        "setting": {"rounds": rounds, "runs": runs, "sizes": sizes or [SIZE]},
        "rows": rows,
    }
    if levers:
        record["levers"] = _levers(cases, rounds, runs)
    if operators:
        record["operators"] = [
            {**_named(case), **dataclasses.asdict(row)}
            for case in cases
            for row in operators_of(case)
        ]
    if json:
        result_json(record)
        return
    _print(record)


def _one_of(flag: str, text: str, known: Sequence[Any]) -> Any:  # noqa: ANN401
    if text not in known:
        raise UsageError(f"{flag} must be one of {', '.join(known)}, got {text}")
    return text


def _size(text: str) -> tuple[int, int]:
    """Return width and height of ``WxH``."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not match or min(map(int, match.groups())) < LEAST_PX:
        raise UsageError(f"--size must be WxH with sides from {LEAST_PX} px, got {text}")
    return int(match[1]), int(match[2])


def _nets(
    nets: Sequence[str] | None,
    models: Sequence[Path] | None,
    precisions: Sequence[FilePrecision],
) -> list[Net]:
    from nst.commands.infer_case import net_of, random_net

    names = nets or (() if models else NETS)
    found = [random_net(name, precision) for name in names for precision in precisions]
    return found + [net_of(path, precision) for path in models or () for precision in precisions]


def _levers(cases: Sequence[Case], rounds: int, runs: int) -> list[dict[str, Any]]:
    from nst.commands.ort_levers import LEVERS, measure_levers

    on_cpu = [case for case in cases if case.provider == "cpu"]
    if not on_cpu:
        raise UsageError("--levers are those of the CPU: give --provider cpu")
    rows: list[dict[str, Any]] = []
    turns = rounds * len(LEVERS)
    with (
        progress("levers, turns", turns * len(on_cpu)) as bar,
        tempfile.TemporaryDirectory() as folder,
    ):
        model = Path(folder) / "model.onnx"
        for number, case in enumerate(on_cpu):
            model.write_bytes(case.net.data)
            figures = measure_levers(
                model,
                case.picture(),
                case.mix(),
                rounds=rounds,
                runs=runs,
                advance=partial(_advance, bar, number * turns),
            )
            rows += [{**_named(case), **dataclasses.asdict(row)} for row in figures]
    return rows


def _advance(bar: Progress, before: int, done: int) -> None:
    bar.update(before + done)


def _named(case: Case) -> dict[str, str]:
    return {
        "net": case.net.name,
        "size": f"{case.width}x{case.height}",
        "provider": case.provider,
        "precision": case.net.precision,
    }


def _title(row: Mapping[str, Any]) -> str:
    return f"{row['net']}, {row['size']}, {row['provider']}, {row['precision']}"


def _print(record: Mapping[str, Any]) -> None:
    for title, group in itertools.groupby(record["rows"], _title):
        rows = list(group)
        _print_floors(title, rows[0])
        result("                     from bytes to bytes            the network alone")
        result(
            "                      p50 ms    p95 ms     1/s    p50 ms    p95 ms   of floor   ratio"
        )
        for row in rows:
            share = row["floor_share"]
            result(
                f"{row['way']:<18}{row['wall_p50_ms']:10.2f}{row['wall_p95_ms']:10.2f}"
                f"{1e3 / row['wall_p50_ms']:8.1f}{row['network_p50_ms']:10.2f}"
                f"{row['network_p95_ms']:10.2f}{'' if share is None else f'{share:.0%}':>11}"
                f"{row['ratio']:7.2f}x"
            )
    for title, group in itertools.groupby(record.get("levers", ()), _title):
        result(f"{title}: levers of ONNX Runtime, each alone")
        result(
            "                                    ms   time   least to most  processor  grey levels"
        )
        for row in group:
            low, high = min(row["ratios"]), max(row["ratios"])
            result(
                f"{row['lever']:<30}{row['ms']:8.2f}{row['ratio']:6.2f}x  {low:5.2f} to {high:4.2f}"
                f"{row['processor_ratio']:10.2f}x{row['grey_levels']:13d}"
            )
    for title, group in itertools.groupby(record.get("operators", ()), _title):
        result(f"{title}: operators")
        for row in group:
            result(
                f"{row['operator']:<24}{row['on']:<10}{row['nodes']:4d} nodes"
                f"{row['ms']:10.3f} ms {row['share']:6.1%}"
            )


def _print_floors(title: str, row: Mapping[str, Any]) -> None:
    line = f"{title}: {row['flops'] / 1e9:.2f} GFLOP"
    if row["arithmetic_floor_ms"] is None:
        result(f"{line}; floors are not measured, torch has no such device here")
        return
    result(
        f"{line}; floors {row['arithmetic_floor_ms']:.2f} ms of arithmetic,"
        f" {row['compiled_floor_ms']:.2f} ms with memory; medians of {row['runs']} runs;"
        " ratio: speed over plain ONNX Runtime"
    )

"""``nst bench norm``: ways to compute the instance norms of a training step."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from nst.settings import Precision
from nst.terminal import result, result_json, say


def bench_norm(
    size: Annotated[int, typer.Option(help="Side of the crops, px.", min=64)] = 256,
    batch: Annotated[int, typer.Option(help="Photographs in a step.", min=1)] = 4,
    width: Annotated[int, typer.Option(help="Channels of the first convolution.")] = 16,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda ...")] = "auto",
    precision: Annotated[Precision, typer.Option(help="Dtype of the maps.")] = "auto",
    compile: Annotated[
        bool | None,
        typer.Option(help="Compiled ways too; by default on CUDA, a CPU takes a minute."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Ways to compute the instance norms of a training step, forward and backward.

    Errors are lengths of differences from F.instance_norm in float64, as shares; in bfloat16 the
    rounding of the result alone is 0.002.
    """
    from nst.commands.contest import describe_machine
    from nst.commands.norms import measure_norms
    from nst.runtime import choose_device, choose_precision, precision_name, tune
    from train.config import TrainConfig

    TrainConfig(net="johnson", width=width, size=size, batch=batch)  # refuses what cannot be
    where = choose_device(device)
    dtype = choose_precision(precision, where)
    tune(where, dtype)  # as a training does
    compiles = where.type == "cuda" if compile is None else compile
    machine = describe_machine(where)
    figures = measure_norms(
        size=size, batch=batch, width=width, device=where, dtype=dtype, compiles=compiles
    )
    if json:
        setting = {"size": size, "batch": batch, "width": width, "precision": precision_name(dtype)}
        rows = [dataclasses.asdict(row) for row in figures]
        result_json({"machine": machine, "setting": setting, "rows": rows})
        return
    say(f"{machine['device']}, {machine['threads']} threads, torch {machine['torch']}")
    result(f"all norms of a step: {size} px, batch {batch}, width {width}, {precision_name(dtype)}")
    result("                                      ms  output error  gradient error  channels_last")
    for row in sorted(figures, key=lambda row: row.seconds):
        kept = "kept" if row.keeps_channels_last else "lost"
        result(
            f"{row.way:<32}{row.seconds * 1e3:8.2f}{row.output_error:14.1e}"
            f"{row.gradient_error:16.1e}{kept:>15}"
        )

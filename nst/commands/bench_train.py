"""``nst bench train``: training steps of ours against the plain loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from nst.errors import UsageError
from nst.settings import Precision
from nst.terminal import progress, result, result_json, say


def bench_train(
    size: Annotated[int, typer.Option(help="Side of the crops, px.", min=64)] = 256,
    batch: Annotated[
        list[int] | None,
        typer.Option(help="Photographs in a step; give it several times. Default 4."),
    ] = None,
    width: Annotated[int, typer.Option(help="Channels of the first convolution.")] = 16,
    steps: Annotated[int, typer.Option(help="Steps of each that are counted.", min=1)] = 5,
    preset: Annotated[str, typer.Option(help="pyramid or gatys.")] = "pyramid",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda ...")] = "auto",
    graphs: Annotated[
        bool, typer.Option("--graphs", help="Our step with CUDA graphs too.")
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Show where the time of our step goes, by kernel.")
    ] = False,
    views: Annotated[
        int | None,
        typer.Option(
            help="Also train on so many photographs, data path included, at the last --batch:"
            " 160000 are two epochs of MS-COCO 2014.",
            min=1,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Training steps of ours against the plain loop, in turns, in one run.

    The plain loop is written as in the PyTorch examples: float32, nn.InstanceNorm2d, VGG to the
    deepest layer of the preset on both pictures at every scale, .item() in every step. All have the
    same layers, Gram matrices, network width and pictures, each in a process of its own. VGG has
    random weights: time does not depend on them. Behind each time stand the rate of arithmetic and
    its share of what a big matrix product reaches on this device in the same precision.
    """
    from nst.commands.contest import (
        GRAPHS,
        PLAIN,
        Setting,
        describe_machine,
        matrix_rate,
        measure_views,
        profile_step,
        run_round,
    )
    from nst.commands.feed_rates import feed_rates
    from nst.presets import find_preset
    from nst.runtime import choose_device, choose_precision, precision_name
    from train.config import TrainConfig

    find_preset(preset)
    batches = batch or [4]
    for count in batches:
        TrainConfig(net="johnson", width=width, size=size, batch=count)  # refuses what cannot be
    where = choose_device(device)
    fast = precision_name(choose_precision("auto", where))
    sides: list[tuple[str, Precision]] = [(PLAIN, "float32"), ("nst", "float32")]
    sides += [("nst", fast)] if fast != "float32" else []
    if graphs:
        if where.type != "cuda":
            raise UsageError(f"--graphs needs CUDA, this is {where.type}")
        sides.append((GRAPHS, fast))
    machine = describe_machine(where)
    say(f"{machine['device']}, {machine['threads']} threads, torch {machine['torch']}")
    setting = Setting(size=size, batch=batches[0], width=width, preset=preset, device=str(where))
    peak = {precision: matrix_rate(where, precision) for _, precision in sides[1:]}
    rows: list[dict[str, Any]] = []
    with progress("benchmark, step", len(batches) * len(sides) * (steps + 1)) as bar:
        for count in batches:
            bar.update(len(rows) * (steps + 1))
            rows += run_round(sides, dataclasses.replace(setting, batch=count), steps)
    for row in rows:
        row["peak_share"] = row["flops_per_s"] / peak[row["precision"]]
    rates = feed_rates(size=size, batch=batches[0], device=where)
    ours = dataclasses.replace(setting, precision=fast)
    views_s = views and measure_views(dataclasses.replace(ours, batch=batches[-1]), views)
    if json:
        what = {"size": size, "width": width, "preset": preset, "steps": steps}
        figures = {"matrix_flops_per_s": peak, "rows": rows, "photographs_per_s": rates}
        if views_s:
            figures["training"] = {"views": views, "batch": batches[-1], "seconds": views_s}
        result_json({"machine": machine, "setting": what, **figures})
        return
    result(f"{size} px, width {width}, preset {preset}; medians of {steps} steps")
    _print_table(rows)
    for name, rate in rates.items():
        result(f"photographs {name}: {rate:,.0f} images/s")
    if views and views_s:
        result(
            f"trained on {views:,} photographs, batch {batches[-1]}, {fast}: {views_s:.1f} s,"
            f" {views / views_s:,.2f} images/s"
        )
    if profile:
        result(profile_step(ours))


def _print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    result(
        "                       batch  s/step  (least to most)  images/s  TFLOP/s  of matrix rate"
    )
    for row in rows:
        low, high = min(row["seconds"]), max(row["seconds"])
        result(
            f"{row['side']:<12}{row['precision']:<10}{row['batch']:6d}{row['median_s']:8.3f}"
            f"  ({low:.3f} to {high:.3f})  {row['images_per_s']:8.2f}"
            f"  {row['flops_per_s'] / 1e12:7.3f}  {row['peak_share']:14.0%}"
        )
    for row in rows:
        if row["side"].startswith("nst"):
            low, high = min(row["ratios"]), max(row["ratios"])
            result(
                f"{row['side']} {row['precision']}, batch {row['batch']}: {row['ratio']:.2f}x the"
                f" plain loop (pair by pair: {low:.2f} to {high:.2f})"
            )

"""``nst bench loss``: the compact loss network against VGG-19."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from nst.settings import Precision
from nst.terminal import result, result_json, say


def bench_loss(
    size: Annotated[int, typer.Option(help="Side of the crops, px.", min=64)] = 256,
    batch: Annotated[int, typer.Option(help="Photographs in a step.", min=1)] = 4,
    width: Annotated[int, typer.Option(help="Channels of the first convolution.")] = 16,
    repetitions: Annotated[int, typer.Option(help="Of each that are counted.", min=1)] = 7,
    vgg: Annotated[
        list[str] | None, typer.Option("--vgg", help="More loss networks, from files.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda ...")] = "auto",
    precision: Annotated[Precision, typer.Option(help="Dtype of the convolutions.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """The compact loss network against VGG-19: the objective alone, and a whole step of training.

    Preset pyramid; the objective is the photographs' target, forward, and backward to the pictures.
    VGG-19 has random weights and padding with zeros: time does not depend on weights, and
    reflection would take longer.
    """
    from nst.commands.contest import Setting, describe_machine
    from nst.commands.loss_speed import measure_losses
    from nst.commands.plain_loop import random_vgg
    from nst.loss_network import find_loss_network
    from nst.runtime import choose_device, choose_precision, precision_name
    from nst.weights import find_weights
    from train.config import TrainConfig

    TrainConfig(net="johnson", width=width, size=size, batch=batch)  # refuses what cannot be
    where = choose_device(device)
    name = precision_name(choose_precision(precision, where))
    setting = Setting(
        size=size, batch=batch, width=width, preset="pyramid", device=str(where), precision=name
    )
    networks = {"VGG-19": random_vgg(), "compact": find_loss_network("compact")}
    networks |= {Path(file).name: find_weights(file) for file in vgg or []}
    machine = describe_machine(where)
    figures = measure_losses(networks, setting, repetitions)
    if json:
        rows = [dataclasses.asdict(row) for row in figures]
        what = {"size": size, "batch": batch, "width": width, "precision": name}
        result_json({"machine": machine, "setting": what, "rows": rows})
        return
    say(f"{machine['device']}, {machine['threads']} threads, torch {machine['torch']}")
    result(f"{size} px, batch {batch}, width {width}, {name}; medians of {repetitions}")
    result("                     loss, ms          whole step, ms")
    first = figures[0]
    for row in figures:
        result(
            f"{row.network:<18}{row.loss_s * 1e3:10.1f} {first.loss_s / row.loss_s:6.2f}x"
            f"{row.step_s * 1e3:17.1f} {first.step_s / row.step_s:6.2f}x"
        )

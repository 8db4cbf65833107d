"""``nst bench optimize``: the slow method against plain L-BFGS."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nst.errors import UsageError
from nst.settings import LossNetwork
from nst.terminal import progress, result, result_json, say

if TYPE_CHECKING:
    from nst.optimize import OptimizeRecord


def bench_optimize(
    pairs: Annotated[
        list[Path],
        typer.Argument(metavar="PHOTO STYLE...", help="Photographs and style images, in turns."),
    ],
    size: Annotated[int, typer.Option(help="Long side of the paintings, px.", min=32)] = 512,
    evaluations: Annotated[
        int, typer.Option(help="Of plain L-BFGS; ours has half as many more.", min=2)
    ] = 200,
    loss_network: Annotated[
        LossNetwork, typer.Option("--loss-network", help="What measures content and style.")
    ] = "vgg19",
    vgg: Annotated[str | None, typer.Option(help="VGG-19 weights.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda ...")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """The slow method: how soon nst optimize has what plain L-BFGS reaches.

    Plain is one size, float32, from the photograph, no preconditioning; ours is the default of nst
    optimize. Same objective, one after the other, in one run. Give three pairs or more.
    """
    from nst.commands.contest import describe_machine
    from nst.commands.slow_speed import MORE, measure_pair, ratio
    from nst.config import OptimizeConfig
    from nst.loss_network import find_loss_network
    from nst.runtime import choose_device

    if len(pairs) % 2:
        raise UsageError(f"a style image for each photograph; {len(pairs)} files were given")
    weights = find_loss_network(loss_network, vgg, announce=say, bars=progress)
    config = OptimizeConfig(size=size, evaluations=evaluations, device=device)
    found = []
    for photo, style in zip(pairs[::2], pairs[1::2], strict=True):
        most = evaluations + int(MORE * evaluations)
        with progress(f"{photo.name}, {style.name}, evaluations", most) as bar:

            def advance(side: str, record: OptimizeRecord) -> None:
                done = record.evaluations + (evaluations if side == "nst" else 0)
                bar.update(done, f"{side}  J {record.total:.4f}")

            found.append(measure_pair(photo, style, weights, config, advance=advance))
    mean = ratio(found)
    if json:
        machine = describe_machine(choose_device(device))
        rows = [dataclasses.asdict(pair) for pair in found]
        result_json({"machine": machine, "evaluations": evaluations, "pairs": rows, "ratio": mean})
        return
    result(f"J of {evaluations} evaluations of plain L-BFGS at {size} px, {loss_network}")
    result("     plain         J       nst  evaluations   share")
    for pair in found:
        own = "   never" if pair.own_s is None else f"{pair.own_s:6.1f} s"
        share = "" if pair.own_s is None else f"{pair.own_s / pair.plain_s:8.0%}"
        result(
            f"{pair.plain_s:8.1f} s{pair.total:10.4f}  {own}{pair.own_evaluations:13d}{share}"
            f"  {pair.photograph} {pair.style}"
        )
    if mean is not None:
        result(f"share of the time, geometric mean: {mean:.0%}")

"""``nst bench nets``: networks against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nst.errors import UsageError
from nst.settings import LossNetwork
from nst.terminal import result, result_json


def bench_nets(
    styles: Annotated[list[Path], typer.Argument(help="Style images.")],
    data: Annotated[list[str], typer.Option("--data", help="Photographs, as nst train has them.")],
    photos: Annotated[Path, typer.Option(help="A folder of photographs that judge, in no --data.")],
    nets: Annotated[
        list[str] | None,
        typer.Option("--net", help="A network, as nst train has it; several; default all tried."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Of the first style's trainings, others have their steps; 5.", min=0.05),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Steps of each training, in place of a time.", min=1)
    ] = None,
    loss_network: Annotated[
        LossNetwork, typer.Option("--loss-network", help="What trains; VGG-19 judges always.")
    ] = "compact",
    vgg: Annotated[str | None, typer.Option(help="VGG-19 weights.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda ...")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of every training.", min=0)] = 0,
    out: Annotated[Path, typer.Option(help="Folder of runs, results and plot.")] = Path(
        "runs/nets"
    ),
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Networks against each other: trained for equal time, judged by the protocol, timed.

    Every network learns every style from random weights with the same seed and photographs. Times
    are of plain ONNX Runtime on the CPU at 640x360. OUT/nets.json holds what is done: the same
    command goes on after it was broken off, and more networks and styles may join. OUT/nets.svg
    shows J against time, and the lattice.
    """
    from nst.commands.contest import describe_machine
    from nst.commands.net_search import CANDIDATES, Plan, Search, rows_of
    from nst.commands.subject import named_photographs
    from nst.files import atomic_write
    from nst.net_plot import net_plot

    if minutes is not None and steps is not None:
        raise UsageError("--minutes and --steps exclude each other")
    plan = Plan(
        styles=styles,
        data=data,
        photographs=named_photographs(photos),
        folder=out,
        minutes=(minutes or 5.0) if steps is None else None,
        steps=steps,
        loss_network=loss_network,
        vgg=vgg,
        device=device,
        seed=seed,
    )
    search = Search(nets or CANDIDATES, plan)
    search.run()
    rows = rows_of(search.nets, search.outcomes, search.time())
    length = f"{steps} steps" if steps else f"{plan.minutes:g} minutes"
    names = ", ".join(style.stem for style in styles)
    with atomic_write(out / "nets.svg") as file:
        file.write(net_plot(rows, loss=f"J after {length}: {names}").encode())
    if json:
        machine = describe_machine(search.device)
        setting = {**search.setting, "styles": search.styles}
        result_json({"machine": machine, "setting": setting, "rows": rows})
        return
    result(f"J after {length} by {loss_network}, {names}; ms at 640x360, ONNX Runtime, CPU")
    result("      ms  parameters  minutes  images/s      J    grid  warping  network")
    for row in rows:
        grid = "" if row["grid"] is None else f"{row['grid']:.2f}"
        result(
            f"{row['ms']:8.1f}{row['parameters']:12,d}{row['minutes']:9.2f}{row['images_per_s']:10.2f}"
            f"{row['mean_total']:7.3f}{grid:>8}{row['warping']:9.2f}  {row['net']}  "
            + " ".join(f"{total:.3f}" for total in row["total"].values())
        )
    result(str(out / "nets.svg"))

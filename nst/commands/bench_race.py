"""``nst bench race``: equal time for nst train and for the plain loop."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from nst.terminal import result, result_json


def bench_race(
    style: Annotated[Path, typer.Argument(help="The style image.")],
    data: Annotated[list[str], typer.Option("--data", help="Photographs, as nst train has them.")],
    photos: Annotated[Path, typer.Option(help="A folder of photographs that judge, in no --data.")],
    minutes: Annotated[float, typer.Option(help="Time of each side.", min=0.05)] = 20.0,
    width: Annotated[int, typer.Option(help="Channels of the first convolution.")] = 16,
    size: Annotated[int, typer.Option(help="Side of the crops, px.", min=64)] = 256,
    vgg: Annotated[str | None, typer.Option(help="VGG-19 weights.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda ...")] = "auto",
    out: Annotated[Path, typer.Option(help="Folder of runs and strips.")] = Path("runs/race"),
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Equal time for nst train and for the plain loop; both networks are judged.

    The plain loop computes our objective with our network as the PyTorch examples do: float32,
    batch 4, Adam with a learning rate of 1e-3 throughout. Ours runs with its defaults; its time
    counts planning, log, previews and checkpoints. Decoding comes before either. J, S and C are
    those of nst evaluate; strips of four of the photographs that judge are written.
    """
    from nst.commands.race import Racers
    from nst.errors import DataError
    from nst.image import find_images

    files = find_images(photos)
    if not files:
        raise DataError(f"--photos {photos}: no photographs in it")
    racers = Racers(
        style, data, files, out, minutes=minutes, width=width, size=size, vgg=vgg, device=device
    )
    finishes = [racers.run_plain(), racers.run_ours()]  # the plain loop first: ours tunes malloc
    if json:
        what = {"style": str(style), "minutes": minutes, "width": width, "photos": len(files)}
        rows = [dataclasses.asdict(finish) for finish in finishes]
        result_json({"machine": racers.machine, "setting": what, "rows": rows})
        return
    for finish in finishes:
        score = finish.score
        result(
            f"{finish.side:<12}{finish.seconds / 60:6.2f} min {finish.photographs:8,d} photographs"
            f"  J {score.total:.3f}  S {score.style:.4f}  C {score.content:.3f}"
        )

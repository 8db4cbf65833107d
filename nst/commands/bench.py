"""``nst bench``: speed, measured here and now, ours beside what others do."""

from __future__ import annotations

import statistics
from contextlib import ExitStack, closing
from typing import Annotated

import typer

from nst.errors import UsageError
from nst.terminal import progress, result, result_json, say

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure speed on this machine, ours beside what others do."""


@app.command("train")
def bench_train(
    size: Annotated[int, typer.Option(help="Side of the crops, px.", min=64)] = 256,
    batch: Annotated[int, typer.Option(help="Photographs in a step.", min=1)] = 4,
    width: Annotated[int, typer.Option(help="Channels of the first convolution.")] = 16,
    steps: Annotated[int, typer.Option(help="Steps of each that are counted.", min=1)] = 5,
    preset: Annotated[str, typer.Option(help="pyramid or gatys.")] = "pyramid",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda ...")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """One training step of ours against the plain loop, in turns, in one run.

    The plain loop is written as in the PyTorch examples: float32, nn.InstanceNorm2d, VGG to the
    deepest layer of the preset on both pictures at every scale, .item() in every step. Both have
    the same layers, Gram matrices, network width and pictures, each in a process of its own. VGG
    has random weights: time does not depend on them.
    """
    from nst.commands.bench_train import SIDES, Contestant, Setting
    from nst.presets import find_preset
    from nst.runtime import choose_device, choose_precision, describe
    from train.config import WIDTHS

    if width not in WIDTHS:
        raise UsageError(f"--width must be one of {WIDTHS}, got {width}")
    find_preset(preset)
    where = choose_device(device)
    task = Setting(size=size, batch=batch, width=width, preset=preset, device=str(where))
    seconds: dict[str, list[float]] = {name: [] for name in SIDES}
    with ExitStack() as stack, progress("benchmark, step", 2 * (steps + 1)) as bar:
        sides = {name: stack.enter_context(closing(Contestant(name, task))) for name in SIDES}
        for step in range(steps + 1):
            for name, side in sides.items():
                seconds[name].append(side.step())
                bar.update(2 * step + 1 + (name == "nst"), f"{name} {seconds[name][-1]:.2f} s")
    counted = {name: times[1:] for name, times in seconds.items()}  # the first one warms up
    ratios = [a / b for a, b in zip(counted["plain loop"], counted["nst"], strict=True)]
    ratio = statistics.median(ratios)
    setting = f"batch {batch}, {size} px, width {width}, preset {preset}"
    say(f"{describe(where, choose_precision('auto', where))}; {setting}; medians of {steps} steps")
    if json:
        result_json({"seconds": counted, "ratio": ratio, "setting": setting})
        return
    for name, times in counted.items():
        middle = statistics.median(times)
        result(
            f"{name:<12}{middle:8.3f} s a step  {batch / middle:7.2f} images/s"
            f"  ({min(times):.3f} to {max(times):.3f})"
        )
    result(f"nst is {ratio:.2f}x faster (pair by pair: {min(ratios):.2f} to {max(ratios):.2f})")

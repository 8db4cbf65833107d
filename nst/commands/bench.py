"""``nst bench``: speed, measured here and now, ours beside what others do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nst.errors import UsageError
from nst.settings import LossNetwork, Precision
from nst.terminal import progress, result, result_json, say

if TYPE_CHECKING:
    from nst.optimize import OptimizeRecord

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure speed on this machine, ours beside what others do."""


@app.command("train")
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


@app.command("norm")
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


@app.command("loss")
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


@app.command("race")
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


@app.command("nets")
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


@app.command("optimize")
def bench_optimize(
    pairs: Annotated[
        list[Path],
        typer.Argument(metavar="PHOTO STYLE...", help="Photographs and style images, in turns."),
    ],
    size: Annotated[int, typer.Option(help="Long side of the paintings, px.", min=32)] = 512,
    evaluations: Annotated[
        int, typer.Option(help="Of plain L-BFGS; ours has as many at most.", min=2)
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
    from nst.commands.slow_speed import measure_pair, ratio
    from nst.config import OptimizeConfig
    from nst.loss_network import find_loss_network
    from nst.runtime import choose_device

    if len(pairs) % 2:
        raise UsageError(f"a style image for each photograph; {len(pairs)} files were given")
    weights = find_loss_network(loss_network, vgg, announce=say, bars=progress)
    config = OptimizeConfig(size=size, evaluations=evaluations, device=device)
    found = []
    for photo, style in zip(pairs[::2], pairs[1::2], strict=True):
        with progress(f"{photo.name}, {style.name}, evaluations", 2 * evaluations) as bar:

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

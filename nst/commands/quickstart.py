"""``nst quickstart``: from nothing to paintings in a few minutes, with nothing to download."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nst.files import expanded
from nst.terminal import format_duration, progress, result, result_json, say

if TYPE_CHECKING:
    from nst.image import Picture
    from nst.judge import Score

app = typer.Typer(add_completion=False)

DATA = ("synthetic:400",)
"""What the network learns on: procedural pictures, which need no download."""
NET = "swift"
"""Which network: the one that is learnt and painted with soonest."""
JUDGED = 2
"""Photographs that judge, the first ones."""
JUDGED_PX = 192
"""Long side at which they do, half of the protocol's."""
JUDGED_STYLE_PX = 256
"""Long side of the style image against which they do."""
EVALUATIONS = 50
"""Of the slow method, with which the model is compared."""
SHOWN_PX = 256
"""Side of a photograph in a preview."""


def settings_of(minutes: float, seed: int) -> dict[str, Any]:
    """Return settings of ``train``: what is quick, and nothing that has to be downloaded."""
    return {
        "net": NET,
        "minutes": minutes,
        "seed": seed,
        "checkpoint_every": 100,
        "loss_network": "compact",
    }


@app.command()
def quickstart(
    style: Annotated[
        Path | None, typer.Argument(help="The style image; an embedded painting if not given.")
    ] = None,
    photos: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PHOTO]...", help="Photographs to paint; three embedded ones if not given."
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Where a folder <style>-<n> is made, with everything in it."
        ),
    ] = Path("quickstart"),
    minutes: Annotated[
        float, typer.Option("--minutes", help="Time of the training alone.", min=0.05)
    ] = 1.8,
    seed: Annotated[int, typer.Option("--seed", help="Seed of every draw.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Train a small network for a style, paint photographs with it, and say how to go on.

    Needs no GPU, no network and no files: style, photographs and what measures them are embedded.
    Ctrl-C saves; nst train --resume goes on.
    """
    from nst.image import load_image
    from nst.samples import STYLE, photographs

    started_at = time.perf_counter()
    style, files = style or STYLE, expanded(photos or photographs())
    _, *pictures = [load_image(file) for file in (style, *files)]  # refused before anything is said
    say(
        f"a network learns to paint as {style.name} is painted, for about"
        f" {format_duration(60 * minutes)}; then it paints {', '.join(f.name for f in files)}"
    )
    folder = _train(style, pictures, output, settings_of(minutes, seed))
    model = _exported(folder)
    paintings = _painted(model, files, pictures, folder)
    score, card = judged(style, model, named(files))
    ways = ways_on(style, files, model, folder)
    seconds = time.perf_counter() - started_at
    if as_json:
        values = {"run": str(folder), "model": str(model), "paintings": [str(p) for p in paintings]}
        figures = {"card": str(card), "score": asdict(score), "seconds": round(seconds, 1)}
        result_json(values | figures | {"next": list(ways.values())})
        return
    for path in (*paintings, model, card):
        result(str(path))
    say(f"done in {format_duration(seconds)}; the paintings are in {folder}. How to go on:")
    for why, command in ways.items():
        say(f"  {why}\n    {command}")


def ways_on(style: Path, files: Sequence[Path], model: Path, folder: Path) -> dict[str, str]:
    """Return the commands that come next, each under what it is good for."""
    commands = {
        "an hour with real VGG-19 on MS-COCO (downloads 2.5 GB), or --data YOUR-FOLDER:": (
            *("train", style, "--data", "coco", "--shards", "4"),
            *("--net", NET, "--init", folder, "--minutes", "60"),
        ),
        "a folder of pictures, or a film:": ("stylize", model, files[0].parent, "-o", "painted/"),
        "the webcam, live:": ("webcam", model),
    }
    join = subprocess.list2cmdline if sys.platform == "win32" else shlex.join
    return {why: join(["nst", *map(str, words)]) for why, words in commands.items()}


def named(files: Sequence[Path]) -> dict[str, Path]:
    """Return photographs by their names on the card, where no two are alike."""
    names = [file.name for file in files]
    return {
        name if names.count(name) == 1 else f"{number}-{name}": file
        for number, (name, file) in enumerate(zip(names, files, strict=True), start=1)
    }


def _train(
    style: Path, pictures: Sequence[Picture], output: Path, settings: Mapping[str, Any]
) -> Path:
    """Train to the end and return the run folder.

    Previews show the photographs of the user, and the first one is told.

    Raises:
        Stopped: Ctrl-C or SIGTERM came; all is saved.
        OutputError: Nothing can be written there, or the disk is full; the last checkpoint stays.
    """
    from nst.files import check_writable
    from train.cli import run_session
    from train.config import TrainConfig
    from train.preview import fill_frame
    from train.reading import Reading
    from train.run import style_name_of
    from train.setup import new_session

    check_writable(output / style_name_of(style))  # before anything takes time
    session = new_session(
        [style],
        DATA,
        TrainConfig(**settings),
        runs=output,
        reading=Reading(announce=say, progress=progress),
        shown=[fill_frame(picture.rgb, SHOWN_PX, SHOWN_PX) for picture in pictures],
    )
    run, is_told = session.run, False

    def tell(step: int) -> None:
        nonlocal is_told
        if not is_told:
            early = max(s for s in range(step + 1) if run.preview_file(s).is_file())
            say(f"a first look, after {early} steps: {run.preview_file(early)}")
            is_told = True

    run_session(session, tell)
    return run.folder


def _exported(folder: Path) -> Path:
    from export.cli import export_checkpoint

    path, _ = export_checkpoint(folder, None, overwrite=False)
    return path


def _painted(
    model: Path, files: Sequence[Path], pictures: Sequence[Picture], folder: Path
) -> list[Path]:
    """Paint the photographs into the run folder: painted-astronaut.jpg ..."""
    from infer.stylizer import Stylizer
    from nst.image import save_image

    paint = Stylizer(model)
    say(f"painting; {paint.session.describe_provider()}")
    paintings: list[Path] = []
    for number, (file, picture) in enumerate(zip(files, pictures, strict=True), start=1):
        painted = paint(picture, name=str(file))
        for note in painted.notes:
            say(f"{file}: {note}")
        suffix = ".jpg" if painted.alpha is None else ".png"
        target = folder / f"painted-{file.stem}{suffix}"
        if target in paintings:  # two folders hold a photograph of this name
            target = folder / f"painted-{number}-{file.stem}{suffix}"
        save_image(target, painted.rgb, painted.alpha)
        paintings.append(target)
    return paintings


def judged(style: Path, model: Path, photographs: Mapping[str, Path]) -> tuple[Score, Path]:
    """Judge the model on the first photographs, small, by the compact network; write its card.

    Returns:
        The mean score, and the page.
    """
    import torch

    from nst.appraisal import Yardstick
    from nst.card import headline, write_card
    from nst.commands.subject import open_subject
    from nst.commands.verdict import judge_subject, sources
    from nst.config import JudgingConfig
    from nst.loss_network import find_loss_network
    from nst.losses import PerceptualLoss
    from nst.runtime import choose_device, describe
    from nst.tensors import load_style, to_uint8

    device = choose_device()
    image, _ = load_style(style, JUDGED_STYLE_PX)
    yardstick = Yardstick(
        PerceptualLoss(find_loss_network("compact"), image.to(device)), to_uint8(image)[0]
    )
    few = dict(list(photographs.items())[:JUDGED])
    settings = JudgingConfig(
        photo_size=JUDGED_PX,
        style_size=JUDGED_STYLE_PX,
        slow_photos=len(few),
        evaluations=EVALUATIONS,
    )
    verdict = judge_subject(
        open_subject(model, few, provider="auto", style=style),
        few,
        yardstick,
        settings,
        announce=lambda line: None,  # it is said below, once
        bars=progress,
    )
    computed = describe(device, torch.float32)
    values = sources(style, yardstick, settings, device=computed) | verdict.values
    write_card(model.parent, values, verdict.pictures)
    say(
        f"{verdict.line}; {headline(values)}. A first impression: by the compact network on"
        f" {len(few)} photographs at {JUDGED_PX} px; nst evaluate judges by the protocol"
    )
    return verdict.mean, model.parent / "card.html"

"""``nst evaluate``: judge a model, or a folder of paintings, by the measuring protocol."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from nst.config import JudgingConfig, ObjectiveConfig
from nst.settings import LossNetwork, Provider, with_settings
from nst.terminal import progress, result, result_json, say

app = typer.Typer(add_completion=False)

SLOW_PHOTOS = {"cpu": 1}
"""Photographs compared with the slow method unless told otherwise, by device."""
SLOW_PHOTOS_ELSEWHERE = 16


@app.command()
@with_settings(JudgingConfig)
def evaluate(
    settings: JudgingConfig,
    model: Annotated[
        str,
        typer.Argument(
            help="An exported ONNX file, a run folder, a name of `nst models list`, or a folder of"
            " paintings."
        ),
    ],
    style: Annotated[Path, typer.Option("--style", help="The style image it was trained for.")],
    photos: Annotated[
        Path | None,
        typer.Option(
            "--photos", help="A folder of photographs it has not seen; else three embedded ones."
        ),
    ] = None,
    mix: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="STYLE",
            help="Of a model of several styles which is judged; else the one that was trained with"
            " the --style image.",
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", help="A second model or folder, for the blind comparison."),
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(
            "--card",
            help="Folder of card.json and card.html; else the run folder that the model lies in,"
            " else MODEL-card beside it.",
        ),
    ] = None,
    loss_network: Annotated[
        LossNetwork,
        typer.Option("--loss-network", help="What judges: vgg19, or the embedded compact network."),
    ] = "vgg19",
    vgg: Annotated[str | None, typer.Option("--vgg", help="VGG-19 weights.")] = None,
    provider: Annotated[Provider, typer.Option("--provider", help="Where it runs.")] = "auto",
    device: Annotated[
        str, typer.Option("--device", help="Where it is judged: auto, cpu, cuda, cuda:1 or mps.")
    ] = "auto",
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Print J, S and C on photographs it has not seen, how near the slow method it comes, and more.

    Photographs are judged at a long side of 384 px and against the style image at 512 px, both cut
    to multiples of 8, after rounding to uint8. Figures made with other VGG-19 weights are not
    comparable; the first line says which were used. Paintings in a folder have the names of their
    photographs. docs/judging.md says what each figure means.
    """
    import torch

    from nst.appraisal import Yardstick
    from nst.cache_folder import cache_folder
    from nst.card import rows, write_card
    from nst.commands.subject import named_photographs, open_subject
    from nst.commands.verdict import judge_subject, sources
    from nst.files import check_writable
    from nst.loss_network import find_loss_network
    from nst.losses import PerceptualLoss
    from nst.registry import chosen
    from nst.runtime import choose_device, describe
    from nst.tensors import load_style, to_uint8

    photographs = named_photographs(photos)
    if photos is None:
        say(f"no --photos: judged on the embedded ones, {', '.join(photographs)}")
    where = choose_device(device)
    if settings.slow_photos is None:
        count = SLOW_PHOTOS.get(where.type, SLOW_PHOTOS_ELSEWHERE)
        settings = replace(settings, slow_photos=count)
    place = chosen(model, say)
    folder = card or default_folder(place)
    image, style_picture = load_style(style, settings.style_size)
    weights = find_loss_network(loss_network, vgg, announce=say, bars=progress)
    criterion = PerceptualLoss.from_config(weights, image.to(where), ObjectiveConfig(vgg=vgg))
    yardstick = Yardstick(criterion, to_uint8(image)[0])
    opened = partial(
        open_subject, photographs=photographs, provider=provider, style=style, announce=say
    )
    subject = opened(place, mix=mix)
    second = None
    if against is not None:
        second = opened(chosen(against, say), flag="--against")
    check_writable(folder / "card.json")
    say(criterion.describe())
    computed = describe(where, torch.float32)
    say(f"judged on {computed}; {subject.about_provider}")
    for note in style_picture.notes:
        say(f"{style}: {note}")
    verdict = judge_subject(
        subject,
        photographs,
        yardstick,
        settings,
        against=second,
        cache=cache_folder(),
        announce=say,
        bars=progress,
    )
    values = sources(style, yardstick, settings, device=computed) | verdict.values
    write_card(folder, values, verdict.pictures)
    if json:
        result_json(values | {"model": model, "card": str(folder / "card.html")})
        return
    result(verdict.line)
    lines = rows(values)[3:]
    widths = [max(len(line[column]) for line in lines) for column in (0, 1)]
    for name, value, note in lines:
        result(f"{name:{widths[0]}}  {value:>{widths[1]}}  {note}")
    say(f"card: {folder / 'card.html'}")


def default_folder(model: str | Path) -> Path:
    """Return where the card of a model stands: its run folder, else ``MODEL-card`` beside it.

    That of a name of the registry stands where you are.
    """
    if isinstance(model, str):
        return Path(f"{model}-card")
    folder = model if model.is_dir() else model.parent
    if (folder / "config.toml").is_file():
        return folder
    path = model.resolve() if model.is_dir() else model
    return path.with_name(f"{path.name if model.is_dir() else path.stem}-card")

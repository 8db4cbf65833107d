"""``nst evaluate``: judge a model by the measuring protocol."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nst.config import ObjectiveConfig
from nst.errors import DataError, ImageError
from nst.settings import Provider
from nst.terminal import progress, result, result_json, say

app = typer.Typer(add_completion=False)


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="An exported ONNX file.")],
    style: Annotated[Path, typer.Option("--style", help="The style image it was trained for.")],
    photos: Annotated[
        Path, typer.Option("--photos", help="A folder of photographs it has not seen.")
    ],
    vgg: Annotated[str | None, typer.Option("--vgg", help="VGG-19 weights.")] = None,
    provider: Annotated[Provider, typer.Option("--provider", help="Where it runs.")] = "auto",
    device: Annotated[
        str, typer.Option("--device", help="Where it is judged: auto, cpu, cuda, cuda:1 or mps.")
    ] = "auto",
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Print J, S and C of a model on photographs it has not seen.

    Photographs are judged at a long side of 384 px and against the style image at 512 px, both cut
    to multiples of 8, after rounding to uint8. Figures made with other VGG-19 weights are not
    comparable; the first line says which were used.
    """
    import torch

    from infer.stylizer import Stylizer
    from nst.image import find_images, load_image
    from nst.judge import STYLE_PX, fit_photograph, judge, mean_score
    from nst.losses import PerceptualLoss
    from nst.runtime import choose_device, describe, exact_float32
    from nst.tensors import load_style
    from nst.weights import find_weights

    files = find_images(photos)
    if not files:
        raise DataError(f"--photos {photos}: no photographs in it")
    where = choose_device(device)
    image, style_picture = load_style(style, STYLE_PX)
    weights = find_weights(vgg, announce=say, bars=progress)
    criterion = PerceptualLoss.from_config(weights, image.to(where), ObjectiveConfig(vgg=vgg))
    stylizer = Stylizer(model, provider=provider, size=None)
    say(criterion.describe())
    say(f"judged on {describe(where, torch.float32)}; {stylizer.session.describe_provider()}")
    for note in style_picture.notes:
        say(f"{style}: {note}")
    scores = []
    with progress("judging", len(files)) as bar, exact_float32():
        for done, file in enumerate(files, start=1):
            picture = load_image(file)
            for note in picture.notes:
                say(f"{file}: {note}")
            photo = fit_photograph(picture.rgb)
            try:
                scores += judge(lambda rgb: stylizer.run(rgb[None])[0], [photo], criterion)
            except ImageError as error:  # too narrow for the layers of the objective
                raise ImageError(f"{file}: {error}") from None
            bar.update(done, f"{file.name} J {scores[-1].total:.3f}")
    mean = mean_score(scores)
    if json:
        names = [file.relative_to(photos).as_posix() for file in files]
        each = {name: asdict(score) for name, score in zip(names, scores, strict=True)}
        result_json({"mean": asdict(mean), "photographs": each, "model": str(model)})
        return
    result(
        f"J {mean.total:.3f}  S {mean.style:.4f}  C {mean.content:.3f}"
        f"  (unstyled S {mean.unstyled:.3f}; {len(scores)} photographs)"
    )

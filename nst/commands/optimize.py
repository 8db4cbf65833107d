"""``nst optimize``: paint one photograph slowly and well, the reference of every fast model."""

from __future__ import annotations

import glob
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nst.config import OptimizeConfig
from nst.errors import InferenceError, OutputError, UsageError
from nst.settings import is_given, with_settings
from nst.terminal import result, result_json, say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nst.judge import Paint

app = typer.Typer(add_completion=False)


@app.command()
@with_settings(OptimizeConfig)
def optimize(
    settings: OptimizeConfig,
    ctx: typer.Context,
    photo: Annotated[Path, typer.Argument(help="The photograph.")],
    styles: Annotated[
        list[Path], typer.Argument(metavar="STYLE...", help="The style image, or several.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture to write.")],
    style_weights: Annotated[
        str | None,
        typer.Option(
            "--style-weights", help="What each of several style images counts, as in 0.7,0.3."
        ),
    ] = None,
    masks: Annotated[
        list[Path] | None,
        typer.Option(
            "--mask",
            help="Where a style image shall be: a picture, white there; once for each style image,"
            " in their order.",
        ),
    ] = None,
    init_model: Annotated[
        str | None,
        typer.Option(
            "--init-model",
            metavar="MODEL",
            help="Start from what a style model paints, the ONNX file of nst export or a name of"
            " `nst models list`; it is refined at one size unless --scales says more.",
        ),
    ] = None,
    init_style: Annotated[
        str | None,
        typer.Option("--init-style", help="Of an --init-model of several styles which, or a mix."),
    ] = None,
    bits: Annotated[int, typer.Option(help="Bits of a channel: 8, or 16 in PNG and TIFF.")] = 8,
    save_every: Annotated[
        int,
        typer.Option(
            help="Iterations, over all sizes, between pictures OUT-000050.png; 0: none.", min=0
        ),
    ] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The record on stdout too.")] = False,
) -> None:
    """Paint one photograph in the style of one image, or of several, by optimising its pixels.

    Beside the picture stands OUT.json: settings, files, and J, S, C and the time of every
    iteration. Both are written after each size and at a stop too. Ctrl-C stops after the iteration,
    a second one at once; the last picture is kept in both cases.
    """
    from nst.files import check_writable
    from nst.image import check_output
    from nst.interrupt import Stopped, StopRequest

    check_output(output, overwrite=overwrite, bits=bits)
    for source in (photo, *styles, *(masks or ()), Path(settings.init)):
        if output.exists() and source.exists() and output.samefile(source):
            raise UsageError(f"-o {output}: the painting would replace {source}; name another file")
    check_writable(output)
    if not overwrite:
        _refuse_to_replace(output, has_pictures_on_the_way=save_every > 0)
    paint: Paint | None = None
    if init_model is not None:
        from infer.stylizer import Stylizer
        from nst.registry import chosen

        settings = _from_model(settings, ctx)
        model = Stylizer(chosen(init_model, say), size=None, style=init_style, announce=say)
        say(f"{init_model}: {model.session.describe_provider()}")

        def paint(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return model(rgb, name=str(photo)).rgb
    elif init_style is not None:
        raise UsageError("--init-style belongs to --init-model")
    from nst.commands.painting import Painting  # here, so that errors above do not wait for torch

    painting = Painting.prepare(
        photo,
        styles,
        output,
        settings,
        bits=bits,
        style_weights=_numbers(style_weights),
        masks=masks or (),
        init_model=init_model,
        paint=paint,
    )
    failure: InferenceError | None = None
    with StopRequest() as stop:
        try:
            painting.run(stop, save_every=save_every)
        except KeyboardInterrupt:  # asked twice
            if painting.last is None:
                raise
        except InferenceError as error:
            if painting.last is None:
                raise
            failure = error
        with StopRequest("saving; once more to stop without it"):
            painting.write()
    say(painting.summary())
    if failure is not None:
        raise InferenceError(f"{failure}; {painting.what_is_kept()}")
    if not painting.is_complete:
        raise Stopped(f"stopped; {painting.what_is_kept()}", stop.signal_number or signal.SIGINT)
    if as_json:
        result_json(painting.record())
    else:
        result(str(output))


def _refuse_to_replace(output: Path, *, has_pictures_on_the_way: bool) -> None:
    """Look for everything that will stand beside the picture, before the work."""
    beside = [output.with_suffix(".json")]
    if has_pictures_on_the_way:
        digits = "[0-9]" * 6
        stem = glob.escape(output.stem)
        beside += sorted(output.parent.glob(f"{stem}-{digits}{glob.escape(output.suffix)}"))
    for path in beside:
        if path.exists():
            raise OutputError(f"{path} exists; pass --overwrite to replace it")


def _from_model(settings: OptimizeConfig, ctx: typer.Context) -> OptimizeConfig:
    """Return the settings of a run that begins with what a model painted."""
    if is_given(ctx, "init"):
        raise UsageError("--init and --init-model exclude each other")
    return settings.replace(init="model", scales=settings.scales or 1)


def _numbers(text: str | None) -> list[float]:
    """Read numbers that are separated by commas."""
    try:
        return [] if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--style-weights {text}: write numbers, as in 0.7,0.3") from None

"""The command ``nst suggest``; heavy modules are imported inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infer.config import Models
from nst.errors import UsageError
from nst.settings import Provider
from nst.terminal import result, result_json, say

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def suggest(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="The photograph.")],
    models: Models = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Contact sheet: all of them, the best first."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that exists.")
    ] = False,
    provider: Annotated[Provider, typer.Option("--provider", help="Where it runs.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="One JSON object for each style.")] = False,
) -> None:
    """Try every style on a small copy of a photograph, and say which suit it.

    The order is that of J by the embedded compact loss network: how much of the style is there (S)
    and how much of the photograph has gone (C). `nst stylize --style auto` takes the first.

    - `nst suggest photo.jpg models/ -o sheet.jpg`
    """
    from infer.model_choice import models_in
    from infer.session import open_session
    from infer.suggest import Adviser, contact_sheet, sketches_of
    from nst.image import check_output, load_image, save_image

    if output is not None:
        check_output(output, overwrite=overwrite)
        if output.exists() and photo.exists() and output.samefile(photo):
            raise UsageError(f"-o {output}: the sheet would replace the photograph; name another")
    picture = load_image(photo)
    sessions = []
    for model in models_in(models or (), say):
        session = open_session(model, provider, announce=say)
        try:
            sketches_of(session.info, session.name)
        except UsageError as error:  # one of many must not spoil the rest
            say(f"left out: {error}")
        else:
            sessions.append(session)
    if not sessions:
        raise UsageError("no model is left that says what its styles look like")
    say(sessions[0].describe_provider())
    ranked = Adviser().rank(picture.rgb, sessions, name=str(photo))
    if output is not None:
        save_image(output, contact_sheet(picture.rgb, ranked), overwrite=overwrite)
        say(f"contact sheet: {output}")
    if not json:
        result("    J       S      C  style  model")
    for number, suggestion in enumerate(ranked, start=1):
        verdict = suggestion.verdict
        if json:
            result_json(
                {
                    "rank": number,
                    "style": suggestion.style,
                    "model": suggestion.model,
                    "total": verdict.total,
                    "style_error": verdict.style,
                    "content": verdict.content,
                }
            )
        else:
            result(
                f"{verdict.total:5.2f}  {verdict.style:6.4f}  {verdict.content:5.3f}"
                f"  {suggestion.style}  {suggestion.model}"
            )

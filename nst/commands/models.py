"""``nst models``: models by name, those that are embedded and those that were added."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nst.errors import UsageError, in_one_line
from nst.terminal import format_size, result, result_json, say

if TYPE_CHECKING:
    from nst.contract import ModelInfo
    from nst.model_entry import Entry

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode="markdown")

COLUMNS = 96
_SETTINGS = ("steps", "batch", "size", "style_size", "loss_network", "preset", "strength")
"""Of the training, those that `info` shows."""


@app.callback()
def models() -> None:
    """Models by name: they can be given wherever a MODEL is, and are found by their --style."""


@app.command("list")
def list_models(
    json: Annotated[bool, typer.Option("--json", help="One JSON object for each model.")] = False,
) -> None:
    """Show all models with their styles; the user's come first, as they do for --style."""
    from nst.registry import embedded, entries

    found = entries(say)
    names = {entry.name for entry in found if not entry.is_embedded}
    for entry in embedded():
        if entry.name in names:
            say(f"the embedded model {entry.name} is hidden by yours of that name")
    width = max((len(entry.name) for entry in found), default=0)
    for entry in found:
        if json:
            result_json(_facts(entry))
            continue
        size = format_size(entry.size)
        result(f"{entry.name:{width}}  {_kind(entry)}, {size}, {_count(entry)}, {_origin(entry)}")
        for line in textwrap.wrap(_styles(entry.styles), COLUMNS - 4, break_on_hyphens=False):
            result(f"    {line}")
    if not found:
        say("no models yet; `nst models add FILE` adds one")


@app.command("info")
def info(
    name: Annotated[
        str, typer.Argument(metavar="MODEL", help="A name of `nst models list`, or a file.")
    ],
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show what is known of a model, after its SHA-256 was checked."""
    from nst.registry import entries, listed, named

    entry = named(name)
    if entry is None and not Path(name).is_file():
        raise UsageError(f"no model {name}; {listed(entries(say))}")
    from infer.model_file import read_model
    from nst.model_entry import entry_of
    from nst.model_graph import count_numbers

    model = read_model(name if entry is not None else Path(name))
    is_kept = entry is not None
    if entry is None:
        file = Path(name)
        entry = replace(entry_of(model.data, model.info, file.stem, file.parent), file=file)
    parameters, told = count_numbers(model.data), model.info
    if json:
        result_json(
            _facts(entry)
            | {
                "path": str(entry.file),
                "style_sha256": list(told.style_sha256),
                "parameters": parameters,
                "controls": told.controls,
                "has_texture": model.has_texture,
                "training": dict(told.training),
                "parity": [dict(case) for case in told.parity],
                "made_with": told.made_with,
            }
        )
        return
    rows = {
        "styles": _styles(told.styles),
        "network": f"{_kind(entry)}, {parameters:,} parameters",
        "controls": _controls(told, has_texture=model.has_texture),
        "training": _training(told.training),
        "parity": _parity(told.parity),
        "made with": in_one_line(told.made_with) or "not known",
        "size": f"{format_size(entry.size)}, {entry.size:,} bytes",
        "sha256": f"{entry.sha256}{', checked' if model.is_sealed or is_kept else ''}",
        "file": f"{entry.file}, {_origin(entry) if is_kept else 'not in the registry'}",
    }
    for title, text in rows.items():
        lines = [text]
        if title in ("styles", "training"):
            lines = textwrap.wrap(text, COLUMNS - 11, break_on_hyphens=False) or [""]
        result(f"{title:9}  {lines[0]}")
        for line in lines[1:]:
            result(f"{'':9}  {line}")


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A model, the file of nst export.")],
    name: Annotated[
        str | None,
        typer.Option("--name", help="How it is called from now on; else as the file is."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the model of that name.")
    ] = False,
) -> None:
    """Copy a model into the registry; its name is printed.

    - `nst models add runs/starry-night-1/starry-night.onnx`
    """
    from infer.model_file import read_model
    from infer.session import open_session
    from infer.shelf import registry_name
    from nst import registry
    from nst.model_entry import check_name

    called = registry_name(file.stem, taken=set()) if name is None else name
    check_name(called)
    model = read_model(file)
    open_session(file, "cpu")  # what ONNX Runtime cannot load is no use to anybody
    entry = registry.add(model.data, model.info, called, overwrite=overwrite)
    say(f"{file}: {_kind(entry)}, {_count(entry)}, kept in {entry.file.parent}")
    result(called)


@app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model that was added.")],
) -> None:
    """Take a model that was added out of the registry; its file there is deleted."""
    from nst import registry

    registry.remove(name)
    say(f"{name} is removed")


def _facts(entry: Entry) -> dict[str, Any]:
    """Return what JSON tells of an entry in any case."""
    facts = entry.to_record() | {"is_embedded": entry.is_embedded}
    return {key: value for key, value in facts.items() if key != "file"}


def _styles(styles: Sequence[str]) -> str:
    return ", ".join(map(in_one_line, styles))  # they come from a file of anybody's


def _kind(entry: Entry) -> str:
    return f"{in_one_line(entry.net)} {entry.width}"


def _count(entry: Entry) -> str:
    return "1 style" if len(entry.styles) == 1 else f"{len(entry.styles)} styles"


def _origin(entry: Entry) -> str:
    return "embedded" if entry.is_embedded else "added"


def _controls(told: ModelInfo, *, has_texture: bool) -> str:
    words = {
        "none": "none: strength blends with the photograph",
        "global": "which style, mix and strength",
        "regional": "which style, mix and strength, and where",
    }
    return words[told.controls] + (", texture" if has_texture else "")


def _training(training: Mapping[str, Any]) -> str:
    """Return the settings that matter most, as far as the file tells them."""
    known = [f"{key} {training[key]}" for key in _SETTINGS if training.get(key) is not None]
    return in_one_line(", ".join(known)) or "not known"


def _parity(parity: Sequence[Mapping[str, Any]]) -> str:
    """Return the receipt in a line: how the file differed from the network that was trained."""
    cases = [case for case in parity if isinstance(case, Mapping)]
    try:
        most = max(case["max_grey_levels"] for case in cases)
        values, off = (sum(case[key] for case in cases) for key in ("values", "values_off"))
    except (KeyError, TypeError, ValueError):
        return "no receipt"
    return (
        f"{len(cases)} pictures compared with torch, at most {most} grey levels off,"
        f" {off:,} of {values:,} values"
    )

"""The command ``nst export``, and what ``nst train`` calls at its end.

Nothing heavy is imported before it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nst.errors import CheckpointError, UsageError
from nst.terminal import result, result_json, say

if TYPE_CHECKING:
    from nst.contract import ModelInfo

app = typer.Typer(add_completion=False)

LOCAL = ("vgg", "data", "device", "init")
"""Settings that name places on the computer of the training; they stay out of the file."""


@app.command()
def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder, or a checkpoint file in one.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file; RUN/<style>.onnx if not given."),
    ] = None,
    *,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that exists.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Write a trained network as one ONNX file that paints pictures of any size.

    The file is compared with the network at sizes from 1 px to 1280x720 and is only written when
    no value is more than one grey level off.
    """
    if not json:
        export_run(run, output, overwrite=overwrite)
        return
    from dataclasses import asdict

    from nst.files import sha256_of

    path, info = export_checkpoint(run, output, overwrite=overwrite)
    result_json({"model": str(path), "sha256": sha256_of(path), **asdict(info)})


def export_run(run: Path, output: Path | None = None, *, overwrite: bool = False) -> Path:
    """Export as ``export_checkpoint`` does, print the file's path, and return it."""
    path, _ = export_checkpoint(run, output, overwrite=overwrite)
    result(str(path))
    return path


def export_checkpoint(run: Path, output: Path | None, *, overwrite: bool) -> tuple[Path, ModelInfo]:
    """Export the newest checkpoint of a run and tell how it compares.

    Args:
        run: A run folder or a checkpoint file.
        output: The file; None for ``<style>.onnx`` beside the checkpoint.
        overwrite: Whether a file that exists may be replaced.

    Returns:
        The file and its metadata.

    Raises:
        CheckpointError: There is no checkpoint, or it holds no network.
        ExportError: The exported graph is not what it must be; nothing is written.
        OutputError: The file exists, or cannot be written.
    """
    from export.parity import summary
    from export.to_onnx import export_network, refuse_existing
    from nst.checkpoint import load_network, load_newest

    if output is not None and output.suffix != ".onnx":
        raise UsageError(f"--output {output}: the name of a model must end in .onnx")
    checkpoint, source, note = load_newest(run)
    if note:
        say(note)
    network = load_network(checkpoint, source=str(source))
    style, style_sha256 = _style_of(checkpoint.header, source=source)
    training = training_of(checkpoint.header, source=source)
    path = output or source.parent / f"{style}.onnx"
    refuse_existing(path, overwrite=overwrite)
    say(f"exporting {source}, step {training['step']}")
    info = export_network(
        network,
        path,
        styles=(style,),
        style_sha256=(style_sha256,),
        training=training,
        overwrite=overwrite,
    )
    say(summary(info.parity))
    return path, info


def training_of(header: Mapping[str, Any], *, source: Path) -> dict[str, Any]:
    """Return what a checkpoint tells about its training and a model may tell to everybody.

    Raises:
        CheckpointError: It does not tell it.
    """
    try:
        settings = {key: value for key, value in header["config"].items() if key not in LOCAL}
        identity = {
            key: header[key] for key in ("step", "loss_network", "vgg_sha256", "data_identity")
        }
    except KeyError as error:
        raise CheckpointError(f"{source}: its header names no {error}") from None
    return settings | identity


def _style_of(header: Mapping[str, Any], *, source: Path) -> tuple[str, str]:
    """Return name and SHA-256 of the style image; the name becomes one of a file."""
    name, sha256 = header.get("style_name"), header.get("style_sha256")
    if not (isinstance(name, str) and isinstance(sha256, str) and Path(name).name == name):
        raise CheckpointError(f"{source}: its header names no style (found {name!r})")
    return name, sha256

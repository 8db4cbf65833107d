"""The command ``nst export``, and what ``nst train`` calls at its end.

Nothing heavy is imported before it runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nst.errors import CheckpointError, UsageError
from nst.terminal import result, result_json, say

if TYPE_CHECKING:
    from nst.contract import Controls, FilePrecision, ModelInfo

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
    style: Annotated[
        str | None,
        typer.Option(
            "--style",
            help="Of a network of several styles this one alone, or a mix as in"
            " wave:0.7,scream:0.3; a smaller and faster file without run-time control.",
        ),
    ] = None,
    controls: Annotated[
        Literal["global", "regional"] | None,
        typer.Option(
            "--controls",
            help="Of a network of several styles: global, one mix for all of a picture; or"
            " regional (default), from place to place.",
        ),
    ] = None,
    precision: Annotated[
        Literal["float32", "float16"],
        typer.Option(
            "--precision",
            help="Of weights and convolutions: float32; or float16, half as large and for graphics"
            " cards, compared with float32 and refused below 45 dB.",
        ),
    ] = "float32",
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
        export_run(
            run,
            output,
            style=style,
            controls=controls,
            precision=precision,
            overwrite=overwrite,
        )
        return
    from dataclasses import asdict

    from nst.files import sha256_of

    path, info = export_checkpoint(
        run, output, style=style, controls=controls, precision=precision, overwrite=overwrite
    )
    result_json({"model": str(path), "sha256": sha256_of(path), **asdict(info)})


def export_run(
    run: Path,
    output: Path | None = None,
    *,
    style: str | None = None,
    controls: Controls | None = None,
    precision: FilePrecision = "float32",
    overwrite: bool = False,
) -> Path:
    """Export as ``export_checkpoint`` does, print the file's path, and return it."""
    path, _ = export_checkpoint(
        run, output, style=style, controls=controls, precision=precision, overwrite=overwrite
    )
    result(str(path))
    return path


def export_checkpoint(
    run: Path,
    output: Path | None,
    *,
    style: str | None = None,
    controls: Controls | None = None,
    precision: FilePrecision = "float32",
    overwrite: bool,
) -> tuple[Path, ModelInfo]:
    """Export the newest checkpoint of a run and tell how it compares.

    Args:
        run: A run folder or a checkpoint file.
        output: The file; None for ``<style>.onnx`` beside the checkpoint, in half precision
            ``<style>-float16.onnx``.
        style: One of several styles, or a mix of some, which alone is exported.
        controls: Of a network of several styles; None for ``regional``.
        precision: Of weights and convolutions.
        overwrite: Whether a file that exists may be replaced.

    Returns:
        The file and its metadata.

    Raises:
        CheckpointError: There is no checkpoint, or it holds no network.
        ExportError: The exported graph is not what it must be; nothing is written.
        OutputError: The file exists, or cannot be written.
    """
    import torch

    from export.half_parity import summary_of_half
    from export.parity import summary
    from export.to_onnx import export_network, refuse_existing
    from nst.checkpoint import load_network, load_newest, styles_of
    from nst.contract import joint_name
    from nst.folding import folded
    from nst.recipe import shares_named

    if output is not None and output.suffix != ".onnx":
        raise UsageError(f"--output {output}: the name of a model must end in .onnx")
    checkpoint, source, note = load_newest(run)
    if note:
        say(note)
    network = load_network(checkpoint, source=str(source))
    styles, style_sha256 = styles_of(checkpoint.header, source=source)
    training = training_of(checkpoint.header, source=source)
    sketches = checkpoint.header.get("sketches", [])
    if style is not None:
        shares = shares_named(style, styles, flag="--style", model=str(run))
        if not network.styles or shares[0]:
            reason = "original has no norms" if shares[0] else f"{source} has one style"
            raise UsageError(f"--style {style}: {reason}")
        network = folded(network, torch.from_numpy(shares[1:]))
        told = [n for n, share in enumerate(shares[1:]) if share]
        training |= {"shares": {styles[n]: float(shares[1 + n]) for n in told}}
        hashes = "".join(style_sha256[n] for n in told)
        joint_sha256 = hashlib.sha256(hashes.encode()).hexdigest()
        style_sha256 = [hashes if len(told) == 1 else joint_sha256]
        styles = ["-and-".join(styles[n] for n in told)]
        sketches = [sketches[n] for n in told] if sketches and len(told) == 1 else []
    if style is not None and controls is not None:
        raise UsageError("--style and --controls exclude each other: one style has no control")
    if controls is not None and not network.styles:
        raise UsageError(f"--controls {controls}: {source} has one style and nothing to mix")
    given: Controls = (controls or "regional") if network.styles else "none"
    ending = "" if precision == "float32" else f"-{precision}"
    path = output or source.parent / f"{joint_name(styles)}{ending}.onnx"
    refuse_existing(path, overwrite=overwrite)
    say(f"exporting {source}, step {training['step']}")
    info = export_network(
        network,
        path,
        styles=styles,
        style_sha256=style_sha256,
        training=training,
        controls=given,
        precision=precision,
        sketches=sketches,
        overwrite=overwrite,
    )
    say(summary(info.parity))
    if half := summary_of_half(info.parity):
        say(half)
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

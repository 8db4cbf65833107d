"""The run folder of one training: what stands in it, how it begins and how it goes on.

runs/<style>-<n>/
  config.toml            the settings, for people
  style.jpg              the style image as it was given; of several style-1.jpg, style-2.jpg ...
  last.safetensors       the newest checkpoint; prev.safetensors is the one before
  log.jsonl              one line every few steps
  preview-000500.jpg     photographs, style image, results
  loss.png               the curves of log.jsonl
  tensorboard/           the same for TensorBoard
  bad-files.txt          photographs that could not be read, when there are any
  <style>.onnx           the exported network
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from nst import __version__
from nst.checkpoint import (
    LAST,
    PREVIOUS,
    Checkpoint,
    network_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
    styles_of,
)
from nst.contract import joint_name, safe_name
from nst.errors import CheckpointError, OutputError
from nst.files import atomic_write, describe
from nst.settings import from_dict, to_toml
from train.config import TrainConfig
from train.learner import Learner

BEFORE_THEY_WERE_SETTINGS = {
    "beta2": 0.999,
    "net": "johnson",
    "lattice_weight": 0.0,
    "norm_rate": 1.0,
}
"""What a run was trained with whose checkpoint does not name it."""
FOR_READING = "# For reading: a run that is resumed takes its settings from the checkpoint."


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The folder of one training and the identity of everything that went into it."""

    folder: Path
    config: TrainConfig
    styles: list[str]
    """Names of all styles of the network."""
    style_sha256: list[str]
    """Of their image files."""
    sketches: list[str] = field(default_factory=list)
    """What they look like, see ``nst.critic``."""
    learns_strength: bool = False
    """Whether the others, which had no control of the strength, get one with the added styles."""
    added: int = 0
    """How many of them, the last ones, a network was given that had the others already."""
    data: list[str]
    """The photographs as they were given, in their order."""
    data_identity: str
    vgg_sha256: str
    loss_network: str = "VGG-19"

    @property
    def name(self) -> str:
        """Of the folder and the model: ``starry-night``, ``starry-night-and-2-more``."""
        return joint_name(self.styles)

    @property
    def drawn(self) -> list[int]:
        """Numbers of the styles that are trained."""
        is_frozen = self.added and not self.config.thaw
        return list(range(len(self.styles)))[-self.added if is_frozen else 0 :]

    @property
    def drawn_styles(self) -> list[str]:
        """Names of the styles that are trained."""
        return [self.styles[number] for number in self.drawn]

    @property
    def style_files(self) -> list[Path]:
        """The run's own copies of the images of the styles that are trained."""
        return [self.style_file(number) for number in self.drawn]

    def style_file(self, number: int) -> Path:
        """Return the run's own copy of one style image."""
        stem = _stem_of(number, len(self.styles))
        # A style image that is called style.png makes a model that is called style.onnx.
        copies = [path for path in self.folder.glob(f"{stem}.*") if path.suffix != ".onnx"]
        return min(copies, default=self.folder / stem)

    @property
    def log_file(self) -> Path:
        """One JSON object a line."""
        return self.folder / "log.jsonl"

    def preview_file(self, step: int) -> Path:
        """Where the preview strip of a step stands."""
        return self.folder / f"preview-{step:06d}.jpg"

    @property
    def identity(self) -> dict[str, str]:
        """What a run that is resumed must find unchanged."""
        styles = [self.style_sha256[number] for number in self.drawn]
        return identity_of(styles, self.data_identity, self.vgg_sha256)

    def begin(self, styles: Mapping[int, Path]) -> None:
        """Fill a new folder: the settings and copies of the style images, by their numbers.

        Raises:
            OutputError: The disk is full.
        """
        for number, style in styles.items():
            name = _stem_of(number, len(self.styles)) + style.suffix.lower()
            with atomic_write(self.folder / name) as file:
                file.write(style.read_bytes())
        self.save_config()

    def save_config(self) -> None:
        """Write the settings for people to read."""
        with atomic_write(self.folder / "config.toml") as file:
            file.write(f"{FOR_READING}\n{to_toml(self.config)}".encode())

    def list_bad_files(self, reasons: list[str]) -> None:
        """Write down which photographs could not be read, where there are any."""
        if reasons:
            with atomic_write(self.folder / "bad-files.txt") as file:
                file.write("".join(f"{reason}\n" for reason in reasons).encode())

    def save(self, learner: Learner) -> None:
        """Write the checkpoint of the present step; the one before stays as ``prev``."""
        header = {
            "step": learner.step,
            "rate_factor": learner.rate_factor,
            "micro_batch": learner.micro_batch,
            "skipped": int(learner.skipped),
            "skipped_in_a_row": int(learner.skipped_in_a_row),
            "config": dataclasses.asdict(self.config),
            "dimensions": dataclasses.asdict(learner.network.dimensions),
            "mixed_styles": learner.network.styles,
            "styles": self.styles,
            "style_sha256": self.style_sha256,
            "sketches": self.sketches,
            "added": self.added,
            "learns_strength": self.learns_strength,
            "data": self.data,
            "data_identity": self.data_identity,
            "vgg_sha256": self.vgg_sha256,
            "loss_network": self.loss_network,
            "device": str(next(learner.network.parameters()).device),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "made_with": f"nst {__version__}",
        }
        tensors = network_tensors(learner.network)
        tensors |= optimizer_tensors(learner.optimizer, learner.parameter_names)
        save_checkpoint(
            self.folder / LAST,
            Checkpoint(tensors, header),
            keep_previous=self.folder / PREVIOUS,
        )


def new_folder(parent: Path, style_name: str) -> Path:
    """Make and return the first of ``<style>-1``, ``<style>-2``, ... that is not there yet.

    Raises:
        OutputError: No folder can be made there.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            folder = parent / f"{style_name}-{number}"
            with suppress(FileExistsError):
                folder.mkdir()
                return folder
    except OSError as error:
        raise OutputError(
            f"--runs {parent}: no folder can be made there, {describe(error)}"
        ) from error
    raise AssertionError("the numbers do not end")


def style_name_of(path: Path) -> str:
    """Return a name that suits a folder and a command line: ``starry-night``."""
    return safe_name(path.stem.lower()) or "style"


def _stem_of(number: int, styles: int) -> str:
    return "style" if styles == 1 else f"style-{number + 1}"


def identity_of(styles: Sequence[str], data: str, vgg: str) -> dict[str, str]:
    """Return the hashes of everything that goes into a training, by what they are of."""
    named = {f"style {n}" if n > 1 else "style": value for n, value in enumerate(styles, start=1)}
    return named | {"--data": data, "--vgg": vgg}


def run_of(folder: Path, header: Mapping[str, Any]) -> Run:
    """Rebuild a run from the header of its checkpoint."""
    names = {f.name for f in dataclasses.fields(Run)} - {"folder", "config"}
    styles, hashes = styles_of(header, source=folder)
    header = {
        "added": 0,
        "learns_strength": False,
        "sketches": [],
        **header,
        "styles": styles,
        "style_sha256": hashes,
    }
    try:
        settings = BEFORE_THEY_WERE_SETTINGS | header["config"]
        config = from_dict(TrainConfig, settings, source=str(folder))
        values = {name: header[name] for name in names}
        if isinstance(values["data"], str):  # a run of a time when it was one folder
            values["data"] = [values["data"]]
        return Run(folder=folder, config=config, **values)
    except KeyError as error:
        raise CheckpointError(f"{folder}: its checkpoint names no {error}") from None


def restore(learner: Learner, checkpoint: Checkpoint, *, source: str) -> None:
    """Put weights, optimiser and step of a checkpoint into a learner of the same settings."""
    names = learner.parameter_names
    try:
        with torch.no_grad():
            for name, parameter in learner.network.named_parameters():
                parameter.copy_(checkpoint.tensors[f"network.{name}"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{source}: its weights do not fit the network ({error})") from None
    header = checkpoint.header
    try:
        learner.step = int(header["step"])
        learner.rate_factor = float(header["rate_factor"])
        learner.micro_batch = header["micro_batch"]
        learner.skipped.fill_(header["skipped"])
        learner.skipped_in_a_row.fill_(header["skipped_in_a_row"])
    except KeyError as error:
        raise CheckpointError(f"{source}: its checkpoint names no {error}") from None
    restore_optimizer(
        learner.optimizer, names, checkpoint.tensors, must_have_stepped=learner.step > 0
    )


def check_identity(run: Run, found: Mapping[str, str]) -> None:
    """Refuse to resume with another style image, other photographs or other weights.

    Raises:
        CheckpointError: Names what differs.
    """
    for name, expected in run.identity.items():
        if found[name] != expected:
            raise CheckpointError(
                f"{run.folder}: {name} is not what the run was trained with"
                f" (SHA-256 {found[name][:12]}, not {expected[:12]})"
            )


def cut_log(path: Path, step: int) -> None:
    """Drop the lines behind a step, which a resumed run writes again."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text("utf-8", "replace").splitlines(keepends=True):
        try:
            is_kept = line.endswith("\n") and json.loads(line)["step"] <= step
        except (ValueError, KeyError, TypeError):
            is_kept = False  # the last line of a run that was killed while writing it
        if is_kept:
            kept.append(line)
    with atomic_write(path) as file:
        file.write("".join(kept).encode())

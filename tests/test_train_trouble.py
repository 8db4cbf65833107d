"""Trouble on the way: gradients that are not finite, memory that runs out."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from numpy.typing import NDArray

import train.loop
from nst.checkpoint import load_checkpoint
from nst.errors import TrainingError
from nst.loss_terms import LossTerms
from nst.losses import ContentTarget, PerceptualLoss
from nst.tensors import load_style
from nst.weights import VGGWeights
from train.cli import app
from train.config import TrainConfig
from train.learner import Learner
from train.loop import backward, fit, learning_rate, training_step

CPU = torch.device("cpu")
SMALL = ("--width", "8", "--size", "64", "--batch", "1", "--style-size", "64", "--device", "cpu")

pytestmark = pytest.mark.usefixtures("one_thread")


class Moody(PerceptualLoss):
    """The objective, but not finite where ``is_bad`` says so, and out of memory above a batch."""

    is_bad: bool = False
    most: int = 99

    def forward(
        self,
        output: torch.Tensor,
        target: ContentTarget,
        which: torch.Tensor | None = None,
        style_share: torch.Tensor | None = None,
    ) -> LossTerms:
        if len(output) > self.most:
            raise torch.OutOfMemoryError("no more memory")
        terms = super().forward(output, target)
        if self.is_bad:
            terms = LossTerms(
                terms.content * torch.nan, terms.style, terms.total_variation, terms.weights
            )
        return terms


@pytest.fixture
def criterion(tiny_vgg: VGGWeights, style_file: Path) -> Moody:
    style, _ = load_style(style_file, 64)
    return Moody(tiny_vgg, style)


@pytest.fixture
def crops(photo: NDArray[np.uint8]) -> torch.Tensor:
    padded = np.pad(photo, ((8, 8), (0, 0), (0, 0)), mode="reflect")
    return torch.from_numpy(np.stack([padded, padded[::-1], 255 - padded, padded[:, ::-1]]))


def state_of(learner: Learner) -> dict[str, torch.Tensor]:
    weights = {name: value.clone() for name, value in learner.network.state_dict().items()}
    for name, parameter in learner.network.named_parameters():
        for key, value in learner.optimizer.state[parameter].items():
            weights[f"{name}.{key}"] = value.clone()
    return weights


def gradient_of(learner: Learner) -> torch.Tensor:
    gradients = [parameter.grad for parameter in learner.network.parameters()]
    return torch.cat([gradient.flatten() for gradient in gradients if gradient is not None])


def test_a_gradient_that_is_not_finite_changes_nothing(
    criterion: Moody, crops: torch.Tensor
) -> None:
    """By invariant: weights, moments and step counts of Adam stay; the count goes up."""
    config = TrainConfig(width=8, size=64, steps=10)
    learner = Learner.new(config, CPU)
    learner.optimizer.param_groups[0]["lr"] = 1e-3
    training_step(learner, criterion, crops, torch.float32)
    before = state_of(learner)
    criterion.is_bad = True
    for count in (1, 2):
        training_step(learner, criterion, crops, torch.float32)
        assert int(learner.skipped) == int(learner.skipped_in_a_row) == count
    after = state_of(learner)
    assert all(torch.equal(before[name], after[name]) for name in before)
    criterion.is_bad = False
    training_step(learner, criterion, crops, torch.float32)
    assert (int(learner.skipped), int(learner.skipped_in_a_row)) == (2, 0)
    assert not torch.equal(state_of(learner)["to_rgb.conv.weight"], before["to_rgb.conv.weight"])


@pytest.mark.parametrize("grey", [0, 128, 255])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_photograph_of_one_colour_counts_for_nothing(
    criterion: Moody, crops: torch.Tensor, grey: int, dtype: torch.dtype
) -> None:
    """By invariant: the gradient is three quarters of that of the other three; no overflow."""
    config = TrainConfig(width=8, size=64, steps=10)
    flat = crops.clone()
    flat[3] = grey
    gradients = []
    for batch in (flat, crops[:3]):
        learner = Learner.new(config, CPU)
        backward(learner, criterion, batch, dtype)
        gradients.append(gradient_of(learner))
    difference = torch.linalg.vector_norm(gradients[0] - 0.75 * gradients[1])
    tolerance = 1e-4 if dtype == torch.float32 else 0.1
    assert difference <= tolerance * torch.linalg.vector_norm(gradients[0])


def test_an_absurd_gradient_is_skipped(
    criterion: Moody, crops: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: finite, but it would spoil the second moments of Adam for thousands of steps."""
    learner = Learner.new(TrainConfig(width=8, size=64, steps=10), CPU)
    training_step(learner, criterion, crops, torch.float32)
    assert int(learner.skipped) == 0
    monkeypatch.setattr(train.loop, "GREATEST_NORM", 1e-9)
    training_step(learner, criterion, crops, torch.float32)
    assert int(learner.skipped) == 1


def test_the_counts_of_a_record_stay_what_they_were(criterion: Moody, crops: torch.Tensor) -> None:
    criterion.is_bad = True
    config = TrainConfig(width=8, size=64, steps=10)
    records = list(fit(Learner.new(config, CPU), criterion, [crops] * 3, config, torch.float32))
    assert [int(record.skipped) for record in records] == [1, 2, 3]


def test_out_of_memory_halves_what_goes_through_at_once(
    criterion: Moody, crops: torch.Tensor
) -> None:
    """Another implementation: the whole batch at once; parts add up but for rounding."""
    config = TrainConfig(width=8, size=64, steps=10)
    whole = Learner.new(config, CPU)
    (expected,) = fit(whole, criterion, [crops], config, torch.float32)
    criterion.most = 1
    parts = Learner.new(config, CPU)
    record, after = fit(parts, criterion, [crops, crops], config, torch.float32)
    assert parts.micro_batch == 1
    assert record.notes == (
        "out of memory: from here on 1 of 4 photographs go through the network at once; the"
        " gradient stays that of all",
    )
    assert after.notes == ()
    assert record.terms.content.shape == (4,)
    torch.testing.assert_close(record.terms.per_picture, expected.terms.per_picture)
    criterion.most = 4
    gradients = []
    for size in (4, 1):
        learner = Learner.new(config, CPU)
        learner.micro_batch = size
        backward(learner, criterion, crops, torch.float32)
        gradients.append(gradient_of(learner))
    difference = torch.linalg.vector_norm(gradients[0] - gradients[1])
    assert difference <= 1e-4 * torch.linalg.vector_norm(gradients[0])


def test_a_single_photograph_that_does_not_fit_is_an_error(
    criterion: Moody, crops: torch.Tensor
) -> None:
    criterion.most = 0
    config = TrainConfig(width=8, size=64, steps=10)
    with pytest.raises(torch.OutOfMemoryError):
        list(fit(Learner.new(config, CPU), criterion, [crops], config, torch.float32))


@pytest.fixture
def arguments(style_file: Path, photo_folder: Path, vgg_file: Path, tmp_path: Path) -> list[str]:
    places = [str(style_file), "--data", str(photo_folder), "--vgg", str(vgg_file)]
    often = ["--checkpoint-every", "5", "--log-every", "1", "--precision", "float32"]
    return [*places, *SMALL, *often, "--steps", "12", "--runs", str(tmp_path / "runs")]


def make_bad(monkeypatch: pytest.MonkeyPatch, calls: Collection[int]) -> None:
    """Let the objective be not finite at some of its calls, counted from 1."""
    forward = PerceptualLoss.forward
    count = 0

    def moody(
        self: PerceptualLoss, output: torch.Tensor, target: ContentTarget, *more: None
    ) -> LossTerms:
        nonlocal count
        count += 1
        return forward(self, output * (torch.nan if count in calls else 1.0), target)

    monkeypatch.setattr(PerceptualLoss, "forward", moody)


def test_a_training_goes_back_and_slows_down(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By hand: steps 7 to 10 are bad, so at 10 it goes back to 5 and repeats 6 to 12 at half."""
    make_bad(monkeypatch, range(7, 11))
    folder = typer.main.get_command(app).main(arguments, standalone_mode=False)
    assert (
        "step 10: 3 gradients or more in a row are not finite; back to step 5, learning rate times"
        " 0.5 from here on\n"
    ) in capsys.readouterr().err
    checkpoint = load_checkpoint(folder / "last.safetensors")
    header = checkpoint.header
    assert (header["step"], header["rate_factor"], header["skipped"]) == (12, 0.5, 0)
    assert all(bool(tensor.isfinite().all()) for tensor in checkpoint.tensors.values())
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == list(range(1, 13))
    config = TrainConfig(steps=12)
    for line in log:
        factor = 1.0 if line["step"] <= 5 else 0.5
        rate = factor * learning_rate(line["step"] - 1, config)
        assert line["learning_rate"] == pytest.approx(rate)


def test_single_bad_steps_are_skipped_and_said(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By hand: steps 3 and 10 are bad; the look at step 10 sees the second. JSON has no NaN."""
    make_bad(monkeypatch, (3, 10))
    folder = typer.main.get_command(app).main(arguments, standalone_mode=False)
    assert "step 10: the gradient is not finite, the step is skipped" in capsys.readouterr().err
    assert load_checkpoint(folder / "last.safetensors").header["skipped"] == 2
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if line["total"] is None] == [3, 10]
    assert [line["skipped"] for line in log] == [0, 0, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2]


def test_a_hopeless_training_ends_with_a_line_and_a_good_checkpoint(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By hand: half the rate five times over, and then no more."""
    make_bad(monkeypatch, range(1, 1000))
    with pytest.raises(TrainingError, match=r"step 5 .* lower learning rate; .* --learning-rate"):
        typer.main.get_command(app).main(arguments, standalone_mode=False)
    checkpoint = load_checkpoint(tmp_path / "runs" / "starry-night-1" / "last.safetensors")
    assert (checkpoint.header["step"], checkpoint.header["rate_factor"]) == (0, 0.5**5)

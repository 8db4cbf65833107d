"""Which styles are drawn, and what a training of several does. Truths: by hand, by invariant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from torch import Tensor

from nst.checkpoint import load_checkpoint, load_network
from nst.config import ObjectiveConfig
from nst.errors import OutputError, UsageError
from nst.image import load_image
from nst.losses import PerceptualLoss
from nst.mix import pure
from nst.network import StyleNetwork
from nst.weights import VGGWeights
from train.cli import app
from train.config import TrainConfig
from train.learner import Learner
from train.mixes import FULL_STRENGTH, Draw, Mixes
from train.records import Tally
from train.run import Run, run_of

CPU = torch.device("cpu")
SMALL = ("--width", "8", "--size", "64", "--batch", "2", "--style-size", "64", "--device", "cpu")

pytestmark = pytest.mark.usefixtures("one_thread")


def train(*arguments: str | Path) -> Path:
    """Run the verb in this process and return the run folder."""
    command = typer.main.get_command(app)
    folder = command.main([str(a) for a in arguments], standalone_mode=False)
    assert isinstance(folder, Path)
    return folder


def mixes(**changes: Any) -> Mixes:
    given: dict[str, Any] = {"styles": 3, "drawn": (0, 1, 2), "batch": 2, "seed": 5}
    return Mixes(**(given | changes))


def mix_of(draw: Draw) -> Tensor:
    assert draw.mix is not None
    return draw.mix


def test_styles_take_turns() -> None:
    """By hand: in three photographs each of three styles, in 30 steps of 2 each 20 times."""
    which = torch.cat([mixes().at(step, CPU).which for step in range(30)]).tolist()
    assert all(sorted(which[n : n + 3]) == [0, 1, 2] for n in range(0, 60, 3))
    assert len({tuple(which[n : n + 3]) for n in range(0, 60, 3)}) > 2
    assert Counter(which) == {0: 20, 1: 20, 2: 20}


def test_a_mix_is_the_style_and_the_photograph() -> None:
    for step in range(20):
        draw = mixes().at(step, CPU)
        assert mix_of(draw).shape == (2, 4, 1, 1)
        for n in range(2):
            expected = draw.original[n] * torch.eye(4)[0]
            expected = expected + (1 - draw.original[n]) * torch.eye(4)[1 + draw.which[n]]
            torch.testing.assert_close(mix_of(draw)[n].flatten(), expected)


def test_most_photographs_are_painted_in_full_strength() -> None:
    """By the binomial distribution: 2,000 draws, six deviations."""
    original = torch.cat([mixes(batch=50).at(step, CPU).original for step in range(40)])
    share = (original == 0).double().mean().item()
    assert abs(share - FULL_STRENGTH) < 6 * (FULL_STRENGTH * (1 - FULL_STRENGTH) / 2000) ** 0.5
    assert 0.4 < original[original > 0].mean() < 0.6
    assert original.max() < 1


def test_processes_draw_what_one_alone_would() -> None:
    alone = mixes(batch=4).at(7, CPU)
    shared = [mixes(batch=4, rank=rank, ranks=2).at(7, CPU) for rank in range(2)]
    assert torch.equal(mix_of(alone), torch.cat([mix_of(draw) for draw in shared]))
    assert torch.equal(alone.which, torch.cat([draw.which for draw in shared]))


def test_only_new_styles_are_drawn_where_others_are_frozen() -> None:
    """By hand: the place among those that are drawn is told, the channel is the network's."""
    draw = mixes(drawn=(2,)).at(0, CPU)
    assert draw.which.tolist() == [0, 0]
    assert mix_of(draw)[:, 1:3].abs().max() == 0
    assert (mix_of(draw)[:, 3].flatten() == 1 - draw.original).all()


def test_sizes_of_style_images_are_drawn_evenly() -> None:
    """By hand: the target is the place among all sizes of all styles, each as often as another."""
    draws = [mixes(sizes=3).at(step, CPU) for step in range(300)]
    which = torch.cat([draw.which for draw in draws])
    target = torch.cat([draw.target for draw in draws])
    assert torch.equal(target // 3, which)
    counts = torch.bincount(target, minlength=9)
    assert counts.min() > 40  # of 67, four deviations
    plain = mixes(styles=0, drawn=(0,), sizes=3).at(0, CPU)
    assert plain.mix is None
    assert plain.original.tolist() == [0, 0]
    assert TrainConfig(brush_range=1.4).style_sizes == [366, 512, 717]
    assert TrainConfig().style_sizes == [512]


def test_a_network_of_one_style_sees_it_in_three_sizes(
    style_files: list[Path], arguments: tuple[str, ...], tmp_path: Path
) -> None:
    more = ("--brush-range", "1.3", "--runs", tmp_path, "--steps", "2")
    run = train(style_files[0], *arguments, *more)
    assert network_of(run).styles == 0


def image(seed: int, size: int = 48) -> Tensor:
    return torch.rand(1, 3, size, size + 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("weights", ["balanced", "gatys"])
def test_several_targets_are_those_of_each(tiny_vgg: VGGWeights, weights: Any) -> None:
    """By invariant: a picture measured among others against its style scores as it does alone."""
    config = ObjectiveConfig(weights=weights)
    styles = [image(1), image(2, 56), image(3)]
    photographs, painted = torch.cat([image(n) for n in (4, 5, 6)]), image(7).expand(3, -1, -1, -1)
    which, share = torch.tensor([2, 0, 1]), torch.tensor([1.0, 0.5, 0.0])
    together = PerceptualLoss.from_config(tiny_vgg, styles, config)
    assert together.styles == 3
    found = together(painted, together.content_target(photographs, which), which, share)
    for n in range(3):
        alone = PerceptualLoss.from_config(tiny_vgg, styles[which[n]], config)
        expected = alone(painted[n : n + 1], alone.content_target(photographs[n : n + 1]))
        torch.testing.assert_close(found.style[n], expected.style[0])
        torch.testing.assert_close(found.content[n], expected.content[0])
        total = expected.weights.content * expected.content
        total = total + share[n] * expected.weights.style * expected.style
        torch.testing.assert_close(found.per_picture[n], total[0])
    with pytest.raises(ValueError, match="which of the 3 styles"):
        together(painted, together.content_target(photographs, which))


@pytest.fixture(scope="module")
def style_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, random = tmp_path_factory.mktemp("styles"), np.random.default_rng(0)
    files = []
    for name, side in (("red wave", 3), ("blue dots", 7), ("stripes", 11)):
        blocks = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        files.append(folder / f"{name}.png")
        Image.fromarray(np.kron(blocks, np.ones((side + 5, 9, 1), np.uint8))).save(files[-1])
    return files


@pytest.fixture(scope="module")
def arguments(photo_folder: Path, vgg_file: Path) -> tuple[str, ...]:
    return (*SMALL, "--data", str(photo_folder), "--vgg", str(vgg_file), "--init", "none")


@pytest.fixture(scope="module")
def run(
    style_files: list[Path], arguments: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two styles, six steps."""
    runs = tmp_path_factory.mktemp("runs")
    often = ("--log-every", "2", "--checkpoint-every", "3")
    return train(*style_files[:2], *arguments, *often, "--runs", runs, "--steps", "6")


def network_of(run: Path) -> StyleNetwork:
    return load_network(load_checkpoint(run / "last.safetensors"), source="the run")


def test_a_run_of_several_styles(run: Path, style_files: list[Path]) -> None:
    """By hand: the folder is called after the first; images, names and figures are those of all."""
    assert run.name == "red-wave-and-1-more-1"
    checkpoint = load_checkpoint(run / "last.safetensors")
    known = run_of(run, checkpoint.header)
    assert known.styles == ["red-wave", "blue-dots"]
    assert [file.read_bytes() for file in known.style_files] == [
        file.read_bytes() for file in style_files[:2]
    ]
    network = network_of(run)
    assert network.styles == 2
    photo = image(9)
    with torch.inference_mode():
        one, other = (network(photo, mix=pure(2, n)) for n in range(2))
    assert (one - other).abs().max() > 1e-3
    # Two styles and two photographs, white between them.
    strip = load_image(run / "preview-000006.jpg")
    assert (strip.width, strip.height) == (
        3 * 64 + 2 * 4,
        3 * 64 + 2 * 4,
    )
    lines = (run / "log.jsonl").read_text()
    assert '"red-wave": ' in lines
    assert '"blue-dots": ' in lines


def test_a_run_of_several_styles_goes_on_to_the_bit(
    run: Path,
    style_files: list[Path],
    arguments: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By invariant: broken off after three steps and resumed, the weights are the same."""
    save = Run.save

    def save_and_break_off(run: Run, learner: Learner) -> None:
        save(run, learner)
        if learner.step == 3:
            raise OutputError("the disk is full")

    monkeypatch.setattr(Run, "save", save_and_break_off)
    often = ("--log-every", "2", "--checkpoint-every", "3")
    with pytest.raises(OutputError):
        train(*style_files[:2], *arguments, *often, "--runs", tmp_path, "--steps", "6")
    monkeypatch.undo()
    again = train("--resume", tmp_path / "red-wave-and-1-more-1")
    expected = network_of(run).state_dict()
    found = network_of(again).state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_style_is_added_and_the_others_keep_every_bit(
    run: Path, style_files: list[Path], arguments: tuple[str, ...], tmp_path: Path
) -> None:
    given = [a if a != "none" else str(run) for a in arguments]
    added = train("--add", style_files[2], *given, "--runs", tmp_path, "--steps", "3")
    old, new = network_of(run), network_of(added)
    assert new.styles == 3
    before, after = old.state_dict(), new.state_dict()
    for name, value in before.items():
        if value.shape == after[name].shape:
            assert torch.equal(value, after[name]), name
        else:  # the scales and shifts of the norms
            assert torch.equal(value, after[name][:3]), name
            assert not torch.equal(after[name][3], value[1:].mean(0)), name
    known = run_of(added, load_checkpoint(added / "last.safetensors").header)
    assert (known.styles, known.drawn_styles) == (["red-wave", "blue-dots", "stripes"], ["stripes"])
    assert known.config.norm_rate == 30  # written down, as docs/training.md has it
    assert train("--resume", added) == added  # all is done; its inputs are found


def test_all_of_a_network_learns_when_it_is_thawed(
    run: Path, style_files: list[Path], arguments: tuple[str, ...], tmp_path: Path
) -> None:
    given = [a if a != "none" else str(run) for a in arguments]
    more = ("--thaw", "--runs", tmp_path, "--steps", "2")
    added = train("--add", style_files[2], *given, *more)
    before, after = network_of(run).state_dict(), network_of(added).state_dict()
    assert not torch.equal(before["conv1.conv.weight"], after["conv1.conv.weight"])
    known = run_of(added, load_checkpoint(added / "last.safetensors").header)
    assert known.drawn_styles == ["red-wave", "blue-dots", "stripes"]
    assert known.config.norm_rate == 4
    assert len(known.style_files) == 3


def test_the_strength_of_one_style_can_be_trained(
    style_files: list[Path], arguments: tuple[str, ...], tmp_path: Path
) -> None:
    run = train(style_files[0], "--mix", *arguments, "--runs", tmp_path, "--steps", "2")
    assert network_of(run).styles == 1
    assert run.name == "red-wave-1"
    assert (run / "style.png").is_file()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("STYLE", "STYLE"), "two styles are called red-wave"),
        (("--add", "STYLE"), "--add needs --init MODEL"),
        (("--add", "STYLE", "STYLE"), "leave out the style images before it"),
        (("STYLE", "--thaw"), "--thaw belongs to --add"),
        ((), "a style image is missing"),
        (("--add", "STYLE", "--init", "RUN", "--thaw"), "two styles are called red-wave"),
        (("--add", "STYLE", "--init", "FILE", "--thaw"), "give --init the run folder"),
    ],
)
def test_what_is_refused(
    words: tuple[str, ...],
    reason: str,
    run: Path,
    style_files: list[Path],
    arguments: tuple[str, ...],
    tmp_path: Path,
) -> None:
    places = {"STYLE": style_files[0], "RUN": run, "FILE": run / "last.safetensors"}
    given = [places.get(word, word) for word in words]
    left = arguments[:-2] if "--init" in words else arguments
    with pytest.raises(UsageError, match=reason):
        train(*given, *left, "--runs", tmp_path / "runs", "--steps", "2")
    assert not (tmp_path / "runs").exists()


def test_a_tally_counts_full_strength_alone(make_record: Callable[..., Any]) -> None:
    """By hand: S of 1 and 3 for one style, 5 for the other; half a photograph is left out."""
    tally = Tally(["a", "b", "c"], CPU)
    tally.add(make_record([1.0, 5.0], [0, 1], [1.0, 1.0]))
    tally.add(make_record([3.0, 9.0], [0, 0], [1.0, 0.5]))
    assert tally.take() == {"a": 2.0, "b": 5.0}
    assert tally.take() == {}


@pytest.fixture
def make_record() -> Callable[..., Any]:
    from nst.loss_terms import LossTerms, LossWeights
    from train.loop import StepRecord

    def make(style: list[float], which: list[int], share: list[float]) -> StepRecord:
        zeros = torch.zeros(len(style))
        terms = LossTerms(zeros, torch.tensor(style), zeros, LossWeights(), torch.tensor(share))
        none = torch.zeros((), dtype=torch.int64)
        return StepRecord(1, terms, 1e-3, none, none, which=torch.tensor(which))

    return make

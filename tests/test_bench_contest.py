"""The benchmark of a training step: a fair contest, and what it prints. No time is asserted."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

import nst.commands.contest
import nst.commands.feed_rates
from nst.cli import main
from nst.commands.contest import Contestant, OurSide, PlainSide, Setting
from nst.commands.plain_loop import PlainLoop, _plain_gram, random_vgg
from nst.functional import gram_matrix
from nst.tensors import to_tensor
from nst.weights import VGGWeights


@pytest.fixture
def small_contest(monkeypatch: pytest.MonkeyPatch, tiny_vgg: VGGWeights) -> None:
    """The contest with a tiny VGG-19 and a small style image, for the sake of time."""
    monkeypatch.setattr(nst.commands.contest, "random_vgg", lambda: tiny_vgg)
    monkeypatch.setattr(nst.commands.contest, "STYLE_PX", 64)


def setting(preset: str = "pyramid") -> Setting:
    return Setting(size=64, batch=2, width=8, preset=preset, device="cpu")


def test_both_networks_are_the_same_function(small_contest: None, one_thread: None) -> None:
    """By another implementation: nn.InstanceNorm2d in contiguous memory, with our weights."""
    side = OurSide(setting())
    ours, plain = side.learner.network, PlainSide(setting()).plain.network
    count = [sum(p.numel() for p in network.parameters()) for network in (ours, plain)]
    assert count[0] == count[1] == 108_371
    norms = [type(module).__name__ for module in plain.modules()]
    assert norms.count("InstanceNorm2d") == 15
    assert "InstanceNorm" not in norms
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    plain.load_state_dict(ours.state_dict())
    image = to_tensor(setting().crops())
    with torch.no_grad():
        torch.testing.assert_close(plain(image.contiguous()), ours(image), atol=1e-4, rtol=0)


def test_the_plain_gram_matrix_is_ours_divided() -> None:
    """By hand: everybody divides by channels times height times width."""
    features = torch.rand(2, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(_plain_gram(features), gram_matrix(features) / (5 * 6 * 7))


@pytest.mark.parametrize("preset", ["pyramid", "gatys"])
def test_the_plain_loop_looks_at_the_same_layers(
    small_contest: None, tiny_vgg: VGGWeights, preset: str
) -> None:
    """By another implementation: nn.Sequential and our encoder on the same normalised picture."""
    criterion, plain = OurSide(setting(preset)).criterion, PlainSide(setting(preset)).plain
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    found = plain._features(picture)
    expected = criterion.features(picture)
    assert found.keys() == expected.keys()
    for tap, value in found.items():
        torch.testing.assert_close(value, expected[tap], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("preset", ["pyramid", "gatys"])
def test_the_plain_loop_has_our_objective(
    small_contest: None, tiny_vgg: VGGWeights, preset: str
) -> None:
    """By another implementation: S and C of ours, for a picture with structure and a flat one."""
    criterion, plain = OurSide(setting(preset)).criterion, PlainSide(setting(preset)).plain
    x, y = torch.rand(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    x[1] = 0.5  # its content is measured against the floor
    terms = criterion(y, criterion.content_target(x))
    content, style = plain.losses(y, x)
    torch.testing.assert_close(content, terms.content.mean(), rtol=1e-4, atol=0)
    torch.testing.assert_close(style, terms.style.mean(), rtol=1e-4, atol=0)


def test_a_step_of_each_changes_its_network(small_contest: None) -> None:
    ours, plain = OurSide(setting()), PlainSide(setting())
    for side, network in ((ours, ours.learner.network), (plain, plain.plain.network)):
        before = [p.detach().clone() for p in network.parameters()]
        crops = torch.as_tensor(side.crops).clone()
        side.step()
        changed = [not torch.equal(p, q) for p, q in zip(network.parameters(), before, strict=True)]
        assert all(changed)
        assert torch.equal(torch.as_tensor(side.crops), crops)


def test_a_contestant_steps_in_a_process_of_its_own() -> None:
    contestant = Contestant("nst", setting())
    assert contestant.step() > 0
    contestant.close()
    assert contestant._process.exitcode == 0


class Stopwatch:
    """A contestant in this process, which needs no second torch."""

    def __init__(self, name: str, setting: Setting) -> None:
        self.side = nst.commands.contest.SIDES[name](setting)

    def step(self) -> float:
        return nst.commands.contest.time_step(self.side)

    def count_flops(self) -> int:
        return nst.commands.contest.count_flops(self.side)

    def close(self) -> None:
        pass


def test_the_plain_loop_learns(small_contest: None, tiny_vgg: VGGWeights) -> None:
    """By invariant: the other side of the contest is a training that works, not a straw man."""
    crops = torch.from_numpy(setting().crops()).permute(0, 3, 1, 2)
    style = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    loop = PlainLoop(tiny_vgg, style, width=8, preset="pyramid")
    losses = []
    for _ in range(20):
        before = loop.seen_content + 4.5 * loop.seen_style
        loop.step(crops)
        losses.append(loop.seen_content + 4.5 * loop.seen_style - before)
    assert losses[-1] < 0.8 * losses[0]


def test_the_random_vgg_has_the_true_sizes() -> None:
    """By hand: VGG-19's convolutions have 20,024,384 weights and biases (configuration E)."""
    weights = random_vgg()
    assert sum(tensor.numel() for tensor in weights.tensors.values()) == 20_024_384
    assert len(weights.convolutions) == 16


def test_the_command_prints_a_table(
    small_contest: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By hand: one line a side, precision and batch, and ratios pair by pair."""
    monkeypatch.setattr(nst.commands.contest, "Contestant", Stopwatch)
    monkeypatch.setattr(nst.commands.contest, "matrix_rate", lambda *_: 1e12)
    monkeypatch.setattr(nst.commands.feed_rates, "COUNTED_S", 0.01)
    arguments = ["bench", "train", "--steps", "1", "--size", "64", "--width", "8"]
    arguments += ["--batch", "1", "--batch", "2", "--device", "cpu"]
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert not caught.value.code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "64 px, width 8, preset pyramid; medians of 1 steps"
    assert [line.split()[:2] for line in lines].count(["plain", "loop"]) == 2
    assert sum("x the plain loop" in line for line in lines) in (2, 4)  # bfloat16 where there is
    with pytest.raises(SystemExit):
        main([*arguments, "--views", "5", "--json"])
    record = json.loads(capsys.readouterr().out)
    assert {row["batch"] for row in record["rows"]} == {1, 2}
    for row in record["rows"]:
        assert row["images_per_s"] == row["batch"] / row["median_s"]
        assert row["peak_share"] == pytest.approx(row["flops"] / row["median_s"] / 1e12)
    plain, ours = record["rows"][:2]
    assert ours["ratio"] == plain["seconds"][0] / ours["seconds"][0]
    assert plain["ratio"] == 1
    assert len(record["photographs_per_s"]) == 3
    assert (record["training"]["views"], record["training"]["batch"]) == (5, 2)
    assert record["training"]["seconds"] > 0
    assert all(rate > 0 for rate in record["photographs_per_s"].values())


def test_the_profile_names_kernels(small_contest: None) -> None:
    """By hand: convolutions and their gradients are among what takes longest."""
    table = nst.commands.contest.profile_step(setting())
    assert "convolution_backward" in table
    assert "Self CPU" in table


def test_floating_point_operations_by_hand(small_contest: None, tiny_vgg: VGGWeights) -> None:
    """By hand: every picture takes as many, and what the kernels take for all of them is little."""
    one, two, three = (
        nst.commands.contest.count_flops(OurSide(dataclasses.replace(setting(), batch=batch)))
        for batch in (1, 2, 3)
    )
    assert two - one == three - two
    assert one == pytest.approx(two - one, rel=0.01)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--width", "0"], "--width must be"),
        (["--preset", "x"], "--preset must be"),
        (["--size", "65"], "--size must be a multiple of 8"),
        (["--graphs"], "--graphs needs CUDA"),
        (["--batch", "0"], "--batch must be at least 1"),
    ],
)
def test_an_error_is_one_line(
    small_contest: None, capsys: pytest.CaptureFixture[str], flags: list[str], expected: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bench", "train", "--size", "64", "--device", "cpu", *flags])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("nst: ")
    assert expected in error

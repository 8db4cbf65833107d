"""The training loop: it learns, follows its learning rate and leaves everything else alone."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nst.losses import PerceptualLoss
from nst.tensors import as_rgb, load_style
from nst.weights import VGGWeights
from train.config import TrainConfig
from train.edges import edge_loss
from train.learner import Learner
from train.levels import with_levels
from train.loop import StepRecord, backward, compile_step, fit, learning_rate
from train.mixes import Mixes

CPU = torch.device("cpu")
FLOAT = torch.float32


def small_config(**values: object) -> TrainConfig:
    return TrainConfig(width=8, size=64, batch=1, **values)  # type: ignore[arg-type]


@pytest.fixture
def criterion(tiny_vgg: VGGWeights, style_file: object) -> PerceptualLoss:
    style, _ = load_style(str(style_file), 64)
    return PerceptualLoss(tiny_vgg, style)


@pytest.fixture
def crops(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One training step's crops, (1, 64, 64, 3)."""
    return np.pad(photo, ((8, 8), (0, 0), (0, 0)), mode="reflect")[None]


def train(
    learner: Learner,
    criterion: PerceptualLoss,
    crops: NDArray[np.uint8],
    config: TrainConfig,
    steps: int,
    dtype: torch.dtype = torch.float32,
) -> list[StepRecord]:
    batches = [torch.from_numpy(crops)] * steps
    return list(fit(learner, criterion, batches, config, dtype))


def test_the_loss_falls_on_one_picture(
    criterion: PerceptualLoss, crops: NDArray[np.uint8], one_thread: None
) -> None:
    """By invariant: a network that may learn one picture by heart gets much better at it."""
    config = small_config(steps=60, learning_rate=5e-3)
    records = train(Learner.new(config, CPU), criterion, crops, config, 60)
    totals = [float(record.terms.total) for record in records]
    assert np.mean(totals[-5:]) < 0.5 * np.mean(totals[:5])


def test_the_learning_rate_by_hand() -> None:
    """Warm-up of 10 steps, then half a cosine over 90: its middle is (1 + 0.01) / 2 of the peak."""
    config = small_config(steps=100, learning_rate=1.0, warmup=10)
    assert learning_rate(0, config) == pytest.approx(1 / 11)
    assert learning_rate(9, config) == pytest.approx(10 / 11)
    assert learning_rate(10, config) == pytest.approx(1.0)
    assert learning_rate(55, config) == pytest.approx(0.505)
    assert learning_rate(100, config) == pytest.approx(0.01)


def test_the_warm_up_takes_a_tenth_of_a_short_training_at_most() -> None:
    """By hand: 50 steps of warm-up asked for, 20 steps in all, so 2 are taken."""
    config = small_config(steps=20, learning_rate=1.0, warmup=50)
    rates = [learning_rate(step, config) for step in range(20)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert all(a > b for a, b in pairwise(rates[2:]))


def test_a_training_of_one_step_has_the_peak_rate() -> None:
    assert learning_rate(0, small_config(steps=1, learning_rate=0.5)) == pytest.approx(0.5)


@pytest.mark.parametrize(("asked", "factor"), [(None, 4.0), (20.0, 20.0)])
def test_norms_learn_so_many_times_as_fast(
    criterion: PerceptualLoss, crops: NDArray[np.uint8], asked: float | None, factor: float
) -> None:
    """By hand: a first step of Adam is in proportion to its learning rate."""
    steps = []
    for rate in (1.0, asked):
        config = small_config(steps=1, learning_rate=1e-4, norm_rate=rate)
        learner = Learner.new(config, CPU)
        before = {name: p.detach().clone() for name, p in learner.network.named_parameters()}
        train(learner, criterion, crops, config, 1)
        after = learner.network.named_parameters()
        steps.append({name: (p.detach() - before[name]).abs().max() for name, p in after})
    for name, step in steps[0].items():
        expected = step * factor if "norm" in name else step
        torch.testing.assert_close(steps[1][name], expected, rtol=0.02, atol=1e-7)


def test_levels_change_the_photographs_of_a_step(
    criterion: PerceptualLoss, photo: NDArray[np.uint8], one_thread: None
) -> None:
    """By ``with_levels``: those that it leaves alone have the terms that they had, to the bit."""
    crops = torch.from_numpy(np.ascontiguousarray(np.tile(photo[:64, :64], (8, 1, 1, 1))))
    terms = [
        backward(Learner.new(small_config(levels=most), CPU), criterion, crops, torch.float32)
        for most in (0.0, 0.4)
    ]
    given = as_rgb(crops, dtype=torch.float32)
    changed = (with_levels(given, 0.4, seed=0, first=0) != given).flatten(1).any(1)
    assert 0 < int(changed.sum()) < 8
    assert torch.equal(terms[0].content != terms[1].content, changed)


def test_where_norms_alone_learn_they_learn_faster() -> None:
    """By hand: 30 times the rate of convolutions, unless another factor is asked for."""
    mixes = Mixes(styles=3, drawn=[2], batch=1, seed=0)
    for asked, factor in ((None, 30.0), (2.0, 2.0)):
        (group,) = Learner.new(small_config(norm_rate=asked), CPU, mixes).optimizer.param_groups
        assert group["factor"] == factor


def test_records_count_on_from_the_learner(
    criterion: PerceptualLoss, crops: NDArray[np.uint8]
) -> None:
    config = small_config(steps=10, warmup=0)
    learner = Learner.new(config, CPU)
    learner.step = 5
    records = train(learner, criterion, crops, config, 2)
    assert [record.step for record in records] == [6, 7]
    assert learner.step == 7
    assert [record.learning_rate for record in records] == [
        learning_rate(5, config),
        learning_rate(6, config),
    ]
    assert not records[0].terms.total.requires_grad


def test_training_changes_the_network_and_not_the_objective(
    criterion: PerceptualLoss, crops: NDArray[np.uint8]
) -> None:
    config = small_config(steps=10)
    learner = Learner.new(config, CPU)
    network = {name: value.clone() for name, value in learner.network.state_dict().items()}
    objective = {name: value.clone() for name, value in criterion.named_buffers()}
    objective |= {name: value.clone() for name, value in criterion.named_parameters()}
    given = crops.copy()
    train(learner, criterion, crops, config, 1)
    now = dict(criterion.named_buffers()) | dict(criterion.named_parameters())
    assert all(torch.equal(now[name], value) for name, value in objective.items())
    for name, value in learner.network.state_dict().items():
        assert not torch.equal(value, network[name]), name
    np.testing.assert_array_equal(crops, given)


def test_the_seed_makes_the_network_and_nothing_else_is_drawn_from() -> None:
    """By invariant: equal seeds, equal weights; the global generator stays where it was."""
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, same = (Learner.new(small_config(seed=4), CPU).network for _ in range(2))
    other = Learner.new(small_config(seed=5), CPU).network
    assert torch.equal(torch.rand(3), expected)
    first = "conv1.conv.weight"
    assert torch.equal(one.get_parameter(first), same.get_parameter(first))
    assert not torch.equal(one.get_parameter(first), other.get_parameter(first))


def test_steps_do_not_depend_on_the_global_generator(
    criterion: PerceptualLoss, crops: NDArray[np.uint8], one_thread: None
) -> None:
    config = small_config(steps=10)
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        learner = Learner.new(config, CPU)
        train(learner, criterion, crops, config, 2)
        results.append(learner.network.get_parameter("to_rgb.conv.weight").detach())
    assert torch.equal(*results)


def test_a_rehearsal_is_forgotten(
    criterion: PerceptualLoss, crops: NDArray[np.uint8], one_thread: None
) -> None:
    """By invariant: what is trained behind it has the bits of a learner that never rehearsed."""
    config, weights = small_config(steps=3), []
    batches = [torch.from_numpy(crops)] * 3
    for rehearses in (False, True):
        learner = Learner.new(config, CPU)
        if rehearses:
            with learner.rehearsal():
                assert len(list(fit(learner, criterion, batches, config, torch.float32))) == 3
            assert (learner.step, int(learner.skipped)) == (0, 0)
        *_, record = fit(learner, criterion, batches, config, torch.float32)
        assert record.step == 3
        weights.append([p.detach().clone() for p in learner.network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_bfloat16_keeps_weights_and_terms_in_float32(
    criterion: PerceptualLoss, crops: NDArray[np.uint8]
) -> None:
    """By invariant: autocast rounds activations only; 8 bits of mantissa are good to a few %."""
    config = small_config(steps=10)
    values = []
    for dtype in (torch.float32, torch.bfloat16):
        learner = Learner.new(config, CPU)
        (record,) = train(learner, criterion, crops, config, 1, dtype)
        assert {p.dtype for p in learner.network.parameters()} == {torch.float32}
        assert record.terms.style.dtype == torch.float32
        values.append(float(record.terms.total))
    assert math.isfinite(values[1])
    assert values[1] == pytest.approx(values[0], rel=0.05)
    assert values[1] != values[0]


# Torch's own, while it traces a module that is given the output of another one.
TRACED = pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"
)


@TRACED
def test_a_compiled_step_is_the_step(
    criterion: PerceptualLoss, crops: NDArray[np.uint8], one_thread: None
) -> None:
    """By another implementation: traced whole, without a break, and run op by op.

    In bfloat16, where other norms run inside a trace, it is as near to float32 as the other is.
    """

    def gradient(dtype: torch.dtype, *, is_compiled: bool) -> Tensor:
        learner = Learner.new(small_config(steps=10), CPU)
        if is_compiled:
            compile_step(learner, criterion, backend="aot_eager")
        backward(learner, criterion, torch.from_numpy(crops), dtype)
        found = [p.grad.flatten() for p in learner.network.parameters() if p.grad is not None]
        return torch.cat(found)

    def distance(a: Tensor, b: Tensor) -> float:
        return float(torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b))

    truth, half = (gradient(dtype, is_compiled=False) for dtype in (FLOAT, torch.bfloat16))
    assert distance(gradient(FLOAT, is_compiled=True), truth) <= 1e-5
    compiled = gradient(torch.bfloat16, is_compiled=True)
    assert distance(compiled, truth) <= 1.2 * distance(half, truth)
    assert distance(compiled, half) <= 0.6 * distance(half, truth)


@TRACED
def test_a_compiled_step_has_the_price_on_outliers(
    criterion: PerceptualLoss, crops: NDArray[np.uint8], one_thread: None
) -> None:
    """By the step run op by op, and another one without that price."""

    def gradient(weight: float, *, is_compiled: bool) -> Tensor:
        learner = Learner.new(small_config(outlier_weight=weight, stability=1.0), CPU)
        with torch.no_grad():
            learner.network.get_parameter("to_rgb.conv.bias").fill_(9.0)
        if is_compiled:
            compile_step(learner, criterion, backend="aot_eager")
        backward(learner, criterion, torch.from_numpy(crops), FLOAT)
        found = [p.grad.flatten() for p in learner.network.parameters() if p.grad is not None]
        return torch.cat(found)

    plain, priced = (gradient(weight, is_compiled=False) for weight in (0.0, 1.0))
    difference = torch.linalg.vector_norm(priced - plain)
    assert difference > 0.1 * torch.linalg.vector_norm(plain)
    compiled = gradient(1.0, is_compiled=True)
    assert torch.linalg.vector_norm(compiled - priced) <= 1e-4 * difference


def test_a_step_has_the_price_on_edges(criterion: PerceptualLoss, crops: NDArray[np.uint8]) -> None:
    """By a step without it and the price computed alone."""

    def of(weight: float) -> Learner:
        learner = Learner.new(small_config(edge_weight=weight), CPU)
        backward(learner, criterion, torch.from_numpy(crops), FLOAT)
        return learner

    plain, priced = of(0.0).network, of(0.2).network
    network = Learner.new(small_config(), CPU).network
    photographs = as_rgb(torch.from_numpy(crops))
    (0.2 * edge_loss(network(photographs), photographs).mean()).backward()  # type: ignore[no-untyped-call]
    prices = [p.grad for p in network.parameters() if p.grad is not None]
    assert max(float(price.abs().max()) for price in prices) > 1e-4
    pairs = zip(plain.parameters(), priced.parameters(), prices, strict=True)
    for without, with_it, price in pairs:
        assert without.grad is not None
        assert with_it.grad is not None
        torch.testing.assert_close(with_it.grad - without.grad, price, rtol=1e-3, atol=1e-5)


def test_channels_last_is_kept_at_every_layer_of_the_objective(
    criterion: PerceptualLoss, crops: NDArray[np.uint8]
) -> None:
    """By invariant: no convolution of the encoder is given or gives a contiguous tensor."""
    seen: list[bool] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        tensors = (*inputs, output)
        seen.extend(t.is_contiguous(memory_format=torch.channels_last) for t in tensors)

    criterion.to(memory_format=torch.channels_last)
    for module in criterion.encoder.convolutions.values():
        module.register_forward_hook(look)
    backward(Learner.new(small_config(steps=10), CPU), criterion, torch.from_numpy(crops), FLOAT)
    assert len(seen) > 20
    assert all(seen)

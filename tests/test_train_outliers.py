"""The price on values far from all others. Truths: by hand, by invariant."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from nst.mix import pure
from nst.norm import ConditionalNorm, InstanceNorm
from nst.swift import SwiftNet
from nst.transformer import TransformerNet
from train.outliers import BEFORE_SIGMOID, MOST_DEVIATIONS, Outliers


def images(batch: int = 2) -> Tensor:
    """Grey, each with a bright spot of another size, which norms make far from the others."""
    photographs = 0.4 + 0.01 * torch.rand(
        batch, 3, 32, 32, generator=torch.Generator().manual_seed(0)
    )
    for n, photograph in enumerate(photographs):
        photograph[:, 8 : 9 + n, 8] = 1.0
    return photographs


def price(network: TransformerNet, photographs: Tensor) -> Tensor:
    outliers = Outliers(network)
    with outliers.watched():
        network(photographs)
    return outliers.price()


def norms_of(network: nn.Module) -> list[nn.Module]:
    return [m for m in network.modules() if isinstance(m, InstanceNorm | ConditionalNorm)]


def give(module: nn.Module, value: Tensor) -> None:
    """Let a module return another value than its own, before anything else sees it."""
    module.register_forward_hook(lambda *_: value)


def one_high(batch: int) -> Tensor:
    """Maps of 10 times 10 values: one is 1, the others are 0; ``(B, 1, 10, 10)``."""
    maps = torch.zeros(batch, 1, 10, 10)
    maps[:, :, 3, 4] = 1.0
    return maps


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (-30.0, 5.0), (0.2, -2.0)])
def test_a_value_far_from_the_others_by_hand(scale: float, shift: float) -> None:
    """One of 100 lies (1 - 0.01) / sqrt(0.01 * 0.99) = 9.95 deviations from their mean."""
    network = TransformerNet(2)
    last = norms_of(network)[-1]
    give(last, (one_high(2) * scale + shift).expand(2, 2, 10, 10))
    outliers = Outliers(network)
    with outliers.watched():
        last(torch.zeros(2, 2, 10, 10))
    expected = (math.sqrt(0.99 / 0.01) - MOST_DEVIATIONS) ** 2 / 100
    assert outliers.price().tolist() == pytest.approx([expected] * 2, rel=0.01)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_last_value_by_hand(sign: int) -> None:
    """3 beyond its limit everywhere costs 9, at the limit nothing."""
    network = TransformerNet(2)
    outliers = Outliers(network)
    for beyond in (3, 0):
        with torch.no_grad():
            network.to_rgb.conv.weight.zero_()
            network.get_parameter("to_rgb.conv.bias").fill_(sign * (BEFORE_SIGMOID + beyond))
        with outliers.watched():
            network.to_rgb(torch.zeros(2, 2, 16, 16))
        assert outliers.price().tolist() == pytest.approx([beyond**2] * 2)


@pytest.mark.parametrize("make", [TransformerNet, SwiftNet])
@pytest.mark.parametrize("styles", [0, 2])
def test_every_norm_is_watched(make: type[TransformerNet | SwiftNet], styles: int) -> None:
    """By counting: one price for each, and one for the value before the sigmoid."""
    network = make(styles=styles)
    norms = norms_of(network)
    outliers = Outliers(network)
    with outliers.watched():
        network(images(), mix=pure(styles, 1) if styles else None)
        assert len(outliers._prices) == len(norms) + 1


def test_each_photograph_has_its_own_price() -> None:
    """By invariant: alone and in a batch, the same."""
    network = TransformerNet(4)
    both = price(network, images())
    assert both.min() > 0
    assert both[0] != both[1]
    torch.testing.assert_close(both[1:], price(network, images()[1:]))


def test_only_what_is_watched_counts_and_the_painting_stays_as_it_was() -> None:
    """By invariant: passes before and after, as that of steadiness, cost nothing."""
    network = TransformerNet(4)
    before = network(images())
    outliers = Outliers(network)
    with outliers.watched():
        assert torch.equal(network(images()), before)
    network(images())
    network(images())
    torch.testing.assert_close(outliers.price(), price(copy.deepcopy(network), images()))


def test_descent_mends_a_value_where_the_sigmoid_has_no_gradient() -> None:
    """By the failure itself: before the sigmoid lies -40, and the painting alone moves nothing."""
    network = TransformerNet(4)
    bias = network.get_parameter("to_rgb.conv.bias")
    with torch.no_grad():
        bias.fill_(-40.0)
    outliers = Outliers(network)
    optimizer = torch.optim.Adam([bias], lr=1.0)
    slopes: list[Tensor] = []
    for _ in range(60):
        optimizer.zero_grad()
        with outliers.watched():
            painted = network(images())
        grey = (painted - 0.5).square().mean()
        slopes += torch.autograd.grad(grey, bias, retain_graph=True)
        (grey + outliers.price().mean()).backward()
        optimizer.step()
    assert slopes[0].abs().max() < 1e-12
    assert bias.abs().max() < BEFORE_SIGMOID + 1

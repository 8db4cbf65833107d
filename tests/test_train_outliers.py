"""The price on values far from all others. Truths: by hand, by invariant, by a trained network."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from nst.mix import pure
from nst.norm import ConditionalNorm, InstanceNorm
from nst.swift import SwiftNet
from nst.transformer import TransformerNet
from train.outliers import BEFORE_SIGMOID, BEHIND_NORM, Outliers


def flat(network: nn.Module, *, behind_norms: float, last: float) -> None:
    """Give every map behind a norm one value, and the one before the sigmoid another."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, InstanceNorm | ConditionalNorm):
                module.weight.zero_()
                module.bias.fill_(behind_norms)
        weight, bias = network.get_submodule("to_rgb").parameters()
        weight.zero_()
        bias.fill_(last)


def images(batch: int = 2) -> Tensor:
    return torch.rand(batch, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def price(network: TransformerNet | SwiftNet, photographs: Tensor, *args: Tensor) -> Tensor:
    outliers = Outliers(network)
    with outliers.watched():
        network(photographs, mix=args[0] if args else None)
    return outliers.price()


@pytest.mark.parametrize("styles", [0, 2])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_price_by_hand(styles: int, sign: int) -> None:
    """15 norms of johnson 2 beyond the limit each, 3 beyond the other: 15 * 4 + 9."""
    network = TransformerNet(4, styles=styles)
    flat(network, behind_norms=sign * (BEHIND_NORM + 2), last=sign * (BEFORE_SIGMOID + 3))
    mix = [pure(styles, 1)] if styles else []
    assert price(network, images(), *mix).tolist() == pytest.approx([69.0, 69.0])
    flat(network, behind_norms=sign * BEHIND_NORM, last=sign * BEFORE_SIGMOID)
    assert price(network, images(), *mix).tolist() == [0.0, 0.0]


def test_every_norm_of_swift_is_watched() -> None:
    """By counting its norms."""
    network = SwiftNet()
    norms = sum(isinstance(module, InstanceNorm) for module in network.modules())
    flat(network, behind_norms=BEHIND_NORM + 1, last=0)
    assert price(network, images()).tolist() == pytest.approx([norms] * 2)


def test_each_photograph_has_its_own_price() -> None:
    """By invariant: alone and in a batch, the same."""
    network = TransformerNet(4)
    with torch.no_grad():
        network.norm1.weight.fill_(20)
    both = price(network, images())
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

"""Mixes of styles: shares, norms, folding. Truths: by hand, and the network of one style."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from nst.dimensions import Dimensions, JohnsonDimensions, SwiftDimensions
from nst.folding import adapted, folded, norm_parameters
from nst.mix import is_global, normalized, pure, resized
from nst.nets import build_network
from nst.network import StyleNetwork
from nst.norm import ConditionalNorm, InstanceNorm, norm_of
from nst.tensors import as_rgb, to_uint8

DIMENSIONS = [
    JohnsonDimensions(width=4),
    SwiftDimensions(width=8, blocks=1),
    SwiftDimensions(width=8, blocks=1, norms=1, head="shuffle"),
]


def network(dimensions: Dimensions, styles: int = 3) -> StyleNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = build_network(dimensions, styles).eval()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
        return net


def photographs(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(2))


def mix_of(*cells: list[float]) -> Tensor:
    """A row of cells, each the values of all channels: ``(1, K + 1, 1, n)``."""
    return torch.tensor(cells).T[None, :, None, :]


def test_shares_by_hand() -> None:
    """2, 1, 3: a third is the photograph, the painting has a quarter and three quarters."""
    found = normalized(mix_of([2.0, 1.0, 3.0]))
    torch.testing.assert_close(found.flatten(), torch.tensor([1 / 3, 0.25, 0.75]))


def test_a_cell_of_nothing_is_the_photograph() -> None:
    found = normalized(mix_of([0.0, 0.0, 0.0], [0.0, 0.0, 5.0]))
    assert found[0, 0, 0].tolist() == [1.0, 0.0]
    assert normalized(torch.zeros(1, 4, 1, 1))[0, 0].item() == 1.0


def test_where_only_the_photograph_is_the_norms_are_those_of_the_whole() -> None:
    """By hand: two cells of 1 and 3, and one of the photograph alone: a quarter and three."""
    found = normalized(mix_of([0.0, 1.0, 0.0], [0.0, 0.0, 3.0], [1.0, 0.0, 0.0]))
    assert found[0, :, 0, 2].tolist() == [1.0, 0.25, 0.75]


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_only_shares_count(scale: float) -> None:
    mix = mix_of([1.0, 2.0, 5.0], [3.0, 0.0, 1.0])
    torch.testing.assert_close(normalized(scale * mix), normalized(mix))


def test_resizing_keeps_what_is_the_same_everywhere() -> None:
    mix = normalized(mix_of([1.0, 2.0, 5.0], [1.0, 2.0, 5.0]))
    assert not is_global(mix)
    assert resized(mix, 7, 5).flatten(2).std(2).max() < 1e-6


def test_one_style_is_its_own_norm() -> None:
    x = photographs(2, 5, 6, 7)
    norm, single = ConditionalNorm(5, 2), InstanceNorm(5)
    with torch.no_grad():
        norm.weight[2], norm.bias[2] = 3.0, 0.5
        single.weight.fill_(3.0)
        single.bias.fill_(0.5)
    torch.testing.assert_close(norm(x, pure(2, 1)), single(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_each_picture_has_its_own_mix(dtype: torch.dtype) -> None:
    x = photographs(2, 5, 6, 7).to(dtype)
    norm = ConditionalNorm(5, 2)
    with torch.no_grad():
        norm.weight.normal_(generator=torch.Generator().manual_seed(0))
        norm.bias.normal_(generator=torch.Generator().manual_seed(1))
    mixes = torch.cat((pure(2, 0), pure(2, 1)))
    together = norm(x, mixes)
    for n in range(2):
        assert torch.equal(together[n : n + 1], norm(x[n : n + 1], mixes[n : n + 1]))


def test_the_row_of_the_photograph_is_added() -> None:
    """By hand: 1 and 3 norm to -1 and 1; half the photograph adds half of 4 to the scale of 2."""
    norm = ConditionalNorm(1, 1, eps=0.0)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([[4.0], [2.0]]))
        norm.bias.copy_(torch.tensor([[2.0], [10.0]]))
    x = torch.tensor([[[[1.0, 3.0]]]])
    assert norm(x, normalized(mix_of([0.5, 0.5]))).flatten().tolist() == [7.0, 15.0]


def test_a_grid_of_one_mix_is_that_mix() -> None:
    x = photographs(2, 4, 6, 8)
    norm = ConditionalNorm(4, 2)
    with torch.no_grad():
        norm.weight.normal_(generator=torch.Generator().manual_seed(0))
    everywhere = normalized(mix_of([0.2, 0.5, 0.3]))
    torch.testing.assert_close(norm(x, everywhere.expand(-1, -1, 3, 2)), norm(x, everywhere))


def test_a_grid_changes_scale_and_shift_from_place_to_place() -> None:
    """By hand: left half by one style, right half by the other, statistics of the whole."""
    x = photographs(1, 3, 4, 4)
    norm = ConditionalNorm(3, 2)
    with torch.no_grad():
        norm.weight.normal_(generator=torch.Generator().manual_seed(0))
    halves = torch.cat((pure(2, 0), pure(2, 1)), 3).repeat_interleave(2, 3)
    found = norm(x, halves)
    torch.testing.assert_close(found[..., 0], norm(x, pure(2, 0))[..., 0])
    torch.testing.assert_close(found[..., 3], norm(x, pure(2, 1))[..., 3])


def test_the_gradient_of_mixed_norms_is_numerical() -> None:
    x = photographs(2, 3, 4, 5).double().requires_grad_()
    norm = ConditionalNorm(3, 2).double()
    mix = normalized(photographs(2, 3, 1, 1).double())

    def paint(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        given = {"weight": weight, "bias": bias}
        out: Tensor = torch.func.functional_call(norm, given, (x, mix))
        return out

    assert gradcheck(paint, (x, norm.weight, norm.bias))


@pytest.mark.parametrize("dimensions", DIMENSIONS)
def test_folded_is_the_mix(dimensions: Dimensions) -> None:
    """By invariant: the file of one mix paints what the file of all paints with it."""
    net, photo = network(dimensions), photographs(1, 3, 21, 30)
    with torch.inference_mode():
        for shares in (torch.tensor([0.0, 1.0, 0.0]), torch.tensor([3.0, 0.0, 1.0])):
            mix = torch.cat((torch.zeros(1), shares))[None, :, None, None]
            single = folded(net, shares)
            assert single.styles == 0
            torch.testing.assert_close(single(photo), net(photo, mix=mix), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("dimensions", DIMENSIONS)
def test_no_strength_is_the_photograph(dimensions: Dimensions) -> None:
    net, photo = network(dimensions), photographs(2, 3, 21, 30)
    rgb = to_uint8(photo)
    photo = as_rgb(torch.from_numpy(rgb))
    mix = torch.zeros(1, 4, 3, 2)
    with torch.inference_mode():
        assert np.array_equal(to_uint8(net(photo, mix=mix)), rgb)
        mix[:, 0, :, 0] = mix[:, 2, :, 1] = 1.0
        painted = to_uint8(net(photo, mix=mix))
    assert np.array_equal(painted[:, :, :7], rgb[:, :, :7])
    assert not np.array_equal(painted[:, :, -7:], rgb[:, :, -7:])


def test_a_mix_is_needed_where_there_are_styles_and_only_there() -> None:
    photo = photographs(1, 3, 16, 16)
    with pytest.raises(ValueError, match="mixes 3 styles"):
        network(DIMENSIONS[0])(photo)
    with pytest.raises(ValueError, match="mixes 0 styles"):
        network(DIMENSIONS[0], 0)(photo, mix=pure(3, 0))


@pytest.mark.parametrize("dimensions", DIMENSIONS)
@pytest.mark.parametrize(("before", "after"), [(0, 3), (3, 3), (3, 4), (3, 0), (0, 0)])
def test_a_network_begins_where_another_one_is(
    dimensions: Dimensions, before: int, after: int
) -> None:
    """By invariant: what both can paint they paint alike."""
    old, new, photo = (
        network(dimensions, before),
        network(dimensions, after),
        photographs(1, 3, 9, 9),
    )
    new.load_state_dict(adapted(old, after))
    with torch.inference_mode():
        if before and after:
            for style in range(before):
                expected = old(photo, mix=pure(before, style))
                torch.testing.assert_close(new(photo, mix=pure(after, style)), expected)
        elif after:
            torch.testing.assert_close(new(photo, mix=pure(after, after - 1)), old(photo))
        elif before:
            everything = old(photo, mix=torch.tensor([0.0, 1, 1, 1])[None, :, None, None])
            torch.testing.assert_close(new(photo), everything)


def test_a_style_costs_under_one_per_cent() -> None:
    """The wish: two numbers for each channel of each norm, and nothing else."""
    for dimensions in (JohnsonDimensions(), SwiftDimensions()):
        two, three = (build_network(dimensions, styles) for styles in (2, 3))
        sizes = [sum(p.numel() for p in net.parameters()) for net in (two, three)]
        assert 0 < sizes[1] - sizes[0] < 0.01 * sizes[0]
        norms = [module for module in two.modules() if isinstance(module, ConditionalNorm)]
        assert len(norm_parameters(two)) == 2 * len(norms)


def test_no_styles_give_a_plain_norm() -> None:
    assert isinstance(norm_of(4, 0), InstanceNorm)
    assert isinstance(norm_of(4, 1), ConditionalNorm)

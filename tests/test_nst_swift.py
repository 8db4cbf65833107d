"""The quick network. Truths: by hand, by invariant, by other implementations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from nst.dimensions import SwiftDimensions, dimensions_from, dimensions_named
from nst.errors import UsageError
from nst.layers import UpsampleConv
from nst.norm import InstanceNorm
from nst.spectrum import flat_places, places, spectra, texture
from nst.swift import SwiftNet
from nst.tensors import to_tensor, to_uint8

VARIANTS: dict[str, dict[str, Any]] = {
    "resize": {"head": "resize", "kernel": 12},
    "direct": {"head": "direct", "kernel": 8},
    "half": {"head": "half", "kernel": 12},
    "shuffle": {"head": "shuffle", "kernel": 12},
    "depthwise": {"head": "direct", "kernel": 8, "block": "depthwise"},
    "grouped": {"head": "direct", "kernel": 8, "block": "grouped", "norms": 1},
    "eighth": {"head": "direct", "kernel": 16, "factor": 8, "blocks": 2},
    "half size": {"head": "direct", "kernel": 4, "factor": 2, "noise": 0.0},
}


def network(seed: int = 0, **values: Any) -> SwiftNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SwiftNet(SwiftDimensions(**{"width": 8, **values})).eval()


def picture(height: int, width: int, *, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [(1, 1), (3, 17), (16, 16), (37, 30)])
def test_any_size(variant: str, size: tuple[int, int]) -> None:
    with torch.no_grad():
        painted = network(**VARIANTS[variant])(picture(*size, batch=2))
    assert painted.shape == (2, 3, *size)
    assert painted.min() >= 0
    assert painted.max() <= 1


def test_parameters_by_hand() -> None:
    """Kernels, no bias before a norm, two numbers a normalised channel, a bias of three colours."""
    stem = 5 * 32 * 8 * 8  # 10,240: RGB and two fields of noise
    blocks = 4 * 2 * 32 * 32 * 9  # 73,728
    ups = 32 * 16 * 9 + 16 * 3 * 9 + 3  # 5,043
    norms = 2 * (32 + 4 * 2 * 32 + 16)  # 608
    net = SwiftNet()
    assert sum(p.numel() for p in net.parameters()) == stem + blocks + ups + norms == 89_619


@pytest.mark.parametrize("channels", [3, 8])
@pytest.mark.parametrize("bias", [True, False])
def test_computed_before_the_enlargement_it_is_the_same(bias: bool, channels: int) -> None:
    """By another implementation: nearest neighbour, reflection and the convolution as written."""
    layer = UpsampleConv(5, channels, bias=bias).double()
    x = torch.randn(2, 5, 7, 9, generator=torch.Generator().manual_seed(0)).double()
    inputs = [x.requires_grad_(), *layer.parameters()]
    enlarged = F.interpolate(x, scale_factor=2.0, mode="nearest")
    padded = F.pad(enlarged, (1, 1, 1, 1), mode="reflect")
    found = layer(x)
    expected = F.conv2d(padded, layer.conv.conv.weight, layer.conv.conv.bias)
    torch.testing.assert_close(found, expected)
    upstream = torch.arange(float(found.numel())).double().reshape(found.shape).sin()
    ours = torch.autograd.grad((found * upstream).sum(), inputs)
    theirs = torch.autograd.grad((expected * upstream).sum(), inputs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_the_stem_is_space_to_depth_and_a_convolution() -> None:
    """By another implementation: a kernel of 12 and stride 4 is 3x3 on blocks of 4x4 pixels."""
    stem = network(kernel=12, head="resize").stem
    x = torch.rand(1, 5, 32, 40, dtype=torch.float64)
    stem = stem.double()
    blocks = F.pixel_unshuffle(F.pad(x, (4, 4, 4, 4), mode="reflect"), 4)  # (1, 80, 10, 12)
    weight = F.pixel_unshuffle(stem.conv.weight, 4)  # (8, 80, 3, 3)
    torch.testing.assert_close(stem(x), F.conv2d(blocks, weight))


def without_norms(net: SwiftNet) -> SwiftNet:
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, InstanceNorm):
                setattr(parent, name, nn.Identity())
    return net.double()


@pytest.mark.parametrize("variant", VARIANTS)
def test_reach(variant: str) -> None:
    """By hand: a pixel that is not a number spoils what depends on it, and no more."""
    net = without_norms(network(**VARIANTS[variant]))
    size, widest = 240, 0
    for place in range(net.size_multiple):
        row = 120 + place
        image = torch.full((1, 3, size, size), 0.5, dtype=torch.float64)
        image[:, :, row, row] = torch.nan
        with torch.no_grad():
            rows = torch.where(net(image).isnan().any(1)[0])[0]
        widest = max(widest, row - int(rows.min()), int(rows.max()) - row)
    assert widest <= net.reach_px < widest + 2 * net.size_multiple


def test_samples_do_not_know_each_other() -> None:
    net, batch = network(), picture(24, 20, batch=3)
    with torch.no_grad():
        alone = torch.cat([net(batch[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(net(batch), alone, rtol=0, atol=1e-5)


def test_noise_is_the_same_every_time_and_follows_texture_and_origin() -> None:
    """By invariant: alike when repeated; 0 is the picture beside channels of zeros; where the
    picture lies in the field matters."""
    net, image = network(), picture(40, 40)
    with torch.no_grad():
        plain, again = net(image), net(image)
        calm, calmer = net(image, torch.zeros(1)), net(image, torch.tensor([0.5]))
        elsewhere = net(image, origin=torch.tensor([5, 9]))
        assert net.noise is not None
        net.noise.get_buffer("values").zero_()
        silent = net(image)
    assert torch.equal(plain, again)
    assert torch.equal(calm, silent)
    assert not torch.allclose(plain, calm)
    assert not torch.allclose(calmer, calm)
    assert not torch.allclose(plain, elsewhere)


def test_texture_needs_noise() -> None:
    with pytest.raises(ValueError, match="without noise"):
        network(noise=0.0)(picture(16, 16), torch.ones(1))


def lattice_of(net: SwiftNet) -> float:
    """Return how far the lattice stands out where a network paints a flat photograph."""
    photograph = np.full((256, 256, 3), (90, 120, 160), np.uint8)
    with torch.no_grad():
        painted: NDArray[np.uint8] = to_uint8(net(to_tensor(photograph)))[0]
    style = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    found = texture(spectra(painted, flat_places(photograph)), spectra(style, places(256, 256)))
    assert found is not None
    return found.grid


def spread(net: SwiftNet) -> SwiftNet:
    """Let random weights paint more than an even grey, also in the middle of a flat photograph."""
    with torch.no_grad():
        for parameter in net.to_rgb.parameters():
            parameter.mul_(4)
    return net


def test_the_lattice_is_measured_where_it_is_known_to_be() -> None:
    """By hand: without noise a network of stride 4 repeats one block of 4x4 pixels in a flat
    photograph, since it sees the same in all of them; its pixel shuffle makes the pixels differ.
    With noise and nearest neighbours there is no block to repeat, and next to no lattice even from
    random weights."""
    known = lattice_of(spread(network(head="shuffle", kernel=12, noise=0.0)))
    cured = lattice_of(spread(network(head="resize", kernel=12)))
    assert known > 1000
    assert cured < 20


def test_names_and_values() -> None:
    """By hand, and there and back."""
    dimensions = dimensions_named("swift:blocks=3,noise=0,head=half,kernel=12", 16)
    assert dimensions == SwiftDimensions(blocks=3, noise=0.0, head="half", kernel=12, width=16)
    assert dimensions_named(dimensions.name) == dimensions
    assert dimensions_named("johnson:width=8").name == "johnson:width=8"
    with pytest.raises(UsageError, match="no network of this program"):
        dimensions_from({"network": "swift"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("unet", "--net must be one of johnson, swift, got unet"),
        ("swift:blocks", "--net swift:blocks: write KEY=VALUE after the name, found 'blocks'"),
        ("swift:depth=3", "--net swift: unknown setting depth"),
        ("swift:blocks=0", "--net swift:blocks=0: blocks must be at least 1, got 0"),
        ("swift:blocks=few", "blocks must be a whole number, got 'few'"),
        ("swift:factor=3", "factor must be 2, 4 or 8, got 3"),
        ("swift:kernel=7", "kernel must be 4 to 16 in steps of 2, got 7"),
        ("swift:width=30", "width must be a multiple of 4, got 30"),
        ("swift:head=loud", "head must be one of"),
    ],
)
def test_what_is_no_network_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        dimensions_named(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)

"""The image transformation network. Truths: by hand, by invariant, torch's own instance norm."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.dimensions import JohnsonDimensions
from nst.layers import ConvLayer, RGBConv
from nst.network import pad_to_multiple
from nst.norm import InstanceNorm
from nst.transformer import TransformerNet


def network(width: int = 4, *, seed: int = 0) -> TransformerNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TransformerNet(width)


def picture(height: int, width: int, *, batch: int = 1, seed: int = 0) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def without_norms(net: TransformerNet) -> TransformerNet:
    """Take out the norms, through which every pixel reaches every other."""
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, InstanceNorm):
                setattr(parent, name, nn.Identity())
    assert not any(isinstance(module, InstanceNorm) for module in net.modules())
    return net


@pytest.mark.parametrize("height", range(1, 10))
def test_tiny_pictures_keep_their_size(height: int) -> None:
    net = network().double().eval()  # each size costs float32 a plan of its own
    for width in range(1, 10):
        with torch.no_grad():
            painted = net(picture(height, width, batch=2).double())
        assert painted.shape == (2, 3, height, width)
        assert painted.isfinite().all()


@pytest.mark.parametrize("size", [(31, 33), (32, 48), (17, 64), (5, 90), (100, 4)])
def test_pictures_keep_their_size_and_range(size: tuple[int, int]) -> None:
    net = network()
    with torch.no_grad():
        painted = net(picture(*size))
        net.to_rgb.conv.weight.mul_(1e3)  # far beyond what a sigmoid is needed for
        harsh = net(picture(*size))
    assert painted.shape == harsh.shape == (1, 3, *size)
    for image in (painted, harsh):
        assert image.min() >= 0
        assert image.max() <= 1
    assert harsh.max() - harsh.min() > 0.99


def test_padding_by_hand() -> None:
    """The last row and column are repeated up to a multiple of 4 and to 8 px at least."""
    image = torch.arange(1.0, 7.0).reshape(1, 1, 2, 3).expand(1, 3, 2, 3)
    padded = pad_to_multiple(image, 4, 8)
    assert padded[0, 0].tolist() == [[1, 2, 3, 3, 3, 3, 3, 3]] + [[4, 5, 6, 6, 6, 6, 6, 6]] * 7
    assert pad_to_multiple(picture(9, 13), 4, 8).shape == (1, 3, 12, 16)
    exact = picture(8, 12)
    assert pad_to_multiple(exact, 4, 8) is exact


def test_padding_is_what_a_padded_picture_gets() -> None:
    net = network().eval()
    image = picture(13, 18)
    with torch.no_grad():
        by_hand = net(F.pad(image, (0, 2, 0, 3), mode="replicate"))[..., :13, :18]
        torch.testing.assert_close(net(image), by_hand)


def test_parameters_by_hand() -> None:
    """Johnson et al. 2016, table 1, at 32 channels: kernels, no bias before a norm, two numbers
    for each normalised channel, a bias of three colours at the end."""
    kernels = (
        9 * 9 * 3 * 32  # 7,776
        + 3 * 3 * 32 * 64  # 18,432
        + 3 * 3 * 64 * 128  # 73,728
        + 5 * 2 * 3 * 3 * 128 * 128  # 1,474,560
        + 3 * 3 * 128 * 64  # 73,728
        + 3 * 3 * 64 * 32  # 18,432
        + 9 * 9 * 32 * 3  # 7,776
    )
    norms = 2 * (32 + 64 + 128 + 5 * 2 * 128 + 64 + 32)  # 3,200
    assert kernels + norms + 3 == 1_677_635
    assert sum(p.numel() for p in TransformerNet(32).parameters()) == 1_677_635


def test_no_bias_in_front_of_a_norm() -> None:
    """The norm would take it away again."""
    biased = [
        name
        for name, module in network().named_modules()
        if isinstance(module, nn.Conv2d) and module.bias is not None
    ]
    assert biased == ["to_rgb.conv"]


@pytest.mark.parametrize("bias", [True, False])
def test_four_pixels_at_once_are_the_plain_convolution(bias: bool) -> None:
    """By another implementation: the convolution it inherits, and its gradients."""
    layer = RGBConv(5, 3, 9, bias=bias).double()
    x = torch.randn(2, 5, 14, 18, generator=torch.Generator().manual_seed(0)).double()
    inputs = [x.requires_grad_(), *layer.parameters()]
    found, expected = layer(x), ConvLayer.forward(layer, x)
    torch.testing.assert_close(found, expected)
    upstream = torch.arange(1512.0).double().reshape(2, 3, 14, 18).sin()
    gradients = torch.autograd.grad((found * upstream).sum(), inputs)
    for a, b in zip(
        gradients, torch.autograd.grad((expected * upstream).sum(), inputs), strict=True
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("width", [8, 16, 32])
def test_widths(width: int) -> None:
    net = TransformerNet(width)
    assert net.dimensions == JohnsonDimensions(width=width)
    assert net.conv1.conv.out_channels == width
    assert net.blocks.get_submodule("0.conv1.conv").weight.shape == (4 * width, 4 * width, 3, 3)
    assert sum(isinstance(module, InstanceNorm) for module in net.modules()) == 15


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_channels_last_is_kept_at_every_layer(precision: str) -> None:
    """A layer that returns another layout makes the next convolution copy its input."""
    net = network(8).to(memory_format=torch.channels_last)
    image = picture(30, 41, batch=2).contiguous(memory_format=torch.channels_last)
    seen: list[str] = []

    def check(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            seen.append(name)
            for tensor in (inputs[0], output):
                assert tensor.is_contiguous(memory_format=torch.channels_last), name

        return hook

    # A layer that computes for several pixels at once does it with the weights of what it holds.
    # A list of blocks is not called.
    held = ("to_rgb.", "up1.", "up2.")
    skipped = ("", "blocks")
    names = [n for n, _ in net.named_modules() if n not in skipped and not n.startswith(held)]
    for name in names:
        net.get_submodule(name).register_forward_hook(check(name))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        painted = net(image)
    assert sorted(seen) == sorted(names)
    torch.testing.assert_close(
        painted, network(8)(image.contiguous()), rtol=0, atol=0.05 if "b" in precision else 1e-4
    )


def test_bfloat16_autocast_returns_float32() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        painted = network()(picture(16, 16))
    assert painted.dtype == torch.float32
    # The sigmoid itself is not rounded either: 8 bits leave fewer values than the picture has.
    assert painted.unique().numel() > 300


def reach(net: TransformerNet, row: int, column: int, size: int = 160) -> list[int]:
    """Return how many px above, left of, below and right of a pixel outputs depend on it.

    The pixel is not a number, and whatever is computed from it is not one either, however small
    the weight. In float64, since the fast float32 convolutions compute in tiles.
    """
    image = torch.full((1, 3, size, size), 0.5, dtype=torch.float64)
    image[:, :, row, column] = torch.nan
    with torch.no_grad():
        touched = net(image).isnan().any(1)[0]
    rows, columns = torch.where(touched)
    above, left = row - rows.min(), column - columns.min()
    below, right = rows.max() - row, columns.max() - column
    return [int(px) for px in (above, left, below, right)]


def test_reach() -> None:
    """An output sees 57 px upwards and to the left, 54 downwards and to the right, by hand:

    conv1 sees 4 px around. Two convolutions of stride 2 widen that by 1 px and 2 px, ten at a
    quarter of the size by 4 px each, the two after the enlargements by 2 px and 1 px, the last by
    4 px: 4 + 1 + 2 + 40 + 2 + 1 + 4 = 54. A position at a quarter of the size stands for the pixel
    at its upper left and is enlarged to 4 px, the last of which look back 3 px further.
    """
    net = without_norms(network(2)).double().eval()
    # Of four pixels at once each multiplies a neighbour by 0, which hides numbers and nothing else.
    net.to_rgb.forward = functools.partial(ConvLayer.forward, net.to_rgb)  # type: ignore[method-assign]
    # The four places that a pixel can have in a position; what an output sees above it lies below.
    widest = torch.tensor([reach(net, 76 + place, 80 - place) for place in range(4)]).amax(0)
    assert widest.tolist() == [54, 54, 57, 57]
    assert 57 <= TransformerNet.reach_px < 57 + 4
    assert TransformerNet.reach_px % 4 == 0


def test_norms_reach_everywhere() -> None:
    """With them one pixel changes the whole picture, which shows that the test above can fail."""
    net = network(2).double().eval()
    assert min(reach(net, 80, 80)) >= 79


def lively(net: TransformerNet) -> TransformerNet:
    """Draw kernels that keep the size of activations without norms (He et al. 2015)."""
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, generator=generator)
    return net.double()


@pytest.mark.parametrize("size", [(32, 32), (29, 38)])
def test_a_constant_picture_has_no_checkerboard(size: tuple[int, int]) -> None:
    """Nearest neighbours, reflection and plain convolutions keep a constant to the border."""
    net = lively(without_norms(network()))
    image = torch.tensor([0.9, 0.5, 0.2], dtype=torch.float64).reshape(1, 3, 1, 1)
    with torch.no_grad():
        painted = net(image.expand(1, 3, *size))
        torch.testing.assert_close(painted, painted[..., :1, :1].expand_as(painted))
        assert (painted[..., 0, 0] - 0.5).abs().min() > 0.01  # and is not merely nothing


def test_a_transposed_convolution_would_leave_one() -> None:
    """The layer of the paper in place of ours, which shows that the test above can fail."""
    net: Any = without_norms(network())
    net.up1 = nn.ConvTranspose2d(16, 8, 3, 2, 1, 1, bias=False)
    net.up2 = nn.ConvTranspose2d(8, 4, 3, 2, 1, 1, bias=False)
    with torch.no_grad():
        painted = lively(net)(torch.full((1, 3, 32, 32), 0.7, dtype=torch.float64))
    assert painted[..., 12:20, 12:20].std((-2, -1)).max() > 0.01


def test_samples_do_not_know_each_other() -> None:
    net = network().eval()
    batch = picture(24, 20, batch=3)
    with torch.no_grad():
        alone = torch.cat([net(batch[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(net(batch), alone, rtol=0, atol=1e-5)


def test_input_is_not_changed_and_every_parameter_learns() -> None:
    net = network()
    image = picture(24, 20)
    before = image.clone()
    (net(image) * picture(24, 20, seed=3)).sum().backward()
    assert torch.equal(image, before)
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name

"""VGG-19 with named layers. Truths: torchvision's network, and by hand with kernels of one tap."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.encoder import LAYERS, VGG19, check_layers, depth_of
from nst.errors import ImageError, UsageError, WeightsError
from nst.weights import CONVOLUTIONS, IMAGENET_MEAN, IMAGENET_STD, VGGWeights

TORCHVISION_INDICES = {
    "conv1_1": 0,
    "relu1_1": 1,
    "relu1_2": 3,
    "relu2_1": 6,
    "relu3_1": 11,
    "relu3_3": 15,
    "relu4_1": 20,
    "relu4_2": 22,
    "relu5_1": 29,
    "relu5_4": 35,
}
"""Where layers stand in torchvision's ``vgg19().features``, as its printed list shows them."""


def picture(height: int, width: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


def plain(convolutions: int, kernel: Tensor | None = None, **preprocessing: object) -> VGGWeights:
    """Weights of three channels that hand pictures on as they are, or through one kernel."""
    tap = torch.zeros(3, 3)
    tap[1, 1] = 1.0
    weight = torch.zeros(3, 3, 3, 3)
    for channel in range(3):
        weight[channel, channel] = tap if kernel is None else kernel
    tensors = {f"{name}.weight": weight for name in CONVOLUTIONS[:convolutions]}
    tensors |= {f"{name}.bias": torch.zeros(3) for name in CONVOLUTIONS[:convolutions]}
    bare = VGGWeights(tensors=tensors, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return replace(bare, **preprocessing)  # type: ignore[arg-type]


def test_layers_are_those_of_torchvision() -> None:
    """Truth: torchvision's own network with the same random weights, run up to each index."""
    from torchvision.models import vgg19

    with torch.device("meta"):  # the classifier alone is 120 million numbers
        features: nn.Sequential = vgg19(weights=None).features.eval()
    features = features.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    convolutions = [layer for layer in features if isinstance(layer, nn.Conv2d)]
    tensors: dict[str, Tensor] = {}
    for name, conv in zip(CONVOLUTIONS, convolutions, strict=True):
        assert conv.bias is not None
        with torch.no_grad():
            conv.weight.normal_(0, (2 / conv.weight[0].numel()) ** 0.5, generator=generator)
            conv.bias.uniform_(-0.1, 0.1, generator=generator)
        tensors |= {f"{name}.weight": conv.weight, f"{name}.bias": conv.bias}
    encoder = VGG19(VGGWeights(tensors=tensors), deepest="relu5_4")
    image = picture(37, 45)  # odd, so that floor and ceil differ
    found = encoder(image, TORCHVISION_INDICES)
    x = image - torch.tensor(IMAGENET_MEAN).reshape(1, 3, 1, 1)
    x = x / torch.tensor(IMAGENET_STD).reshape(1, 3, 1, 1)
    with torch.no_grad():
        for index, layer in enumerate(features):
            x = F.relu(x) if isinstance(layer, nn.ReLU) else layer(x)  # its own is in place
            for name, place in TORCHVISION_INDICES.items():
                if place == index:
                    torch.testing.assert_close(found[name], x, rtol=1e-4, atol=1e-4)
    assert len(found) == len(TORCHVISION_INDICES)


def test_names_and_depths() -> None:
    assert len(LAYERS) == 32
    assert LAYERS[:4] == ("conv1_1", "relu1_1", "conv1_2", "relu1_2")
    assert LAYERS[-1] == "relu5_4"
    assert depth_of("conv1_1") == 0
    assert depth_of("relu2_1") < depth_of("conv2_2") < depth_of("relu2_2") < depth_of("conv3_1")


def test_input_and_activations_are_not_changed(tiny_vgg: VGGWeights) -> None:
    """A ReLU in place would change conv1_1 after it was handed out."""
    encoder = VGG19(tiny_vgg, deepest="relu2_1")
    image = picture(16, 16)
    before = image.clone()
    found = encoder(image, ["conv1_1", "relu1_1"])
    torch.testing.assert_close(image, before, rtol=0, atol=0)
    assert found["conv1_1"].min() < 0
    torch.testing.assert_close(found["relu1_1"], found["conv1_1"].clamp(min=0), rtol=0, atol=0)


def test_it_stops_at_the_deepest_layer(tiny_vgg: VGGWeights) -> None:
    encoder = VGG19(tiny_vgg, deepest="relu5_4")
    calls = []
    for name, layer in encoder.convolutions.items():
        layer.register_forward_hook(lambda *_, name=name: calls.append(name))
    assert list(encoder(picture(16, 16), ["relu2_1", "relu1_2"])) == ["relu1_2", "relu2_1"]
    assert calls == ["conv1_1", "conv1_2", "conv2_1"]
    assert encoder(picture(16, 16), []) == {}


def test_nothing_behind_the_deepest_layer_is_kept(tiny_vgg: VGGWeights) -> None:
    encoder = VGG19(tiny_vgg, deepest="conv2_1")
    assert list(encoder.convolutions) == ["conv1_1", "conv1_2", "conv2_1"]
    with pytest.raises(WeightsError, match="relu2_2, relu3_1: not in the encoder, which ends at"):
        encoder(picture(16, 16), ["relu3_1", "relu2_2", "relu1_1"])


def test_it_is_frozen_and_lets_gradients_through(tiny_vgg: VGGWeights) -> None:
    encoder = VGG19(tiny_vgg, deepest="relu2_1")
    assert not any(p.requires_grad for p in encoder.parameters())
    image = picture(16, 16).requires_grad_()
    encoder(image, ["relu2_1"])["relu2_1"].sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0


def test_unknown_layers_are_named_with_all_known_ones(tiny_vgg: VGGWeights) -> None:
    for act in (
        lambda: check_layers(["relu1_1", "relu6_1", "pool1"]),
        lambda: VGG19(tiny_vgg, deepest="relu1_1")(picture(8, 8), ["pool1", "relu6_1"]),
    ):
        with pytest.raises(UsageError) as caught:
            act()
        assert "unknown layer pool1, relu6_1;" in str(caught.value)
        assert all(layer in str(caught.value) for layer in LAYERS)
    with pytest.raises(UsageError, match="unknown layer relu9_1"):
        VGG19(tiny_vgg, deepest="relu9_1")


def test_weights_that_stop_early_name_their_deepest_layer() -> None:
    weights = replace(plain(5), source="mine.safetensors")
    assert weights.deepest_layer == "relu3_1"
    VGG19(weights, deepest="relu3_1")
    with pytest.raises(WeightsError, match=r"mine\.safetensors ends at relu3_1, before conv3_2;"):
        VGG19(weights, deepest="conv3_2")


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_pictures_that_are_too_small(tiny_vgg: VGGWeights, padding: str) -> None:
    """Three poolings leave less than one position of 7 px; reflection needs 2 px and so 16 px."""
    encoder = VGG19(replace(tiny_vgg, padding=padding), deepest="relu4_1")
    least = 16 if padding == "reflect" else 8
    assert encoder(picture(least, least), ["relu4_1"])["relu4_1"].shape[-1] == least // 8
    for size in ((least - 1, 64), (64, least - 1), (1, 1)):
        with pytest.raises(ImageError, match="too small"):
            encoder(picture(*size), ["relu4_1"])


@pytest.mark.parametrize(
    ("ceil_mode", "shapes"),
    [(False, [(13, 11), (6, 5), (3, 2)]), (True, [(13, 11), (7, 6), (4, 3)])],
)
@pytest.mark.parametrize("pooling", ["max", "avg"])
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_shapes_by_hand(
    padding: str, pooling: str, ceil_mode: bool, shapes: list[tuple[int, int]]
) -> None:
    weights = plain(5, padding=padding, pooling=pooling, ceil_mode=ceil_mode)
    layers = ("relu1_1", "relu2_1", "relu3_1")
    found = VGG19(weights, deepest="relu3_1")(picture(13, 11), layers)
    assert [tuple(found[layer].shape[-2:]) for layer in layers] == shapes


@pytest.mark.parametrize(
    ("pooling", "ceil_mode", "expected"),
    [
        ("max", False, [[5.0]]),
        ("max", True, [[5.0, 6.0], [8.0, 9.0]]),
        ("avg", False, [[3.0]]),  # (1 + 2 + 4 + 5) / 4
        ("avg", True, [[3.0, 4.5], [7.5, 9.0]]),  # at the border the mean of what is there
    ],
)
def test_pooling_by_hand(pooling: str, ceil_mode: bool, expected: list[list[float]]) -> None:
    image = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3).expand(1, 3, 3, 3)
    encoder = VGG19(plain(3, pooling=pooling, ceil_mode=ceil_mode), deepest="relu2_1")
    found = encoder(image, ["relu2_1"])["relu2_1"]
    assert found[0, 0].tolist() == expected


def test_padding_by_hand() -> None:
    """The mean of 3x3 pixels: zeros darken the border, reflection repeats what is inside it.

    Of a white picture zeros leave a corner 4 of 9 pixels, an edge 6. Columns of 1, 2 and 4 have
    2 beside them on both sides.
    """
    mean = torch.full((3, 3), 1 / 9)
    zeros, reflect = (
        VGG19(plain(1, mean, padding=padding), deepest="relu1_1")
        for padding in ("zeros", "reflect")
    )
    dark = zeros(torch.ones(1, 3, 3, 3), ["relu1_1"])["relu1_1"]
    expected = torch.tensor([[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]) / 9
    torch.testing.assert_close(dark[0, 0], expected)
    columns = torch.tensor([1.0, 2.0, 4.0]).expand(1, 3, 3, 3)
    found = reflect(columns, ["relu1_1"])["relu1_1"]
    # (2 + 1 + 2) / 3, (1 + 2 + 4) / 3, (2 + 4 + 2) / 3
    torch.testing.assert_close(found[0, 0], torch.tensor([5.0, 7.0, 8.0]).expand(3, 3) / 3)
    rows = reflect(columns.mT, ["relu1_1"])["relu1_1"]
    torch.testing.assert_close(rows, found.mT)


def test_normalisation_by_hand() -> None:
    """(0.5 - 0.25) / 0.5, (0.75 - 0.5) / 0.25, (1 - 0) / 1, before the first layer."""
    weights = plain(1, mean=(0.25, 0.5, 0.0), std=(0.5, 0.25, 1.0))
    image = torch.tensor([0.5, 0.75, 1.0]).reshape(1, 3, 1, 1)
    found = VGG19(weights, deepest="conv1_1")(image, ["conv1_1"])["conv1_1"]
    assert found.flatten().tolist() == [0.5, 1.0, 1.0]

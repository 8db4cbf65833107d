"""The training loop that everybody copies, with our layers: what ours is measured against.

It follows pytorch/examples ``fast_neural_style`` in its habits, not in its text.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.config import CONTENT_FLOOR, ENERGY_FLOOR, STYLE_FACTOR
from nst.layers import ConvLayer, RGBConv, UpsampleConv
from nst.network import StyleNetwork
from nst.norm import InstanceNorm
from nst.presets import PRESETS
from nst.transformer import TransformerNet
from nst.weights import CONVOLUTIONS, VGGWeights


class PlainLoop(nn.Module):
    """The loop of the PyTorch examples with our network, layers and objective.

    Args:
        weights: Of VGG-19.
        style: RGB in [0, 1], ``(1, 3, H, W)``.
        width: Channels of the first convolution.
        preset: Of the layers.
    """

    def __init__(self, weights: VGGWeights, style: Tensor, *, width: int, preset: str) -> None:
        super().__init__()
        self.preset = PRESETS[preset]
        self.network = _plain_network(width)
        self.vgg = _plain_vgg(weights, self.preset.deepest_layer).to(style.device)
        self.mean = torch.tensor(weights.mean, device=style.device).reshape(1, 3, 1, 1)
        self.std = torch.tensor(weights.std, device=style.device).reshape(1, 3, 1, 1)
        features = self._features(style)
        self.grams = [_plain_gram(features[tap]) for tap in self.preset.style]
        # One number a layer makes of the mean squared error our balanced, relative one.
        channels = [features[tap].shape[1] for tap in self.preset.style]
        energies = [(g * c).square().sum() for g, c in zip(self.grams, channels, strict=True)]
        floor = ENERGY_FLOOR * max(energies)
        self.layer_weights = [
            float(c**4 / e.clamp(min=floor)) / len(energies)
            for c, e in zip(channels, energies, strict=True)
        ]
        self.content_floor = CONTENT_FLOOR * features[self.preset.content].square().sum(1).mean()
        self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-3)
        self.seen_content = self.seen_style = 0.0

    def step(self, crops: Tensor) -> None:
        """Make one step on uint8 ``(B, 3, S, S)``."""
        self.optimizer.zero_grad()
        x = crops.float().contiguous() / 255
        content, style = self.losses(self.network(x), x)
        total = content + STYLE_FACTOR * style
        total.backward()  # type: ignore[no-untyped-call,unused-ignore]
        self.optimizer.step()
        self.seen_content += content.item()
        self.seen_style += style.item()

    def losses(self, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return content and style of paintings ``y`` of photographs ``x``, both ``(B, 3, S, S)``.

        C and S of the balanced objective, averaged over the batch.
        """
        features_y, features_x = self._features(y), self._features(x)
        found, wanted = features_y[self.preset.content], features_x[self.preset.content]
        energy = wanted.square().sum(1).mean((1, 2)).clamp(min=float(self.content_floor))
        content = ((found - wanted).square().sum(1).mean((1, 2)) / energy).mean()
        style = torch.zeros((), device=x.device)
        for tap, gram, weight in zip(
            self.preset.style, self.grams, self.layer_weights, strict=True
        ):
            found = _plain_gram(features_y[tap])
            style = style + weight * F.mse_loss(found, gram.expand_as(found))
        return content, style

    def _features(self, image: Tensor) -> dict[Any, Tensor]:
        found: dict[Any, Tensor] = {}
        image = (image - self.mean) / self.std
        for scale in sorted({tap.scale for tap in self.preset.taps}):
            x = F.avg_pool2d(image, scale) if scale > 1 else image
            for name, layer in self.vgg.named_children():
                x = layer(x)
                found |= {tap: x for tap in self.preset.taps if tap == (name, scale)}
        return found


def random_vgg() -> VGGWeights:
    """Return VGG-19 in its true sizes with random weights."""
    generator = torch.Generator().manual_seed(0)
    tensors: dict[str, Tensor] = {}
    channels = 3
    for name in CONVOLUTIONS:
        width = min(512, 64 * 2 ** (int(name[4]) - 1))
        deviation = (2 / (9 * channels)) ** 0.5
        tensors[f"{name}.weight"] = deviation * torch.randn(
            width, channels, 3, 3, generator=generator
        )
        tensors[f"{name}.bias"] = torch.zeros(width)
        channels = width
    return VGGWeights(tensors=tensors, source="random weights")


def _plain_gram(features: Tensor) -> Tensor:
    batch, channels, height, width = features.shape
    flat = features.reshape(batch, channels, height * width)
    return flat.bmm(flat.transpose(1, 2)) / (channels * height * width)


def _plain_vgg(weights: VGGWeights, deepest: str) -> nn.Sequential:
    layers = nn.Sequential()
    for name in CONVOLUTIONS:
        if name.endswith("_1") and name != "conv1_1":
            pool = nn.MaxPool2d if weights.pooling == "max" else nn.AvgPool2d
            layers.add_module(f"pool{name[4]}", pool(2, ceil_mode=weights.ceil_mode))
        weight = weights.tensors[f"{name}.weight"]
        conv = nn.Conv2d(
            weight.shape[1],
            weight.shape[0],
            3,
            padding=1,
            padding_mode="reflect" if weights.padding == "reflect" else "zeros",
        )
        conv.load_state_dict({"weight": weight, "bias": weights.tensors[f"{name}.bias"]})
        layers.add_module(name, conv)
        layers.add_module(name.replace("conv", "relu"), nn.ReLU())
        if name.replace("conv", "relu") == deepest:
            break
    return layers.requires_grad_(False)


def _plain_network(width: int) -> nn.Module:
    """Our architecture with ``nn.InstanceNorm2d`` in contiguous memory, as everybody has it."""
    return with_plain_norms(as_written(TransformerNet(width)))


def as_written(network: StyleNetwork) -> StyleNetwork:
    """Return a copy whose convolutions are computed as papers write them."""
    copied = copy.deepcopy(network)
    for module in copied.modules():
        if isinstance(module, RGBConv):
            module.forward = functools.partial(ConvLayer.forward, module)  # type: ignore[method-assign]
        elif isinstance(module, UpsampleConv):
            module.forward = functools.partial(_enlarged, module)  # type: ignore[method-assign]
    return copied


def _enlarged(layer: UpsampleConv, x: Tensor) -> Tensor:
    convolved: Tensor = layer.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
    return convolved


def with_plain_norms(network: nn.Module) -> nn.Module:
    """Put ``nn.InstanceNorm2d`` with the same weights in place of our norms; return the network."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, InstanceNorm):
                norm = nn.InstanceNorm2d(child.weight.shape[0], eps=child.eps, affine=True)
                norm.load_state_dict(child.state_dict())
                module.add_module(name, norm)
    return network

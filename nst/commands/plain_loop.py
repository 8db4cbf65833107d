"""The training loop that everybody copies, with our layers: what ours is measured against.

It follows pytorch/examples ``fast_neural_style`` in its habits, not in its text.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.norm import InstanceNorm
from nst.presets import PRESETS
from nst.transformer import TransformerNet
from nst.weights import CONVOLUTIONS, VGGWeights


class PlainLoop(nn.Module):
    """The loop of the PyTorch examples with our layers."""

    def __init__(self, weights: VGGWeights, style: Tensor, *, width: int, preset: str) -> None:
        super().__init__()
        self.preset = PRESETS[preset]
        self.network = _plain_network(width)
        self.vgg = _plain_vgg(weights, self.preset.deepest_layer).to(style.device)
        features = self._features(style)
        self.grams = [_plain_gram(features[tap]) for tap in self.preset.style]
        self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-3)
        self.seen_content = self.seen_style = 0.0

    def step(self, crops: Tensor) -> None:
        """Make one step on uint8 ``(B, 3, S, S)``."""
        self.optimizer.zero_grad()
        x = crops.float().contiguous() / 255
        y = self.network(x)
        features_y, features_x = self._features(y), self._features(x)
        content_tap = self.preset.content
        content = F.mse_loss(features_y[content_tap], features_x[content_tap])
        style = torch.zeros((), device=x.device)
        for tap, gram in zip(self.preset.style, self.grams, strict=True):
            found = _plain_gram(features_y[tap])
            style = style + F.mse_loss(found, gram.expand_as(found))
        total = content + 1e3 * style
        total.backward()  # type: ignore[no-untyped-call,unused-ignore]
        self.optimizer.step()
        self.seen_content += content.item()
        self.seen_style += style.item()

    def _features(self, image: Tensor) -> dict[Any, Tensor]:
        found: dict[Any, Tensor] = {}
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
            layers.add_module(f"pool{name[4]}", nn.MaxPool2d(2))
        weight = weights.tensors[f"{name}.weight"]
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
        conv.load_state_dict({"weight": weight, "bias": weights.tensors[f"{name}.bias"]})
        layers.add_module(name, conv)
        layers.add_module(name.replace("conv", "relu"), nn.ReLU())
        if name.replace("conv", "relu") == deepest:
            break
    return layers.requires_grad_(False)


def _plain_network(width: int) -> nn.Module:
    """Our architecture with ``nn.InstanceNorm2d`` in contiguous memory, as everybody has it."""
    network = TransformerNet(width)
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, InstanceNorm):
                norm = nn.InstanceNorm2d(child.weight.shape[0], affine=True)
                module.add_module(name, norm)
    return network

"""The contest behind ``nst bench train``: our step and the plain loop that everybody copies.

The plain side follows pytorch/examples ``fast_neural_style`` in its habits, not in its text, and
is given our layers, scales and Gram matrices so that only the way of computing differs.
"""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from nst.losses import PerceptualLoss
from nst.presets import PRESETS, find_preset
from nst.runtime import choose_precision, keep_freed_memory
from nst.tensors import to_tensor
from nst.transformer import InstanceNorm, TransformerNet
from nst.weights import CONVOLUTIONS, VGGWeights
from train.config import TrainConfig
from train.loop import Learner, training_step

STYLE_PX = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What both sides are given."""

    size: int
    """Side of the crops, px."""
    batch: int
    width: int
    preset: str
    device: str

    def crops(self) -> NDArray[np.uint8]:
        """Return the pictures of a step, uint8 ``(B, S, S, 3)``: noise, which is as slow as any."""
        shape = (self.batch, self.size, self.size, 3)
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    def style(self) -> Tensor:
        """Return the style image, RGB in [0, 1], ``(1, 3, 512, 512)``."""
        shape = (STYLE_PX, STYLE_PX, 3)
        noise = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
        return to_tensor(noise, self.device)


class OurSide:
    """Our step, from uint8 crops to updated weights, as ``nst train`` makes it."""

    def __init__(self, setting: Setting) -> None:
        self.device = torch.device(setting.device)
        if self.device.type == "cpu":
            keep_freed_memory()
        config = TrainConfig(
            width=setting.width, size=setting.size, batch=setting.batch, steps=1000
        )
        self.learner = Learner.new(config, self.device)
        for group in self.learner.optimizer.param_groups:
            group["lr"] = config.learning_rate
        preset = find_preset(setting.preset)
        criterion = PerceptualLoss(random_vgg(), setting.style(), preset=preset)
        self.criterion = criterion.to(memory_format=torch.channels_last)
        self.dtype = choose_precision("auto", self.device)
        self.crops = setting.crops()

    def step(self) -> None:
        """Make one step."""
        photographs = to_tensor(self.crops, self.device)
        training_step(self.learner, self.criterion, photographs, self.dtype)


class PlainSide:
    """The step of the plain loop, from uint8 crops to updated weights."""

    def __init__(self, setting: Setting) -> None:
        self.device = torch.device(setting.device)
        self.plain = PlainLoop(
            random_vgg(), setting.style(), width=setting.width, preset=setting.preset
        ).to(self.device)
        self.crops = setting.crops()

    def step(self) -> None:
        """Make one step."""
        crops = torch.from_numpy(self.crops).permute(0, 3, 1, 2)
        self.plain.step(crops.to(self.device))


SIDES: dict[str, type[OurSide] | type[PlainSide]] = {"plain loop": PlainSide, "nst": OurSide}


class Contestant:
    """One side in a process of its own, so that neither changes how the other one runs."""

    def __init__(self, name: str, setting: Setting) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, name, setting), daemon=True)
        self._process.start()
        there.close()

    def step(self) -> float:
        """Make one step and return its seconds."""
        self._here.send("step")
        seconds: float = self._here.recv()
        return seconds

    def close(self) -> None:
        """End the process."""
        self._here.close()
        self._process.join(timeout=10)


def _serve(connection: Connection, name: str, setting: Setting) -> None:
    side = SIDES[name](setting)
    while True:
        try:
            connection.recv()
        except EOFError:
            return
        started_at = time.perf_counter()
        side.step()
        if side.device.type == "cuda":
            torch.cuda.synchronize(side.device)
        connection.send(time.perf_counter() - started_at)


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

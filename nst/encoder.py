"""VGG-19 with named layers, normalisation inside (Simonyan and Zisserman 2014)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.errors import ImageError, UsageError, WeightsError
from nst.functional import gram_matrix, mapped_features, mapped_gram
from nst.reflection import reflect
from nst.weights import CONVOLUTIONS, VGGWeights, hash_of_tensors

LAYERS = tuple(name.replace("conv", kind) for name in CONVOLUTIONS for kind in ("conv", "relu"))
"""Every layer that can be asked for: conv1_1, relu1_1, conv1_2, ..., relu5_4."""
FIRST_OF_BLOCK = frozenset(name for name in CONVOLUTIONS[1:] if name.endswith("_1"))
"""Convolutions behind a pooling."""
LAST_OF_BLOCK = frozenset(
    name for name, after in itertools.pairwise(CONVOLUTIONS) if after in FIRST_OF_BLOCK
)
"""Convolutions before one."""


class VGG19(nn.Module):
    """The frozen encoder: pictures in, activations of named layers out.

    Args:
        weights: What ``nst.weights`` found; widths are read from them, so that a narrower network
            of the same shape works too.
        deepest: The last layer that will be asked for; nothing behind it is kept.

    Raises:
        UsageError: ``deepest`` is no layer of VGG-19.
        WeightsError: The weights stop before ``deepest``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights: VGGWeights, *, deepest: str) -> None:
        super().__init__()
        check_layers([deepest])
        last = CONVOLUTIONS.index(deepest.replace("relu", "conv"))
        if last >= len(weights.convolutions):
            raise WeightsError(
                f"{weights.source} ends at {weights.deepest_layer}, before {deepest};"
                " choose a preset that needs less or other weights"
            )
        self.reflects = weights.padding == "reflect"
        self.pooling = weights.pooling
        self.ceil_mode = weights.ceil_mode
        self.source = weights.source
        self.sha256 = weights.sha256
        self.name = weights.name
        self.register_buffer("mean", torch.tensor(weights.mean).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(weights.std).reshape(1, 3, 1, 1))
        self.convolutions = nn.ModuleDict()
        for name in CONVOLUTIONS[: last + 1]:
            weight = weights.tensors[f"{name}.weight"]
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=0 if self.reflects else 1)
            with torch.no_grad():
                conv.weight.copy_(weight)
                if conv.bias is not None:
                    conv.bias.copy_(weights.tensors[f"{name}.bias"])
            self.convolutions[name] = conv
        self.requires_grad_(False).eval()
        self.mapped_layers = tuple(weights.maps)
        for layer, matrix in weights.maps.items():
            self.register_buffer(f"map_{layer}", matrix.clone(), persistent=False)

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return the activations of some layers; the network stops at the deepest of them.

        Args:
            image: RGB in [0, 1], ``(B, 3, H, W)``; it is not changed.
            layers: Names as in ``relu4_2``.

        Returns:
            For each layer its activations, ``(B, N, h, w)``.

        Raises:
            UsageError: A name is no layer of VGG-19.
            WeightsError: A layer lies behind the deepest one that was built.
            ImageError: The picture is too small to reach a layer.
        """
        wanted = set(layers)
        check_layers(wanted)
        activations: dict[str, Tensor] = {}
        x = (image - self.mean) / self.std
        is_rectified = True
        for name, conv in self.convolutions.items():
            if len(activations) == len(wanted):
                break
            if name in FIRST_OF_BLOCK:
                x = self._pool(x, name)
            if not is_rectified:
                x = F.relu(x, inplace=True)
            x = conv(self._pad(x, name))
            relu = name.replace("conv", "relu")
            # The greatest of four is the same before and after ReLU, which then sees a quarter.
            is_rectified = not (
                name in LAST_OF_BLOCK and self.pooling == "max" and not wanted & {name, relu}
            )
            if name in wanted:
                activations[name] = x
            if is_rectified:
                # In place, unless somebody wants the convolution itself: less memory to touch.
                x = F.relu(x, inplace=name not in wanted)
            if relu in wanted:
                activations[relu] = x
        if missing := sorted(wanted - set(activations)):
            raise WeightsError(f"{', '.join(missing)}: not in the encoder, which ends at {name}")
        return activations

    def gram(self, features: Tensor, layer: str) -> Tensor:
        """Return Gram matrices as they are compared: ``(B, N, H, W)`` of a layer to ``(B, N, N)``.

        Raises:
            WeightsError: The network was distilled and cannot be compared at this layer.
        """
        matrix, gram = self._map_of(layer), gram_matrix(features)
        return gram if matrix is None else mapped_gram(gram, matrix)

    def compared(self, features: Tensor, layer: str) -> Tensor:
        """Return features as they are compared: ``(B, N, H, W)`` of a layer to the same shape.

        Raises:
            WeightsError: The network was distilled and cannot be compared at this layer.
        """
        matrix = self._map_of(layer)
        return features if matrix is None else mapped_features(features, matrix)

    def _map_of(self, layer: str) -> Tensor | None:
        if not self.mapped_layers:
            return None
        if layer not in self.mapped_layers:
            raise WeightsError(
                f"{self.name} ({self.source}) was distilled for {', '.join(self.mapped_layers)};"
                f" {layer} needs VGG-19 itself"
            )
        matrix: Tensor = getattr(self, f"map_{layer}")
        return matrix

    def identity(self) -> str:
        """Return all that the activations depend on: a hash, and how maps are padded and pooled."""
        network = self.sha256 or hash_of_tensors(self.state_dict())
        return f"{network} {self.pooling} {self.reflects} {self.ceil_mode}"

    def _pool(self, x: Tensor, before: str) -> Tensor:
        if min(x.shape[-2:]) < 2:
            raise ImageError(f"a picture is too small: nothing is left of it before {before}")
        pool = F.max_pool2d if self.pooling == "max" else F.avg_pool2d
        return pool(x, 2, 2, ceil_mode=self.ceil_mode)

    def _pad(self, x: Tensor, before: str) -> Tensor:
        if not self.reflects:
            return x
        if min(x.shape[-2:]) < 2:
            raise ImageError(f"a picture is too small: nothing is left of it before {before}")
        return reflect(x, 1)


def check_layers(layers: Iterable[str]) -> None:
    """Refuse names that are no layers of VGG-19.

    Raises:
        UsageError: The names that are unknown and all that are known.
    """
    if unknown := sorted(set(layers) - set(LAYERS)):
        raise UsageError(f"unknown layer {', '.join(unknown)}; choose from {', '.join(LAYERS)}")


def depth_of(layer: str) -> int:
    """Return the place of a layer in the order of the network, for comparing depths."""
    check_layers([layer])
    return LAYERS.index(layer)

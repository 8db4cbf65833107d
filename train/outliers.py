"""A price on values far from all others, which a painting shows as holes.

Instance normalisation divides by the deviation of the whole map, so that a network can shrink
everything else by making a few values enormous ("droplets", Karras et al., "Analyzing and Improving
the Image Quality of StyleGAN", 2020). A sigmoid turns them into black or neon spots and has no
gradient left to mend them with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nst.functional import wide
from nst.network import StyleNetwork
from nst.norm import ConditionalNorm, InstanceNorm

BEHIND_NORM = 10.0
"""Values behind a norm cost from here on, on both sides of 0."""
BEFORE_SIGMOID = 7.0
"""And those before the sigmoid, which makes a quarter of a grey level less than white of it."""


class Outliers:
    """What the values of a network's maps cost, which hooks see as they are computed.

    Args:
        network: Keeps the hooks; they do nothing but in ``watched``.
    """

    def __init__(self, network: StyleNetwork) -> None:
        self._is_watching = False
        self._prices: list[Tensor] = []
        for module in network.modules():
            if isinstance(module, InstanceNorm | ConditionalNorm):
                module.register_forward_hook(self._see_normed)
        last = network.get_submodule("to_rgb")
        last.register_forward_hook(self._see_last)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Context in which a batch goes through the network once; what it costs is asked after."""
        self._prices.clear()
        self._is_watching = True
        try:
            yield
        finally:
            self._is_watching = False

    def price(self) -> Tensor:
        """Return the sum over maps of the mean of ``max(0, |x| - limit)^2``, ``(B,)``, float32."""
        prices = torch.stack(self._prices).sum(0)
        self._prices.clear()
        return prices

    def _see_normed(self, module: nn.Module, given: object, x: Tensor) -> None:
        if self._is_watching:
            self._prices.append(_beyond(x, BEHIND_NORM))

    def _see_last(self, module: nn.Module, given: object, x: Tensor) -> None:
        if self._is_watching:
            self._prices.append(_beyond(x, BEFORE_SIGMOID))


def _beyond(x: Tensor, limit: float) -> Tensor:
    """Return the mean of ``max(0, |x| - limit)^2`` over ``(B, C, H, W)``, for each picture."""
    return (wide(x).abs() - limit).relu().square().flatten(1).mean(1)

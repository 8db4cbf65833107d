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

MOST_DEVIATIONS = 6.0
"""Behind a norm, how far from the mean of its map a value may lie. Where there are no holes, one in
ten thousand values lies beyond 8; where there are, some forty."""
BEFORE_SIGMOID = 7.0
"""From 0: 255 after rounding."""


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
        network.get_submodule("to_rgb").register_forward_hook(self._see_last)

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
        """Return the sum over maps of the mean of ``max(0, |x| - limit)^2``, ``(B,)``, float32.

        Behind a norm x is counted in deviations from the mean of its map.
        """
        prices = torch.stack(self._prices).sum(0)
        self._prices.clear()
        return prices

    def _see_normed(self, module: nn.Module, given: object, x: Tensor) -> None:
        if self._is_watching:
            self._prices.append(_beyond(_in_deviations(wide(x)), MOST_DEVIATIONS))

    def _see_last(self, module: nn.Module, given: object, x: Tensor) -> None:
        if self._is_watching:
            self._prices.append(_beyond(wide(x), BEFORE_SIGMOID))


def _in_deviations(x: Tensor) -> Tensor:
    """Return ``(x - mean) / deviation`` of each map.

    Behind a norm both are what scale and shift say. They are taken as they are: no other scale
    would bring a value nearer to the others.
    """
    with torch.no_grad():
        variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
        inverse = torch.rsqrt(variance + 1e-8)
    return (x - mean) * inverse


def _beyond(x: Tensor, limit: float) -> Tensor:
    """Return the mean of ``max(0, |x| - limit)^2`` over ``(B, C, H, W)``, for each picture."""
    return (x.abs() - limit).relu().square().flatten(1).mean(1)

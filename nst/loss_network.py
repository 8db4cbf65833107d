"""Which network measures content and style: VGG-19, or the small one that was distilled from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nst.errors import UsageError
from nst.samples import ASSETS
from nst.settings import LossNetwork
from nst.terminal import Bars
from nst.weights import VGGWeights, find_weights, load_weights

COMPACT = "compact.safetensors"
"""Made by ``nst distill``; its card is ``nst/assets/compact.md``."""


def find_loss_network(
    name: LossNetwork,
    vgg: Path | str | None = None,
    *,
    announce: Callable[[str], None] | None = None,
    bars: Bars | None = None,
) -> VGGWeights:
    """Return the network that is asked for; neither ever takes the place of the other.

    Args:
        name: ``vgg19`` or ``compact``.
        vgg: Weights of VGG-19, as ``nst.weights.find_weights`` takes them.
        announce: Told before a download starts.
        bars: Shows the advance of a download.

    Raises:
        UsageError: Weights are given for ``compact``, which has its own.
        WeightsError: VGG-19 is missing, damaged or cannot be downloaded.
    """
    if name == "vgg19":
        return find_weights(vgg, announce=announce, bars=bars)
    if vgg is not None:
        raise UsageError("--loss-network compact has its own weights: leave out --vgg")
    return replace(load_weights(ASSETS / COMPACT), source="embedded, distilled from VGG-19")

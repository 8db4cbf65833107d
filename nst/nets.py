"""From dimensions to a network."""

from __future__ import annotations

from nst.dimensions import Dimensions, JohnsonDimensions, SwiftDimensions
from nst.network import StyleNetwork
from nst.swift import SwiftNet
from nst.transformer import TransformerNet


def build_network(dimensions: Dimensions, styles: int = 0) -> StyleNetwork:
    """Return a network with random weights, from torch's generator.

    Args:
        dimensions: Of the network.
        styles: That can be mixed; 0 for one style and nothing to mix.
    """
    match dimensions:
        case JohnsonDimensions():
            return TransformerNet(dimensions.width, noise=dimensions.noise, styles=styles)
        case SwiftDimensions():
            return SwiftNet(dimensions, styles=styles)
    raise ValueError(f"no network of {dimensions}")

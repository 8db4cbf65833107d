"""From dimensions to a network."""

from __future__ import annotations

from nst.dimensions import Dimensions, JohnsonDimensions, SwiftDimensions
from nst.network import StyleNetwork
from nst.swift import SwiftNet
from nst.transformer import TransformerNet


def build_network(dimensions: Dimensions) -> StyleNetwork:
    """Return a network with random weights, from torch's generator."""
    match dimensions:
        case JohnsonDimensions():
            return TransformerNet(dimensions.width, noise=dimensions.noise)
        case SwiftDimensions():
            return SwiftNet(dimensions)
    raise ValueError(f"no network of {dimensions}")

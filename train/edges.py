"""The price on edges of a painting that are finer than its middle.

VGG-19 pads with zeros, so that its features at the edge of a picture are unlike all others, and a
network learns to please them with a comb of two or three pixels there, a few pixels wide. Where the
middle of a painting has its strokes from the style, photographs and good paintings are about half
as rough along their edges as inside; a comb is five to twenty times as rough.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.functional import wide

EDGE_PX = 6
"""Width of an edge."""
LEAST_ROUGHNESS = 1e-4
"""Added to that of the middle, colours in [0, 1]: two or three grey levels are seen by nobody."""


def edge_loss(painted: Tensor, photographs: Tensor) -> Tensor:
    """Return by how much the edges of a painting are rougher than its middle.

    Roughness is the mean square of the second difference along an edge, and of the same direction
    in the middle, which counts as a constant. Free is what is no rougher than the middle, or
    relatively no rougher than the edge of the photograph, where that has more::

        mean over the four edges of  max(0, r(painting) - max(1, r(photograph))),  r = edge / middle

    Args:
        painted: RGB in [0, 1], ``(B, 3, H, W)``; sides of more than 2 ``EDGE_PX``.
        photographs: What it was painted from, likewise.

    Returns:
        One value for each picture, ``(B,)``.
    """
    with torch.no_grad():
        free = _roughness(photographs).clamp(min=1)
    return F.relu(_roughness(painted) - free).mean(1)


def _roughness(image: Tensor) -> Tensor:
    """Return that of each edge over that of the middle, ``(B, 4)``."""
    image = wide(image)
    ratios = []
    for turned in (image, image.mT):  # the edges lie at the ends of the last dimension
        bends = turned[..., 2:, :] - 2 * turned[..., 1:-1, :] + turned[..., :-2, :]
        columns = bends.square().mean((1, 2))  # (B, W)
        middle = columns[:, EDGE_PX:-EDGE_PX].mean(1).detach() + LEAST_ROUGHNESS
        ratios += [edge.mean(1) / middle for edge in (columns[:, :EDGE_PX], columns[:, -EDGE_PX:])]
    return torch.stack(ratios, 1)

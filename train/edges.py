"""The price on edges of a painting that are finer than its middle.

Photographs and good paintings are about half as rough along their edges as inside; a comb, which a
network may learn there in a long training, was four to nine times as rough (docs/judging.md).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.functional import edge_roughness


def edge_loss(painted: Tensor, photographs: Tensor) -> Tensor:
    """Return by how much the edges of a painting are rougher than its middle.

    Free is what is no rougher than the middle, or relatively no rougher than the edge of the
    photograph, where that has more::

        mean over the four edges of  max(0, r(painting) - max(1, r(photograph)))

    with r of ``nst.functional.edge_roughness``.

    Args:
        painted: RGB in [0, 1], ``(B, 3, H, W)``; sides of more than 2 ``EDGE_PX``.
        photographs: What it was painted from, likewise.

    Returns:
        One value for each picture, ``(B,)``.
    """
    with torch.no_grad():
        free = edge_roughness(photographs).clamp(min=1)
    return F.relu(edge_roughness(painted) - free).mean(1)

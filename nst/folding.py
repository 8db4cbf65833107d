"""Between a network that mixes styles and one of a single style: only their norms differ."""

from __future__ import annotations

import torch
from torch import Tensor

from nst.nets import build_network
from nst.network import StyleNetwork
from nst.norm import Norm


def folded(network: StyleNetwork, shares: Tensor) -> StyleNetwork:
    """Return the network that paints one mix of styles and nothing else, at no extra cost.

    Args:
        network: One that mixes K styles.
        shares: Of the styles, ``(K,)``, at least 0, not all 0.

    Returns:
        A network without the control, in evaluation mode; its tensors are copies.
    """
    row = torch.cat((shares.new_zeros(1), shares / shares.sum()))
    norms = norm_parameters(network)
    state = {
        name: row.to(value) @ value if name in norms else value.clone()
        for name, value in network.state_dict().items()
    }
    single = build_network(network.dimensions)
    single.load_state_dict(state)
    return single.eval()


def adapted(network: StyleNetwork, styles: int) -> dict[str, Tensor]:
    """Return the weights with which a network of so many styles begins where another one is.

    Args:
        network: A trained network, with or without the control.
        styles: K of the network that begins; 0 for one without the control.

    Returns:
        Its state. The same number of styles keeps all; more styles keep those there are, and the
        new ones begin as the mean of them; of fewer styles, or without the control, all do.
    """
    state = network.state_dict()
    if styles == network.styles:
        return dict(state)
    norms = norm_parameters(network)
    return {
        name: _rows_for(styles, value) if name in norms else value for name, value in state.items()
    }


def norm_parameters(network: StyleNetwork) -> set[str]:
    """Return the names of the scales and shifts of all norms."""
    return {
        f"{name}.{kind}"
        for name, module in network.named_modules()
        if isinstance(module, Norm)
        for kind in ("weight", "bias")
    }


def _rows_for(styles: int, value: Tensor) -> Tensor:
    """Return scales or shifts, ``(C,)`` or ``(K + 1, C)``, for another number of styles."""
    rows = value[1:] if value.ndim == 2 else value[None]
    mean = rows.mean(0)
    if styles == 0:
        return mean
    original = value[:1] if value.ndim == 2 else torch.zeros_like(rows)
    kept = rows if len(rows) <= styles else rows[:0]
    return torch.cat((original, kept, mean.expand(styles - len(kept), -1)))

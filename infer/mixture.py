"""What a model of several styles is told: which of them, how much of each, and where.

The result is the input ``mix`` of ``nst.contract``, for a picture of any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nst.contract import ModelInfo
from nst.errors import UsageError
from nst.image import resize_image
from nst.masks import check_proportions, load_mask
from nst.recipe import shares_named

GRID_PX = 4
"""Pixels of the picture to a cell of the grid: what the networks work at."""
GRADIENT_CELLS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A part of the picture that is painted in its own way."""

    name: str
    """What to call it in an error."""
    mask: NDArray[np.uint8]
    """``(h, w)``, white where it is; in proportion to the picture."""
    shares: NDArray[np.float32]
    """``(K + 1,)``."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Mixture:
    """What to paint where: a ground, and regions over it, the last one on top.

    Attributes:
        label: What to call it in the name of a file.
        ground: Shares of one column or more, from left to right, ``(n, K + 1)``.
        regions: Painted over the ground.
    """

    label: str
    ground: NDArray[np.float32]
    regions: Sequence[Region] = ()

    def with_style(self, style: str, styles: Sequence[str]) -> Mixture:
        """Return the same with another ground: one style everywhere, under the regions."""
        ground = np.zeros((1, len(styles) + 1), np.float32)
        ground[0, 1 + list(styles).index(style)] = 1.0
        return replace(self, label=style, ground=ground)

    def grid(
        self,
        height: int,
        width: int,
        *,
        strength: float,
        name: str,
        whole: tuple[int, int] | None = None,
    ) -> NDArray[np.float32]:
        """Return the mix for a picture, ``(1, K + 1, h, w)``.

        Args:
            height: Of the picture, px.
            width: Of the picture, px.
            strength: 0, the photograph, to 1, the mix as it is.
            name: What to call the picture in an error.
            whole: Height and width of the photograph that it is a smaller or larger copy of.

        Raises:
            ImageError: A mask has other proportions than the picture.
        """
        mix: NDArray[Any] = self.ground.T[:, None]  # (K + 1, 1, n)
        if self.regions:
            cells = -(-height // GRID_PX), -(-width // GRID_PX)
            columns = np.linspace(0, 1, cells[1])
            known = np.linspace(0, 1, len(self.ground))
            rows = [np.interp(columns, known, channel) for channel in self.ground.T]
            mix = np.repeat(np.array(rows, np.float32)[:, None], cells[0], axis=1)
        for region in self.regions:
            check_proportions(region.mask, region.name, *(whole or (height, width)), name=name)
            weight = resize_image(region.mask, *cells).astype(np.float32) / 255
            mix = mix * (1 - weight) + region.shares[:, None, None] * weight
        return lightened(mix, strength)


def mixture_of(
    info: ModelInfo,
    *,
    model: str,
    style: str | None = None,
    gradient: str | None = None,
    regions: Sequence[tuple[str | Path, str]] = (),
    dashes: str = "--",
) -> Mixture | None:
    """Return the mixture that was asked for; None for a model of one style without controls.

    Args:
        info: Of the model.
        model: What to call it in an error.
        style: Names and shares as ``nst.recipe`` reads them.
        gradient: Styles from the left edge to the right one, separated by commas.
        regions: Mask files, white where a style shall be, and what is painted there.
        dashes: Before the names of controls in an error; empty where they are no flags.

    Raises:
        UsageError: The model has no such style or control, or none was chosen of several.
        ImageError: A mask cannot be read.
    """
    if info.controls == "none":
        _refuse_controls(info, model, style, gradient, regions, dashes)
        return None
    if style is not None and gradient is not None:
        raise UsageError("--style and --gradient exclude each other")
    if (gradient is not None or regions) and info.controls == "global":
        raise UsageError(
            f"{model} paints all of a picture alike; export it with --controls regional for"
            " --region and --gradient"
        )

    def shares_of(text: str, flag: str) -> NDArray[np.float32]:
        return shares_named(text, info.styles, flag=flag, model=model)

    found = [_region(mask, shares_of(text, "--region")) for mask, text in regions]
    if gradient is not None:
        names = gradient.split(",")
        if len(names) < 2:
            raise UsageError(f"--gradient {gradient}: name two styles or more, as in wave,scream")
        if ":" in gradient:
            raise UsageError(
                f"--gradient {gradient}: styles have no shares there, as in wave,scream"
            )
        stops = np.array([shares_of(name, "--gradient") for name in names])
        places = np.linspace(0, len(names) - 1, GRADIENT_CELLS)
        rows = [np.interp(places, range(len(names)), channel) for channel in stops.T]
        ground, label = np.array(rows, np.float32).T, _label(stops.sum(0), info)
    elif style is not None:
        shares = shares_of(style, f"{dashes}style")
        ground, label = shares[None], _label(shares, info)
    elif regions:  # outside of them the photograph stays
        ground = np.eye(1, len(info.styles) + 1, dtype=np.float32)
        label = _label(np.sum([region.shares for region in found], axis=0), info)
    elif len(info.styles) == 1:
        ground, label = np.array([[0, 1]], np.float32), info.styles[0]
    else:
        raise UsageError(
            f"{model} has {len(info.styles)} styles, choose with {dashes}style:"
            f" {', '.join(info.styles)}"
        )
    return Mixture(label=label, ground=ground, regions=found)


def lightened(mix: NDArray[Any], strength: float) -> NDArray[np.float32]:
    """Return shares, ``(K + 1, h, w)``, as a mix in which the photograph has what strength lacks.

    Args:
        mix: Shares, in each cell adding up to 1.
        strength: 0, the photograph, to 1, the mix as it is.

    Returns:
        ``(1, K + 1, h, w)``.
    """
    mix = mix * np.float32(strength)
    mix[0] += np.float32(1 - strength)
    return np.ascontiguousarray(mix[None], np.float32)


def original_share(mix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much of the photograph a mix keeps, ``(1, K + 1, h, w)`` to ``(h, w)``."""
    total = mix[0].sum(0)
    share = np.where(total > 0, mix[0, 0] / np.maximum(total, 1e-30), 1.0)
    return share.astype(np.float32)


def _refuse_controls(
    info: ModelInfo,
    model: str,
    style: str | None,
    gradient: str | None,
    regions: Sequence[tuple[str | Path, str]],
    dashes: str,
) -> None:
    if style is not None:
        shares = shares_named(style, info.styles, flag=f"{dashes}style", model=model)
        if shares[0] > 0:
            raise UsageError(
                f"{dashes}style {style}: {model} has no run-time control; use {dashes}strength"
            )
    if gradient is not None or regions:
        flag = "--gradient" if gradient is not None else "--region"
        raise UsageError(
            f"{flag}: {model} has one style and no run-time control; train several in one network,"
            " or one with --mix"
        )


def _region(mask: str | Path, shares: NDArray[np.float32]) -> Region:
    return Region(str(mask), load_mask(mask), shares)


def _label(shares: NDArray[np.float32], info: ModelInfo) -> str:
    """Name what is in a mix, as a part of file names."""
    names = [name for name, share in zip(info.styles, shares[1:], strict=True) if share > 0]
    return "-and-".join(names) or "original"

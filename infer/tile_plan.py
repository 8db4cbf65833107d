"""Cutting a picture into tiles that can be painted one by one. Geometry alone, no pixels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from infer.memory import needed_bytes
from nst.contract import ModelInfo
from nst.errors import UsageError

TILE_PX = 1024
"""Side of a tile, without its margins, where memory allows it."""
TILE_SHARE = 1.8
"""What a tile takes of the memory of a whole picture of its size, times. Measured without kept
maps: johnson 16, 1.77 at 1084 px and 1.70 at 572; swift 1.48 at 1064 and 1.95 at 552."""
LEAST_TILE_PX = 64
"""Below it a tile is margin more than anything else."""
LEAST_MULTIPLES = 2
"""Networks of this program pad a side to so many times their multiple at least."""


@dataclass(frozen=True, slots=True)
class Span:
    """A tile along one axis, px of the picture."""

    start: int
    """Where its own part begins; those of all tiles touch and cover the padded picture."""
    stop: int
    seen_start: int
    """Where that part begins together with its margin, as far as there is picture."""
    seen_stop: int

    @property
    def seen(self) -> int:
        """Length with margins, px."""
        return self.seen_stop - self.seen_start


@dataclass(frozen=True, slots=True)
class TilePlan:
    """All tiles of a picture.

    Attributes:
        tile: The longest side of a tile without its margins, px.
        rows: From top to bottom; the last one ends where the network pads the picture to.
        columns: From left to right.
    """

    tile: int
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @property
    def tiles(self) -> list[tuple[Span, Span]]:
        """Rows and columns of each tile, in reading order."""
        return [(row, column) for row in self.rows for column in self.columns]

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width that the network pads the picture to, px."""
        return self.rows[-1].stop, self.columns[-1].stop

    @property
    def largest(self) -> tuple[int, int]:
        """The most that is seen at once, height and width, px."""
        return max(row.seen for row in self.rows), max(column.seen for column in self.columns)

    @property
    def seen_pixels(self) -> int:
        """Pixels of all tiles with their margins."""
        return sum(row.seen for row in self.rows) * sum(column.seen for column in self.columns)

    def describe(self) -> str:
        """Return ``12 tiles of up to 1104x1064 px``."""
        height, width = self.largest
        return f"{len(self.tiles)} tiles of up to {width}x{height} px"


def plan_tiles(info: ModelInfo, height: int, width: int, tile: int) -> TilePlan:
    """Cut a picture into tiles of about equal size.

    They begin at multiples of the network's own, so that its strides fall as they do in the whole
    picture. The margin is as wide as an output pixel sees, and ends at the border of the picture,
    where the network mirrors what is there as it does in the whole picture.

    Args:
        info: Of the model.
        height: Of the picture, px.
        width: Of the picture, px.
        tile: The longest side of a tile without its margins, px.
    """
    rows, columns = _spans(info, height, tile), _spans(info, width, tile)
    return TilePlan(tile, rows, columns)


def plan_within(
    info: ModelInfo, height: int, width: int, budget: int, most: int = TILE_PX
) -> TilePlan | None:
    """Return the plan of the largest tiles that fit, or None.

    Args:
        info: Of the model.
        height: Of the picture, px.
        width: Of the picture, px.
        budget: Memory for one tile, bytes.
        most: The side of a tile to begin with, px; it is halved until it fits.
    """
    tile = most
    while tile >= LEAST_TILE_PX:
        plan = plan_tiles(info, height, width, tile)
        if len(plan.tiles) > 1 and tile_bytes(info, plan) <= budget:
            return plan
        tile //= 2
    return None


def tile_bytes(info: ModelInfo, plan: TilePlan) -> int:
    """Return the predicted peak of the largest tile, bytes, beside the pictures themselves."""
    return int(TILE_SHARE * needed_bytes(info, *plan.largest))


def tile_side(text: str | int) -> int | None:
    """Read ``--tile``: a side in px; None for ``auto``; 0 for ``off``.

    Raises:
        UsageError: It is none of these, or too small.
    """
    if text in ("auto", "off"):
        return None if text == "auto" else 0
    try:
        side = int(text)
    except ValueError:
        side = 0
    if side < LEAST_TILE_PX:
        raise UsageError(
            f"--tile must be auto, off or a side of at least {LEAST_TILE_PX} px, got {text}"
        )
    return side


def _spans(info: ModelInfo, side: int, tile: int) -> tuple[Span, ...]:
    multiple = info.size_multiple
    blocks = max(LEAST_MULTIPLES, -(-side // multiple))
    margin = -(-info.reach_px // multiple)
    count = -(-blocks // max(1, tile // multiple))
    edges = [blocks * number // count for number in range(count + 1)]
    return tuple(
        Span(
            start=start * multiple,
            stop=stop * multiple,
            seen_start=max(0, start - margin) * multiple,
            seen_stop=min(blocks, stop + margin) * multiple,
        )
        for start, stop in pairwise(edges)
    )

"""Which style suits a photograph: all are painted small, judged and put in an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from infer.session import Session
from nst.contract import ModelInfo
from nst.critic import LEAST_PX, Critic, Sketch, Verdict, judge
from nst.errors import ImageError, UsageError
from nst.image import fit_long_side, resize_image

THUMBNAIL_PX = 320
"""Long side at which styles are tried."""
CELL_PX, GAP_PX, LABEL_PX = 240, 8, 20
"""Of the contact sheet: a picture, what is between two, and the line below one."""


@dataclass(frozen=True, slots=True, eq=False)
class Suggestion:
    """One style, tried."""

    model: str
    style: str
    verdict: Verdict
    painted: NDArray[np.uint8]
    """``(H, W, 3)``, small."""


class Adviser:
    """Judges styles on photographs."""

    def __init__(self) -> None:
        self.critic = Critic()

    def rank(
        self,
        photograph: NDArray[np.uint8],
        sessions: Sequence[Session],
        *,
        name: str = "the picture",
    ) -> list[Suggestion]:
        """Try every style of some models on a photograph; the best comes first.

        Args:
            photograph: uint8 ``(H, W, 3)``.
            sessions: Models of one style or of several.
            name: What to call the photograph in an error.

        Raises:
            UsageError: A model does not know what its styles look like.
            ImageError: The photograph is too small to be judged.
        """
        tall, wide, _ = photograph.shape
        height, width = fit_long_side(tall, wide, THUMBNAIL_PX)
        if min(height, width) < LEAST_PX:
            raise ImageError(f"{name}: {wide}x{tall} px is too small to judge which style suits")
        seen = resize_image(photograph, height, width)
        known = self.critic.see(seen)
        found = []
        for session in sessions:
            sketches = sketches_of(session.info, session.name)
            paintings = _all_styles(session, seen)
            for style, sketch, painted in zip(
                session.info.styles, sketches, paintings, strict=True
            ):
                verdict = judge(self.critic.see(painted), known, sketch)
                found.append(Suggestion(session.name, style, verdict, painted))
        return sorted(found, key=lambda suggestion: suggestion.verdict.total)


def sketches_of(info: ModelInfo, model: str) -> list[Sketch]:
    """Return what the styles of a model look like.

    Raises:
        UsageError: It does not say.
    """
    if len(info.sketches) != len(info.styles) or not all(info.sketches):
        raise UsageError(
            f"{model} does not say what its styles look like, as files of older versions and of"
            " mixes; train it again"
        )
    return [Sketch.from_text(text) for text in info.sketches]


def _all_styles(session: Session, seen: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Paint a picture in every style of a model, ``(K, H, W, 3)``."""
    if not session.has_mix:
        return session.run(seen[None])
    styles = len(session.info.styles)
    mixes = np.eye(styles + 1, dtype=np.float32)[1:, :, None, None]
    return session.run(np.repeat(seen[None], styles, axis=0), mix=np.ascontiguousarray(mixes))


def contact_sheet(
    photograph: NDArray[np.uint8], suggestions: Sequence[Suggestion]
) -> NDArray[np.uint8]:
    """Lay the photograph and its paintings in a sheet, the best first, each with name and J."""
    tall, wide, _ = photograph.shape
    height, width = fit_long_side(tall, wide, CELL_PX)
    cells = [("photograph", photograph)]
    cells += [(f"{s.style}  J {s.verdict.total:.2f}", s.painted) for s in suggestions]
    columns = max(1, min(len(cells), round(np.sqrt(len(cells) * 1.6 * height / width))))
    rows = -(-len(cells) // columns)
    step_x, step_y = width + GAP_PX, height + LABEL_PX + GAP_PX
    sheet = Image.new("RGB", (columns * step_x + GAP_PX, rows * step_y + GAP_PX), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (label, rgb) in enumerate(cells):
        left = GAP_PX + number % columns * step_x
        top = GAP_PX + number // columns * step_y
        sheet.paste(Image.fromarray(resize_image(rgb, height, width)), (left, top))
        draw.text((left, top + height + 3), label, fill="black")
    return np.array(sheet)

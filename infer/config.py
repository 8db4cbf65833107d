"""Settings and arguments that commands share which paint with models. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from nst.settings import (
    LEAST_BRUSH,
    MOST_BRUSH,
    MOST_TEXTURE,
    Provider,
    Settings,
    setting,
)

Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL",
        help="Style models, folders with some, or names of `nst models list`; without any all of"
        " that list.",
    ),
]
"""As ``infer.model_choice.models_in`` takes them."""


@dataclass(frozen=True, kw_only=True)
class PaintConfig(Settings):
    """What a ``Stylizer`` is made with."""

    size: int = setting(
        1024,
        "Long side that the network sees, px; a larger picture is reduced, none is enlarged."
        " 0: the picture's own size.",
        low=0,
    )
    brush: float | None = setting(
        None,
        "Width of the strokes, 0.25 to 4: every photograph is painted at a long side of --size /"
        " brush and brought to its own size with its edges, so that a thumbnail and a large print"
        " have the same strokes. Default: as --size paints.",
        low=LEAST_BRUSH,
        high=MOST_BRUSH,
    )
    original_colors: bool = setting(
        False, "Keep the colours of the photograph.", flags=("--original-colors",)
    )
    strength: float = setting(
        1.0, "Share of the painting, 0 (the photograph) to 1.", low=0.0, high=1.0
    )
    style: str | None = setting(
        None,
        "Of a model of several styles: one, or a mix as in wave:0.7,scream:0.3; original is the"
        " photograph, auto the style that suits it best (nst suggest). Part of a name will do.",
    )
    net: Literal["johnson", "swift"] | None = setting(
        None, "Without a MODEL: paint with a network of this kind, where several have the --style."
    )
    gradient: str | None = setting(
        None, "Styles from the left edge to the right one, as in wave,scream."
    )
    texture: float = setting(
        1.0,
        "Amplitude of the noise in the network, over that of the training: less paints smoother"
        " areas, more livelier ones. For models that have noise.",
        low=0.0,
        high=MOST_TEXTURE,
    )
    provider: Provider = setting(
        "auto", "Where to run; auto is CUDA, else DirectML, else the CPU, and says what it got."
    )
    threads: int = setting(
        0, "Threads of a run on the CPU; 0: ONNX Runtime's own, one for each core.", low=0
    )

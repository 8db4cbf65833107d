"""Settings that every command shares that paints with a model. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from nst.settings import Provider, Settings, setting


@dataclass(frozen=True, kw_only=True)
class PaintConfig(Settings):
    """What a ``Stylizer`` is made with."""

    size: int = setting(
        1024,
        "Long side that the network sees, px; a larger picture is reduced, none is enlarged."
        " 0: the picture's own size.",
        low=0,
    )
    original_colors: bool = setting(
        False, "Keep the colours of the photograph.", flags=("--original-colors",)
    )
    strength: float = setting(
        1.0, "Share of the painting, 0 (the photograph) to 1.", low=0.0, high=1.0
    )
    provider: Provider = setting(
        "auto", "Where to run; auto takes the best there is and says what it got."
    )

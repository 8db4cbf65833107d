"""Settings that every command shares that paints with a model. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from nst.settings import MOST_TEXTURE, Provider, Settings, setting


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
    texture: float = setting(
        1.0,
        "Amplitude of the noise in the network, over that of the training: less paints smoother"
        " areas, more livelier ones. For models that have noise.",
        low=0.0,
        high=MOST_TEXTURE,
    )
    provider: Provider = setting(
        "auto", "Where to run; auto takes the best there is and says what it got."
    )

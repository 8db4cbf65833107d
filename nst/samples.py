"""What is embedded for the first try: a style image and three photographs. Torch-free.

Whose they are and under which licence stands in ``nst/assets/CREDITS.md``.
"""

from __future__ import annotations

from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
"""The folder of everything that is embedded."""
STYLE = ASSETS / "sundown.jpg"
"""A sunset in thick strokes of oil, 672x672 px, drawn by ``docs/sundown.py``."""
CREDITS = ASSETS / "CREDITS.md"


def photographs() -> list[Path]:
    """Return the photographs, at most 512 px a side: an astronaut, a cup of coffee, a cat."""
    return [ASSETS / "photos" / f"{name}.jpg" for name in ("astronaut", "coffee", "chelsea")]

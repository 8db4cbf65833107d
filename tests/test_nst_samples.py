"""What is embedded: there, licensed, small, and the style still what its script draws."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from nst.image import load_image
from nst.samples import ASSETS, CREDITS, STYLE, photographs

SCRIPT = Path(__file__).parent.parent / "docs" / "sundown.py"


@pytest.fixture
def sundown(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, as a module."""
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return importlib.import_module(SCRIPT.stem)


def test_the_photographs_are_there_and_small() -> None:
    """By hand: names, sides and bytes."""
    assert [path.name for path in photographs()] == ["astronaut.jpg", "coffee.jpg", "chelsea.jpg"]
    sizes = [(picture.width, picture.height) for picture in map(load_image, photographs())]
    assert sizes == [(512, 512), (512, 341), (451, 300)]
    assert all(path.stat().st_size < 70_000 for path in photographs())


def test_every_picture_has_its_licence() -> None:
    """By another reader: each picture below the assets has a line with a licence."""
    lines = {
        line.split("`")[1]: line for line in CREDITS.read_text("utf-8").splitlines() if "`" in line
    }
    pictures = [path for path in ASSETS.rglob("*") if path.suffix in (".jpg", ".png", ".webp")]
    assert len(pictures) >= 4
    for path in pictures:
        line = lines[path.relative_to(ASSETS).as_posix()]
        assert any(licence in line for licence in ("MIT", "public domain", "CC0"))


def test_the_style_is_what_its_script_draws(sundown: ModuleType, tmp_path: Path) -> None:
    """By the script itself: all but the rounding of another numpy or another JPEG encoder."""
    sundown.write(tmp_path / "drawn.jpg")
    drawn, kept = load_image(tmp_path / "drawn.jpg").rgb, load_image(STYLE).rgb
    assert kept.shape == (672, 672, 3)
    assert STYLE.stat().st_size < 200_000
    assert np.abs(drawn.astype(int) - kept).mean() < 1


def test_the_style_has_no_flat_areas_and_all_its_colours() -> None:
    """By invariant: tones vary in every patch of 32 px; warm and cold colours share the area."""
    rgb = load_image(STYLE).rgb.astype(float)
    patches = rgb.mean(2).reshape(21, 32, 21, 32).std(axis=(1, 3))
    assert patches.min() > 5
    warm = (rgb[..., 0] > rgb[..., 2] + 30).mean()
    assert 0.2 < warm < 0.7

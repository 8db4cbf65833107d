"""Which styles, how much and where, as a mix. Truths: by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from infer.mixture import Mixture, mixture_of
from nst.contract import Controls, ModelInfo
from nst.errors import ImageError, UsageError

INFO = ModelInfo(
    styles=("great-wave", "the-scream"),
    style_sha256=("0" * 64, "1" * 64),
    network="swift",
    width=8,
    reach_px=0,
    size_multiple=4,
    bytes_per_pixel=130,
    controls="regional",
)


def mixture(**asked: Any) -> Mixture:
    found = mixture_of(INFO, model="m.onnx", **asked)
    assert found is not None
    return found


def grid(mixture: Mixture, height: int = 40, width: int = 80, strength: float = 1.0) -> Any:
    found = mixture.grid(height, width, strength=strength, name="p.jpg")
    assert found.dtype == np.float32
    assert found.shape[:2] == (1, 3)
    return found[0]


def saved(path: Path, mask: NDArray[np.uint8]) -> Path:
    Image.fromarray(mask).save(path)
    return path


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """The left half, in proportion 1 to 2."""
    mask = np.zeros((10, 20), np.uint8)
    mask[:, :10] = 255
    return saved(tmp_path / "left.png", mask)


def test_one_style_and_its_strength() -> None:
    found = mixture(style="wave")
    assert found.label == "great-wave"
    assert grid(found).tolist() == [[[0.0]], [[1.0]], [[0.0]]]
    assert grid(found, strength=0.25).tolist() == [[[0.75]], [[0.25]], [[0.0]]]
    assert grid(found, strength=0.0).tolist() == [[[1.0]], [[0.0]], [[0.0]]]


def test_a_fusion() -> None:
    found = mixture(style="wave:0.7,scream:0.3")
    assert found.label == "great-wave-and-the-scream"
    np.testing.assert_allclose(grid(found)[:, 0, 0], [0, 0.7, 0.3])


def test_a_gradient_is_pure_at_both_edges() -> None:
    found = mixture(gradient="wave,scream")
    mix = grid(found)
    assert mix[:, 0, 0].tolist() == [0, 1, 0]
    assert mix[:, 0, -1].tolist() == [0, 0, 1]
    assert (np.diff(mix[2, 0]) > 0).all()
    np.testing.assert_allclose(mix.sum(0), 1)


def test_a_gradient_over_three() -> None:
    mix = grid(mixture(gradient="wave,original,scream"))
    middle = mix[:, 0, mix.shape[2] // 2]
    assert middle[0] > 0.97


def test_outside_of_a_region_the_photograph_stays(left: Path) -> None:
    found = mixture(regions=[(left, "scream")])
    assert found.label == "the-scream"
    mix = grid(found)
    assert mix.shape == (3, 10, 20)  # a cell for 4 px
    assert mix[:, 5, 2].tolist() == [0, 0, 1]
    assert mix[:, 5, 17].tolist() == [1, 0, 0]


def test_regions_lie_over_the_style_and_over_each_other(left: Path, tmp_path: Path) -> None:
    top = np.zeros((10, 20), np.uint8)
    top[:5] = 255
    over = saved(tmp_path / "top.png", top)
    mix = grid(mixture(style="wave", regions=[(left, "scream"), (over, "original")]))
    assert mix[:, 8, 2].tolist() == [0, 0, 1]
    assert mix[:, 8, 17].tolist() == [0, 1, 0]
    assert mix[:, 1, 2].tolist() == mix[:, 1, 17].tolist() == [1, 0, 0]
    np.testing.assert_allclose(mix.sum(0), 1, atol=1e-6)


def test_a_region_over_a_gradient(left: Path) -> None:
    mix = grid(mixture(gradient="wave,scream", regions=[(left, "original")]))
    assert mix[:, 5, 2].tolist() == [1, 0, 0]
    assert mix[2, 5, 19] == pytest.approx(1)


def test_a_soft_mask_mixes(tmp_path: Path) -> None:
    grey = saved(tmp_path / "grey.png", np.full((10, 20), 51, np.uint8))
    mix = grid(mixture(style="wave", regions=[(grey, "scream")]), strength=0.5)
    np.testing.assert_allclose(mix[:, 3, 3], [0.5, 0.4, 0.1], atol=1e-6)


def test_a_mask_may_be_in_the_alpha(tmp_path: Path) -> None:
    """By hand: there where it is opaque, nothing where it is not, whatever its colour."""
    rgba = np.zeros((10, 20, 4), np.uint8)
    rgba[..., 3] = 255
    rgba[:, 10:, 3] = 0
    mix = grid(mixture(regions=[(saved(tmp_path / "a.png", rgba), "wave")]))
    assert mix[:, 5, 2].tolist() == [0, 1, 0]
    assert mix[:, 5, 17].tolist() == [1, 0, 0]


@pytest.mark.parametrize(("height", "width"), [(40, 80), (401, 800), (5, 10)])
def test_a_mask_of_another_size_is_stretched(left: Path, height: int, width: int) -> None:
    mix = grid(mixture(regions=[(left, "wave")]), height, width)
    assert mix.shape == (3, -(-height // 4), -(-width // 4))


def test_a_mask_of_other_proportions_is_refused(left: Path) -> None:
    with pytest.raises(ImageError, match=r"p\.jpg: 80x60, and the mask .*left\.png has other"):
        grid(mixture(regions=[(left, "wave")]), 60, 80)


@pytest.mark.parametrize(
    ("controls", "asked", "reason"),
    [
        ("regional", {}, r"m\.onnx has 2 styles, choose with --style: great-wave, the-scream"),
        ("regional", {"style": "foo"}, "--style: foo is none of the styles"),
        ("regional", {"style": "wave", "gradient": "wave,scream"}, "exclude each other"),
        ("regional", {"gradient": "wave"}, "name two styles or more"),
        ("regional", {"gradient": "wave:0.5,scream"}, "styles have no shares there"),
        ("global", {"gradient": "wave,scream"}, "export it with --controls regional"),
        ("global", {"regions": [("m.png", "wave")]}, "export it with --controls regional"),
        ("none", {"gradient": "wave,scream"}, "--gradient: m.onnx has one style"),
        ("none", {"regions": [("m.png", "wave")]}, "--region: m.onnx has one style"),
        ("none", {"style": "scream"}, "--style: scream is none of the styles"),
        ("none", {"style": "original:0.5,wave"}, "has no run-time control; use --strength"),
    ],
)
def test_what_is_refused(controls: Controls, asked: dict[str, Any], reason: str) -> None:
    styles = ("great-wave",) if controls == "none" else INFO.styles
    info = replace(INFO, controls=controls, styles=styles)
    with pytest.raises(UsageError, match=reason):
        mixture_of(info, model="m.onnx", **asked)


def test_a_mask_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"mask\.png"):
        mixture(regions=[(tmp_path / "mask.png", "wave")])


def test_a_model_of_one_style_may_be_called_by_it() -> None:
    info = replace(INFO, controls="none", styles=("great-wave",))
    assert mixture_of(info, model="m.onnx", style="wave") is None
    one = replace(INFO, styles=("great-wave",))
    found = mixture_of(one, model="m.onnx")
    assert found is not None
    assert found.grid(8, 8, strength=1.0, name="p").flatten().tolist() == [0, 1]

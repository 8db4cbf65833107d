"""What the reference mode works on. Truth: by hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from nst.canvas import load_canvas
from nst.cli import main
from nst.config import OptimizeConfig
from nst.errors import ImageError, UsageError
from nst.image import load_image
from nst.tensors import to_tensor


@pytest.fixture
def photo_file(photo: NDArray[np.uint8], tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    return path


def settings(**values: object) -> OptimizeConfig:
    return OptimizeConfig(device="cpu", **values)  # type: ignore[arg-type]


def test_settings_are_applied(photo_file: Path, style_file: Path, photo: NDArray[np.uint8]) -> None:
    """48x64 px at a long side of 32 is 24x32; the style image of 48x64 px becomes 32x40 px."""
    canvas = load_canvas(photo_file, style_file, settings(size=32, style_size=43))
    assert canvas.photograph.shape == (1, 3, 24, 32)
    assert [style.shape for style in canvas.styles] == [(1, 3, 32, 40)]
    assert canvas.guides is None
    assert canvas.start is None
    assert canvas.notes == ()
    np.testing.assert_array_equal(canvas.picture.rgb, photo)
    whole = load_canvas(photo_file, style_file, settings(size=0))
    torch.testing.assert_close(whole.photograph, to_tensor(photo))
    for image in (canvas.photograph, *canvas.styles):
        assert image.min() >= 0
        assert image.max() <= 1


def test_the_start_is_read(photo_file: Path, style_file: Path, tmp_path: Path) -> None:
    Image.new("RGB", (20, 10), (51, 102, 255)).save(tmp_path / "start.png")
    config = settings(init=str(tmp_path / "start.png"))
    start = load_canvas(photo_file, style_file, config).start
    assert start is not None
    assert start.shape == (1, 3, 10, 20)
    torch.testing.assert_close(start[0, :, 4, 7], torch.tensor([0.2, 0.4, 1.0]))


def test_notes_of_all_three_pictures(tmp_path: Path) -> None:
    """A profile that is none, in each of them; each note names its file."""
    paths = [tmp_path / f"{name}.png" for name in ("photo", "style", "start")]
    for path in paths:
        noise = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path, icc_profile=b"no profile")
    notes = load_canvas(paths[0], paths[1], settings(init=str(paths[2]))).notes
    assert len(notes) == 3
    for path, note in zip(paths, notes, strict=True):
        assert note == f"{path}: its colour profile is damaged and is ignored"


def test_what_cannot_be_painted_is_refused(
    photo_file: Path, style_file: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (400, 20)).save(tmp_path / "narrow.png")
    with pytest.raises(ImageError, match=r"narrow\.png: 200x10 px is too small to be painted"):
        load_canvas(tmp_path / "narrow.png", style_file, settings(size=200))
    with pytest.raises(UsageError, match="--init must be content, noise or a picture file"):
        load_canvas(photo_file, style_file, settings(init="chaos"))
    with pytest.raises(ImageError, match="too small for a style image"):
        load_canvas(photo_file, tmp_path / "narrow.png", settings())


def test_the_lines_for_researchers_do_what_the_command_does(
    photo: NDArray[np.uint8],
    style_file: Path,
    vgg_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By another way: the same pixels, from a photograph that has to be reduced."""
    page = (Path(__file__).parent.parent / "docs" / "researchers.md").read_text()
    (block,) = re.findall(r"```python\n([^`]*load_canvas[^`]*)```", page)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NST_VGG19", str(vgg_file))
    Image.fromarray(photo).resize((640, 480)).save("photo.jpg", quality=95)
    Image.open(style_file).save("style.jpg", quality=95)
    made = "OptimizeConfig(size=512, strength=1.5"
    assert made in block
    short = ", size=60, style_size=48, evaluations=4, device='cpu'"
    exec(block.replace(made, made.replace("size=512, ", "") + short), {})
    ours = load_image("painted.png").rgb
    flags = "--strength 1.5 --size 60 --style-size 48 --evaluations 4 --device cpu --overwrite"
    with pytest.raises(SystemExit) as caught:
        main(["optimize", "photo.jpg", "style.jpg", "-o", "painted.png", *flags.split()])
    assert caught.value.code in (None, 0), capsys.readouterr().err
    np.testing.assert_array_equal(load_image("painted.png").rgb, ours)


def half(path: Path, *, left: bool) -> Path:
    mask = np.zeros((12, 16), np.uint8)
    mask[:, : 8 if left else None] = 255
    if not left:
        mask[:, :8] = 0
    Image.fromarray(mask).save(path)
    return path


def test_several_styles_with_weights_and_masks(
    photo_file: Path, style_file: Path, tmp_path: Path
) -> None:
    """By hand: masks in the size of the result, halves of it; shares are weight times area."""
    masks = [half(tmp_path / f"{left}.png", left=left) for left in (True, False)]
    styles = [style_file, photo_file]
    canvas = load_canvas(photo_file, styles, settings(size=32), weights=[3.0, 1.0], masks=masks)
    assert len(canvas.styles) == 2
    assert canvas.guides is not None
    assert canvas.guides.masks is not None
    assert canvas.guides.masks.shape == (2, 1, 24, 32)
    left, right = canvas.guides.masks[:, 0, 12]
    assert (left[3], left[28], right[3], right[28]) == (1, 0, 0, 1)
    assert canvas.guides.shares() == pytest.approx([0.75, 0.25])
    plain = load_canvas(photo_file, styles, settings(size=32)).guides
    assert plain is not None
    assert plain.shares() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("weights", "masks", "reason"),
    [
        ([1.0], [], "1 style weights for 2 style images"),
        ([0.0, 0.0], [], "not all be 0"),
        ([1.0, -1.0], [], "from 0 on"),
        ([], ["white"], "1 masks for 2 style images"),
        ([float("nan"), 1.0], [], "from 0 on"),
    ],
)
def test_guides_that_do_not_suit_are_refused(
    photo_file: Path,
    style_file: Path,
    tmp_path: Path,
    weights: list[float],
    masks: list[str],
    reason: str,
) -> None:
    for name, grey in (("white", 255), ("black", 0)):
        Image.new("L", (64, 48), grey).save(tmp_path / f"{name}.png")
    files = [tmp_path / f"{name}.png" for name in masks]
    with pytest.raises(UsageError, match=reason):
        load_canvas(photo_file, [style_file, style_file], settings(), weights=weights, masks=files)


def test_a_mask_of_other_proportions_is_refused(
    photo_file: Path, style_file: Path, tmp_path: Path
) -> None:
    Image.new("L", (64, 64), 255).save(tmp_path / "square.png")
    with pytest.raises(ImageError, match="has other proportions, 64x64"):
        load_canvas(photo_file, style_file, settings(), masks=[tmp_path / "square.png"])


def test_the_style_takes_the_colours_of_the_photograph(photo_file: Path, style_file: Path) -> None:
    """By definition: the same mean, where nothing is clipped."""
    config = settings(original_colors=True, color_transfer="statistics")
    canvas = load_canvas(photo_file, style_file, config)
    mean = canvas.styles[0].mean((2, 3)) - canvas.photograph.mean((2, 3))
    assert mean.abs().max() < 0.05

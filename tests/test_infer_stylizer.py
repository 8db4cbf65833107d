"""A photograph in, a painting out, and the memory that it takes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper
from PIL import Image

import infer.memory
from infer.memory import check_memory, largest_size, needed_bytes
from infer.stylizer import Stylizer
from nst.color import with_matched_colors, with_original_colors
from nst.contract import ModelInfo
from nst.enlarge import restored
from nst.errors import ImageError, InferenceError, PixelLimitError, UsageError
from nst.image import Picture, fit_long_side, load_image, resize_image

INFO = ModelInfo(
    styles=("s",),
    style_sha256=("0" * 64,),
    network="johnson",
    width=8,
    reach_px=57,
    size_multiple=4,
    bytes_per_pixel=1000,
)


@pytest.fixture
def photo_file(photo: NDArray[np.uint8], tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    return path


def stylizer(model: Path, **settings: Any) -> Stylizer:
    return Stylizer(model, provider="cpu", **settings)


# --- what goes in and comes out ------------------------------------------------------------------


def test_the_three_lines_of_the_readme(
    invert_model: Path, photo: NDArray[np.uint8], photo_file: Path, tmp_path: Path
) -> None:
    """By hand: the model paints the negative, PNG loses nothing."""
    paint = Stylizer(str(invert_model))
    paint(str(photo_file)).save(tmp_path / "painted.png")
    with Image.open(tmp_path / "painted.png") as painted:
        np.testing.assert_array_equal(np.asarray(painted), 255 - photo)


def test_every_kind_of_source(
    invert_model: Path, photo: NDArray[np.uint8], photo_file: Path
) -> None:
    """By invariant: the way a picture comes in does not change its painting."""
    paint = stylizer(invert_model)
    sources = (str(photo_file), photo_file, photo_file.read_bytes(), load_image(photo_file), photo)
    for source in sources:
        painted = paint(source)
        np.testing.assert_array_equal(painted.rgb, 255 - photo)
        assert (painted.alpha, painted.notes) == (None, ())


def test_the_source_is_left_as_it_is(invert_model: Path, photo: NDArray[np.uint8]) -> None:
    before = photo.copy()
    stylizer(invert_model, size=32, original_colors=True, strength=0.5, restore_size=True)(photo)
    np.testing.assert_array_equal(photo, before)


def test_run_is_the_network_alone(invert_model: Path, photo: NDArray[np.uint8]) -> None:
    paint = stylizer(invert_model, size=8, original_colors=True, strength=0.0)
    images = np.stack([photo, photo[::-1]])
    np.testing.assert_array_equal(paint.run(images), 255 - images)
    assert paint.info.styles == ("negative",)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(invert_model: Path, array: NDArray[Any]) -> None:
    with pytest.raises(ImageError, match=r"the picture: an array must be RGB uint8"):
        stylizer(invert_model)(array)


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"size": 0}, "--size"),
        ({"strength": 1.5}, "--strength"),
        ({"strength": -0.1}, "--strength"),
        ({"strength": float("nan")}, "--strength"),
        ({"provider": "gpu"}, "--provider"),
    ],
)
def test_settings_out_of_bounds_name_the_flag(
    invert_model: Path, settings: dict[str, Any], flag: str
) -> None:
    with pytest.raises(UsageError, match=flag):
        Stylizer(invert_model, **settings)


# --- size ----------------------------------------------------------------------------------------


def test_a_large_photograph_is_reduced_and_that_is_noted(
    invert_model: Path, photo: NDArray[np.uint8]
) -> None:
    """By hand: 64x48 with a long side of 32 is 32x24; the negative of the reduced photograph."""
    painted = stylizer(invert_model, size=32)(photo)
    np.testing.assert_array_equal(painted.rgb, 255 - resize_image(photo, 24, 32))
    assert painted.notes == ("64x48 painted at 32x24",)


@pytest.mark.parametrize("size", [64, 1000, None])
def test_nothing_is_enlarged(
    invert_model: Path, photo: NDArray[np.uint8], size: int | None
) -> None:
    painted = stylizer(invert_model, size=size)(photo)
    assert (painted.height, painted.width, painted.notes) == (48, 64, ())


def test_the_size_can_be_restored(invert_model: Path, photo: NDArray[np.uint8]) -> None:
    """By another way round: the reduced painting, enlarged with the edges of the photograph."""
    small = stylizer(invert_model, size=32)(photo)
    painted = stylizer(invert_model, size=32, restore_size=True)(photo)
    expected = restored(small.rgb, resize_image(photo, 24, 32), photo)
    np.testing.assert_array_equal(painted.rgb, expected)
    assert painted.notes == ("64x48 painted at 32x24 and enlarged again",)


@pytest.mark.parametrize(("restore", "shape"), [(False, (24, 32)), (True, (48, 64))])
def test_alpha_keeps_to_the_picture(
    invert_model: Path, photo: NDArray[np.uint8], restore: bool, shape: tuple[int, int]
) -> None:
    """By hand: the left half transparent stays the left half, at either size."""
    alpha = np.full((48, 64), 255, np.uint8)
    alpha[:, :32] = 0
    painted = stylizer(invert_model, size=32, restore_size=restore)(
        Picture(photo, alpha, ("a note",))
    )
    assert painted.alpha is not None
    assert painted.alpha.shape == shape == painted.rgb.shape[:2]
    quarter = shape[1] // 4
    assert (painted.alpha[:, :quarter] == 0).all()
    assert (painted.alpha[:, -quarter:] == 255).all()
    assert painted.notes[0] == "a note"


# --- colours and strength ------------------------------------------------------------------------


def test_original_colors(invert_model: Path, photo: NDArray[np.uint8]) -> None:
    painted = stylizer(invert_model, original_colors=True)(photo)
    np.testing.assert_array_equal(painted.rgb, with_original_colors(255 - photo, photo))


def test_original_colors_by_their_statistics(invert_model: Path, photo: NDArray[np.uint8]) -> None:
    paint = stylizer(invert_model, original_colors=True, color_transfer="statistics")
    np.testing.assert_array_equal(paint(photo).rgb, with_matched_colors(255 - photo, photo))


@pytest.mark.parametrize(("strength", "expected"), [(0.0, 100), (0.2, 111), (1.0, 155)])
def test_strength_by_hand(invert_model: Path, strength: float, expected: int) -> None:
    """The negative of 100 is 155; a fifth of the way from 100 is 111."""
    grey = np.full((4, 4, 3), 100, np.uint8)
    assert (stylizer(invert_model, strength=strength)(grey).rgb == expected).all()


def test_restored_colors_are_those_of_every_pixel(
    invert_model: Path, photo: NDArray[np.uint8]
) -> None:
    """Brought back to its size, a picture takes its colours from the photograph, not a copy of it.

    By invariant: without strength it is the photograph, exactly, although it was painted at 8 px.
    """
    painted = stylizer(invert_model, size=8, restore_size=True, strength=0.0)(photo)
    np.testing.assert_array_equal(painted.rgb, photo)


# --- memory --------------------------------------------------------------------------------------


def test_needed_bytes_by_hand() -> None:
    """1000 bytes for each pixel; 5x6 is padded to 8x8."""
    assert needed_bytes(INFO, 40, 20) == 800_000
    assert needed_bytes(INFO, 5, 6, batch=3) == 192_000


def test_what_does_not_fit_is_refused_before_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: 4000x2000 px need 8 GB, and 4 of 5 GB may be used.

    2825x1412 px are padded to 2828x1412 and need 3.99 GB, 2826x1413 to 2828x1416 and need 4.004.
    """
    monkeypatch.setattr(infer.memory, "free_bytes", lambda: 5_000_000_000)
    with pytest.raises(InferenceError) as caught:
        check_memory(INFO, 2000, 4000, name="photo.jpg")
    assert str(caught.value) == (
        "photo.jpg: 4000x2000 px need 8.0 GB of memory, 5.0 GB are free, of which 80% may be used;"
        " --size 2825 fits"
    )
    check_memory(INFO, 1412, 2825, name="photo.jpg")


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    budget=st.integers(0, 100_000_000),
)
def test_the_largest_size_fits_and_the_next_does_not(height: int, width: int, budget: int) -> None:
    """By trying out both."""

    def fits(size: int) -> bool:
        return needed_bytes(INFO, *fit_long_side(height, width, size)) <= budget

    size = largest_size(INFO, height, width, budget)
    assert size == 0 or fits(size)
    assert size == max(height, width) or not fits(size + 1)


def test_the_error_names_the_picture(
    invert_model: Path, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: 6 bytes a pixel, 8000 of 10000 bytes: 41x31 px need 7626 bytes, 42x32 need 8064."""
    monkeypatch.setattr(infer.memory, "free_bytes", lambda: 10_000)
    with pytest.raises(InferenceError, match=r"photo\.png: 64x48 px need .* --size 41 fits"):
        stylizer(invert_model)(photo_file)
    stylizer(invert_model, size=41)(photo_file)


def test_memory_is_looked_at_before_the_first_picture_of_a_size(
    invert_model: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By counting: the next ones of the size are painted in what the first one took."""
    looked: list[int] = []

    def look() -> int:
        looked.append(1)
        return 10**9

    monkeypatch.setattr(infer.memory, "free_bytes", look)
    paint = stylizer(invert_model)
    for picture, looks in ((photo, 1), (photo[::-1], 1), (photo[:40], 2), (photo, 3), (photo, 3)):
        paint(picture)
        assert len(looked) == looks


def test_what_pictures_of_another_size_left_is_free_too(
    invert_model: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that holds all the memory there is: it gives it back before anything is refused."""
    paint, is_held = stylizer(invert_model), True

    def give_back() -> None:
        nonlocal is_held
        is_held = False

    monkeypatch.setattr(infer.memory, "free_bytes", lambda: 0 if is_held else 10**9)
    monkeypatch.setattr(paint.session, "give_memory_back", give_back)
    np.testing.assert_array_equal(paint(photo).rgb, 255 - photo)
    monkeypatch.setattr(infer.memory, "free_bytes", lambda: 0)
    paint(photo)  # its memory is there
    with pytest.raises(InferenceError, match="need"):
        paint(photo[:40])
    with pytest.raises(InferenceError, match="need"):
        paint(photo)  # and now it has been given back


def test_a_photograph_that_is_too_large_names_the_flag(
    invert_model: Path, photo: NDArray[np.uint8], photo_file: Path
) -> None:
    paint = stylizer(invert_model, max_pixels=48 * 64 - 1)
    with pytest.raises(PixelLimitError, match=r"photo\.png has 64x48 .*, or raise --max-pixels$"):
        paint(photo_file)
    paint.max_pixels = 48 * 64
    np.testing.assert_array_equal(paint(photo_file).rgb, 255 - photo)


def test_the_memory_of_a_graphics_card_is_its_own(
    invert_model: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(infer.memory, "free_bytes", lambda: 0)
    paint = stylizer(invert_model)
    paint.session.obtained = "CUDA"
    np.testing.assert_array_equal(paint(photo).rgb, 255 - photo)


def test_the_prediction_is_that_of_the_metadata(invert_model: Path) -> None:
    """``replace`` keeps the test honest when the contract grows a field."""
    info = replace(stylizer(invert_model).info, bytes_per_pixel=7, size_multiple=10)
    assert needed_bytes(info, 1, 11) == 7 * 10 * 20


# --- what is loaded ------------------------------------------------------------------------------


def test_no_torch_in_memory(invert_model: Path, photo_file: Path) -> None:
    """In a fresh interpreter, since the other tests may have imported it here."""
    code = (
        "import sys; from infer.stylizer import Stylizer;"
        "Stylizer(sys.argv[1])(sys.argv[2]);"
        "print([m for m in ('torch', 'torchvision', 'av', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, invert_model, photo_file],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_named_stream_of_bytes(invert_model: Path, photo: NDArray[np.uint8]) -> None:
    """Damaged bytes are named as the caller names them."""
    buffer = BytesIO()
    Image.fromarray(photo).save(buffer, "PNG")
    with pytest.raises(ImageError, match="upload 7"):
        stylizer(invert_model)(buffer.getvalue()[:300], name="upload 7")


def test_styles_of_one_file(invert_model: Path, tmp_path: Path) -> None:
    """The names come from the metadata of the file, not from its name."""
    proto = onnx.load(invert_model)
    helper.set_model_props(proto, replace(INFO, styles=("wave",)).to_metadata())
    onnx.save(proto, tmp_path / "other.onnx")
    assert stylizer(tmp_path / "other.onnx").info.styles == ("wave",)


@pytest.mark.parametrize(
    ("brush", "size", "seen"),
    [(1.0, 64, 64), (2.0, 64, 32), (0.5, 64, 128), (1.0, 32, 32), (2.0, None, 32), (0.5, 16, 32)],
)
def test_the_brush_says_what_the_network_sees(
    invert_model: Path,
    photo: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
    brush: float,
    size: int | None,
    seen: int,
) -> None:
    """By hand: a long side of size / brush, and the picture comes back in its own size, 64x48."""
    paint, shapes = stylizer(invert_model, brush=brush, size=size), []
    run = paint.session.run

    def noted(images: NDArray[np.uint8], **controls: Any) -> NDArray[np.uint8]:
        shapes.append(images.shape)
        return run(images, **controls)

    monkeypatch.setattr(paint.session, "run", noted)
    assert paint(photo).rgb.shape == photo.shape
    assert shapes == [(1, seen * 3 // 4, seen, 3)]


@pytest.mark.parametrize("brush", [0.1, 5.0, float("nan")])
def test_a_brush_out_of_bounds_is_refused(invert_model: Path, brush: float) -> None:
    with pytest.raises(UsageError, match=r"--brush must be 0\.25 to 4"):
        stylizer(invert_model, brush=brush)

"""Between arrays and tensors. Truths: by hand, and by round trip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nst.errors import ImageError
from nst.tensors import as_rgb, crop_to_multiple, load_style, to_tensor, to_uint8


def test_to_tensor_by_hand() -> None:
    rgb = np.array([[[0, 51, 255], [102, 204, 153]]], np.uint8)  # one row of two pixels
    image = to_tensor(rgb)
    assert image.shape == (1, 3, 1, 2)
    assert image.dtype == torch.float32
    torch.testing.assert_close(
        image, torch.tensor([[[[0.0, 0.4]], [[0.2, 0.8]], [[1.0, 0.6]]]]), rtol=0, atol=1e-7
    )


def test_every_grey_level_comes_back() -> None:
    rgb = np.arange(2 * 16 * 16 * 3, dtype=np.uint8).reshape(2, 16, 16, 3)
    image = to_tensor(rgb)
    assert image.is_contiguous(memory_format=torch.channels_last)
    assert image.min() >= 0
    assert image.max() <= 1
    np.testing.assert_array_equal(to_uint8(image), rgb)
    assert torch.equal(as_rgb(torch.from_numpy(rgb)), image)


def test_to_uint8_rounds_and_clips_by_hand() -> None:
    values = torch.tensor([-1.0, 0.0, 0.49 / 255, 0.51 / 255, 254.6 / 255, 2.0])
    image = values.reshape(1, 1, 1, 6).expand(1, 3, 1, 6).requires_grad_()
    assert to_uint8(image)[0, 0, :, 0].tolist() == [0, 0, 0, 1, 255, 255]


def test_arrays_of_any_layout_and_right() -> None:
    """What Pillow lends may not be written, a flipped array runs backwards."""
    picture = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
    lent = np.asarray(picture)
    assert not lent.flags.writeable
    expected = to_tensor(lent.copy())
    torch.testing.assert_close(to_tensor(lent), expected)
    torch.testing.assert_close(to_tensor(lent[:, ::-1]), expected.flip(-1))


def test_to_tensor_does_not_change_its_array() -> None:
    rgb = np.full((2, 2, 3), 7, np.uint8)
    to_tensor(rgb).zero_()
    assert (rgb == 7).all()


def test_crop_by_hand() -> None:
    rgb = np.zeros((17, 25, 3), np.uint8)
    assert crop_to_multiple(rgb).shape == (16, 24, 3)
    assert crop_to_multiple(rgb, 5).shape == (15, 25, 3)


@pytest.mark.parametrize(
    ("size", "long_side", "expected"),
    [
        ((40, 56), 512, (40, 56)),  # never enlarged
        ((45, 62), 512, (40, 56)),
        ((200, 100), 100, (96, 48)),  # 100x50, cut to multiples of 8
        ((64, 128), 64, (32, 64)),
    ],
)
def test_style_sizes(
    tmp_path: Path, size: tuple[int, int], long_side: int, expected: tuple[int, int]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "style.png")
    image, picture = load_style(tmp_path / "style.png", long_side)
    assert image.shape == (1, 3, *expected)
    assert (picture.height, picture.width) == size


@pytest.mark.parametrize(("size", "long_side"), [((31, 200), 512), ((200, 31), 512), ((3, 3), 512)])
def test_small_style_images(tmp_path: Path, size: tuple[int, int], long_side: int) -> None:
    path = tmp_path / "style.png"
    Image.new("RGB", (size[1], size[0]), "red").save(path)
    with pytest.raises(ImageError) as caught:
        load_style(path, long_side)
    assert str(caught.value) == (
        f"{path}: {size[1]}x{size[0]} px is too small for a style image;"
        " give one of at least 32x32 px"
    )


def test_a_style_image_that_is_small_once_reduced(tmp_path: Path) -> None:
    """The message names both sizes, since the file itself is not small."""
    path = tmp_path / "style.png"
    Image.new("RGB", (1000, 60), "red").save(path)
    with pytest.raises(ImageError) as caught:
        load_style(path, 500)
    assert str(caught.value) == (
        f"{path}: 1000x60 px, reduced to 500x30 px, is too small for a style image;"
        " give one of at least 32x32 px"
    )

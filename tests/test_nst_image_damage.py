"""Damaged files: each loads or raises ImageError, one line, no warning. Truth: by invariant."""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from nst.errors import ImageError
from nst.image import encode_image, load_image

GENERATOR = np.random.default_rng(7)
RGB = np.sort(GENERATOR.integers(0, 256, (12, 17, 3)), axis=0).astype(np.uint8)
ALPHA = GENERATOR.integers(0, 256, (12, 17)).astype(np.uint8)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = BytesIO()
    image.save(buffer, format, exif=exif.tobytes(), **options)
    return buffer.getvalue()


FILES = {
    "png": encoded(Image.fromarray(RGB), "PNG", icc_profile=ICC),
    "png-palette": encoded(Image.fromarray(RGB).quantize(16), "PNG", transparency=b"\x00\x09"),
    "png-16": encode_image(RGB.astype(np.float32) / np.float32(255), ALPHA, bits=16),
    "jpeg": encoded(Image.fromarray(RGB), "JPEG", icc_profile=ICC),
    "webp": encoded(Image.fromarray(np.dstack([RGB, ALPHA])), "WEBP", icc_profile=ICC),
    "tiff": encoded(Image.fromarray(RGB), "TIFF", icc_profile=ICC),
    "gif": encoded(Image.fromarray(RGB).quantize(16), "GIF"),
    "bmp": encoded(Image.fromarray(RGB), "BMP"),
    "ppm": encoded(Image.fromarray(RGB), "PPM"),
}


def cut_off(data: bytes) -> list[bytes]:
    return [data[: len(data) * part // 16] for part in range(1, 16)]


def with_wrong_bits(data: bytes) -> list[bytes]:
    """One to three wrong bits, half of the files near the start where the headers are."""
    generator = np.random.default_rng(len(data))
    damaged = []
    for i in range(40):
        copy = bytearray(data)
        for _ in range(generator.integers(1, 4)):
            end = min(200, len(copy)) if i % 2 else len(copy)
            copy[generator.integers(end)] ^= 1 << int(generator.integers(8))
        damaged.append(bytes(copy))
    return damaged


@pytest.mark.parametrize("kind", FILES)
def test_damage_is_refused_or_harmless(kind: str) -> None:
    assert load_image(FILES[kind]).rgb.shape in ((12, 17, 3), (17, 12, 3))
    messages = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for data in cut_off(FILES[kind]) + with_wrong_bits(FILES[kind]):
            try:
                picture = load_image(data, name="x", max_pixels=1_000_000)
            except ImageError as error:
                messages.append(str(error))
            else:
                assert picture.rgb.ndim == 3
    assert caught == []
    assert len(messages) > 5
    assert all(message.startswith("x") and "\n" not in message for message in messages)


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "gif", "bmp", "ppm"])
def test_a_cut_off_picture_is_never_half_a_picture(kind: str) -> None:
    """Half of the bytes are missing: Pillow's ``open`` and ``verify`` let some of these pass."""
    with pytest.raises(ImageError, match=r"damaged, cut off or of an unusual kind"):
        load_image(FILES[kind][: len(FILES[kind]) // 2])


def test_one_wrong_byte_in_a_png() -> None:
    """The checksum tells; libpng as torchvision uses it ends the process on such a file."""
    data = bytearray(FILES["png"])
    data[data.index(b"IDAT") + 9] ^= 0xFF
    with pytest.raises(ImageError, match="a PNG picture but is damaged"):
        load_image(bytes(data))


def test_damaged_exif_is_noted() -> None:
    data = encoded(Image.fromarray(RGB), "JPEG")
    start = data.index(b"Exif\0\0") + 6
    picture = load_image(data[:start] + b"??" + data[start + 2 :])
    assert picture.rgb.shape == (12, 17, 3)
    assert "EXIF data is damaged" in picture.notes[0]

"""Where pictures come from: files, pipes, folders; what is no picture; limits; scaling.

Truth: by hand and by invariant.
"""

from __future__ import annotations

import os
import struct
import threading
import warnings
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nst import picture_source
from nst.errors import ImageError, PixelLimitError
from nst.image import (
    Picture,
    encode_image,
    find_images,
    fit_long_side,
    fit_short_side,
    is_animated,
    load_image,
    resize_image,
)

ROWS, COLUMNS = np.mgrid[0:6, 0:9]
GREY = (ROWS * 40 + COLUMNS * 3).astype(np.uint8)
RGB = np.stack([GREY, 255 - GREY, COLUMNS.astype(np.uint8) * 20], axis=-1)
ALPHA = (ROWS * 20 + COLUMNS + 1).astype(np.uint8)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def header_of_png(width: int, height: int) -> bytes:
    """A PNG that ends after its header."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(head))
    return b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + head + checksum + b"\0\0\0\1IDAT\0\0\0\0\0"


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_animation_is_a_video(tmp_path: Path, format: str) -> None:
    frames = [Image.fromarray(np.roll(RGB, i * 2, axis=1)) for i in range(3)]
    path = tmp_path / f"film.{format.lower()}"
    path.write_bytes(encoded(frames[0], format, save_all=True, append_images=frames[1:]))
    assert is_animated(path)
    with pytest.raises(ImageError, match=r"film.* is animated, 3 frames, .* still pictures"):
        load_image(path)
    path.write_bytes(encoded(Image.fromarray(RGB), format))
    assert not is_animated(path)
    assert load_image(path).notes == ()


@pytest.mark.parametrize("format", ["TIFF", "MPO"])
def test_pages_and_views_are_pictures(tmp_path: Path, format: str) -> None:
    first, second = Image.fromarray(RGB), Image.fromarray(255 - RGB)
    path = tmp_path / "photo.any"
    path.write_bytes(encoded(first, format, save_all=True, append_images=[second]))
    assert not is_animated(path)
    picture = load_image(path)
    assert picture.notes == ("holds 2 pages or views, the first is taken",)
    tolerance = 0 if format == "TIFF" else 40
    assert np.abs(picture.rgb.astype(int) - RGB).max() <= tolerance


def test_is_animated_of_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "text.gif").write_text("no picture")
    assert not is_animated(tmp_path / "text.gif")
    assert not is_animated(tmp_path / "missing.gif")
    assert not is_animated(tmp_path)


def test_sources_are_equal(tmp_path: Path) -> None:
    data = encoded(Image.fromarray(RGB), "PNG")
    path = tmp_path / "a.jpg"  # the content counts, not the name
    path.write_bytes(data)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    for source in (path, str(path), data, BytesIO(data), pipe):
        np.testing.assert_array_equal(load_image(source).rgb, RGB)
    writer.join()


def test_arrays_can_be_written_to() -> None:
    picture = load_image(encoded(Image.fromarray(np.dstack([RGB, ALPHA])), "PNG"))
    assert picture.alpha is not None
    assert picture.rgb.flags.writeable
    assert picture.alpha.flags.writeable
    assert picture.rgb.flags.c_contiguous


def test_size_limit_is_checked_before_decoding() -> None:
    """A header alone: decoding would fail, so the line about the size comes from the header.

    It names no flag: most commands that read pictures have none for this.
    """
    data = header_of_png(9000, 9000)
    words = r"9000x9000 = 81.0 million pixels, the limit is 64 million; scale it down first$"
    with pytest.raises(PixelLimitError, match=words):
        load_image(data)
    with pytest.raises(PixelLimitError, match=r"too many pixels; scale it down first$"):
        load_image(header_of_png(30000, 30000))
    with pytest.raises(ImageError, match="damaged"):
        load_image(data, max_pixels=100_000_000)


def test_max_pixels_can_be_raised_above_pillows_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    data = encoded(Image.fromarray(RGB), "PNG")
    assert load_image(data, max_pixels=54).rgb.shape == (6, 9, 3)
    with pytest.raises(PixelLimitError):
        load_image(data, max_pixels=53)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_file_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.fromarray(RGB), "PNG")
    (tmp_path / "a.png").write_bytes(data)
    monkeypatch.setattr(picture_source, "MAX_FILE_BYTES", len(data) - 1)
    for source in (tmp_path / "a.png", data, BytesIO(data)):
        with pytest.raises(ImageError, match="larger than"):
            load_image(source)


def test_warning_filters_survive_decoding_in_threads() -> None:
    data = encoded(Image.fromarray(RGB), "PNG")
    before = list(warnings.filters), Image.MAX_IMAGE_PIXELS

    def work() -> None:
        for _ in range(50):
            load_image(data, max_pixels=10**9)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (list(warnings.filters), Image.MAX_IMAGE_PIXELS) == before


@pytest.mark.parametrize("format", ["jpeg", "png"])
@pytest.mark.parametrize(("height", "width"), [(300, 400), (400, 300), (40, 30)])
def test_short_side(format: str, height: int, width: int) -> None:
    """Invariant: the fast way gives nearly what scaling the whole picture gives."""
    rows, columns = np.mgrid[0:height, 0:width]
    smooth = np.stack([rows * 255 // height, columns * 255 // width, rows * 0 + 90], -1)
    data = encode_image(smooth.astype(np.uint8), format=format)
    fast = load_image(data, short_side=60).rgb
    assert fast.shape == ((60, 80, 3) if height < width else (80, 60, 3))
    whole = load_image(data).rgb
    slow = resize_image(whole, *fast.shape[:2])
    assert np.abs(fast.astype(int) - slow).mean() < 1.5


def test_short_side_scales_transparency_too() -> None:
    picture = load_image(encoded(Image.fromarray(np.dstack([RGB, ALPHA])), "PNG"), short_side=12)
    assert picture.rgb.shape == (12, 18, 3)
    assert picture.alpha is not None
    assert picture.alpha.shape == (12, 18)


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 4000))
def test_fitted_sizes(height: int, width: int, side: int) -> None:
    """Invariants: the named side is exact, the ratio is kept within rounding."""
    tall, wide = fit_long_side(height, width, side)
    assert max(tall, wide) == min(side, max(height, width))
    assert 1 <= tall <= height
    assert 1 <= wide <= width
    assert abs(tall * width - wide * height) <= max(height, width)
    tall, wide = fit_short_side(height, width, side)
    assert min(tall, wide) == side
    assert abs(tall * width - wide * height) <= max(height, width)


def test_resize_of_a_flat_picture_is_flat() -> None:
    flat = np.full((5, 7, 3), (9, 100, 201), np.uint8)
    resized = resize_image(flat, 11, 3)
    assert resized.shape == (11, 3, 3)
    assert (resized == flat[0, 0]).all()
    assert resize_image(flat[..., 1], 2, 30).shape == (2, 30)


def test_find_images(tmp_path: Path) -> None:
    for name in (
        "b.PNG",
        "a.jpg",
        "sub/c.webp",
        ".hidden.png",
        ".git/d.png",
        "notes.txt",
        "e.TIFF",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [str(path.relative_to(tmp_path)) for path in find_images(tmp_path)]
    assert names == ["a.jpg", "b.PNG", "e.TIFF", "sub/c.webp"]
    assert find_images(tmp_path / "sub") == [tmp_path / "sub" / "c.webp"]


def test_find_images_in_what_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for wrong in ("missing", "file"):
        with pytest.raises(ImageError, match=wrong):
            find_images(tmp_path / wrong)


def test_picture_says_its_size() -> None:
    picture = Picture(RGB, None)
    assert (picture.height, picture.width, picture.notes) == (6, 9, ())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html><body>404", "an HTML page"),
        (b"\n <HTML>", "an HTML page"),
        (b"404: Not Found\n", "a text file"),
        (b'<?xml version="1.0"?><svg/>', "an SVG drawing"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"PK\3\4....", "a zip archive"),
        (b"\0\0\0\x18ftypheic\0\0", "a HEIC picture"),
        (b"\0\0\0\x18ftypisom\0\0", "a video"),
        (bytes(range(128, 200)), "no known kind of file"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture but is damaged, cut off"),
        (b"\xff\xd8\xff\xe0", "a JPEG picture but is damaged, cut off"),
        (b"GIF89a", "a GIF picture but is damaged, cut off"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "a WebP picture but is damaged, cut off"),
        (b"II*\0\x08\0\0\0", "a TIFF picture but is damaged, cut off"),
        (b"P6\n4 4\n255\n...", "a PPM picture but is damaged, cut off"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "cat.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError) as caught:
        load_image(path)
    message = str(caught.value)
    assert words in message
    assert message.startswith(str(path))
    assert "\n" not in message


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.png: cannot be read, no such file"):
        load_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="is a folder"):
        load_image(tmp_path)


def test_name_stands_in_the_error() -> None:
    with pytest.raises(ImageError, match=r"^photo 7 is empty"):
        load_image(b"", name="photo 7")


def test_formats_beyond_the_list_are_not_decoded() -> None:
    """Pillow would open a PCX; every decoder more is a way in for a hostile file."""
    with pytest.raises(ImageError, match="no known kind"):
        load_image(encoded(Image.fromarray(RGB), "PCX"))

"""Writing pictures. Truth: by round trip through other decoders, by hand, by invariant."""

from __future__ import annotations

import errno
import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from nst.errors import OutputError, UsageError
from nst.image import Picture, check_output, encode_image, load_image, save_image

GENERATOR = np.random.default_rng(3)
RGB = GENERATOR.integers(0, 256, (13, 21, 3)).astype(np.uint8)
ALPHA = GENERATOR.integers(1, 256, (13, 21)).astype(np.uint8)
DEEP = GENERATOR.random((13, 21, 3), dtype=np.float32)
HALF_A_LEVEL = 0.505  # the product is rounded in float32


@given(st.integers(1, 64), st.integers(1, 64), st.booleans(), st.sampled_from(["png", "tiff"]))
def test_lossless_formats_round_trip(height: int, width: int, has_alpha: bool, format: str) -> None:
    generator = np.random.default_rng(height * 64 + width)
    rgb = generator.integers(0, 256, (height, width, 3)).astype(np.uint8)
    alpha = generator.integers(1, 255, (height, width)).astype(np.uint8) if has_alpha else None
    picture = load_image(encode_image(rgb, alpha, format=format))
    np.testing.assert_array_equal(picture.rgb, rgb)
    if alpha is None:
        assert picture.alpha is None
    else:
        np.testing.assert_array_equal(picture.alpha, alpha)
    assert picture.notes == ()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".webp", ".tif", ".tiff"])
def test_every_suffix_writes_its_format(tmp_path: Path, suffix: str) -> None:
    flat = np.full((8, 9, 3), (200, 30, 90), np.uint8)
    path = tmp_path / "new" / f"a{suffix}"
    save_image(path, flat)
    names = {".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
    with Image.open(path) as image:
        assert image.format == names.get(suffix, "JPEG")
        assert not image.getexif().get_ifd(0x8825)
        assert "icc_profile" not in image.info
        assert "exif" not in image.info
    assert np.abs(load_image(path).rgb.astype(int) - flat).max() <= 3


def test_jpeg_keeps_the_resolution_of_colours() -> None:
    """4:4:4: a column of red beside a column of blue stays red."""
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::2, 0] = stripes[:, 1::2, 2] = 255
    ours = load_image(encode_image(stripes, format="jpg")).rgb.astype(int)
    assert np.abs(ours - stripes).mean() < 12
    with Image.open(BytesIO(encode_image(stripes, format="jpg"))) as image:
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}  # type: ignore[attr-defined]


def test_quality_is_heard() -> None:
    for format in ("jpeg", "webp"):
        assert len(encode_image(RGB, format=format, quality=20)) < len(
            encode_image(RGB, format=format, quality=95)
        )


@pytest.mark.parametrize("format", ["png", "tiff"])
@pytest.mark.parametrize("alpha", [None, ALPHA], ids=["opaque", "alpha"])
def test_16_bits_as_opencv_reads_them(format: str, alpha: NDArray[np.uint8] | None) -> None:
    """Every sample is 65535 x, rounded; transparency of 255 becomes 65535."""
    cv2 = pytest.importorskip("cv2")
    data = encode_image(DEEP, alpha, format=format, bits=16)
    theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert theirs.dtype == np.uint16
    assert np.abs(theirs[..., 2::-1] - DEEP.astype(float) * 65535).max() <= HALF_A_LEVEL
    if alpha is not None:
        np.testing.assert_array_equal(theirs[..., 3], alpha.astype(int) * 257)
    picture = load_image(data)
    assert np.abs(picture.rgb - DEEP * 255).max() <= 1
    if alpha is not None:
        np.testing.assert_array_equal(picture.alpha, alpha)


def test_16_bit_tiff_as_tifffile_reads_it() -> None:
    theirs = tifffile.imread(BytesIO(encode_image(DEEP, ALPHA, format="tif", bits=16)))
    assert np.abs(theirs[..., :3] - DEEP.astype(float) * 65535).max() <= HALF_A_LEVEL


@given(st.integers(1, 40), st.integers(1, 40))
def test_16_bit_png_of_any_size_as_pillow_reads_it(height: int, width: int) -> None:
    levels = np.random.default_rng(height * 64 + width).integers(0, 256, (height, width, 3))
    data = encode_image(levels.astype(np.float32) / np.float32(255), bits=16)
    np.testing.assert_array_equal(load_image(data).rgb, levels)  # level * 257 >> 8 is the level


def test_16_bit_png_of_several_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nst.picture_formats._IDAT_BYTES", 100)
    data = encode_image(DEEP, bits=16)
    assert data.count(b"IDAT") > 10
    assert np.abs(load_image(data).rgb - DEEP * 255).max() <= 1


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.bmp", {}, r"a\.bmp: .*\.png, \.jpg, \.jpeg, \.webp, \.tif, \.tiff"),
        ("a", {}, r"a: pictures are written as \.png"),
        ("a.jpg", {"alpha": ALPHA}, "JPEG cannot hold transparency; choose png, webp or tiff"),
        ("a.jpg", {"bits": 16}, "--bits 16 needs png or tiff"),
        ("a.webp", {"bits": 16}, "--bits 16 needs png or tiff"),
        ("a.png", {"bits": 10}, "--bits must be 8 or 16, got 10"),
        ("a.jpg", {"quality": 0}, "--quality must be from 1 to 100, got 0"),
    ],
)
def test_what_cannot_be_written_is_said(
    tmp_path: Path, name: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        save_image(tmp_path / name, RGB, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("rgb", "bits"),
    [
        (DEEP, 8),
        (RGB, 16),
        (DEEP + np.float32(0.5), 16),
        (DEEP - np.float32(0.5), 16),
        (np.full((2, 2, 3), np.nan, np.float32), 16),
    ],
    ids=["float as 8 bits", "uint8 as 16 bits", "above 1", "below 0", "nan"],
)
def test_wrong_arrays_are_a_bug(rgb: NDArray[Any], bits: int) -> None:
    with pytest.raises(ValueError, match="bits are written from"):
        encode_image(rgb, bits=bits)


def test_existing_file_is_kept_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture = Picture(RGB, ALPHA)
    picture.save(path)
    before = path.read_bytes()
    with pytest.raises(OutputError, match=r"a\.png exists; pass --overwrite"):
        picture.save(path)
    with pytest.raises(OutputError, match="exists"):
        check_output(path)
    check_output(path, overwrite=True)
    assert path.read_bytes() == before
    Picture(255 - RGB, None).save(path, overwrite=True)
    np.testing.assert_array_equal(load_image(path).rgb, 255 - RGB)
    (tmp_path / "b.png").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        picture.save(tmp_path / "b.png", overwrite=True)


@pytest.mark.parametrize(("suffix", "side"), [("webp", 16_384), ("jpg", 65_501)])
def test_format_that_ends_before_the_picture(tmp_path: Path, suffix: str, side: int) -> None:
    path = tmp_path / f"a.{suffix}"
    with pytest.raises(OutputError, match=rf"a\.{suffix}: .* too large .* choose png or tiff"):
        save_image(path, np.zeros((1, side, 3), np.uint8))
    assert not path.exists()


def test_failing_encoder_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError("encoder error -2")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OutputError, match=r"a\.png: the PNG encoder failed: encoder error -2"):
        save_image(path, RGB, overwrite=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OutputError, match=r"a\.png: cannot be written, the disk is full"):
        save_image(tmp_path / "a.png", RGB)
    assert list(tmp_path.iterdir()) == []

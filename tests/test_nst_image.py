"""Reading pictures: orientation, depth, transparency; modes and containers have a matrix.

Truth: pictures are made from arrays, the expected colours are worked out by hand with numpy, and
OpenCV reads the same files where it can.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from nst.errors import ImageError
from nst.image import load_image

Pixels = NDArray[np.uint8]

ROWS, COLUMNS = np.mgrid[0:6, 0:9]
GREY = (ROWS * 40 + COLUMNS * 3).astype(np.uint8)
RGB = np.stack([GREY, 255 - GREY, COLUMNS.astype(np.uint8) * 20], axis=-1)
ALPHA = (ROWS * 20 + COLUMNS + 1).astype(np.uint8)


def exif_of(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png(
    width: int,
    bits: int,
    kind: int,
    row: bytes,
    transparent: bytes = b"",
    *,
    height: int = 1,
    is_interlaced: bool = False,
) -> bytes:
    """A PNG of one row, made by hand: Pillow writes neither 2 and 4 bits nor 16-bit RGB.

    Of more rows ``row`` holds all but the filter of the first one.
    """

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, is_interlaced))
        + (chunk(b"tRNS", transparent) if transparent else b"")
        + chunk(b"IDAT", zlib.compress(b"\0" + row))
        + chunk(b"IEND", b"")
    )


def as_grey(values: Any) -> Pixels:
    return np.repeat(np.asarray(values, np.uint8)[..., None], 3, axis=-1)


DEEP = GREY.astype(np.uint16) * 257 + 100  # rounds back to GREY, by 100/257 < 1/2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_as_opencv_reads_it(orientation: int) -> None:
    cv2 = pytest.importorskip("cv2")
    data = encoded(Image.fromarray(RGB), "JPEG", quality=95, exif=exif_of(orientation))
    theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    ours = load_image(data).rgb
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).max() <= 2  # another inverse DCT


def test_an_orientation_that_does_not_exist_is_upright() -> None:
    data = encoded(Image.fromarray(RGB), "PNG", exif=exif_of(9))
    np.testing.assert_array_equal(load_image(data).rgb, RGB)


@pytest.mark.parametrize(
    ("data", "rgb", "alpha"),
    [
        # worked out by hand: a sample of n bits is scaled by 255 / (2^n - 1)
        (png(4, 2, 0, b"\x1b", b"\0\1"), [[0] * 3, [0] * 3, [170] * 3, [255] * 3], [1, 0, 1, 1]),
        (png(4, 4, 0, b"\x05\x5f", b"\0\5"), [[0] * 3, [0] * 3, [0] * 3, [255] * 3], [1, 0, 0, 1]),
        (png(8, 1, 0, b"\x55", b"\0\1"), [[0] * 3] * 8, [1, 0] * 4),
        (png(2, 8, 2, bytes([1, 2, 3, 4, 5, 6]), b"\0\1\0\2\0\3"), [[4, 5, 6]] * 2, [0, 1]),
        (png(2, 16, 0, bytes([3, 232, 255, 255]), b"\x03\xe8"), [[255] * 3] * 2, [0, 1]),
    ],
    ids=["2 bits", "4 bits", "1 bit", "rgb", "16 bits"],
)
def test_transparent_colour_of_any_depth(
    data: bytes, rgb: list[list[int]], alpha: list[int]
) -> None:
    """``rgb`` counts where ``alpha`` is 1; the others have the mean colour of those."""
    picture = load_image(data)
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255 * a for a in alpha]]
    visible = np.array(alpha) == 1
    np.testing.assert_array_equal(picture.rgb[0][visible], np.array(rgb)[visible])
    mean = np.rint(np.array(rgb)[visible].mean(axis=0))
    np.testing.assert_array_equal(picture.rgb[0][~visible], np.tile(mean, ((~visible).sum(), 1)))


def test_transparent_colour_of_16_bit_rgb() -> None:
    """By hand: all 16 bits count; the second pixel differs in the last bit only."""
    row = struct.pack(">6H", 1000, 2000, 3000, 1000, 2000, 3001)
    picture = load_image(png(2, 16, 2, row, struct.pack(">3H", 1000, 2000, 3000)))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0, 255]]
    assert picture.notes == ()


def test_opaque_transparency_is_dropped() -> None:
    image = Image.fromarray(np.dstack([RGB, np.full_like(GREY, 255)]))
    assert load_image(encoded(image, "PNG")).alpha is None


def test_hidden_colours_do_not_reach_a_network() -> None:
    hidden = np.random.default_rng(0).integers(0, 256, (4, 6, 4)).astype(np.uint8)
    hidden[..., 3] = 0
    hidden[1, 2] = (10, 20, 30, 1)
    hidden[3, 3] = (20, 40, 60, 255)
    picture = load_image(encoded(Image.fromarray(hidden), "PNG"))
    assert picture.rgb[0, 0].tolist() == [15, 30, 45]
    assert picture.rgb[1, 2].tolist() == [10, 20, 30]
    hidden[..., 3] = 0
    assert "fully transparent" in load_image(encoded(Image.fromarray(hidden), "PNG")).notes[0]


def test_16_bit_grey_rounds_to_the_nearest_level() -> None:
    """Every level and both sides of every border: v / 257, by hand."""
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    picture = load_image(encoded(Image.fromarray(values), "PNG"))
    np.testing.assert_array_equal(picture.rgb[..., 1], np.rint(values / 257))


@pytest.mark.parametrize("is_white_zero", [False, True])
def test_16_bit_tiff_by_tifffile(is_white_zero: bool) -> None:
    buffer = BytesIO()
    tifffile.imwrite(buffer, DEEP, photometric="miniswhite" if is_white_zero else "minisblack")
    expected = 255 - GREY if is_white_zero else GREY
    np.testing.assert_array_equal(load_image(buffer.getvalue()).rgb, as_grey(expected))


EVERY_LEVEL = np.arange(65536, dtype=np.uint16).reshape(256, 256)
SHIFTED = np.stack([EVERY_LEVEL, EVERY_LEVEL[::-1], EVERY_LEVEL.T, EVERY_LEVEL[:, ::-1]], axis=-1)
"""Every level in each of four channels."""


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"compression": "zlib"},
        {"compression": "zlib", "byteorder": ">", "predictor": 2},
        {"tile": (64, 32)},
        {"rowsperstrip": 7},
        {"extrasamples": ["unassalpha"]},
        {"extrasamples": ["unassalpha"], "compression": "zlib"},
    ],
    ids=str,
)
def test_16_bit_colour_tiff_rounds_to_the_nearest_level(options: dict[str, Any]) -> None:
    """v / 257, by hand; written by tifffile."""
    buffer = BytesIO()
    samples = SHIFTED if "extrasamples" in options else SHIFTED[..., :3]
    tifffile.imwrite(buffer, samples, photometric="rgb", **options)
    picture = load_image(buffer.getvalue())
    expected = np.rint(samples / 257)
    if picture.alpha is not None:
        np.testing.assert_array_equal(picture.alpha, expected[..., 3])
        expected = expected[picture.alpha > 0]
    assert (picture.alpha is not None) == ("extrasamples" in options)
    found = picture.rgb if picture.alpha is None else picture.rgb[picture.alpha > 0]
    np.testing.assert_array_equal(found, expected[..., :3])


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (6, 4), (4, 2)])
def test_16_bit_colour_png_rounds_to_the_nearest_level(kind: int, channels: int) -> None:
    """v / 257, by hand; RGB, RGBA and grey with alpha, whose alpha must not hide a level."""
    samples = SHIFTED[..., :channels].reshape(-1, channels)[:60000]
    if kind != 2:
        samples = samples.clip(300)
    picture = load_image(png(60000, 16, kind, samples.astype(">u2").tobytes()))
    expected = np.rint(samples / 257)
    rgb = expected[:, :3] if kind != 4 else expected[:, :1].repeat(3, axis=1)
    np.testing.assert_array_equal(picture.rgb[0], rgb)
    if kind != 2:
        assert picture.alpha is not None
        np.testing.assert_array_equal(picture.alpha[0], expected[:, -1])


def test_16_bit_colour_png_in_seven_passes() -> None:
    """By hand: the passes of Adam7 (PNG specification, section 8.2), every row unfiltered."""
    samples = SHIFTED[:16, 240:, :3]
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
    data = b"".join(
        b"\0" + row.astype(">u2").tobytes()
        for y, x, down, right in (*passes, (1, 0, 2, 1))
        for row in samples[y::down, x::right]
    )
    picture = load_image(png(16, 16, 2, data[1:], height=16, is_interlaced=True))
    np.testing.assert_array_equal(picture.rgb, np.rint(samples / 257))


@pytest.mark.parametrize(
    ("samples", "options", "words"),
    [
        (np.full((3, 4), 0.5, np.float32), {}, "floating point"),
        (np.full((3, 4), 9, np.uint32), {}, "32-bit or signed"),
        (np.full((3, 4), -9, np.int16), {}, "32-bit or signed"),
        (np.full((3, 4, 3), 0.5, np.float32), {"photometric": "rgb"}, "unusual kind"),
        (
            np.full((3, 4, 5), 40000, np.uint16),
            {"photometric": "rgb", "planarconfig": "separate"},
            "a plane for each colour",
        ),
    ],
    ids=["float", "uint32", "int16", "float rgb", "16-bit planes"],
)
def test_samples_without_a_known_white_are_refused(
    samples: NDArray[Any], options: dict[str, Any], words: str
) -> None:
    """Pillow reads each of these as a black, white or wrong picture, or not at all."""
    buffer = BytesIO()
    tifffile.imwrite(buffer, samples, **options)
    with pytest.raises(ImageError, match=words) as caught:
        load_image(buffer.getvalue(), name="scan.tif")
    assert str(caught.value).startswith("scan.tif ")
    assert "\n" not in str(caught.value)

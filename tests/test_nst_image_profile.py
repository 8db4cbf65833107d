"""Colour profiles. Truth: profiles built by hand whose effect is worked out by hand."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from nst.image import load_image

LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)
COLOURS = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def encoded(image: Image.Image, format: str, icc: bytes) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format, icc_profile=icc)
    return buffer.getvalue()


def profile(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile, version 2.4 (ICC.1:2001-04, section 6)."""
    d50 = xyz(0.9642, 1.0, 0.8249)
    table, data = b"", b""
    start = 128 + 4 + 12 * (len(tags) + 1)
    for name, value in {b"wtpt": b"XYZ \0\0\0\0" + d50, **tags}.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value + b"\0" * (-len(value) % 4)
    size = start + len(data)
    header = struct.pack(">I4xI4s4s4s", size, 0x02400000, b"prtr", space, connection)
    header += struct.pack(">6H4s28x", 2024, 1, 1, 0, 0, 0, b"acsp") + d50
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags) + 1) + table + data


def xyz(*values: float) -> bytes:
    return struct.pack(">3i", *(round(value * 65536) for value in values))


def linear_grey() -> bytes:
    """A grey profile whose samples are proportional to light: a curve of gamma 1."""
    return profile(b"GRAY", b"XYZ ", {b"kTRC": b"curv" + struct.pack(">IIH", 0, 1, 256)})


def black_only() -> bytes:
    """A CMYK profile in which the coloured inks print nothing and black makes L* = 100 (1 - K)."""
    straight = bytes(range(256))
    nodes = bytes(
        sample for node in range(16) for sample in (0 if node & 1 else 255, 128, 128)
    )  # two nodes an ink, black varies fastest
    identity = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    lut8 = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + straight * 4 + nodes + straight * 3
    return profile(b"CMYK", b"Lab ", {b"A2B0": lut8})


def srgb_of_linear(light: NDArray[Any]) -> NDArray[Any]:
    """IEC 61966-2-1."""
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * curve))


def test_srgb_profile_changes_nothing() -> None:
    picture = load_image(encoded(Image.fromarray(COLOURS), "PNG", SRGB))
    np.testing.assert_array_equal(picture.rgb, COLOURS)
    assert picture.notes == ()


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_rgb_profile_is_applied(format: str) -> None:
    """sRGB with red and green swapped: what the file calls red is green."""
    swapped = SRGB.replace(b"rXYZ", b"____").replace(b"gXYZ", b"rXYZ").replace(b"____", b"gXYZ")
    flat = Image.new("RGB", (16, 16), (250, 130, 20))
    picture = load_image(encoded(flat, format, swapped))
    assert np.abs(picture.rgb.astype(int) - (130, 250, 20)).max() <= 3
    assert picture.notes == ()


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_grey_profile_is_applied(format: str) -> None:
    picture = load_image(encoded(Image.new("L", (16, 16), 55), format, linear_grey()))
    expected = srgb_of_linear(np.array(55 / 255))
    assert np.abs(picture.rgb - expected).max() <= 1
    whole = load_image(encoded(Image.fromarray(LEVELS), "PNG", linear_grey())).rgb
    assert np.abs(whole[..., 0] - srgb_of_linear(LEVELS / 255)).max() <= 1


@pytest.mark.parametrize("format", ["TIFF", "JPEG"])
def test_cmyk_profile_is_applied(format: str) -> None:
    """L* = 100 (1 - K), whatever the other inks; L* = 49.8 is level 118.5 of sRGB."""
    full_ink = Image.new("CMYK", (16, 16), (255, 200, 90, 0))
    picture = load_image(encoded(full_ink, format, black_only()))
    assert np.abs(picture.rgb.astype(int) - 255).max() <= 2
    assert picture.notes == ()
    half_black = Image.new("CMYK", (16, 16), (0, 0, 0, 128))
    picture = load_image(encoded(half_black, format, black_only()))
    assert np.abs(picture.rgb - 118.5).max() <= 2


def test_grey_file_with_the_rgb_profile_of_its_camera() -> None:
    picture = load_image(encoded(Image.fromarray(LEVELS), "JPEG", SRGB))
    assert picture.notes == ()
    assert picture.rgb.shape == (16, 16, 3)


def test_palette_and_transparency_with_a_profile() -> None:
    swapped = SRGB.replace(b"rXYZ", b"____").replace(b"gXYZ", b"rXYZ").replace(b"____", b"gXYZ")
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 250, 130, 20])
    buffer = BytesIO()
    image.save(buffer, "PNG", icc_profile=swapped, transparency=bytes([0, 77]))
    picture = load_image(buffer.getvalue())
    assert np.abs(picture.rgb.astype(int) - (130, 250, 20)).max() <= 1
    assert picture.alpha is not None
    assert (picture.alpha == 77).all()


@pytest.mark.parametrize(
    ("icc", "words"),
    [
        (b"no profile at all", "damaged"),
        (SRGB[:200], "damaged"),
        (SRGB.replace(b"rXYZ", b"????"), "damaged"),
        (SRGB[:16] + b"\xcc\xa6\xff\xff" + SRGB[20:], "damaged"),
        (black_only(), "for CMYK, not for this picture"),
        (linear_grey(), "for GRAY, not for this picture"),
    ],
    ids=["text", "cut off", "tag missing", "space not ascii", "cmyk", "grey"],
)
def test_unusable_profile_is_noted_and_not_fatal(icc: bytes, words: str) -> None:
    picture = load_image(encoded(Image.fromarray(COLOURS), "TIFF", icc))
    np.testing.assert_array_equal(picture.rgb, COLOURS)
    (note,) = picture.notes
    assert words in note
    assert "ignored" in note


def test_cmyk_without_a_profile_is_noted() -> None:
    (note,) = load_image(encoded(Image.new("CMYK", (4, 4)), "TIFF", b"")).notes
    assert "CMYK" in note

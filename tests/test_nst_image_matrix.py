"""Every mode of pixels in every container that holds it, in every orientation; any size.

Truth: pictures are made from arrays, the expected colours are worked out by hand with numpy. Where
a container loses something (JPEG, AVIF) the tolerance is that of its encoder, and the file is
compared, to one level, with what the bare decoder gives, turned by hand.

All combinations at 6x9 px, and forty that are drawn, of 1 to 300 px; ``NST_IMAGES=5000`` draws so
many.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, features

from nst.image import load_image

Pixels = NDArray[np.uint8]
Measured = Callable[[str, object], None]

UPRIGHT: dict[int, Callable[[Any], Any]] = {
    # EXIF 2.32, tag Orientation: where row 0 and column 0 of the file belong
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}
PALETTE = np.array([[10, 20, 30], [200, 0, 0], [0, 200, 0], [250, 250, 90]], np.uint8)
PALETTE_ALPHA = np.array([9, 99, 200, 255], np.uint8)


class Made(NamedTuple):
    """A picture of some mode, and what must be read from it."""

    image: Image.Image | NDArray[np.uint16]
    """An array where Pillow has no such mode."""
    rgb: Pixels
    alpha: Pixels | None = None
    tolerance: int = 0


def as_levels(values: Any) -> Pixels:
    return np.asarray(np.rint(values), np.uint8)


def of_mode(mode: str, samples: Pixels) -> Image.Image:
    return Image.frombytes(mode, (samples.shape[1], samples.shape[0]), samples.tobytes())


def palette_image(index: Pixels) -> Image.Image:
    image = of_mode("P", index)
    image.putpalette(PALETTE.tobytes())
    return image


def naive_rgb_of_cmyk(cmyk: Pixels) -> Pixels:
    ink = cmyk.astype(float) / 255
    return as_levels(255 * (1 - ink[..., :3]) * (1 - ink[..., 3:]))


def rgb_of_ycc(ycc: Pixels) -> Pixels:
    """JFIF 1.02, section 7."""
    y, cb, cr = np.moveaxis(ycc.astype(float), -1, 0)
    red, blue = y + 1.402 * (cr - 128), y + 1.772 * (cb - 128)
    green = y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128)
    return as_levels(np.stack([red, green, blue], -1).clip(0, 255))


def srgb_of_lightness(lightness: NDArray[np.float64]) -> Pixels:
    """CIE 1976, then IEC 61966-2-1."""
    linear = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return as_levels(255 * curve)


def made(mode: str, height: int, width: int) -> Made:
    """Slopes in every channel, different ones in rows and columns, so that no turn is another."""
    rows, columns = np.mgrid[0:height, 0:width]
    down, right = rows / max(1, height - 1), columns / max(1, width - 1)
    grey = as_levels(200 * down + 27 * right)
    rgb = np.dstack([grey, 255 - grey, as_levels(160 * right)])
    alpha = as_levels(1 + 120 * down + 90 * right)
    index = as_levels(2 * down + right)
    greys = np.repeat(grey[..., None], 3, axis=-1)
    deep = (grey.astype(np.uint16) * 257 + 100).astype(np.uint16)  # rounds back: 100/257 < 1/2
    deeps = np.minimum(rgb.astype(np.int32) * 257 + 100, 65535).astype(np.uint16)
    lab = np.zeros((height, width, 3), np.uint8)  # TIFF 6.0, section 23: a and b are signed
    lab[..., 0] = grey
    cmyk = np.dstack([rgb, grey // 2])
    ycc = np.dstack([grey, as_levels(128 + 40 * right), as_levels(128 - 40 * right)])
    is_bright = 2 * down + right > 1.1
    bright = np.repeat(is_bright[..., None] * np.uint8(255), 3, axis=-1)
    lightness = np.repeat(srgb_of_lightness(grey / 255 * 100)[..., None], 3, axis=-1)
    match mode:
        case "1":
            return Made(Image.fromarray(is_bright), bright)
        case "L":
            return Made(Image.fromarray(grey), greys)
        case "LA":
            return Made(Image.fromarray(np.dstack([grey, alpha])), greys, alpha)
        case "P":
            return Made(palette_image(index), PALETTE[index])
        case "P, transparent":
            image = palette_image(index)
            image.info["transparency"] = PALETTE_ALPHA.tobytes()
            return Made(image, PALETTE[index], PALETTE_ALPHA[index])
        case "PA":
            image = palette_image(index).convert("PA")
            image.putalpha(Image.fromarray(alpha))
            return Made(image, PALETTE[index], alpha)
        case "RGB":
            return Made(Image.fromarray(rgb), rgb)
        case "RGBA":
            return Made(Image.fromarray(np.dstack([rgb, alpha])), rgb, alpha)
        case "CMYK":
            return Made(of_mode("CMYK", cmyk), naive_rgb_of_cmyk(cmyk), tolerance=1)
        case "YCbCr":
            return Made(of_mode("YCbCr", ycc), rgb_of_ycc(ycc), tolerance=1)
        case "LAB":
            return Made(of_mode("LAB", lab), lightness, tolerance=1)
        case "I;16":
            return Made(Image.fromarray(deep), greys)
        case "I;16B":
            return Made(Image.fromarray(deep.astype(">u2")), greys)
        case "RGB, 16 bits":
            return Made(deeps, rgb)
        case _:
            deep_alpha = alpha.astype(np.uint16) * np.uint16(257)
            return Made(np.dstack([deeps, deep_alpha]), rgb, alpha)


DEEP = ("RGB, 16 bits", "RGBA, 16 bits")
HOLDS = {
    "PNG": ("1", "L", "LA", "P", "P, transparent", "RGB", "RGBA", "I;16", *DEEP),
    "TIFF": (
        *("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I;16B"),
        *DEEP,
    ),
    "JPEG": ("L", "RGB", "CMYK", "YCbCr"),
    "WEBP": ("L", "LA", "P", "P, transparent", "RGB", "RGBA"),
    "AVIF": ("L", "RGB", "RGBA"),
    "GIF": ("1", "L", "P"),
    "BMP": ("1", "L", "P", "RGB"),
    "PPM": ("1", "L", "RGB", "I;16"),
}
"""Modes that a container keeps, or that its encoder turns into one of the same colours."""
UPRIGHT_ONLY = ("GIF", "BMP", "PPM")
"""Containers that have no EXIF."""
LOSSLESS = ("PNG", "TIFF", "WEBP", "GIF", "BMP", "PPM")
OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 100, "subsampling": 0},
    "WEBP": {"lossless": True, "exact": True},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
}
LOST = {"JPEG": 4, "AVIF": 3}
"""What the encoders lose of slopes at this quality, levels; in CMYK they multiply."""

CASES = [
    (container, mode, orientation)
    for container, modes in HOLDS.items()
    for mode in modes
    for orientation in UPRIGHT
    if (orientation == 1 or container not in UPRIGHT_ONLY)
    and (container != "AVIF" or features.check("avif"))
]


def exif_of(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def png_16(samples: NDArray[np.uint16], exif: bytes) -> bytes:
    """By hand, with the chunk eXIf of PNG 1.5, which has no ``Exif`` before its TIFF."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)

    height, width, channels = samples.shape
    kind = 2 if channels == 3 else 6
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
        + chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def tiff_16(samples: NDArray[np.uint16], orientation: int) -> bytes:
    buffer = BytesIO()
    tifffile.imwrite(
        buffer,
        samples,
        photometric="rgb",
        extrasamples=["unassalpha"] if samples.shape[2] == 4 else None,
        extratags=[(274, "H", 1, orientation, True)],
    )
    return buffer.getvalue()


def encoded(container: str, picture: Made, orientation: int) -> bytes:
    if not isinstance(picture.image, Image.Image):
        if container == "TIFF":
            return tiff_16(picture.image, orientation)
        return png_16(picture.image, exif_of(orientation))
    options = dict(OPTIONS.get(container, {}))
    if container not in UPRIGHT_ONLY:
        options["exif"] = exif_of(orientation)
    buffer = BytesIO()
    picture.image.save(buffer, container, **options)
    return buffer.getvalue()


def check(container: str, mode: str, orientation: int, height: int, width: int) -> int:
    """Compare one file; return the largest difference, in levels."""
    picture = made(mode, height, width)
    turn = UPRIGHT[orientation]
    data = encoded(container, picture, orientation)
    found = load_image(data)
    expected = turn(picture.rgb)
    assert found.rgb.dtype == np.uint8
    assert found.rgb.shape == expected.shape == (found.height, found.width, 3)
    assert len(found.notes) == (mode == "CMYK")
    off = int(np.abs(found.rgb.astype(int) - expected).max())
    tolerance = picture.tolerance + LOST.get(container, 0) * (2 if mode == "CMYK" else 1)
    assert off <= tolerance
    if picture.alpha is None:
        assert found.alpha is None
    else:
        assert found.alpha is not None
        lost = LOST.get(container, 0)
        assert np.abs(found.alpha.astype(int) - turn(picture.alpha)).max() <= lost
    if container in LOST and mode != "CMYK":
        with Image.open(BytesIO(data)) as bare:
            theirs = np.asarray(bare.convert("RGB")).astype(int)
        off = int(np.abs(found.rgb - turn(theirs)).max())
        assert off <= 1
    return off


@pytest.mark.parametrize(
    ("container", "mode"), sorted({(container, mode) for container, mode, _ in CASES})
)
def test_every_orientation(container: str, mode: str, measured: Measured) -> None:
    orientations = [o for each, name, o in CASES if (each, name) == (container, mode)]
    assert len(orientations) == (1 if container in UPRIGHT_ONLY else 8)
    worst = max(check(container, mode, o, 6, 9) for o in orientations)
    measured("files", len(orientations))
    measured("worst_levels", worst)


@settings(
    max_examples=int(os.environ.get("NST_IMAGES", "40")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.sampled_from(CASES), st.integers(1, 300), st.integers(1, 300))
def test_any_size(case: tuple[str, str, int], height: int, width: int) -> None:
    check(*case, height, width)


def test_this_file_can_fail() -> None:
    """By hand: the slopes tell every two orientations apart, in every mode."""
    for mode in {mode for _, mode, _ in CASES}:
        turned = [turn(made(mode, 7, 7).rgb) for turn in UPRIGHT.values()]
        assert len({picture.tobytes() for picture in turned}) == 8, mode


@pytest.mark.parametrize("container", HOLDS)
def test_what_else_the_encoder_takes_is_in_the_table(container: str) -> None:
    """By Pillow: a mode that comes back from a container as it went in is in ``HOLDS``."""
    if container == "AVIF" and not features.check("avif"):
        pytest.skip("Pillow without AVIF")
    names = {name for modes in HOLDS.values() for name in modes if name not in DEEP}
    for name in names - set(HOLDS[container]):
        image = made(name, 6, 9).image
        assert isinstance(image, Image.Image)
        buffer = BytesIO()
        try:
            image.save(buffer, container)
        except (OSError, ValueError, KeyError, TypeError):
            continue
        with Image.open(buffer) as again:
            kept = again.mode == name.partition(",")[0] and name != "P, transparent"
        assert not kept, name

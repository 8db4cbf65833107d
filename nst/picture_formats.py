"""Picture files as bytes: which are read, which are written, how one is encoded. Torch-free.

Pillow encodes 8 bits for each sample. It has no 16-bit RGB, so that a 16-bit PNG is written here
and a 16-bit TIFF by tifffile.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from nst.errors import OutputError, UsageError

READ_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM") + (
    ("AVIF",) if features.check("avif") else ()
)
"""The decoders of Pillow that files from outside may reach; JPEG includes MPO."""

READ_NAMES = "PNG, JPEG, WebP, TIFF, BMP, GIF, PPM" + (
    " and AVIF" if "AVIF" in READ_FORMATS else ""
)

IMAGE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jfif", ".mpo", ".webp", ".tif", ".tiff", ".bmp", ".gif")
    + (".ppm", ".pgm", ".pbm", ".pnm")
    + ((".avif",) if "AVIF" in READ_FORMATS else ())
)
"""Suffixes, in lower case, by which a folder is searched for pictures."""

WRITE_FORMATS = {
    "png": "PNG",
    "jpg": "JPEG",
    "jpeg": "JPEG",
    "webp": "WEBP",
    "tif": "TIFF",
    "tiff": "TIFF",
}
"""Suffix, without the dot, to the name by which Pillow knows the encoder."""

LONGEST_SIDE_PX = {"JPEG": 65_500, "WEBP": 16_383}
"""What the encoders can hold; PNG and TIFF hold more than memory does."""

_IDAT_BYTES = 1 << 30
_SIGNATURES: tuple[tuple[bytes, str, bool], ...] = (
    # first bytes, what to call it, whether it is a format that is read here
    (b"\x89PNG", "a PNG picture", True),
    (b"\xff\xd8\xff", "a JPEG picture", True),
    (b"GIF8", "a GIF picture", True),
    (b"II*\0", "a TIFF picture", True),
    (b"MM\0*", "a TIFF picture", True),
    (b"BM", "a BMP picture", True),
    (b"%PDF", "a PDF document", False),
    (b"8BPS", "a Photoshop document", False),
    (b"PK\x03\x04", "a zip archive", False),
    (b"\x1f\x8b", "a gzip archive", False),
    (b"\xff\x0a", "a JPEG XL picture", False),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture", False),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture", False),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video", False),
)
_BRANDS: dict[bytes, tuple[str, bool]] = {
    # ISO media files carry "ftyp" at byte 4 and their kind behind it
    b"avif": ("an AVIF picture", "AVIF" in READ_FORMATS),
    b"avis": ("an AVIF picture", "AVIF" in READ_FORMATS),
    b"heic": ("a HEIC picture", False),
    b"heix": ("a HEIC picture", False),
    b"mif1": ("a HEIF picture", False),
}


def looks_like(head: bytes) -> tuple[str, bool]:
    """Say what a file seems to be by its first bytes, and whether that is a format read here."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP picture", True
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], ("a video", False))
    for start, name, is_read in _SIGNATURES:
        if head.startswith(start):
            return name, is_read
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "an HTML page", False
    if text.startswith(b"<svg") or (text.startswith(b"<?xml") and b"<svg" in text):
        return "an SVG drawing", False
    if text[:1] == b"p" and text[1:2] in b"1234567" and text[2:3].isspace():
        return "a PPM picture", True
    if head.isascii() and not any(byte < 32 and byte not in b"\t\r\n\f" for byte in head):
        return "a text file", False
    return "no known kind of file", False


def check_format(suffix: str, *, has_alpha: bool, bits: int, source: str) -> str:
    """Return the encoder for a suffix when it can hold what is to be written.

    Args:
        suffix: With or without the dot, in any case.
        has_alpha: Whether the picture has transparency.
        bits: Bits of each sample, 8 or 16.
        source: What to call the output in an error.

    Raises:
        UsageError: An unknown suffix, transparency in a JPEG, 16 bits in a JPEG or WebP.
    """
    encoder = WRITE_FORMATS.get(suffix.lower().removeprefix("."))
    if encoder is None:
        known = ", ".join(f".{name}" for name in WRITE_FORMATS)
        raise UsageError(f"{source}: pictures are written as {known}, not as '{suffix}'")
    if has_alpha and encoder == "JPEG":
        raise UsageError(f"{source}: JPEG cannot hold transparency; choose png, webp or tiff")
    if bits not in (8, 16):
        raise UsageError(f"--bits must be 8 or 16, got {bits}")
    if bits == 16 and encoder not in ("PNG", "TIFF"):
        raise UsageError(f"{source}: --bits 16 needs png or tiff")
    return encoder


def encode_image(
    rgb: NDArray[np.uint8] | NDArray[np.float32],
    alpha: NDArray[np.uint8] | None = None,
    *,
    format: str = "png",
    quality: int = 95,
    bits: int = 8,
) -> bytes:
    """Encode a picture, for a pipe or a file. sRGB is implied; no metadata is written.

    Args:
        rgb: (H, W, 3). uint8 for 8 bits; float32 in [0, 1] for 16 bits.
        alpha: (H, W) uint8, 0 transparent to 255 opaque.
        format: png, jpg, jpeg, webp, tif or tiff.
        quality: Of JPEG and WebP, 1 to 100. JPEG keeps the full resolution of the colours.
        bits: Bits of each sample, 8 or 16 (png and tiff).

    Raises:
        UsageError: The format is unknown or cannot hold this; quality or bits is out of bounds.
        OutputError: The encoder fails; the picture is larger than the format allows.
    """
    encoder = check_format(format, has_alpha=alpha is not None, bits=bits, source="output")
    if not 1 <= quality <= 100:
        raise UsageError(f"--quality must be from 1 to 100, got {quality}")
    height, width = rgb.shape[:2]
    if max(height, width) > LONGEST_SIDE_PX.get(encoder, max(height, width)):
        raise OutputError(
            f"a picture of {width}x{height} px is too large for {encoder},"
            f" which ends at {LONGEST_SIDE_PX[encoder]} px; choose png or tiff"
        )
    if bits == 16:
        samples = _to_16_bits(rgb, alpha)
        return _png_16(samples) if encoder == "PNG" else _tiff_16(samples)
    if rgb.dtype != np.uint8:
        raise ValueError(f"8 bits are written from uint8, got {rgb.dtype}")
    image = Image.fromarray(rgb if alpha is None else np.dstack([rgb, alpha]))
    buffer = BytesIO()
    try:
        image.save(buffer, encoder, **_options(encoder, quality))
    except (OSError, ValueError) as error:
        raise OutputError(f"the {encoder} encoder failed: {error}") from error
    return buffer.getvalue()


def _options(encoder: str, quality: int) -> dict[str, Any]:
    if encoder == "JPEG":
        return {"quality": quality, "subsampling": 0}  # 4:4:4, brush strokes have sharp colours
    if encoder == "WEBP":
        return {"quality": quality}
    if encoder == "PNG":
        return {"compress_level": 1}  # twice as fast as the default for files 5 to 10 % larger
    return {"compression": "tiff_adobe_deflate"}


def _to_16_bits(
    rgb: NDArray[np.uint8] | NDArray[np.float32], alpha: NDArray[np.uint8] | None
) -> NDArray[np.uint16]:
    """Return samples of 0 to 65535, (H, W, 3 or 4)."""
    if rgb.dtype != np.float32:
        raise ValueError(f"16 bits are written from float32 in [0, 1], got {rgb.dtype}")
    scaled = np.rint(rgb * np.float32(65535))
    if not (scaled.min() >= 0 and scaled.max() <= 65535):  # also False for NaN
        raise ValueError("16 bits are written from float32 in [0, 1]; values are outside")
    samples: NDArray[np.uint16] = scaled.astype(np.uint16)
    if alpha is not None:
        samples = np.dstack([samples, alpha.astype(np.uint16) * np.uint16(257)])
    return samples


def _png_16(samples: NDArray[np.uint16]) -> bytes:
    """Encode as PNG with 16 bits a sample (W3C PNG, third edition; filter type Up)."""
    height, width, channels = samples.shape
    rows = samples.astype(">u2").view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    packed = zlib.compress(filtered.data, 1)
    colour_type = 2 if channels == 3 else 6
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    parts = [packed[i : i + _IDAT_BYTES] for i in range(0, len(packed), _IDAT_BYTES)]
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _png_chunk(b"IHDR", header),
            *(_png_chunk(b"IDAT", part) for part in parts),
            _png_chunk(b"IEND", b""),
        )
    )


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def _tiff_16(samples: NDArray[np.uint16]) -> bytes:
    import tifffile

    buffer = BytesIO()
    tifffile.imwrite(
        buffer,
        samples,
        photometric="rgb",
        extrasamples=["unassalpha"] if samples.shape[2] == 4 else None,
        compression="zlib",
        metadata=None,
        software=False,
    )
    return buffer.getvalue()

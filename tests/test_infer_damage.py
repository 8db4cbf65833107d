"""A folder of damaged pictures through ``nst stylize``, in one process. Truth: by invariant.

Each file is painted or named with a reason, none takes the process down, and the sound ones between
them come out as if they were alone. 200 that must be refused as a rule; ``NST_DAMAGED=2000`` makes
so many.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from nst.image import encode_image

DAMAGED = int(os.environ.get("NST_DAMAGED", "200"))
GENERATOR = np.random.default_rng(11)
RGB = np.sort(GENERATOR.integers(0, 256, (24, 34, 3)), axis=0).astype(np.uint8)
ALPHA = GENERATOR.integers(1, 256, (24, 34)).astype(np.uint8)
DEEP = RGB.astype(np.float32) / np.float32(255)
MUST_FAIL = ("cut", "zeroed", "odd")
"""Kinds of damage that leave no picture; a wrong bit may hit a pixel, and paint."""


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """74 bytes whose header claims any size: libpng as torchvision uses it ends the process."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(9))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b""))
    )


SOUND = {
    "png": encoded(Image.fromarray(RGB), "PNG"),
    "palette.png": encoded(Image.fromarray(RGB).quantize(16), "PNG", transparency=b"\x00\x09"),
    "deep.png": encode_image(DEEP, ALPHA, bits=16),
    "jpg": encoded(Image.fromarray(RGB), "JPEG"),
    "progressive.jpg": encoded(Image.fromarray(RGB), "JPEG", progressive=True),
    "webp": encoded(Image.fromarray(np.dstack([RGB, ALPHA])), "WEBP", lossless=True),
    "tif": encoded(Image.fromarray(RGB), "TIFF", compression="tiff_lzw"),
    "deep.tif": encode_image(DEEP, format="tif", bits=16),
    "gif": encoded(Image.fromarray(RGB).quantize(16), "GIF"),
    "bmp": encoded(Image.fromarray(RGB), "BMP"),
    "ppm": encoded(Image.fromarray(RGB), "PPM"),
} | ({"avif": encoded(Image.fromarray(RGB), "AVIF")} if features.check("avif") else {})
ODD = {
    "empty.png": b"",
    "a page.jpg": b"<!DOCTYPE html><html><body>404",
    "a text.jpg": b"404: Not Found\n",
    "a document.png": b"%PDF-1.7\n",
    "an archive.png": b"PK\x03\x04" + bytes(40),
    "another picture.png": encoded(Image.fromarray(RGB), "PCX"),
    "64 x 64.png": png_claiming(64, 64),
    "16 megapixels.png": png_claiming(4_000, 4_000),
    "144 megapixels.png": png_claiming(12_000, 12_000),
    "400 megapixels.png": png_claiming(20_000, 20_000),
    "2 gigapixels.png": png_claiming(2_000_000_000, 1),
    "no pixels.png": png_claiming(0, 7),
}


def cut(data: bytearray, random: np.random.Generator) -> None:
    del data[int(random.integers(0, len(data) // 2)) :]


def zeroed(data: bytearray, random: np.random.Generator) -> None:
    """The first half is gone, as where a disk was never written."""
    data[: len(data) // 2] = bytes(len(data) // 2)


def flipped(data: bytearray, random: np.random.Generator) -> None:
    """One to ten wrong bits, in half of the files near the start, where the headers are."""
    end = len(data) if random.integers(2) else min(200, len(data))
    for place in random.integers(0, end, int(random.integers(1, 11))):
        data[place] ^= 1 << int(random.integers(8))


def overwritten(data: bytearray, random: np.random.Generator) -> None:
    start = int(random.integers(len(data)))
    data[start : start + 16] = random.bytes(len(data[start : start + 16]))


DAMAGE: dict[str, Callable[[bytearray, np.random.Generator], None]] = {
    "cut": cut,
    "flipped": flipped,
    "overwritten": overwritten,
    "zeroed": zeroed,
}


def damaged(count: int) -> Iterator[tuple[str, bytes]]:
    """So many files that cannot be painted, by their names, and those between that may be."""
    yield from ODD.items()
    left, number = count - len(ODD), 0
    while left > 0:
        for suffix, whole in SOUND.items():
            for kind, damage in DAMAGE.items():
                data = bytearray(whole)
                damage(data, np.random.default_rng(number))
                yield f"{number:05d} {kind}.{suffix}", bytes(data)
                number += 1
                left -= kind in MUST_FAIL


def test_each_is_named_and_the_others_are_painted(
    invert_model: Path,
    photo: NDArray[np.uint8],
    tmp_path: Path,
    measured: Callable[[str, object], None],
) -> None:
    """By hand: the negative of a sound photograph after every twentieth damaged file."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    files = dict(damaged(DAMAGED))
    for name, data in files.items():
        (folder / name).write_bytes(data)
    sound = [f"{name[:5]} sound.png" for name in sorted(files)[::20]]
    for name in sound:
        Image.fromarray(photo).save(folder / name)
    command = [sys.executable, "-X", "faulthandler", "-W", "error", "-m", "nst", "stylize"]
    done = subprocess.run(
        [*command, invert_model, folder, "-o", out, "--json"], capture_output=True, text=True
    )
    assert done.returncode == 3, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    records = {Path(r["input"]).name: r for r in map(json.loads, done.stdout.splitlines())}
    assert records.keys() == files.keys() | set(sound)

    errors = {name: r["error"] for name, r in records.items() if "error" in r}
    must_fail = {n for n in files if n in ODD or n.partition(".")[0].split()[-1] in MUST_FAIL}
    assert len(must_fail) >= DAMAGED
    assert must_fail <= errors.keys() <= files.keys()
    for name, error in errors.items():
        assert name in error
        assert error.isprintable()
    said = [line for line in done.stderr.splitlines() if line.startswith("nst: ")]
    assert [sum(name in line for line in said) for name in errors] == [1] * len(errors)

    painted = {name: Path(r["output"]) for name, r in records.items() if "error" not in r}
    assert sorted(path for path in out.rglob("*") if path.is_file()) == sorted(painted.values())
    for name in sound:
        with Image.open(painted[name]) as image:
            np.testing.assert_array_equal(np.asarray(image), 255 - photo)
    for figure, value in (
        ("damaged", len(files)),
        ("refused", len(errors)),
        ("painted all the same", len(files) - len(errors)),
        ("sound", len(sound)),
    ):
        measured(figure, value)


def test_this_file_can_fail() -> None:
    """The files without damage are pictures: what is refused is refused for its damage."""
    from nst.image import load_image

    for data in SOUND.values():
        assert load_image(data).rgb.shape == RGB.shape
    for kind, damage in DAMAGE.items():
        changed = bytearray(SOUND["png"])
        damage(changed, np.random.default_rng(1))
        assert changed != SOUND["png"], kind

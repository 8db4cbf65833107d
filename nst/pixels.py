"""From a decoded file to sRGB: sample depth, transparency, colour profile, orientation. Torch-free.

Pillow converts between modes without a word where it loses the picture: 16-bit grey is clipped,
16-bit colours are cut to their first byte, a transparent colour of another depth is missed, a
colour profile is ignored. Those steps are done here. What could not be done as the file asks
becomes a note.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from nst.errors import ImageError

ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What the values of the EXIF tag Orientation ask for; 1 is upright, others do not exist."""

_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_PLANAR = 258, 262, 284
_TWO_BYTES = ("RGB;16", "RGBA;16", "RGBX;16", "CMYK;16")
"""Raw modes, less their byte order, of which Pillow keeps the first byte of each sample."""
_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab"}
"""The colour space that a profile of a picture of this mode has."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the samples lie in the file; Pillow forgets it when it decodes."""

    bits: int = 8
    """Bits of each sample."""
    is_inverted: bool = False
    """Whether 0 is white in a grey picture of 16 bits; with 8 bits Pillow has turned it."""
    low_bytes: str = ""
    """Raw mode that decodes the second bytes of samples of which Pillow takes the first."""


@dataclass(slots=True)
class Decoded:
    """A picture in sRGB, upright."""

    rgb: Image.Image
    alpha: Image.Image | None
    notes: list[str] = field(default_factory=list)


def layout_of(image: ImageFile.ImageFile, *, name: str) -> Layout:
    """Read the sample layout of a file that is opened and not yet decoded.

    Raises:
        ImageError: Pillow would decode the file wrongly without a word.
    """
    if image.format == "PNG":
        raw_mode = _raw_mode(image)  # as "RGB;16B", "L;4", "L"
        bits = raw_mode.partition(";")[2].removesuffix("B")
        return Layout(bits=int(bits) if bits.isdigit() else 8, low_bytes=_low_bytes(raw_mode))
    if isinstance(image, TiffImageFile):
        tags = image.tag_v2
        bits = max(tags.get(_TIFF_BITS, (8,)))
        if bits > 8 and tags.get(_TIFF_PLANAR, 1) == 2:
            raise ImageError(
                f"{name} is a {bits}-bit TIFF with a plane for each colour, which is not read;"
                " save it with interleaved samples"
            )
        return Layout(
            bits=bits,
            is_inverted=bits > 8 and tags.get(_TIFF_PHOTOMETRIC) == 0,
            low_bytes=_low_bytes(_raw_mode(image)),
        )
    return Layout()


def _raw_mode(image: ImageFile.ImageFile) -> str:
    args = image.tile[0].args if image.tile else None
    return args if isinstance(args, str) else str(args[0]) if args else ""


def _low_bytes(raw_mode: str) -> str:
    """Return the raw mode that takes the other byte of each sample; empty where none is lost."""
    if raw_mode == "LA;16B":
        return "RGBA"  # the four bytes of a pixel: grey high, grey low, alpha high, alpha low
    kind, order = raw_mode[:-1], raw_mode[-1:]
    if kind not in _TWO_BYTES:
        return ""
    is_little = order == "L" or (order == "N" and sys.byteorder == "little")
    return kind + ("B" if is_little else "L")


def to_srgb(
    image: Image.Image, layout: Layout, low: Image.Image | None = None, *, name: str
) -> Decoded:
    """Convert a decoded picture of any mode to sRGB, upright.

    Args:
        image: Decoded by Pillow; its metadata still attached.
        layout: Of the same file, read before it was decoded.
        low: The same file decoded in the raw mode ``layout.low_bytes``, where there is one.
        name: What to call the picture in an error.

    Raises:
        ImageError: The samples are 32-bit or signed integers or floating point numbers, whose
            black and white the file does not tell.
    """
    notes: list[str] = []
    rounded, second = image, None
    if low is not None:
        second = np.asarray(low)
        second = second[..., [1, 1, 1, 3]] if layout.low_bytes == "RGBA" else second
        rounded = _rounded(image, second)
    alpha = _alpha(image, rounded, layout, second)
    base = _base(rounded, layout, name=name)
    rgb = _apply_profile(base, image.info.get("icc_profile"), notes)
    turn = _TURNS.get(_orientation(image, notes))
    if turn is not None:
        rgb = rgb.transpose(turn)
        alpha = None if alpha is None else alpha.transpose(turn)
    return Decoded(rgb, alpha, notes)


def _rounded(image: Image.Image, low: NDArray[np.uint8]) -> Image.Image:
    """Round 16-bit samples, of which ``image`` holds the first byte h, to the nearest level.

    With ``v = 256 h + l``, ``v / 257 = h + (l - h) / 257`` is nearest to h or to its neighbour.
    """
    high = np.array(image)
    rest = low.astype(np.int16) - high
    high += rest > 128
    high -= rest < -128
    return Image.frombytes(image.mode, image.size, high.tobytes())


def _alpha(
    image: Image.Image, rounded: Image.Image, layout: Layout, low: NDArray[np.uint8] | None
) -> Image.Image | None:
    """Return the transparency as mode L, whichever of its five forms the file uses."""
    if image.mode in ("RGBA", "LA", "PA"):
        return rounded.getchannel("A")
    if not image.has_transparency_data:
        return None
    if image.mode not in ("1", "L", "RGB", "I;16", "I"):
        return image.convert("RGBA").getchannel("A")  # P, premultiplied
    key = image.info["transparency"]
    samples = np.asarray(image)
    if low is not None:
        high, rest = np.divmod(key, 256)
        same = (samples == high) & (low == rest)
    else:
        if image.mode == "L" and layout.bits < 8:
            key = key * 255 // (2**layout.bits - 1)  # Pillow spreads the samples over 0..255
        elif image.mode == "1":
            key = bool(key)
        same = samples == key
    is_key = same.all(axis=-1) if same.ndim == 3 else same
    return Image.fromarray(np.where(is_key, np.uint8(0), np.uint8(255)))


def _base(image: Image.Image, layout: Layout, *, name: str) -> Image.Image:
    """Return the colours without transparency as mode L, RGB, CMYK or LAB, 8 bits."""
    if image.mode in _SPACES:
        return image
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return Image.fromarray(_to_8_bits(np.asarray(image), layout))
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        kind = "floating point numbers" if image.mode == "F" else "32-bit or signed integers"
        raise ImageError(
            f"{name} holds {kind}, which do not say what is black and white;"
            " save it with 8 or 16 bits"
        )
    return image.convert("L" if image.mode in ("1", "LA") else "RGB")


def _to_8_bits(samples: NDArray[np.integer], layout: Layout) -> NDArray[np.uint8]:
    """Scale unsigned samples of more than 8 bits, rounding to the nearest of 256 levels."""
    highest = 2 ** (layout.bits if layout.bits > 8 else 16) - 1
    levels = (np.arange(65536).clip(max=highest) * 255 + highest // 2) // highest
    table = (255 - levels if layout.is_inverted else levels).astype(np.uint8)
    scaled: NDArray[np.uint8] = table[samples]
    return scaled


def _apply_profile(image: Image.Image, icc: bytes | None, notes: list[str]) -> Image.Image:
    """Convert mode L, RGB, CMYK or LAB to sRGB with the embedded profile, or say why not."""
    if icc:
        converted = _with_profile(image, icc, notes)
        if converted is not None:
            return converted
    if image.mode == "CMYK":
        notes.append("CMYK without a usable colour profile, converted naively: colours may be off")
    if image.mode == "LAB":
        return _transform(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    return image.convert("RGB")


def _with_profile(image: Image.Image, icc: bytes, notes: list[str]) -> Image.Image | None:
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(icc))
        space = profile.profile.xcolor_space.strip()
        if space == "RGB" and image.mode == "L":  # a grey file that carries its camera's profile
            image = image.convert("RGB")
        if space != _SPACES[image.mode]:
            notes.append(f"its colour profile is for {space}, not for this picture, and is ignored")
            return None
        return _transform(image, profile)
    except (OSError, ValueError, ImageCms.PyCMSError):
        notes.append("its colour profile is damaged and is ignored")
        return None


def _transform(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    if image.mode == "L":
        # The fast path for grey is up to 10 levels off in the dark; 256 levels go the exact way.
        levels = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
        table = np.asarray(_convert(levels, profile, flags | ImageCms.Flags.NOOPTIMIZE))[0]
        return Image.fromarray(table[np.asarray(image)])
    return _convert(image, profile, flags)


def _convert(
    image: Image.Image, profile: ImageCms.ImageCmsProfile, flags: ImageCms.Flags
) -> Image.Image:
    converted = ImageCms.profileToProfile(
        image,
        profile,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=flags,
    )
    assert converted is not None  # only None when converting in place
    return converted


def _orientation(image: Image.Image, notes: list[str]) -> int:
    try:
        if "exif" in image.info:
            Image.Exif().load(image.info["exif"])  # a decoder may have met damage and hidden it
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # a damaged EXIF block raises whatever its parser stumbles over
        notes.append("its EXIF data is damaged and ignored; it may lie on its side")
        return 1
    return value if isinstance(value, int) else 1

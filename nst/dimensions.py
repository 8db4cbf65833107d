"""Which image transformation network: its name and the numbers that rebuild it. Torch-free.

On the command line ``swift``, or ``swift:blocks=3,noise=0`` where something shall be tried out; in
a checkpoint all the numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nst.errors import UsageError, in_one_line
from nst.settings import Settings, from_dict, setting

Block = Literal["plain", "grouped", "depthwise"]
Head = Literal["direct", "resize", "half", "shuffle"]

GROUPS = 4
"""Of the convolutions of a grouped block."""


@dataclass(frozen=True, kw_only=True)
class Dimensions(Settings):
    """What every network has."""

    network: str
    """Name of the architecture."""
    width: int
    noise: float

    @property
    def name(self) -> str:
        """As on the command line, without defaults: ``swift:width=32,noise=0``."""
        defaults = {f.name: f.default for f in dataclasses.fields(self)}
        values = dataclasses.asdict(self)
        network = values.pop("network")
        told = [
            f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in values.items()
            if name == "width" or value != defaults[name]
        ]
        return f"{network}:{','.join(told)}"


def _noise(deviation: float) -> Any:  # noqa: ANN401
    help = "Deviation of the noise beside the picture; 0 for none."
    return setting(deviation, help, low=0, high=2)


@dataclass(frozen=True, kw_only=True)
class JohnsonDimensions(Dimensions):
    """The network of ``nst.transformer``."""

    network: Literal["johnson"] = setting("johnson", "Name of the architecture.")
    width: int = setting(16, "Channels of the first convolution; 32 in the paper.", low=1, high=128)
    noise: float = _noise(0.0)


@dataclass(frozen=True, kw_only=True)
class SwiftDimensions(Dimensions):
    """The network of ``nst.swift``."""

    network: Literal["swift"] = setting("swift", "Name of the architecture.")
    width: int = setting(32, "Channels of the stem and the blocks.", low=4, high=256)
    noise: float = _noise(0.5)
    factor: int = setting(4, "Stride of the stem: 2, 4 or 8.", low=2, high=8)
    kernel: int = setting(
        8, "Side of the stem's kernel, px; three times the factor is space-to-depth and 3x3."
    )
    blocks: int = setting(4, "Residual blocks.", low=1, high=32)
    block: Block = setting(
        "plain", "Convolutions of a block: 3x3; or 3x3 in groups or channel by channel, and 1x1."
    )
    norms: int = setting(
        2, "Of a block: behind both convolutions, or the second alone.", low=1, high=2
    )
    head: Head = setting(
        "direct",
        "Enlargement: by nearest neighbour and convolutions up to full size; straight to colours in"
        " the last one; the last doubling by a pixel shuffle; or all at once by one.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.factor not in (2, 4, 8):
            raise UsageError(f"--net swift: factor must be 2, 4 or 8, got {self.factor}")
        beyond = self.kernel - self.factor
        if beyond < 0 or beyond % 2 or self.kernel > 4 * self.factor:
            raise UsageError(
                f"--net swift: kernel must be {self.factor} to {4 * self.factor} in steps of 2,"
                f" got {self.kernel}"
            )
        divisor = max(2**self.doublings, GROUPS)
        if self.width % divisor:
            raise UsageError(
                f"--net swift: width must be a multiple of {divisor}, got {self.width}"
            )

    @property
    def doublings(self) -> int:
        """How often the size is doubled by nearest neighbour, with a norm behind it."""
        whole = self.factor.bit_length() - 1
        return {"resize": whole, "direct": whole - 1, "half": whole - 1, "shuffle": 0}[self.head]


NETS: Mapping[str, type[Dimensions]] = {"johnson": JohnsonDimensions, "swift": SwiftDimensions}


def dimensions_named(text: str, width: int | None = None) -> Dimensions:
    """Return the dimensions of ``NAME`` or ``NAME:KEY=VALUE,...``.

    Args:
        text: As on the command line.
        width: Where it is not the network's own.

    Raises:
        UsageError: There is no such network, or it has no such number.
    """
    name, _, rest = text.partition(":")
    if name not in NETS:
        raise UsageError(f"--net must be one of {', '.join(NETS)}, got {in_one_line(name)}")
    flag = f"--net {in_one_line(text)}"
    values: dict[str, Any] = {}
    for part in rest.split(",") if rest else []:
        key, sign, value = part.partition("=")
        if not sign:
            raise UsageError(f"{flag}: write KEY=VALUE after the name, found {part!r}")
        values[key.strip()] = _value(value.strip())
    if width is not None:
        if "width" in values:
            raise UsageError(f"{flag} names a width; leave out --width {width}")
        values["width"] = width
    return _made(NETS[name], values, flag)


def dimensions_from(values: Mapping[str, Any]) -> Dimensions:
    """Return the dimensions that a checkpoint or a model names.

    Raises:
        UsageError: They are those of no network of this program.
    """
    name = values.get("network")
    if not isinstance(name, str) or name not in NETS or "width" not in values:
        raise UsageError("no network of this program")
    return _made(NETS[name], values, "dimensions")


def _made(cls: type[Dimensions], values: Mapping[str, Any], source: str) -> Dimensions:
    try:
        return from_dict(cls, dict(values), source=source.partition(":")[0])
    except UsageError as error:
        text = str(error)
        is_flag = text.startswith("--width") and "width=" not in source
        if not is_flag and not text.startswith("--net"):
            text = f"{source}: {text.removeprefix('--')}"
        raise UsageError(text) from None


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

"""Which layers of the encoder the objective looks at, and at which sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nst.config import ObjectiveConfig
from nst.encoder import LAYERS, depth_of
from nst.errors import UsageError


class Tap(NamedTuple):
    """A layer of the encoder, looked at in a picture reduced ``scale`` times."""

    layer: str
    scale: int = 1

    def __str__(self) -> str:
        return self.layer if self.scale == 1 else f"{self.layer}/{self.scale}"


@dataclass(frozen=True, slots=True)
class Preset:
    """Which layers of the encoder the objective looks at, and at which sizes."""

    name: str
    content: Tap
    style: tuple[Tap, ...]

    @property
    def taps(self) -> tuple[Tap, ...]:
        """Content and style together."""
        return (self.content, *self.style)

    @property
    def deepest_layer(self) -> str:
        """The last layer that the encoder must reach."""
        return max((tap.layer for tap in self.taps), key=depth_of)

    def __str__(self) -> str:
        return f"{self.name} (content {self.content}; style {', '.join(map(str, self.style))})"


PRESETS = {
    "pyramid": Preset(
        "pyramid",
        Tap("relu3_3", 2),
        tuple(
            Tap(layer, scale) for scale in (1, 2, 4) for layer in ("relu1_1", "relu2_1", "relu3_1")
        ),
    ),
    # The layers of Gatys et al. 2016, figure 1 and section 3.
    "gatys": Preset(
        "gatys",
        Tap("relu4_2"),
        tuple(Tap(f"relu{block}_1") for block in range(1, 6)),
    ),
}


def find_preset(
    name: str, *, content_layer: str | None = None, style_layers: Sequence[str] = ()
) -> Preset:
    """Return a preset by name, with its layers replaced where others are asked for.

    Args:
        name: ``pyramid`` or ``gatys``.
        content_layer: ``relu4_2``, or ``relu3_3/2`` for the picture at half size.
        style_layers: The same, several.

    Raises:
        UsageError: There is no such preset, layer or scale; the message names the flag.
    """
    if name not in PRESETS:
        raise UsageError(f"--preset must be one of {', '.join(PRESETS)}, got {name}")
    preset = PRESETS[name]
    if content_layer is None and not style_layers:
        return preset
    content = preset.content
    if content_layer is not None:
        content = parse_tap(content_layer, flag="--content-layer")
    style = tuple(parse_tap(layer, flag="--style-layers") for layer in style_layers)
    style = style or preset.style
    if twice := sorted({str(tap) for tap in style if style.count(tap) > 1}):
        raise UsageError(f"--style-layers names {', '.join(twice)} twice; once is enough")
    return Preset(f"{name} changed", content, style)


def preset_of(config: ObjectiveConfig) -> Preset:
    """Return the preset that settings describe.

    Raises:
        UsageError: There is no such preset, layer or scale; the message names the flag.
    """
    return find_preset(
        config.preset,
        content_layer=config.content_layer,
        style_layers=() if config.style_layers is None else config.style_layers.split(","),
    )


def parse_tap(text: str, *, flag: str) -> Tap:
    """Read ``relu3_1`` or ``relu3_1/2``, with or without spaces around it.

    Args:
        text: A layer and, behind a slash, how many times the picture is reduced.
        flag: What to call it in an error.

    Raises:
        UsageError: The layer is unknown or the scale is not 1, 2, 4 or 8.
    """
    layer, slash, scale = text.strip().partition("/")
    if layer not in LAYERS:
        raise UsageError(f"{flag}: unknown layer {layer}; choose from {', '.join(LAYERS)}")
    if slash and scale not in ("1", "2", "4", "8"):
        raise UsageError(f"{flag} {text.strip()}: the scale behind the slash must be 1, 2, 4 or 8")
    return Tap(layer, int(scale) if slash else 1)

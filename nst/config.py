"""Settings that both ways of painting share, and those of the reference mode. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nst.settings import ColorTransfer, LossNetwork, Precision, Settings, Weighting, setting

STYLE_FACTOR = 4.5
"""Weight of the mean relative style error in J: half the sum of the pyramid's nine terms."""
ENERGY_FLOOR = 1e-3
"""No style target counts with less energy than this share of the largest one's."""
CONTENT_FLOOR = 0.25
"""The photograph's content energy counts at least this share of the style image's per position."""


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig(Settings):
    """Settings of the objective. Pictures are RGB in [0, 1]."""

    strength: float = setting(1.0, "How much style counts against content.", low=0.01, high=100)
    preset: str = setting("pyramid", "Layers of the objective: pyramid or gatys.")
    content_layer: str | None = setting(
        None, "Content layer in place of the preset's: relu4_2, or relu3_3/2 at half size."
    )
    style_layers: str | None = setting(
        None, "Style layers in place of the preset's, with commas: relu1_1,relu2_1/2."
    )
    weights: Weighting = setting(
        "balanced", "balanced: relative errors; gatys: the paper's plain sums."
    )
    content_weight: float = setting(
        1.0, "Alpha, with --weights gatys.", low=0, only_with=("weights", "gatys")
    )
    style_weight: float = setting(
        1e6,
        "Beta, with --weights gatys; big pictures need more, weights of large activations less.",
        low=0,
        only_with=("weights", "gatys"),
    )
    tv_weight: float = setting(0.0, "Weight of total variation (mean |gradient|).", low=0)
    style_size: int = setting(512, "Long side of the style image, px.", low=32, high=8192)
    loss_network: LossNetwork = setting(
        "vgg19",
        "What measures content and style: vgg19, or compact, a small embedded network distilled"
        " from it that needs no download.",
    )
    vgg: str | None = setting(
        None, "VGG-19 weights; else $NST_VGG19, else torchvision's download (548 MB)."
    )
    device: str = setting("auto", "auto, cpu, cuda, cuda:1 or mps.")
    seed: int = setting(0, "Seed of everything that is drawn.", low=0, high=2**63 - 1)


@dataclass(frozen=True, kw_only=True)
class OptimizeConfig(ObjectiveConfig):
    """Settings of the reference mode."""

    # Max pooling hands its gradient to one pixel of four: without this a lattice of two pixels
    # covers flat areas. It costs 5 % of J; figures that shall be compared take 0.
    tv_weight: float = setting(
        1.0, "Weight of total variation (mean |gradient|); 0 leaves a fine lattice.", low=0
    )
    size: int = setting(
        512, "Long side of the result, px; 0 for the photograph's own.", low=0, high=16384
    )
    original_colors: bool = setting(
        False, "Keep the colours of the photograph.", flags=("--original-colors",)
    )
    color_transfer: ColorTransfer = setting(
        "luminance",
        "How --original-colors keeps them: luminance, only light and dark are painted; statistics,"
        " the colours of the style image are first moved to mean and covariance of the"
        " photograph's.",
        only_with=("original_colors", True),
    )
    optimizer: Literal["lbfgs", "adam"] = setting("lbfgs", "Optimiser of the pixels.")
    init: str = setting("content", "Start: content (the photograph), noise, or a picture file.")
    scales: int = setting(
        0, "Sizes from coarse to fine, each twice the last; 0: until 512 px or less.", low=0, high=8
    )
    evaluations: int = setting(300, "Evaluations of the objective at each size, at most.", low=1)
    tolerance: float = setting(
        1e-3, "Stop when 10 iterations lower J by less than this share; 0: never.", low=0, high=0.5
    )
    history: int = setting(
        20,
        "Steps that --optimizer lbfgs remembers; each takes 24 bytes a pixel.",
        low=1,
        high=100,
        only_with=("optimizer", "lbfgs"),
    )
    tile: int = setting(
        0,
        "Side of the pieces, px, in which a large picture goes through the loss network, so that"
        " memory hardly grows with it; the result is the same. 0: the whole picture at once. 768"
        " suits.",
        low=0,
        high=16384,
    )
    learning_rate: float = setting(
        0.02,
        "Step of --optimizer adam, in units of [0, 1].",
        low=1e-5,
        high=1,
        only_with=("optimizer", "adam"),
    )
    precondition: bool = setting(
        True,
        "Let --optimizer lbfgs change light and colour of large areas first: J falls faster.",
        flags=("--precondition/--no-precondition",),
    )
    precision: Precision = setting(
        "auto",
        "Dtype of the convolutions; auto: bfloat16 in nine tenths of the evaluations where the"
        " hardware has it, float32 in the last ones.",
    )


@dataclass(frozen=True, kw_only=True)
class JudgingConfig(Settings):
    """Settings of the judge; the defaults are those of the measuring protocol."""

    photo_size: int = setting(
        384, "Long side at which photographs are judged, px.", low=32, high=4096
    )
    style_size: int = setting(
        512, "Long side of the style image against which they are judged, px.", low=32, high=8192
    )
    slow_photos: int | None = setting(
        None,
        "Photographs on which the slow method is compared, 0: none; else 16, or 1 on a CPU.",
        low=0,
    )
    evaluations: int = setting(
        500, "Evaluations of the slow method; kept in the cache.", low=1, high=100_000
    )
    seed: int = setting(0, "Seed of the noise that the slow method begins with.", low=0)

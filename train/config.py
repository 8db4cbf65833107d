"""What can be set for a training; the same object feeds flags, checkpoint, metadata and card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nst.config import ObjectiveConfig
from nst.dimensions import Dimensions, dimensions_named
from nst.errors import UsageError
from nst.settings import Precision, setting

CPU_BATCH = 2
GPU_BATCH = 16
LEARNING_RATES = {"johnson": 1e-3, "swift": 3e-3}
"""Of networks, unless another one is asked for."""
NORM_RATE, ADDED_NORM_RATE = 4.0, 30.0
"""Beside convolutions, and alone; see docs/training.md."""
EARLY_PREVIEWS = (0, 10, 25, 50, 100)
"""Steps after which a preview is made besides the regular ones: one wants to see it grow."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig(ObjectiveConfig):
    """Settings of one training. Pictures are RGB in [0, 1]."""

    net: str = setting(
        "johnson",
        "Network: johnson, the classic one; or swift, which paints at a quarter of the size and is"
        " several times as fast. swift:blocks=3,noise=0 changes its numbers.",
    )
    width: int | None = setting(
        None, "Channels of the network; default 16 of johnson (32 in the paper), 32 of swift."
    )
    strength: float = setting(
        1.0,
        "How much style counts against content.",
        low=0.01,
        high=100,
        flags=("--style-strength", "--strength"),
    )
    style_size: int = setting(
        512,
        "Brush size: long side of the style image, px; more paints with broader strokes.",
        low=32,
        high=8192,
        flags=("--density", "--style-size"),
    )
    brush_range: float = setting(
        1.0,
        "Style images are seen in three sizes, smaller and larger by this, so that strokes of"
        " --brush hold; 1.4 is a good one, 1 for one size.",
        low=1,
        high=2,
    )
    size: int = setting(256, "Side of the training crops, px.", low=64, high=1024)
    mix: bool = setting(
        False,
        "Train the control of the strength also for one style; a network of several styles has it"
        " always, with that of the styles.",
        flags=("--mix",),
    )
    thaw: bool = setting(
        False, "With --add: train all of the network, for all its styles.", flags=("--thaw",)
    )
    shards: int | None = setting(
        None, "Parquet files to take of each --data, from the first on; default all.", low=1
    )
    batch: int | None = setting(
        None,
        "Photographs in a step; default 2 on a CPU, where few at a time paint better after the same"
        " time, and 16 elsewhere.",
        low=1,
        high=256,
    )
    init: str | None = setting(
        "auto",
        "Start: auto, the embedded trunk where there is one of this width; none, random weights; or"
        " a trained network: a run folder, a checkpoint, an ONNX file or a name of `nst models"
        " list`.",
    )
    steps: int | None = setting(
        None, "Length of the training, steps; 10000 when --minutes is not given either.", low=1
    )
    minutes: float | None = setting(
        None,
        "Length of the training, minutes; measured when photographs are ready, then turned into"
        " steps.",
        low=0.05,
    )
    learning_rate: float | None = setting(
        None, "Peak learning rate of Adam; default 1e-3, of swift 3e-3.", low=1e-6, high=1.0
    )
    beta2: float = setting(
        0.99,
        "How much of the squared gradient Adam keeps from step to step; with its usual 0.999 the"
        " first gradients, a hundred times the later ones, slow down a thousand steps.",
        low=0,
        high=0.99999,
    )
    norm_rate: float | None = setting(
        None,
        "How many times as fast as the convolutions the scales and shifts of the norms learn, which"
        " are all that a style of several has for itself; default 4, and 30 with --add, where"
        " nothing else learns.",
        low=0.01,
        high=100,
    )
    warmup: int = setting(50, "Steps until the learning rate reaches its peak.", low=0)
    tv_weight: float = setting(0.1, "Weight of total variation (mean |gradient|).", low=0)
    lattice_weight: float = setting(
        2.0,
        "Weight of the share of variance that repeats itself with twice the network's stride, in"
        " small windows; 0 lets it hatch flat areas.",
        low=0,
    )
    outlier_weight: float = setting(
        0.0,
        "Weight of values far beyond all others inside the network, which leave black or neon"
        " holes in dark places; 1 mends them.",
        low=0,
    )
    edge_weight: float = setting(
        0.0,
        "Weight of edges that are finer than the middle of a picture: a comb of some pixels there,"
        " which long trainings may learn; 0.2 mends it.",
        low=0,
    )
    stability: float = setting(
        0.0,
        "Weight of steadiness: photographs that are moved a little shall take their strokes with"
        " them. 30 for films; costs one more pass of the network a step, nothing at run time.",
        low=0,
    )
    levels: float = setting(
        0.0,
        "Black and white point of every second photograph move inwards by up to this much of the"
        " range, so that parts of it are pure black or white, where blotches would stay; 0.4 is a"
        " good one.",
        low=0,
        high=0.45,
    )
    precision: Precision = setting(
        "auto", "Dtype of the convolutions; auto: bfloat16 where the hardware has it."
    )
    compile: Literal["auto", "on", "off"] = setting(
        "auto",
        "torch.compile for the step; auto: on CUDA only, since a CPU takes minutes to compile and"
        " gains 6 %.",
    )
    checkpoint_every: int = setting(250, "Steps between checkpoints.", low=1)
    preview_every: int = setting(250, "Steps between preview strips.", low=1)
    log_every: int = setting(10, "Steps between lines of log.jsonl.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        dimensions_named(self.net, self.width)
        if self.size % 8:
            raise UsageError(f"--size must be a multiple of 8, got {self.size}")
        if self.steps is not None and self.minutes is not None:
            raise UsageError("--steps and --minutes exclude each other")

    @property
    def dimensions(self) -> Dimensions:
        """Of the network."""
        return dimensions_named(self.net, self.width)

    @property
    def style_sizes(self) -> list[int]:
        """Long sides at which a style image is seen, px."""
        if self.brush_range == 1:
            return [self.style_size]
        factors = (1 / self.brush_range, 1.0, self.brush_range)
        return [round(self.style_size * factor) for factor in factors]

    def norm_factor(self, *, alone: bool) -> float:
        """How many times as fast norms learn; ``alone`` where nothing else does."""
        return self.norm_rate or (ADDED_NORM_RATE if alone else NORM_RATE)

    @property
    def peak_rate(self) -> float:
        """The learning rate after warming up."""
        return self.learning_rate or LEARNING_RATES[self.dimensions.network]

    def has_preview(self, step: int) -> bool:
        """Whether a preview strip is made after so many steps."""
        is_early = step in EARLY_PREVIEWS
        return is_early or step % self.preview_every == 0 or step == self.length

    def batch_on(self, device_type: str) -> int:
        """Photographs in a step, ``batch`` or what suits a device: ``cpu``, ``cuda``, ``mps``."""
        return self.batch or (CPU_BATCH if device_type == "cpu" else GPU_BATCH)

    @property
    def length(self) -> int:
        """Steps of the training; ``minutes`` must have been turned into steps before."""
        return 10000 if self.steps is None else self.steps

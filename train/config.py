"""What can be set for a training; the same object feeds flags, checkpoint, metadata and card."""

from __future__ import annotations

from dataclasses import dataclass

from nst.config import ObjectiveConfig
from nst.errors import UsageError
from nst.settings import Precision, setting

WIDTHS = (8, 16, 32)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(ObjectiveConfig):
    """Settings of one training. Pictures are RGB in [0, 1]."""

    width: int = setting(16, "Channels of the first convolution: 32 as in the paper, 16 or 8.")
    size: int = setting(256, "Side of the training crops, px.", low=64, high=1024)
    shards: int | None = setting(
        None, "Parquet files to take of each --data, from the first on; default all.", low=1
    )
    batch: int = setting(4, "Photographs in a step.", low=1, high=256)
    steps: int | None = setting(
        None, "Length of the training, steps; 10000 when --minutes is not given either.", low=1
    )
    minutes: float | None = setting(
        None, "Length of the training, minutes; measured first, then turned into steps.", low=0.05
    )
    learning_rate: float = setting(2e-3, "Peak learning rate of Adam.", low=1e-6, high=1.0)
    warmup: int = setting(50, "Steps until the learning rate reaches its peak.", low=0)
    tv_weight: float = setting(0.1, "Weight of total variation (mean |gradient|).", low=0)
    precision: Precision = setting(
        "auto", "Dtype of the convolutions; auto: bfloat16 where the hardware has it."
    )
    checkpoint_every: int = setting(250, "Steps between checkpoints.", low=1)
    preview_every: int = setting(250, "Steps between preview strips.", low=1)
    log_every: int = setting(10, "Steps between lines of log.jsonl.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width not in WIDTHS:
            raise UsageError(f"--width must be 8, 16 or 32, got {self.width}")
        if self.size % 8:
            raise UsageError(f"--size must be a multiple of 8, got {self.size}")
        if self.steps is not None and self.minutes is not None:
            raise UsageError("--steps and --minutes exclude each other")

    @property
    def length(self) -> int:
        """Steps of the training; ``minutes`` must have been turned into steps before."""
        return 10000 if self.steps is None else self.steps

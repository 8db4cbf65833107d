"""What can be set for a distillation."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nst.errors import UsageError
from nst.settings import Precision, Settings, setting


@dataclass(frozen=True, kw_only=True)
class DistillConfig(Settings):
    """Settings of a distillation. Pictures are RGB in [0, 1]."""

    channels: str = setting(
        "16,16,32,64,96,64,64",
        "Channels of conv1_1, conv1_2, conv2_1 ... conv3_3, with commas; VGG-19 has"
        " 64,64,128,128,256,256,256.",
    )
    steps: int = setting(3000, "Length, steps.", low=1)
    batch: int = setting(4, "Photographs in a step.", low=1, high=64)
    size: int = setting(192, "Side of the crops, px; a multiple of 32.", low=64, high=512)
    style_size: int = setting(384, "Long side of the style images, px.", low=64, high=2048)
    learning_rate: float = setting(4e-4, "Peak learning rate of Adam.", low=1e-6, high=1.0)
    shards: int | None = setting(
        None, "Parquet files to take of each --data, from the first on; default all.", low=1
    )
    vgg: str | None = setting(
        None, "The teacher: VGG-19 weights; else $NST_VGG19, else torchvision's download (548 MB)."
    )
    device: str = setting("auto", "auto, cpu, cuda, cuda:1 or mps.")
    precision: Precision = setting(
        "auto", "Dtype of the teacher's convolutions; auto: bfloat16 where the hardware has it."
    )
    checkpoint_every: int = setting(250, "Steps between checkpoints.", low=1)
    log_every: int = setting(25, "Steps between lines of log.jsonl.", low=1)
    seed: int = setting(0, "Seed of everything that is drawn.", low=0, high=2**63 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch(r"[1-9]\d{0,2}(,[1-9]\d{0,2}){6}", self.channels):
            raise UsageError(f"--channels must be seven numbers with commas, got {self.channels}")
        if self.size % 32:
            raise UsageError(f"--size must be a multiple of 32, got {self.size}")

    @property
    def peak_rate(self) -> float:
        """The learning rate after warming up."""
        return self.learning_rate

    @property
    def warmup(self) -> int:
        """Steps until the learning rate reaches its peak."""
        return 100

    @property
    def length(self) -> int:
        """Steps of the distillation."""
        return self.steps

    @property
    def widths(self) -> tuple[int, ...]:
        """``channels`` as numbers."""
        return tuple(map(int, self.channels.split(",")))

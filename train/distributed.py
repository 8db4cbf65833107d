"""Several processes on one training, started by ``torchrun``: who is who, and what they agree on.

Every process has the same weights and takes its own slice of each global batch; torch's
DistributedDataParallel averages the gradients. The first process alone writes and talks.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from nst.errors import NSTError, TrainingError, UsageError
from train.learner import Learner

T = TypeVar("T")

PATIENCE = timedelta(hours=2)
"""How long the others wait while the first process downloads and decodes."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """The place of this process among those that share a training."""

    rank: int = 0
    size: int = 1
    local: int = 0
    """The place among the processes of this computer."""
    control: distributed.ProcessGroup | None = None
    """The group for what is agreed on in the host's memory, beside the gradients."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes and talks."""
        return self.rank == 0

    def share_of(self, batch: int) -> int:
        """Return how many photographs of a global batch are this process's.

        Raises:
            UsageError: The batch cannot be dealt out evenly.
        """
        if batch % self.size:
            raise UsageError(
                f"--batch {batch} cannot be dealt out evenly to {self.size} processes;"
                f" give a multiple of {self.size}"
            )
        return batch // self.size

    def device(self, name: str) -> str:
        """Return the device of this process: of several, each has a GPU of its own."""
        if self.size > 1 and name in ("auto", "cuda") and torch.cuda.is_available():
            return f"cuda:{self.local}"
        if self.size > 1 and name == "auto":  # gloo adds up on the CPU, not on MPS
            return "cpu"
        return name

    def first_does(self, action: Callable[[], T]) -> T | None:
        """Let the first process do something while the others wait for its end.

        Returns:
            What the action returned, in the first process; None in the others.

        Raises:
            NSTError: What the action raised, in the first process.
            TrainingError: In the others, when the first one failed.
        """
        if self.size == 1:
            return action()
        failure: list[str | None] = [None]
        result: T | None = None
        error: NSTError | None = None
        if self.is_first:
            try:
                result = action()
            except NSTError as raised:
                error, failure = raised, [str(raised)]
        distributed.broadcast_object_list(failure, src=0, group=self.control)
        if error is not None:
            raise error
        if failure[0] is not None:
            raise TrainingError(f"process {self.rank}: the first process failed")
        return result

    def told_by_first(self, value: T) -> T:
        """Return the value of the first process in every process."""
        if self.size == 1:
            return value
        values: list[T] = [value]
        distributed.broadcast_object_list(values, src=0, group=self.control)
        return values[0]

    def highest(self, number: int) -> int:
        """Return the greatest number of all processes, in all of them; it waits for no device."""
        if self.size == 1:
            return number
        shared = torch.tensor(number)
        distributed.all_reduce(shared, distributed.ReduceOp.MAX, group=self.control)
        return int(shared)

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Return the mean of a tensor over all processes."""
        if self.size == 1:
            return values
        shared = values.detach().clone()
        distributed.all_reduce(shared)
        return shared / self.size


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Find out from ``torchrun``'s environment who this process is, and meet the others.

    An error that all processes have is raised in the first one alone; the others only end with its
    exit code.

    Raises:
        TrainingError: The others cannot be reached.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Ranks()
        return
    ranks = Ranks(int(os.environ["RANK"]), size, int(os.environ["LOCAL_RANK"]))
    has_nccl = torch.cuda.is_available() and distributed.is_nccl_available()  # not on Windows
    backend = "cpu:gloo,cuda:nccl" if has_nccl else "gloo"
    try:
        distributed.init_process_group(backend, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"process {ranks.rank} cannot reach the others ({reason})") from None
    control = distributed.new_group(backend="gloo", timeout=PATIENCE)
    assert isinstance(control, distributed.ProcessGroup)
    ranks = dataclasses.replace(ranks, control=control)
    try:
        yield ranks
    except NSTError as error:
        if ranks.is_first:
            raise
        raise SystemExit(error.exit_code) from None
    finally:
        distributed.destroy_process_group()


def parallelize(learner: Learner, ranks: Ranks) -> None:
    """Let the processes average their gradients from here on."""
    if ranks.size > 1:
        device = next(learner.network.parameters()).device
        learner.parallel = DistributedDataParallel(
            learner.parallel, device_ids=[device] if device.type == "cuda" else None
        )

"""The training loop: it computes and yields records; printing and saving are the caller's.

Nothing in a step waits for the device. A step whose gradient is not finite, or absurd, changes
nothing: the fused optimiser reads that as a flag on the device, and the record carries the count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from nst.functional import lattice_loss
from nst.loss_terms import LossTerms
from nst.losses import LEAST_CONTRAST, PerceptualLoss
from nst.noise import origin_of
from nst.runtime import autocast, is_out_of_memory
from nst.tensors import as_rgb
from train.config import TrainConfig
from train.edges import edge_loss
from train.learner import Learner
from train.levels import with_levels
from train.stability import stability_loss

GREATEST_NORM = 1e5
"""A gradient beyond this is as bad as one that is not finite: a thousand times what is usual, it
would spoil the second moments of Adam for thousands of steps."""


@dataclass(frozen=True, slots=True, eq=False)
class StepRecord:
    """One step of training; its tensors stay on the device until somebody asks."""

    step: int
    """Steps done, 1 after the first."""
    terms: LossTerms
    """Detached."""
    learning_rate: float
    skipped: Tensor
    """Steps so far that changed nothing because their gradient was not finite; int64 scalar."""
    skipped_in_a_row: Tensor
    """How many of them are the last ones; int64 scalar."""
    which: Tensor | None = None
    """The style of each photograph, by its place among those that are trained, int64 ``(B,)``, of a
    network that mixes several."""
    notes: tuple[str, ...] = ()
    """What a caller must say aloud."""


class RateConfig(Protocol):
    """What a learning rate follows from."""

    @property
    def peak_rate(self) -> float:
        """The learning rate after warming up."""

    @property
    def warmup(self) -> int:
        """Steps until the peak, at most a tenth of the length."""

    @property
    def length(self) -> int:
        """Steps of the training."""


def learning_rate(step: int, config: RateConfig) -> float:
    """Return the rate of a step: a linear warm-up, then half a cosine down to 1 % of the peak.

    Args:
        step: Steps done before, from 0.
        config: ``peak_rate``, ``warmup`` and the length.
    """
    warmup = min(config.warmup, config.length // 10)
    if step < warmup:
        return config.peak_rate * (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, config.length - warmup)
    return config.peak_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def fit(
    learner: Learner,
    criterion: PerceptualLoss,
    batches: Iterable[Tensor],
    config: TrainConfig,
    dtype: torch.dtype,
) -> Iterator[StepRecord]:
    """Train and yield one record for each batch.

    Args:
        learner: Continues from its step; changed in place.
        criterion: The objective with the targets of the style image.
        batches: Crops, uint8 ``(B, S, S, 3)`` on the device, one for each step from
            ``learner.step`` on.
        config: Settings; only the learning rate's are used here.
        dtype: Of the convolutions; bfloat16 runs under autocast.

    Raises:
        RuntimeError: Not even a single photograph fits into memory.
    """
    learner.network.train()
    for crops in batches:
        rate = learning_rate(learner.step, config) * learner.rate_factor
        for group in learner.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        terms, notes = None, []
        while terms is None:
            try:
                terms = training_step(learner, criterion, crops, dtype)
            except RuntimeError as error:
                if not is_out_of_memory(error) or not _can_use_less_memory(learner, len(crops)):
                    raise
            if terms is None:  # here the failed step has let go of its memory
                notes = [_use_less_memory(learner, len(crops))]
        learner.step += 1
        yield StepRecord(
            learner.step,
            terms,
            rate,
            learner.skipped.clone(),
            learner.skipped_in_a_row.clone(),
            which=learner.drawn.which if learner.drawn else None,
            notes=tuple(notes),
        )


def training_step(
    learner: Learner, criterion: PerceptualLoss, crops: Tensor, dtype: torch.dtype
) -> LossTerms:
    """Make one step of the optimiser; nothing waits for the device.

    Args:
        learner: Changed in place.
        criterion: The objective.
        crops: uint8 ``(B, S, S, 3)`` on the device.
        dtype: Of the convolutions.

    Returns:
        The terms of every photograph, ``(B,)``, detached.
    """
    optimizer = learner.optimizer
    optimizer.zero_grad(set_to_none=True)
    terms = backward(learner, criterion, crops, dtype)
    gradients = [p.grad for p in learner.network.parameters() if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    is_bad = ~((norm < GREATEST_NORM) & terms.per_picture.isfinite().all())
    if is_bad.device.type != "mps":
        # The fused kernel itself leaves weights and moments alone when this is 1.
        optimizer.found_inf = is_bad.float()  # type: ignore[attr-defined]
        optimizer.step()
    elif not is_bad:  # there older torch does not (its pull request 186360)
        optimizer.step()
    learner.skipped += is_bad
    learner.skipped_in_a_row.add_(1).mul_(is_bad)
    return terms


def backward(
    learner: Learner, criterion: PerceptualLoss, crops: Tensor, dtype: torch.dtype
) -> LossTerms:
    """Add the gradient of the batch to the parameters, in micro-batches where memory is short.

    The objective is a mean over photographs and no layer looks at two of them, so parts add up to
    the gradient of the whole.
    """
    size = learner.micro_batch or len(crops)
    has_noise = learner.network.noise is not None
    origin = origin_of(learner.step, crops.device) if has_noise else None
    draw = learner.mixes.at(learner.step, crops.device) if learner.mixes else None
    learner.drawn = draw
    parts = []
    for start in range(0, len(crops), size):
        piece = slice(start, start + size)
        is_last = start + size >= len(crops)
        first = learner.first_of_step(len(crops)) + start
        photographs = as_rgb(crops[piece], dtype=learner.dtype)  # (b, 3, S, S)
        if learner.levels:
            photographs = with_levels(photographs, learner.levels, seed=learner.seed, first=first)
        which = style_share = mix = None
        if draw is not None:
            which, style_share = draw.target[piece], 1 - draw.original[piece]
            mix = None if draw.mix is None else draw.mix[piece]
        with _exchange(learner.parallel, is_last=is_last):
            with autocast(photographs.device, dtype):
                target = criterion.content_target(photographs, which)
                paint = partial(learner.parallel, origin=origin, mix=mix)
                with learner.outliers.watched() if learner.outliers else nullcontext():
                    painted = paint(photographs)
                terms: LossTerms = criterion(painted, target, which, style_share)
            weighted = terms.per_picture
            if learner.lattice_weight:
                lattice = lattice_loss(painted, 2 * learner.network.size_multiple)
                weighted = weighted + learner.lattice_weight * lattice
            if learner.outliers:
                weighted = weighted + learner.outlier_weight * learner.outliers.price()
            if learner.edge_weight:
                edges = edge_loss(painted, photographs)
                weighted = weighted + learner.edge_weight * edges
            if learner.stability:
                with autocast(photographs.device, dtype):
                    unsteady = stability_loss(
                        paint, photographs, painted, seed=learner.seed, first=first
                    )
                weighted = weighted + learner.stability * unsteady
            weighted = weighted * _has_structure(photographs)
            (weighted.sum() / len(crops)).backward()  # type: ignore[no-untyped-call]
        parts.append(terms.detach())
    return LossTerms.join(parts)


def _has_structure(photographs: Tensor) -> Tensor:
    """Return 0 for photographs of one colour and 1 for the others, ``(B,)``.

    Every norm divides by the deviation, which is then nothing: fifteen norms make the gradient of
    one white crop overflow.
    """
    return (photographs.flatten(2).std(2).amax(1) > LEAST_CONTRAST).to(photographs.dtype)


def compile_step(
    learner: Learner,
    criterion: PerceptualLoss,
    *,
    backend: str = "inductor",
    mode: str | None = None,
) -> None:
    """Let torch compile network and objective: norm, ReLU, padding and sums in few kernels.

    Previews and checkpoints keep using ``learner.network`` itself.

    Args:
        learner: Its ``parallel`` is replaced.
        criterion: Changed in place.
        backend: Of ``torch.compile``.
        mode: Of ``torch.compile``; ``reduce-overhead`` replays CUDA graphs, which overwrite the
            terms of a step in the next one.
    """
    torch.compiler.reset()  # no guard looks at hooks: another network's trace would be taken
    compiled = torch.compile(learner.parallel, backend=backend, mode=mode, fullgraph=True)
    learner.parallel = cast(nn.Module, compiled)
    criterion.compile(backend=backend, mode=mode, fullgraph=True)
    target = torch.compile(criterion.content_target, backend=backend, mode=mode, fullgraph=True)
    criterion.content_target = target  # type: ignore[method-assign]


def _exchange(network: nn.Module, *, is_last: bool) -> AbstractContextManager[object]:
    """Let processes exchange gradients once for each batch, not for each part of it."""
    if is_last or not isinstance(network, nn.parallel.DistributedDataParallel):
        return nullcontext()
    return network.no_sync()


def _can_use_less_memory(learner: Learner, batch: int) -> bool:
    # A process that repeats a step alone would leave the others waiting for its gradient.
    is_alone = not isinstance(learner.parallel, nn.parallel.DistributedDataParallel)
    return is_alone and (learner.micro_batch or batch) > 1


def _use_less_memory(learner: Learner, batch: int) -> str:
    """Halve the micro-batch and return the line that says so."""
    learner.optimizer.zero_grad(set_to_none=True)
    if learner.skipped.is_cuda:
        torch.cuda.empty_cache()
    learner.micro_batch = ((learner.micro_batch or batch) + 1) // 2
    return (
        f"out of memory: from here on {learner.micro_batch} of {batch} photographs go through the"
        " network at once; the gradient stays that of all"
    )

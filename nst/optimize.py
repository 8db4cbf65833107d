"""The reference mode: the pixels of one picture are optimised on the objective of the training.

Gatys, Ecker and Bethge 2016, section 3. Differs: the start is the photograph and not noise unless
noise is asked for; pixels stay in [0, 1]; big pictures are painted coarse to fine (Gatys et al.
2017, section 6), the style image reduced along with the photograph.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nst.config import OptimizeConfig
from nst.errors import InferenceError, UsageError
from nst.footprint import check_memory, is_tiled
from nst.guidance import Guides, objective_for
from nst.lbfgs import LBFGS, broad_first
from nst.loss_terms import LossTerms
from nst.losses import ContentTarget, PerceptualLoss
from nst.runtime import autocast, choose_precision, is_out_of_memory
from nst.scales import check_coarsest, reduced, reduced_size, resized, scales_for
from nst.tiled import TiledObjective
from nst.weights import VGGWeights

WINDOW = 10
"""Iterations over which the relative change is taken."""
EARLY_SHARE = 0.9
"""Of the evaluations, at most, in half precision where the hardware has it: as far as that a step
of it lowers J as much as one of float32 does. The others take away what its rounding left."""
EARLY_TOLERANCE = 1e-3
"""Half precision ends sooner when so little is gained over ``WINDOW`` iterations."""
NOISE_MEAN, NOISE_DEVIATION = 0.5, 0.15


@dataclass(frozen=True, slots=True, eq=False)
class OptimizeRecord:
    """One accepted iteration, or the last picture once more where no better one was found."""

    image: Tensor
    """The picture so far, RGB in [0, 1], ``(1, 3, h, w)`` at the size of this scale."""
    scale: int
    """From 1, the coarsest."""
    scales: int
    iteration: int
    """Accepted iterations at this scale; 0 is the start."""
    evaluations: int
    """Evaluations of the objective at this scale."""
    total: float
    content: float
    style: float
    total_variation: float
    reason: str = ""
    """Why this scale ends here, when it does."""


def optimize(
    photograph: Tensor,
    styles: Tensor | Sequence[Tensor],
    weights: VGGWeights,
    config: OptimizeConfig,
    *,
    start: Tensor | None = None,
    guides: Guides | None = None,
) -> Iterator[OptimizeRecord]:
    """Paint one photograph and yield a record for each accepted iteration.

    Pictures are painted as they are given, where they are given: ``size``, ``style_size``,
    ``device`` and an ``init`` that names a file are applied by ``nst.canvas.load_canvas``, ``vgg``
    by ``nst.weights.find_weights``.

    Args:
        photograph: RGB in [0, 1], ``(1, 3, H, W)``, in the size of the result.
        styles: RGB in [0, 1], ``(1, 3, h, w)``, on the same device; or several, with guides.
        weights: VGG-19.
        config: All other settings.
        start: The picture to begin with when ``config.init`` names a file, any size.
        guides: Weights and masks of several style images.

    Raises:
        ImageError: A picture is too small or the style image is flat.
        InferenceError: The memory is too small; what was yielded until then is worth keeping.
        UsageError: ``init`` asks for a start that was not given; too many scales.
    """
    styles = [styles] if isinstance(styles, Tensor) else styles
    style = min(styles, key=lambda image: min(image.shape[-2:]))
    scales = config.scales or scales_for(photograph.shape[-2:], style.shape[-2:])
    check_coarsest(scales, {"photograph": photograph, "style image": style})
    if guides is None and len(styles) > 1:
        guides = Guides([1.0] * len(styles))
    masks = 0 if guides is None else guides.mask_count
    check_memory(photograph, max(styles, key=Tensor.numel), weights, config, masks=masks)
    image = _first_image(photograph, 2 ** (scales - 1), config, start)
    for scale in range(1, scales + 1):
        is_full, factor = False, 2 ** (scales - scale)
        photo_now = reduced(photograph, factor)
        try:
            styles_now = [reduced(image, factor) for image in styles]
            criterion = objective_for(weights, styles_now, config, guides)
            image = resized(image, photo_now.shape[-2], photo_now.shape[-1])
            for record in _one_scale(image, photo_now, criterion, config, scale, scales):
                yield record
                image = record.image
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            is_full = True
        if is_full:  # raised here, where the error no longer holds the tensors that were too many
            size = f"{photo_now.shape[-1]}x{photo_now.shape[-2]}"
            raise InferenceError(f"not enough memory to paint at {size} px; give a smaller --size")


def paint_against(
    criterion: PerceptualLoss, photograph: Tensor, config: OptimizeConfig
) -> Iterator[OptimizeRecord]:
    """Paint at one size against an objective that is there already, as ``optimize`` does.

    Args:
        criterion: Style image, layers and weights; those of ``config`` are not looked at.
        photograph: RGB in [0, 1], ``(1, 3, H, W)``, on the same device.
        config: Start, optimiser and where to end.

    Raises:
        InferenceError: The objective is not finite.
        UsageError: ``init`` names a file.
    """
    image = _first_image(photograph, 1, config, None)
    yield from _one_scale(image, photograph, criterion, config, 1, 1)


def _one_scale(
    image: Tensor,
    photograph: Tensor,
    criterion: PerceptualLoss,
    config: OptimizeConfig,
    scale: int,
    scales: int,
) -> Iterator[OptimizeRecord]:
    dtypes = phases(config, photograph.device, is_last=scale == scales)
    state: Stepper | None = None
    iteration = 0
    for dtype in dtypes:
        is_early = dtype != dtypes[-1]
        evaluator = _evaluator(criterion, photograph, config, dtype)
        if state is None:
            state = _stepper(evaluator, image, config)
        else:
            state.go_on(evaluator)
        totals, terms, is_lower = [state.value], evaluator.terms, True
        while True:
            assert terms is not None
            if not math.isfinite(totals[-1]):
                raise InferenceError(
                    f"the objective is {totals[-1]}: other weights (--vgg), a lower --style-weight"
                    " or --precision float32"
                )
            if is_early and (not is_lower or _is_rough(totals, state.evaluations, config)):
                break
            reason = _reason(totals, state.evaluations, config)
            reason = reason or ("" if is_lower else "no step lowers J")
            yield OptimizeRecord(
                state.image,
                scale,
                scales,
                iteration,
                state.evaluations,
                total=totals[-1],
                content=float(terms.content.mean()),
                style=float(terms.style.mean()),
                total_variation=float(terms.total_variation.mean()),
                reason=reason,
            )
            if reason:
                return
            is_lower = state.step()
            if is_lower:  # otherwise the evaluator last saw a trial that was refused
                totals.append(state.value)
                terms = evaluator.terms
                iteration += 1


def phases(config: OptimizeConfig, device: torch.device, *, is_last: bool) -> list[torch.dtype]:
    """Return the dtypes of the convolutions at one size, one after the other.

    Args:
        config: Settings.
        device: Where it is computed.
        is_last: Whether it is the finest size, which ends in float32 unless bfloat16 is asked for.
    """
    dtype = choose_precision(config.precision, device)
    if config.precision != "auto" or dtype == torch.float32 or not is_last:
        return [dtype]
    # A few evaluations are not worth a phase of their own.
    return [dtype, torch.float32] if config.evaluations >= 2 * WINDOW else [torch.float32]


def _is_rough(totals: list[float], evaluations: int, config: OptimizeConfig) -> bool:
    """Whether half precision has done what it can."""
    if evaluations >= EARLY_SHARE * config.evaluations:
        return True
    return _has_come_to_rest(totals, EARLY_TOLERANCE)


def _evaluator(
    criterion: PerceptualLoss, photograph: Tensor, config: OptimizeConfig, dtype: torch.dtype
) -> Evaluator:
    if is_tiled(photograph, config):
        return TiledObjective(criterion, photograph, dtype, piece=config.tile)
    return _Evaluator(criterion, photograph, dtype)


class Evaluator(Protocol):
    """A picture to the value of the objective and its gradient."""

    terms: LossTerms | None
    """Of the last picture, detached."""

    def __call__(self, image: Tensor) -> tuple[float, Tensor]:
        """Return value and gradient."""


class _Evaluator:
    """The objective of one scale as a function of the pixels."""

    def __init__(self, criterion: PerceptualLoss, photograph: Tensor, dtype: torch.dtype) -> None:
        self.criterion = criterion.to(memory_format=torch.channels_last)
        self.dtype = dtype
        with autocast(photograph.device, self.dtype):
            photograph = photograph.contiguous(memory_format=torch.channels_last)
            self.target: ContentTarget = criterion.content_target(photograph)
        self.terms: LossTerms | None = None

    def __call__(self, image: Tensor) -> tuple[float, Tensor]:
        """Return value and gradient; the terms stay in ``terms``."""
        image = image.detach().requires_grad_(True)
        with autocast(image.device, self.dtype):
            pixels = image.contiguous(memory_format=torch.channels_last)
            terms = self.criterion(pixels, self.target)
        total = terms.total
        (gradient,) = torch.autograd.grad(total, image)
        self.terms = terms.detach()
        return float(total.detach()), gradient.contiguous()


class Stepper(Protocol):
    """An optimiser of pixels, as ``nst.lbfgs.LBFGS``."""

    image: Tensor
    value: float
    """Of the objective at ``image``."""
    evaluations: int

    def step(self) -> bool:
        """Go to another picture; False where none is better."""

    def go_on(self, objective: Evaluator) -> None:
        """Go on from this picture with another objective."""


class _Adam:
    """Kingma and Ba 2015; pixels stay in [0, 1], and every picture is taken, better or not."""

    def __init__(self, objective: Evaluator, image: Tensor, config: OptimizeConfig) -> None:
        self.pixels = image.detach().clamp(0, 1).contiguous().requires_grad_(True)
        self.optimizer = torch.optim.Adam([self.pixels], lr=config.learning_rate)
        self.evaluations = 0
        self.go_on(objective)

    def go_on(self, objective: Evaluator) -> None:
        self.objective = objective
        self.image = self.pixels.detach().clone()
        self.value, self.pixels.grad = objective(self.image)
        self.evaluations += 1

    def step(self) -> bool:
        self.optimizer.step()
        with torch.no_grad():
            self.pixels.clamp_(0, 1)
        self.go_on(self.objective)
        return True


def _stepper(evaluator: Evaluator, image: Tensor, config: OptimizeConfig) -> Stepper:
    if config.optimizer == "adam":
        return _Adam(evaluator, image, config)
    return LBFGS(
        evaluator,
        image,
        history=config.history,
        limit=config.evaluations,
        scaling=broad_first if config.precondition else None,
    )


def _reason(totals: list[float], evaluations: int, config: OptimizeConfig) -> str:
    if evaluations >= config.evaluations:
        return f"{evaluations} evaluations"
    if _has_come_to_rest(totals, config.tolerance):
        return f"{WINDOW} iterations lowered J by less than {config.tolerance:g} of it"
    return ""


def _has_come_to_rest(totals: list[float], share: float) -> bool:
    """Whether ``WINDOW`` iterations took less than a share of J away; never where it is 0."""
    if len(totals) <= WINDOW:
        return False
    then, now = totals[-1 - WINDOW], totals[-1]
    return share > 0 and then - now < share * then


def _first_image(
    photograph: Tensor, factor: int, config: OptimizeConfig, start: Tensor | None
) -> Tensor:
    if config.init == "content":
        return photograph
    if config.init == "noise":
        # In the coarsest size: noise that is reduced is averaged to a flat grey.
        shape = (1, 3, *reduced_size(photograph, factor))
        generator = torch.Generator().manual_seed(config.seed)
        noise = torch.randn(shape, generator=generator).to(photograph.device)
        return (NOISE_MEAN + NOISE_DEVIATION * noise).clamp(0, 1)
    if start is None:
        raise UsageError(f"--init must be content, noise or a picture file, got {config.init}")
    return start.to(photograph.device)

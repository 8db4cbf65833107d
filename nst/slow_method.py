"""The slow method as a ruler: painting one photograph by ``nst.optimize``, once for all models.

Float32 L-BFGS with a history of 20 and no strong Wolfe search (``nst.lbfgs``) at one size, from
the photograph and from noise. What was computed is kept in a folder under the SHA-256 of all that
it depends on.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nst.config import OptimizeConfig
from nst.curve import Curve, Start, read_curve, write_curve
from nst.errors import InferenceError
from nst.losses import PerceptualLoss
from nst.optimize import paint_against
from nst.runtime import describe, is_out_of_memory
from nst.tensors import to_tensor, to_uint8

VERSION = 1
"""Raised when the optimiser changes: curves of another version are not looked at."""


def slow_curve(
    photograph: NDArray[np.uint8],
    style: NDArray[np.uint8],
    criterion: PerceptualLoss,
    *,
    start: Start,
    evaluations: int,
    seed: int = 0,
    cache: Path | None = None,
    announce: Callable[[str], None],
    advance: Callable[[int, float], None] = lambda evaluation, total: None,
) -> Curve:
    """Paint a photograph the slow way, or read from the cache how that went.

    Args:
        photograph: uint8 ``(H, W, 3)``, in the size in which it is judged.
        style: uint8 ``(h, w, 3)``, the style image that ``criterion`` was made from; part of the
            key.
        criterion: The objective, whatever network it looks through.
        start: What it begins with.
        evaluations: Of the objective. A curve that came to rest before is continued level.
        seed: Of the noise.
        cache: Where curves are kept; None keeps nothing.
        announce: Told when a file of the cache is damaged or too short.
        advance: Told each evaluation and the J so far.

    Raises:
        InferenceError: The memory is too small, or the objective is not finite.
        OutputError: The cache cannot be written.
    """
    key = _key(photograph, style, criterion, start, seed if start == "noise" else 0)
    file = None if cache is None else cache / "curves" / f"{key}.npz"
    if file is not None and file.exists():
        kept = read_curve(file)
        if kept is None or kept.painted.shape != photograph.shape or kept.start != start:
            announce(f"{file} is damaged; the curve is computed again")
        elif len(kept.totals) < evaluations:
            announce(f"a curve of {len(kept.totals)} evaluations is kept; it is computed anew")
        else:
            advance(evaluations, kept.totals[evaluations - 1])
            return kept.cut(evaluations)
    curve = _compute(photograph, criterion, start, evaluations, seed, advance)
    if file is not None:
        write_curve(file, curve)
    return curve


def _compute(
    photograph: NDArray[np.uint8],
    criterion: PerceptualLoss,
    start: Start,
    evaluations: int,
    seed: int,
    advance: Callable[[int, float], None],
) -> Curve:
    config = OptimizeConfig(
        init="content" if start == "photograph" else "noise",
        evaluations=evaluations,
        tolerance=0,
        seed=seed,
        precondition=False,  # plain L-BFGS is what k counts in
        precision="float32",
    )
    device = criterion.style_content_energy.device
    started_at, is_full = time.perf_counter(), False
    totals: list[float] = []
    try:
        for record in paint_against(criterion, to_tensor(photograph, device), config):
            # Between two records trials were refused, and the picture stayed as it was.
            while len(totals) < record.evaluations - 1:
                totals.append(totals[-1])
            if len(totals) < record.evaluations:
                totals.append(record.total)
            if record.evaluations < evaluations:
                advance(record.evaluations, record.total)
            image = record.image
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        is_full = True
    if is_full:
        size = f"{photograph.shape[1]}x{photograph.shape[0]}"
        raise InferenceError(f"not enough memory for the slow method at {size} px")
    seconds = (time.perf_counter() - started_at) * evaluations / len(totals)
    totals += [totals[-1]] * (evaluations - len(totals))
    advance(evaluations, totals[-1])  # also where it came to rest before
    return Curve(
        start,
        tuple(totals),
        seconds,
        describe(device, torch.float32),
        to_uint8(image)[0],
        evaluations,
    )


def _key(
    photograph: NDArray[np.uint8],
    style: NDArray[np.uint8],
    criterion: PerceptualLoss,
    start: Start,
    seed: int,
) -> str:
    digest = hashlib.sha256()
    for picture in (photograph, style):
        digest.update(f"{picture.shape}\n".encode())
        digest.update(np.ascontiguousarray(picture).tobytes())
    digest.update(f"{criterion.identity()}\n{start} {seed} {VERSION}".encode())
    return digest.hexdigest()

"""Ways to compute instance norm, measured beside each other: ``nst bench norm``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.norm import InstanceNorm, picture_by_picture, written_out
from nst.runtime import wait_for
from nst.transformer import BLOCKS

Way = Callable[[InstanceNorm, Tensor], Tensor]
"""The norm of a module, computed in one way or another."""
COUNTED = 7
"""Repetitions, of which the best counts."""


@dataclass(frozen=True, slots=True)
class NormFigures:
    """One way to compute the norms of a network, forward and backward."""

    way: str
    seconds: float
    """Of all norms of one step, forward and backward."""
    output_error: float
    """Against ``F.instance_norm`` in float64, as a share of its length; the worst of all norms."""
    gradient_error: float
    keeps_channels_last: bool


def measure_norms(
    *, size: int, batch: int, width: int, device: torch.device, dtype: torch.dtype, compiles: bool
) -> list[NormFigures]:
    """Measure every way on the maps that a network has.

    Args:
        size: Side of the crops, px.
        batch: Photographs in a step.
        width: Channels of the first convolution.
        device: Where.
        dtype: Of the maps.
        compiles: Whether ways that are compiled take part.
    """
    shapes = norm_shapes(size=size, batch=batch, width=width)
    return [
        _measure(name, way, shapes, device, dtype) for name, way in ways(device, compiles).items()
    ]


def ways(device: torch.device, compiles: bool) -> dict[str, Way]:
    """Return every way that runs on a device, by name."""
    found: dict[str, Way] = {
        "ours": _ours,
        "gradient written out": _written_out,
        "mean and variance, by autograd": _by_autograd,
        "group_norm, a group a channel": _group_norm,
        "batch_norm, picture by picture": _batch_norm,
        "F.instance_norm": _instance_norm,
    }
    if compiles:
        found["ours, compiled"] = torch.compile(_ours)
        found["mean and variance, compiled"] = torch.compile(_by_autograd)
    if device.type == "cuda":
        from nst.commands.triton_norm import triton_norm

        found["Triton kernels"] = triton_norm
    return found


def norm_shapes(*, size: int, batch: int, width: int) -> dict[tuple[int, ...], int]:
    """Return the shapes of the maps that are normalised and how many there are of each."""
    return {
        (batch, width, size, size): 2,
        (batch, 2 * width, size // 2, size // 2): 2,
        (batch, 4 * width, size // 4, size // 4): 1 + 2 * BLOCKS,
    }


def _measure(
    name: str,
    way: Way,
    shapes: dict[tuple[int, ...], int],
    device: torch.device,
    dtype: torch.dtype,
) -> NormFigures:
    seconds, errors, keeps = 0.0, [], True
    for shape, count in shapes.items():
        generator = torch.Generator().manual_seed(0)
        x = (2 * torch.randn(shape, generator=generator) + 1).to(device, dtype)
        x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
        upstream = torch.randn(shape, generator=generator).to(device, dtype)
        upstream = upstream.contiguous(memory_format=torch.channels_last)
        norm = InstanceNorm(shape[1]).to(device)
        with torch.no_grad():
            norm.weight.uniform_(0.5, 2.0)
            norm.bias.uniform_(-1.0, 1.0)
        inputs = [x, norm.weight, norm.bias]
        best = float("inf")
        for _ in range(COUNTED):
            wait_for(device)
            started_at = time.perf_counter()
            out = way(norm, x)
            gradients = torch.autograd.grad(out, inputs, upstream)
            wait_for(device)
            best = min(best, time.perf_counter() - started_at)
        seconds += count * best
        keeps &= out.is_contiguous(memory_format=torch.channels_last)
        errors.append(_errors(norm, x, upstream, [out.detach(), *gradients]))
    return NormFigures(
        name, seconds, max(e[0] for e in errors), max(max(e[1:]) for e in errors), keeps
    )


def _errors(norm: InstanceNorm, x: Tensor, upstream: Tensor, found: list[Tensor]) -> list[float]:
    # On the CPU, since MPS has no float64.
    wide = [t.detach().cpu().double().requires_grad_() for t in (x, norm.weight, norm.bias)]
    out = F.instance_norm(wide[0], weight=wide[1], bias=wide[2], eps=norm.eps)
    expected = [out.detach(), *torch.autograd.grad(out, wide, upstream.cpu().double())]
    pairs = zip((tensor.cpu().double() for tensor in found), expected, strict=True)
    return [float((a - b).norm() / b.norm()) for a, b in pairs]


def _ours(norm: InstanceNorm, x: Tensor) -> Tensor:
    normal: Tensor = norm(x)
    return normal


def _written_out(norm: InstanceNorm, x: Tensor) -> Tensor:
    return written_out(x, norm.weight, norm.bias, norm.eps)


def _by_autograd(norm: InstanceNorm, x: Tensor) -> Tensor:
    wide = x.float()
    variance, mean = torch.var_mean(wide, dim=(-2, -1), correction=0, keepdim=True)
    scale = norm.weight[:, None, None] * torch.rsqrt(variance + norm.eps)
    shift = norm.bias[:, None, None] - mean * scale
    return torch.addcmul(shift, wide, scale).to(x.dtype)


def _group_norm(norm: InstanceNorm, x: Tensor) -> Tensor:
    return F.group_norm(x, x.shape[1], norm.weight, norm.bias, norm.eps)


def _batch_norm(norm: InstanceNorm, x: Tensor) -> Tensor:
    return picture_by_picture(x, norm.weight, norm.bias, norm.eps)


def _instance_norm(norm: InstanceNorm, x: Tensor) -> Tensor:
    return F.instance_norm(x, weight=norm.weight, bias=norm.bias, eps=norm.eps)

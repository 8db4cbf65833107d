"""Instance norm as Triton kernels: a contestant of ``nst bench norm``, for CUDA alone."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx

from nst.norm import InstanceNorm

ROWS = 128
"""Positions that one program holds at a time."""
TURNS = 2
"""How often it fetches so many."""


def triton_norm(norm: InstanceNorm, x: Tensor) -> Tensor:
    """Return what ``norm`` gives for ``(B, C, H, W)`` in channels_last; C a power of two."""
    normal: Tensor = _TritonNorm.apply(x, norm.weight, norm.bias, norm.eps)
    return normal


class _TritonNorm(torch.autograd.Function):
    """Two passes forward and two backward; the few sums between them are torch's."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        rows = _rows(x)  # (B, M, C)
        batch, positions, channels = rows.shape
        chunks = triton.cdiv(positions, ROWS * TURNS)
        grid = (batch, chunks)
        parts = torch.empty(3, batch, chunks, channels, device=x.device)
        _statistics[grid](rows, parts, positions, batch * chunks * channels, channels, ROWS, TURNS)
        count, mean_of, squares = parts
        mean = (count * mean_of).sum(1, keepdim=True) / positions  # (B, 1, C)
        spread = squares + count * (mean_of - mean).square()
        inverse = torch.rsqrt(spread.sum(1, keepdim=True) / positions + eps)
        scale = weight * inverse
        out = torch.empty_like(rows)
        _combine[grid](
            out, rows, rows, scale, torch.zeros_like(scale), bias - mean * scale,
            positions, channels, ROWS, TURNS,
        )  # fmt: skip
        ctx.save_for_backward(x, weight, mean, inverse)
        return _as_map(out, x)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, inverse = ctx.saved_tensors  # type: ignore[attr-defined]
        rows, g = _rows(x), _rows(gradient)
        batch, positions, channels = rows.shape
        chunks = triton.cdiv(positions, ROWS * TURNS)
        grid = (batch, chunks)
        parts = torch.empty(2, batch, chunks, channels, device=x.device)
        _products[grid](
            g, rows, mean, parts, positions, batch * chunks * channels, channels, ROWS, TURNS
        )
        along_bias, along_weight = parts.sum(2)[:, :, None]  # each (B, 1, C)
        along_weight = along_weight * inverse
        scale = weight * inverse
        slope = -scale * inverse * along_weight / positions
        shift = -mean * slope - scale * along_bias / positions
        dx = torch.empty_like(rows)
        _combine[grid](dx, g, rows, scale, slope, shift, positions, channels, ROWS, TURNS)
        return _as_map(dx, x), along_weight.sum((0, 1)), along_bias.sum((0, 1)), None


def _rows(x: Tensor) -> Tensor:
    """Return ``(B, C, H, W)`` as contiguous ``(B, M, C)``; in channels_last a view."""
    return x.permute(0, 2, 3, 1).flatten(1, 2).contiguous()


def _as_map(rows: Tensor, x: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    return rows.reshape(batch, height, width, channels).permute(0, 3, 1, 2)


@triton.jit  # type: ignore[untyped-decorator]
def _statistics(  # type: ignore[no-untyped-def]  # noqa: ANN202
    x, parts, positions, stride,  # noqa: ANN001
    channels: tl.constexpr, rows: tl.constexpr, turns: tl.constexpr,
):  # fmt: skip
    """Count, mean and squared deviations of each chunk, merged turn by turn (Chan et al. 1979)."""
    picture, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1)
    column = tl.arange(0, channels)
    mean = tl.zeros([channels], tl.float32)
    squares = tl.zeros([channels], tl.float32)
    count = 0.0
    for turn in range(turns):
        row = (chunk * turns + turn) * rows + tl.arange(0, rows)
        inside = (row < positions)[:, None]
        place = (picture * positions + row)[:, None] * channels + column[None, :]
        value = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
        here = tl.sum((row < positions).to(tl.float32), 0)
        mean_here = tl.sum(value, 0) / tl.maximum(here, 1.0)
        deviation = tl.where(inside, value - mean_here[None, :], 0.0)
        whole = tl.maximum(count + here, 1.0)
        step = mean_here - mean
        squares += tl.sum(deviation * deviation, 0) + step * step * (count * here / whole)
        mean += step * (here / whole)
        count += here
    place = (picture * tl.num_programs(1) + chunk) * channels + column
    tl.store(parts + place, count)
    tl.store(parts + stride + place, mean)
    tl.store(parts + 2 * stride + place, squares)


@triton.jit  # type: ignore[untyped-decorator]
def _products(  # type: ignore[no-untyped-def]  # noqa: ANN202
    g, x, mean, parts, positions, stride,  # noqa: ANN001
    channels: tl.constexpr, rows: tl.constexpr, turns: tl.constexpr,
):  # fmt: skip
    """Sums of g and of g * (x - mean) of each chunk."""
    picture, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1)
    column = tl.arange(0, channels)
    center = tl.load(mean + picture * channels + column)
    plain = tl.zeros([channels], tl.float32)
    product = tl.zeros([channels], tl.float32)
    for turn in range(turns):
        row = (chunk * turns + turn) * rows + tl.arange(0, rows)
        inside = (row < positions)[:, None]
        place = (picture * positions + row)[:, None] * channels + column[None, :]
        upstream = tl.load(g + place, mask=inside, other=0.0).to(tl.float32)
        value = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
        plain += tl.sum(upstream, 0)
        product += tl.sum(upstream * (value - center[None, :]), 0)
    place = (picture * tl.num_programs(1) + chunk) * channels + column
    tl.store(parts + place, plain)
    tl.store(parts + stride + place, product)


@triton.jit  # type: ignore[untyped-decorator]
def _combine(  # type: ignore[no-untyped-def]  # noqa: ANN202
    out, a, b, scale, slope, shift, positions,  # noqa: ANN001
    channels: tl.constexpr, rows: tl.constexpr, turns: tl.constexpr,
):  # fmt: skip
    """``out = scale * a + slope * b + shift``, three numbers for each channel of each picture."""
    picture, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1)
    column = tl.arange(0, channels)
    first = tl.load(scale + picture * channels + column)[None, :]
    second = tl.load(slope + picture * channels + column)[None, :]
    third = tl.load(shift + picture * channels + column)[None, :]
    for turn in range(turns):
        row = (chunk * turns + turn) * rows + tl.arange(0, rows)
        inside = (row < positions)[:, None]
        place = (picture * positions + row)[:, None] * channels + column[None, :]
        one = tl.load(a + place, mask=inside, other=0.0).to(tl.float32)
        two = tl.load(b + place, mask=inside, other=0.0).to(tl.float32)
        value = first * one + second * two + third
        tl.store(out + place, value.to(out.dtype.element_ty), mask=inside)

"""Instance normalisation. Truths: by hand, torch's own instance norm, numerical gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional as F

from nst.norm import InstanceNorm

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def random_norm(channels: int) -> InstanceNorm:
    norm = InstanceNorm(channels)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2.0, generator=torch.Generator().manual_seed(1))
        norm.bias.uniform_(-1.0, 1.0, generator=torch.Generator().manual_seed(2))
    return norm


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    # float32: two orders of summation; bfloat16: one rounding of the result to 8 bits.
    [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2**-7)],
)
def test_instance_norm_equals_torchs(
    layout: torch.memory_format, dtype: torch.dtype, tolerance: float
) -> None:
    x = (3 * torch.randn(2, 5, 7, 9, generator=torch.Generator().manual_seed(0)) + 2).to(dtype)
    x = x.contiguous(memory_format=layout)
    norm = random_norm(5)
    if dtype == torch.float64:
        norm = norm.double()
    found = norm(x)
    wide = x.double()
    expected = F.instance_norm(
        wide, weight=norm.weight.double(), bias=norm.bias.double(), eps=norm.eps
    )
    assert found.dtype == dtype
    assert found.is_contiguous(memory_format=layout)
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)


def test_instance_norm_by_hand() -> None:
    """1 and 3 have mean 2 and deviation 1; twice that and 5 more: 3 and 7."""
    norm = InstanceNorm(1, eps=0.0)
    with torch.no_grad():
        norm.weight.fill_(2.0)
        norm.bias.fill_(5.0)
        assert norm(torch.tensor([[[[1.0, 3.0]]]])).flatten().tolist() == [3.0, 7.0]


def test_instance_norm_has_the_gradients_of_torchs() -> None:
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    norm = random_norm(3).double()
    inputs = [x.requires_grad_(), norm.weight, norm.bias]
    upstream = torch.arange(120.0, dtype=torch.float64).reshape(2, 3, 4, 5).sin()
    found = torch.autograd.grad((norm(x) * upstream).sum(), inputs)
    theirs = F.instance_norm(x, weight=norm.weight, bias=norm.bias, eps=norm.eps)
    expected = torch.autograd.grad((theirs * upstream).sum(), inputs)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_instance_norm_is_float32_inside_autocast() -> None:
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    norm = random_norm(4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = norm(x)
        halves = norm(x.bfloat16())
    torch.testing.assert_close(found, norm(x), rtol=0, atol=0)
    assert halves.dtype == torch.bfloat16


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_by_differences(layout: torch.memory_format) -> None:
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = x.contiguous(memory_format=layout).requires_grad_()
    norm = random_norm(3).double()

    def normalize(x: Tensor, *_: Tensor) -> Tensor:
        normal: Tensor = norm(x)
        return normal

    assert gradcheck(normalize, (x, norm.weight, norm.bias))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2**-7)])
def test_gradients_keep_dtype_and_layout(
    layout: torch.memory_format, dtype: torch.dtype, tolerance: float
) -> None:
    """By another implementation: torch's in float64, of the very same numbers."""
    x = (3 * torch.randn(2, 5, 7, 9, generator=torch.Generator().manual_seed(0)) + 2).to(dtype)
    x = x.contiguous(memory_format=layout).requires_grad_()
    norm = random_norm(5)
    upstream = torch.arange(630.0).reshape(2, 5, 7, 9).sin().to(dtype)
    inputs = [x, norm.weight, norm.bias]
    found = torch.autograd.grad(norm(x), inputs, upstream.contiguous(memory_format=layout))
    assert found[0].is_contiguous(memory_format=layout)
    assert [gradient.dtype for gradient in found] == [dtype, torch.float32, torch.float32]
    wide = [tensor.detach().double().requires_grad_() for tensor in inputs]
    theirs = F.instance_norm(wide[0], weight=wide[1], bias=wide[2], eps=norm.eps)
    expected = torch.autograd.grad(theirs, wide, upstream.double())
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(
            a.double(), b, rtol=tolerance, atol=tolerance * b.abs().max().item()
        )

"""Reflection padding. Truths: torch's own, in float64, and by hand."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from nst.reflection import reflect

LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("reach", [1, 2, 4])
@pytest.mark.parametrize("size", [(9, 11), (5, 5), (16, 6)])
def test_padding_and_gradient_are_torchs(
    size: tuple[int, int], reach: int, layout: torch.memory_format
) -> None:
    """5 px hold a mirrored edge of 4 just so: all edges lie upon each other."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, *size, generator=generator, dtype=torch.float64)
    x = x.contiguous(memory_format=layout).requires_grad_()
    expected = F.pad(x, (reach,) * 4, mode="reflect")
    found = reflect(x, reach)
    assert torch.equal(found, expected)
    upstream = torch.rand(found.shape, generator=generator, dtype=torch.float64)
    upstream = upstream.contiguous(memory_format=layout)
    (gradient,) = torch.autograd.grad(found, x, upstream)
    torch.testing.assert_close(
        gradient, torch.autograd.grad(expected, x, upstream)[0], rtol=0, atol=1e-13
    )
    assert gradient.is_contiguous(memory_format=layout)


def test_the_gradient_by_hand() -> None:
    """1 2 3 becomes 2 1 2 3 2: in each direction the middle one is used three times."""
    x = torch.zeros(1, 1, 3, 3, requires_grad=True)
    reflect(x, 1).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert x.grad[0, 0].tolist() == [[1, 3, 1], [3, 9, 3], [1, 3, 1]]


def test_half_precision_stays_under_autocast() -> None:
    x = torch.rand(1, 4, 6, 6, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        assert reflect(x, 1).dtype == torch.bfloat16
        assert reflect(x.detach(), 1).dtype == torch.bfloat16

"""The terms of the objective. Truths: by hand, by numpy in float64, by invariant, by calculus."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from nst.functional import (
    content_loss,
    correlation,
    edge_roughness,
    energy,
    gram_matrix,
    lattice_loss,
    relative_error,
    style_loss,
    total_variation_loss,
)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_gram_matrix_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # channels (1, 2) and (3, 4)
    # 1*1 + 2*2 = 5, 1*3 + 2*4 = 11, 3*3 + 4*4 = 25; a sum, divided by nothing.
    assert gram_matrix(features).tolist() == [[[5.0, 11.0], [11.0, 25.0]]]


def test_content_loss_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    target = torch.tensor([[[[0.0, 2.0], [1.0, 5.0]]]])
    # 1/2 * (1 + 0 + 4 + 1)
    assert content_loss(features, target).tolist() == [3.0]


def test_style_loss_of_equal_sizes_by_hand() -> None:
    gram = torch.tensor([[[5.0, 11.0], [11.0, 25.0]]])
    target = torch.tensor([[[1.0, 1.0], [1.0, 5.0]]])
    # 1 / (4 * 2^2 * 2^2) * (4^2 + 10^2 + 10^2 + 20^2) = 616 / 64
    assert style_loss(gram, target, positions=2, target_positions=2).tolist() == [9.625]


def test_style_loss_of_different_sizes_by_hand() -> None:
    gram = torch.tensor([[[5.0, 11.0], [11.0, 25.0]]])  # / 2: 2.5, 5.5, 5.5, 12.5
    target = torch.tensor([[[4.0, 8.0], [8.0, 20.0]]])  # / 4: 1, 2, 2, 5
    # (1.5^2 + 3.5^2 + 3.5^2 + 7.5^2) / (4 * 2^2) = 83 / 16
    assert style_loss(gram, target, positions=2, target_positions=4).tolist() == [5.1875]


def test_relative_error_by_hand() -> None:
    target = torch.tensor([[1.0, 0.0, 1.0]])
    values = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [1.0, 0.0, 1.0]])
    # (0 + 4 + 4) / 2; zeros score 1; the target itself 0.
    assert energy(target).tolist() == [2.0]
    assert relative_error(values, target, energy(target)).tolist() == [4.0, 1.0, 0.0]


def test_total_variation_by_hand() -> None:
    """A ramp of 0.1 a row and 0.2 a column; a square of 2x2; a checkerboard, the upper bound."""
    rows, columns = torch.meshgrid(torch.arange(3.0), torch.arange(4.0), indexing="ij")
    ramp = (0.1 * rows + 0.2 * columns).expand(1, 3, 3, 4)
    assert total_variation_loss(ramp).item() == pytest.approx(0.3, rel=1e-6)
    square = torch.tensor([[0.0, 1.0], [0.5, 0.5]]).expand(1, 3, 2, 2)
    # rows (0.5 + 0.5) / 2, columns (1 + 0) / 2
    assert total_variation_loss(square).item() == pytest.approx(1.0, rel=1e-6)
    checkerboard = ((rows + columns) % 2).expand(1, 3, 3, 4)
    assert total_variation_loss(checkerboard).item() == 2.0
    assert total_variation_loss(torch.full((2, 3, 5, 7), 0.3)).tolist() == [0.0, 0.0]


@settings(deadline=None, max_examples=50)
@given(channels=st.integers(1, 6), height=st.integers(1, 7), width=st.integers(1, 7))
def test_style_loss_equals_the_paper_in_numpy(channels: int, height: int, width: int) -> None:
    """Gatys et al. 2016, eq. 3 and 4, in numpy float64, for output and style of one size."""
    shape = (1, channels, height, width)
    output, style = random(*shape, seed=1), 3 * random(*shape, seed=2)
    positions = height * width
    found = style_loss(
        gram_matrix(output),
        gram_matrix(style),
        positions=positions,
        target_positions=positions,
    )
    f = output.numpy().astype(np.float64).reshape(channels, positions)
    p = style.numpy().astype(np.float64).reshape(channels, positions)
    difference = np.einsum("ip,jp->ij", f, f) - np.einsum("ip,jp->ij", p, p)
    expected = (difference**2).sum() / (4 * channels**2 * positions**2)
    # Each entry of G and A is right to about 1e-7 of itself, their difference to 1e-7 of the
    # larger: one that nearly vanishes has to be forgiven in proportion to the Gram matrices.
    scale = (np.einsum("ip,jp->ij", p, p) ** 2).sum() / (4 * channels**2 * positions**2)
    assert found.item() == pytest.approx(expected, rel=1e-6, abs=1e-6 * scale)


def test_gram_matrix_does_not_know_positions() -> None:
    """Moving positions about changes nothing; moving channels moves rows and columns."""
    features = random(2, 5, 3, 4, dtype=torch.float64)
    shuffled = features.flatten(2)[..., torch.randperm(12)].reshape(features.shape)
    torch.testing.assert_close(gram_matrix(shuffled), gram_matrix(features))
    order = [3, 1, 4, 0, 2]
    expected = gram_matrix(features)[:, order][:, :, order]
    torch.testing.assert_close(gram_matrix(features[:, order]), expected)


def test_batch_equals_stack_of_samples() -> None:
    features, target = random(3, 4, 5, 6), random(3, 4, 5, 6, seed=1)
    image = random(3, 3, 5, 6).sigmoid()

    def style(f: Tensor, t: Tensor) -> Tensor:
        return style_loss(gram_matrix(f), gram_matrix(t), positions=30, target_positions=30)

    def relative(f: Tensor, t: Tensor) -> Tensor:
        return relative_error(f, t, energy(t))

    for term in (content_loss, style, relative):
        alone = [term(features[i : i + 1], target[i : i + 1]) for i in range(3)]
        torch.testing.assert_close(term(features, target), torch.cat(alone))
    alone = [total_variation_loss(image[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(total_variation_loss(image), torch.cat(alone))
    alone = [gram_matrix(features[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(gram_matrix(features), torch.cat(alone))


def test_one_target_serves_a_batch() -> None:
    features, target = random(3, 4, 5, 6), random(1, 4, 5, 6, seed=1)
    gram, one = gram_matrix(features), gram_matrix(target)
    many = one.expand(3, -1, -1)
    found = style_loss(gram, one, positions=30, target_positions=30)
    torch.testing.assert_close(found, style_loss(gram, many, positions=30, target_positions=30))
    found = relative_error(gram, one, energy(one))
    torch.testing.assert_close(found, relative_error(gram, many, energy(many)))


def test_gradients() -> None:
    features = random(2, 3, 4, 3, dtype=torch.float64).requires_grad_()
    target = random(2, 3, 4, 3, seed=1, dtype=torch.float64)
    gram = gram_matrix(target)
    assert gradcheck(gram_matrix, (features,))
    assert gradcheck(lambda f: content_loss(f, target), (features,))
    assert gradcheck(lambda f: relative_error(f, target, energy(target)), (features,))
    assert gradcheck(
        lambda f: style_loss(gram_matrix(f), gram, positions=12, target_positions=20), (features,)
    )
    # Smooth where no neighbours are equal, which random numbers are not.
    assert gradcheck(total_variation_loss, (features,))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    # float32: another order of summation; halves: one rounding of a factor and one of the result.
    [(torch.float32, 1e-5), (torch.bfloat16, 2**-7), (torch.float16, 2**-10)],
)
def test_the_gradient_of_a_gram_matrix_keeps_dtype_and_layout(
    layout: torch.memory_format, dtype: torch.dtype, tolerance: float
) -> None:
    """Truth: autograd through the product in float64, of the very same numbers, for a gradient
    that is not symmetric."""
    features = random(2, 8, 5, 6).to(dtype).contiguous(memory_format=layout).requires_grad_()
    upstream = random(2, 8, 8, seed=1)
    (found,) = torch.autograd.grad(gram_matrix(features), [features], upstream)
    exact = features.detach().double().requires_grad_()
    flat = exact.flatten(2)
    (expected,) = torch.autograd.grad(flat @ flat.mT, [exact], upstream.double())
    assert found.dtype == dtype
    assert found.is_contiguous(memory_format=layout)
    scale = expected.abs().max().item()
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_gram_matrix_is_float32_inside_autocast(dtype: torch.dtype) -> None:
    """Truth: the same numbers multiplied in float64. A plain product is rounded, which shows that
    the test can fail."""
    features = random(2, 8, 16, 16).to(dtype)
    exact = features.double().flatten(2) @ features.double().flatten(2).mT
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gram = gram_matrix(features)
        rounded = features.float().flatten(2) @ features.float().flatten(2).mT
    assert gram.dtype == torch.float32
    torch.testing.assert_close(gram.double(), exact, rtol=1e-5, atol=1e-4)
    assert rounded.dtype == torch.bfloat16


def test_half_precision_does_not_overflow() -> None:
    """float16 ends at 65504; 16 positions of 200 sum to 640000 in the Gram matrix, by hand."""
    features = torch.full((1, 2, 4, 4), 200.0, dtype=torch.float16)
    assert gram_matrix(features).tolist() == [[[640000.0] * 2] * 2]
    zero = torch.zeros_like(features)
    assert content_loss(features, zero).tolist() == [640000.0]  # 1/2 * 32 * 200^2
    assert energy(features).tolist() == [1280000.0]
    assert relative_error(features, zero, torch.tensor([1280000.0])).tolist() == [1.0]


def test_double_stays_double() -> None:
    features = random(1, 2, 3, 3, dtype=torch.float64)
    assert gram_matrix(features).dtype == energy(features).dtype == torch.float64


@settings(deadline=None, max_examples=50)
@given(height=st.integers(2, 9), width=st.integers(2, 9), seed=st.integers(0, 99))
def test_total_variation_is_bounded_and_knows_no_direction(
    height: int, width: int, seed: int
) -> None:
    image = random(1, 3, height, width, seed=seed, dtype=torch.float64).sigmoid()
    value = total_variation_loss(image)
    assert 0 <= value.item() <= 2
    for other in (image.mT, image.flip(-1), image.flip(-2), 1 - image):
        torch.testing.assert_close(total_variation_loss(other), value)


def test_correlation_by_hand_and_of_a_map_with_itself() -> None:
    """By hand: (1, 2) with (3, 4) is 11; with itself it is the Gram matrix."""
    first, second = torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[[[3.0, 4.0]], [[0.0, 1.0]]]])
    assert correlation(first, second).tolist() == [[[11.0, 2.0]]]
    features = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(correlation(features, features), gram_matrix(features))
    half = features.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert correlation(half, half).dtype == torch.float32


def test_lattice_by_another_implementation() -> None:
    """By numpy, in loops: variance between phases over that of all, window by window."""
    image = random(2, 3, 72, 64, dtype=torch.float64).sigmoid()
    found, pixels = lattice_loss(image, 8), image.numpy()
    for number, picture in enumerate(pixels):
        shares = []
        for y, x in ((y, x) for y in (0, 32) for x in (0, 32)):
            window = picture[:, y : y + 32, x : x + 32]
            phases = np.stack(
                [window[:, i::8, j::8].mean((1, 2)) for i in range(8) for j in range(8)]
            )
            between = phases.var(0).sum()
            shares.append(between / (window.var((1, 2)).sum() + 1e-4))
        assert float(found[number]) == pytest.approx(np.mean(shares), rel=1e-9)


def test_lattice_by_hand() -> None:
    """A block that is repeated is nothing but lattice, noise by chance a 16th of it (15 free of
    16 means, of 16 pixels each), and a grey picture has none."""
    block = random(1, 3, 4, 4).sigmoid()
    assert float(lattice_loss(block.repeat(1, 1, 16, 16), 4)) > 0.99
    assert float(lattice_loss(random(1, 3, 256, 256).sigmoid(), 4)) == pytest.approx(
        15 / 16 / 16, rel=0.1
    )
    assert float(lattice_loss(torch.full((1, 3, 64, 64), 0.3), 4)) < 1e-6
    assert float(lattice_loss(block.repeat(1, 1, 16, 16), 8)) > 0.99  # of 4 px is one of 8 too


def test_edges_by_another_implementation() -> None:
    """By numpy, each edge for itself."""
    pictures = random(2, 3, 40, 56).sigmoid()
    pixels = pictures.numpy().astype(np.float64)
    down, across = np.diff(pixels, 2, axis=2) ** 2, np.diff(pixels, 2, axis=3) ** 2
    columns, rows = down[..., 6:-6], across[:, :, 6:-6]
    edges = [(down[..., :6], columns), (down[..., -6:], columns)]
    edges += [(across[:, :, :6], rows), (across[:, :, -6:], rows)]
    every = (1, 2, 3)
    expected = [edge.mean(every) / (middle.mean(every) + 1e-4) for edge, middle in edges]
    np.testing.assert_allclose(edge_roughness(pictures).numpy(), np.stack(expected, 1), rtol=1e-5)


def test_gradient_of_the_lattice() -> None:
    image = random(1, 3, 32, 32, dtype=torch.float64).sigmoid().requires_grad_()
    assert gradcheck(lambda x: lattice_loss(x, 8), image, fast_mode=True)

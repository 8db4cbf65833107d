"""The terms of the objective as pure functions.

Everything is computed for each picture of a batch; averaging over the batch is the caller's.
Equation numbers: Gatys, Ecker and Bethge, "Image Style Transfer Using Convolutional Neural
Networks", CVPR 2016.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

LATTICE_PERIODS = 4
"""Side of the windows of ``lattice_loss``, periods."""
EDGE_PX = 6
"""Width of an edge in ``edge_roughness``."""
LEAST_ROUGHNESS = 1e-4
"""Added to that of the middle, colours in [0, 1]: two or three grey levels are seen by nobody."""
LEAST_VARIANCE = 1e-4
"""Of colours in [0, 1]: below it, deviations of two grey levels, nobody sees a lattice."""


def gram_matrix(features: Tensor) -> Tensor:
    """Correlate the channels of a feature map with each other.

        G[b, i, j] = sum over p of F[b, i, p] * F[b, j, p]

    Gatys et al. 2016, eq. 3: a sum, divided by nothing. It is computed in float32 whatever the
    dtype and autocast state: half precision overflows here, and inside autocast even a product of
    float32 tensors would be rounded to bfloat16.

    Args:
        features: Activations F of one layer, ``(B, N, H, W)``.

    Returns:
        Gram matrices G, ``(B, N, N)``, symmetric; float32, or float64 for float64 features.
    """
    with torch.autocast(features.device.type, enabled=False):
        if torch.compiler.is_exporting():
            flat = wide(_flat(features))
            return flat.mT @ flat
        gram: Tensor = _Gram.apply(features)
        return gram


def correlation(first: Tensor, second: Tensor) -> Tensor:
    """Return ``sum over p of F[b, i, p] * H[b, j, p]``: two feature maps' Gram matrix.

    Args:
        first: F, ``(B, N, H, W)``.
        second: H, ``(B, K, H, W)``.

    Returns:
        ``(B, N, K)``, float32 or better whatever the autocast state.
    """
    with torch.autocast(first.device.type, enabled=False):
        return wide(_flat(first)).mT @ wide(_flat(second))


def mapped_gram(gram: Tensor, matrix: Tensor) -> Tensor:
    """Return the Gram matrices of features that a matrix would map, from those of the features.

        F' = R F    G' = R G R^T

    Args:
        gram: G, ``(B, N, N)``.
        matrix: R, ``(K, N)``.

    Returns:
        G', ``(B, K, K)``; computed in float32 whatever the autocast state.
    """
    with torch.autocast(gram.device.type, enabled=False):
        return matrix @ gram @ matrix.mT


def mapped_features(features: Tensor, matrix: Tensor) -> Tensor:
    """Return ``R F``: ``(B, N, H, W)`` and a matrix ``(K, N)`` to float32 ``(B, K, H, W)``."""
    with torch.autocast(features.device.type, enabled=False):
        mapped = (_flat(wide(features)) @ matrix.mT).mT
        return mapped.reshape(features.shape[0], matrix.shape[0], *features.shape[-2:])


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Compare feature maps of the output and of the photograph.

        1/2 * sum (F - P)^2

    Gatys et al. 2016, eq. 1.

    Args:
        features: Activations F of the output, ``(B, N, H, W)``.
        target: Activations P of the photograph, the same shape.

    Returns:
        One value for each picture, ``(B,)``, at least 0.
    """
    return 0.5 * _squared_error(features, target)


def style_loss(gram: Tensor, target: Tensor, *, positions: int, target_positions: int) -> Tensor:
    """Compare Gram matrices of the output and of the style image at one layer.

        1 / (4 N^2 M^2) * sum (G - A)^2

    Gatys et al. 2016, eq. 4. Differs: the paper resizes the style image to the size of the output.
    Here sizes may differ, then each Gram matrix is divided by its own M; with equal sizes this is
    the line above.

    Args:
        gram: Gram matrices G of the output, ``(B, N, N)``.
        target: Gram matrix A of the style image, ``(1, N, N)`` or ``(B, N, N)``.
        positions: Height times width M of the output's feature map.
        target_positions: The same of the style image's.

    Returns:
        One value for each picture, ``(B,)``, at least 0.
    """
    channels = gram.shape[-1]
    return _squared_error(gram / positions, target / target_positions) / (4 * channels**2)


def relative_error(value: Tensor, target: Tensor, energy: Tensor) -> Tensor:
    """Compare a tensor with a target, measured against the energy of the target.

        sum (X - Y)^2 / E

    With ``E = sum Y^2`` an X of zeros scores 1 and the target itself 0.

    Args:
        value: X, ``(B, ...)``.
        target: Y, ``(B, ...)`` or ``(1, ...)``.
        energy: E, ``(B,)`` or ``(1,)``, above 0.

    Returns:
        One value for each picture, ``(B,)``, at least 0.
    """
    return _squared_error(value, target) / energy


def energy(value: Tensor) -> Tensor:
    """Sum the squares of each sample in float32 or better: ``(B, ...)`` to ``(B,)``."""
    return wide(value).square().flatten(1).sum(1)


def total_variation_loss(image: Tensor) -> Tensor:
    """Average the absolute differences between neighbouring pixels.

        mean |I[y+1, x] - I[y, x]| + mean |I[y, x+1] - I[y, x]|

    Differs from Johnson et al. 2016 and Mahendran and Vedaldi 2015, who sum the squares: a mean of
    absolute values does not depend on the size of the picture and spares sharp edges.

    Args:
        image: RGB in [0, 1], ``(B, 3, H, W)``; height and width at least 2.

    Returns:
        One value for each picture, ``(B,)``, in [0, 2].
    """
    rows = (image[..., 1:, :] - image[..., :-1, :]).abs().flatten(1).mean(1)
    columns = (image[..., :, 1:] - image[..., :, :-1]).abs().flatten(1).mean(1)
    return rows + columns


def lattice_loss(image: Tensor, period: int) -> Tensor:
    """Return which share of the variance in small windows repeats itself every few pixels.

    A pixel's place in its block of ``period`` x ``period`` is its phase. In each window, with m_p
    the mean of the pixels of phase p and v the variance of all::

        mean over windows of  variance over p of m_p  /  v        summed over colours

    Irregular strokes leave a sixteenth by chance, a lattice all of it. Networks that work at a
    fraction of the size make lattices, and Gram matrices do not mind them.

    Args:
        image: RGB in [0, 1], ``(B, 3, H, W)``; height and width at least ``LATTICE_PERIODS``
            periods.
        period: px, a power of two. Of a network twice its stride: what may not repeat in every
            block, repeats in every second one.

    Returns:
        One value for each picture, ``(B,)``, in [0, 1].
    """
    image = wide(image)
    phases = F.pixel_unshuffle(image, period)  # (B, 3 p p, H / p, W / p)
    pooled = [F.avg_pool2d(each, LATTICE_PERIODS) for each in (phases, phases.square())]
    batch, height, width = len(image), *pooled[0].shape[-2:]
    means, squares = (each.reshape(batch, -1, period**2, height, width) for each in pooled)
    mean = means.mean(2)  # (B, 3, h, w), as the variances
    between = (means - mean.unsqueeze(2)).square().mean(2).sum(1)  # (B, h, w)
    whole = (squares.mean(2) - mean.square()).sum(1)
    shares: Tensor = between / (whole + LEAST_VARIANCE)
    return shares.reshape(batch, -1).mean(1)


def edge_roughness(image: Tensor) -> Tensor:
    """Return the roughness of each edge of a picture over that of its middle.

    Roughness is the mean square of the second difference along the edge; that of the middle is
    taken in the same direction, and counts as a constant in gradients. VGG-19 pads with zeros, so
    that its features at the edge of a picture are unlike all others, and a network may learn to
    please them with a comb of some pixels.

    Args:
        image: RGB in [0, 1], ``(B, 3, H, W)``; sides of more than 2 ``EDGE_PX``.

    Returns:
        Left, right, top and bottom, ``(B, 4)``; 1 is as rough as the middle.
    """
    image = wide(image)
    ratios = []
    for turned in (image, image.mT):  # the edges lie at the ends of the last dimension
        bends = turned[..., 2:, :] - 2 * turned[..., 1:-1, :] + turned[..., :-2, :]
        columns = bends.square().mean((1, 2))  # (B, W)
        middle = columns[:, EDGE_PX:-EDGE_PX].mean(1).detach() + LEAST_ROUGHNESS
        edges = columns[:, :EDGE_PX], columns[:, -EDGE_PX:]
        ratios += [edge.mean(1) / middle for edge in edges]
    return torch.stack(ratios, 1)


def _squared_error(value: Tensor, target: Tensor) -> Tensor:
    return energy(wide(value) - wide(target))


def wide(value: Tensor) -> Tensor:
    """Return half precision as float32, before differences and squares overflow or vanish."""
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


class _Gram(torch.autograd.Function):
    """The Gram matrix with its gradient ``F (dG + dG^T)`` as one product, in the layout of F.

    Autograd makes two of it, transposed to each other, and a sum that reads against the grain:
    three times as long. In bfloat16 this product alone is made in bfloat16, which is what its
    result is rounded to anyway.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        flat = wide(_flat(features))
        return flat.mT @ flat

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors  # type: ignore[attr-defined]
        flat = _flat(features)  # (B, M, N)
        if flat.dtype == torch.float16:  # its range is too small for the gradient
            flat = flat.float()
        both = (gradient + gradient.mT).to(flat.dtype)
        # Whichever order of factors leaves the result in the memory layout of the features.
        product = flat @ both if flat.is_contiguous() else (both @ flat.mT).mT
        return product.mT.reshape(features.shape).to(features.dtype)


def _flat(features: Tensor) -> Tensor:
    """Return ``(B, N, H, W)`` as ``(B, M, N)``: a view, contiguous in channels_last."""
    return features.permute(0, 2, 3, 1).flatten(1, 2)

"""The objective of a large picture in pieces: any number of pixels in bounded memory.

A Gram matrix is a sum over positions, and so is the content term. The pieces are seen twice: once
to add up the Gram matrices, whose errors tell what each of them counts, and once more to take the
gradient of the sum. Each piece carries a margin as wide as the layers look, so that nothing
changes at its borders: values and gradients are those of the whole picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nst.encoder import FIRST_OF_BLOCK
from nst.features import Place, features_at
from nst.functional import content_loss, total_variation_loss
from nst.loss_terms import LossTerms
from nst.losses import PerceptualLoss
from nst.presets import Tap
from nst.runtime import autocast

PIECE_PX = 768
"""Side of a piece at each scale, without its margins."""


Sum = tuple[Tensor, float | Tensor]
"""A Gram matrix, undivided, and what to divide it by."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the picture along both axes, px of the picture."""

    seen: tuple[slice, slice]
    """What the encoder is given: the piece and its margins, as far as there is picture."""
    kept: tuple[slice, slice]
    """The piece within what is seen."""


class TiledObjective:
    """The objective of one large picture, as ``nst.optimize`` asks it.

    Args:
        criterion: The objective.
        photograph: RGB in [0, 1], ``(1, 3, H, W)``.
        dtype: Of the convolutions.
        piece: Side of a piece, px.
    """

    def __init__(
        self,
        criterion: PerceptualLoss,
        photograph: Tensor,
        dtype: torch.dtype,
        *,
        piece: int = PIECE_PX,
    ) -> None:
        self.criterion = criterion
        self.dtype = dtype
        self.terms: LossTerms | None = None
        self._size = photograph.shape[-2], photograph.shape[-1]
        by_scale: dict[int, list[Tap]] = {}
        for tap in criterion.preset.taps:
            by_scale.setdefault(tap.scale, []).append(tap)
        self._taps = by_scale
        self._pieces = {
            scale: list(
                _pieces(self._size, *geometry(criterion.encoder.convolutions, taps), piece * scale)
            )
            for scale, taps in by_scale.items()
        }
        self._target: list[Tensor] = []
        self._energy = self._read_photograph(photograph)

    def __call__(self, image: Tensor) -> tuple[float, Tensor]:
        """Return value and gradient; the terms stay in ``terms``."""
        image = image.detach()
        with torch.no_grad():
            sums, content = self._sums(image)
        terms, along_grams, along_content = self._terms(image, sums, content)
        gradient = self._gradient(image, along_grams, along_content)
        pixels = image.requires_grad_(True)
        variation = self.criterion.weights.total_variation * total_variation_loss(pixels).sum()
        (smooth,) = torch.autograd.grad(variation, pixels)
        self.terms = terms.detach()
        return float(self.terms.total), gradient + smooth

    def _read_photograph(self, photograph: Tensor) -> Tensor:
        """Keep the content features, piece by piece, and return what errors are measured by."""
        tap = self.criterion.preset.content
        energy, positions = photograph.new_zeros(()), 0
        with torch.no_grad():
            for piece in self._pieces[tap.scale]:
                found = self._features(photograph[..., *piece.seen], piece, tap.scale)[tap]
                content = self.criterion.encoder.compared(found, tap.layer)
                self._target.append(content)
                energy += content.float().square().sum()
                positions += content.shape[-2] * content.shape[-1]
        return self.criterion.content_energy(energy[None], positions, None)

    def _features(self, crop: Tensor, piece: Piece, scale: int) -> dict[Tap, Tensor]:
        """Return the activations of a piece at one scale, without its margins."""
        with autocast(crop.device, self.dtype):
            crop = crop.contiguous(memory_format=torch.channels_last)
            found = features_at(self.criterion.encoder, crop, self._taps[scale])
        return {tap: _cut(values, piece, stride_of(tap)) for tap, values in found.items()}

    def _sums(self, image: Tensor) -> tuple[dict[Tap, Sum], Tensor]:
        """Return the Gram matrices of all taps, and the content loss."""
        sums: dict[Tap, Sum] = {}
        content = image.new_zeros(())
        for scale, pieces in self._pieces.items():
            for number, piece in enumerate(pieces):
                found = self._features(image[..., *piece.seen], piece, scale)
                for tap, (gram, positions) in self._grams(found, piece).items():
                    before, count = sums.get(tap, (0.0, 0.0))
                    sums[tap] = before + gram, count + positions
                content += self._content_loss(found, number)
        return sums, content

    def _grams(self, found: dict[Tap, Tensor], piece: Piece) -> dict[Tap, Sum]:
        """Return the sums over a piece, for the style taps among its features."""
        return {
            tap: self.criterion.gram_sum(values, tap, self._place(piece, tap, values))
            for tap, values in found.items()
            if tap in self.criterion.preset.style
        }

    def _content_loss(self, found: dict[Tap, Tensor], number: int) -> Tensor:
        tap = self.criterion.preset.content
        if tap not in found:
            return torch.zeros(())
        content = self.criterion.encoder.compared(found[tap], tap.layer)
        return content_loss(content, self._target[number]).sum()

    def _terms(
        self, image: Tensor, sums: dict[Tap, Sum], content: Tensor
    ) -> tuple[LossTerms, dict[Tap, Tensor], Tensor]:
        """Return the terms, and what each Gram matrix and the content loss count in J."""
        leaves = {tap: gram.detach().requires_grad_(True) for tap, (gram, _) in sums.items()}
        content = content.detach().requires_grad_(True)
        divided = {tap: leaf / sums[tap][1] for tap, leaf in leaves.items()}
        variation = total_variation_loss(image).detach()
        terms = self.criterion.from_sums(divided, content[None], self._energy, variation)
        found = torch.autograd.grad(terms.total, [*leaves.values(), content])
        return terms, dict(zip(leaves, found[:-1], strict=True)), found[-1]

    def _gradient(
        self, image: Tensor, along_grams: dict[Tap, Tensor], along_content: Tensor
    ) -> Tensor:
        gradient = torch.zeros_like(image)
        for scale, pieces in self._pieces.items():
            for number, piece in enumerate(pieces):
                crop = image[..., *piece.seen].detach().requires_grad_(True)
                found = self._features(crop, piece, scale)
                value = along_content * self._content_loss(found, number)
                for tap, (gram, _) in self._grams(found, piece).items():
                    value = value + (along_grams[tap] * gram).sum()
                (part,) = torch.autograd.grad(value, crop)
                gradient[..., *piece.seen] += part
        return gradient

    def _place(self, piece: Piece, tap: Tap, values: Tensor) -> Place:
        """Return where a piece, whose activations these are, lies in the map of a tap."""
        stride = stride_of(tap)
        rows, columns = (
            slice((seen.start + kept.start) // stride, (seen.start + kept.start) // stride + length)
            for seen, kept, length in zip(piece.seen, piece.kept, values.shape[-2:], strict=True)
        )
        return Place(rows, columns, map_size(self._size, tap, self.criterion.encoder.ceil_mode))


def stride_of(tap: Tap) -> int:
    """Return how many pixels of the picture lie between two positions of a tap."""
    return int(tap.scale * 2 ** (int(tap.layer[4]) - 1))


def map_size(size: tuple[int, int], tap: Tap, ceil_mode: bool) -> tuple[int, int]:
    """Return height and width of the map of a tap, of a picture of some size."""
    height, width = size
    reductions = [True] * (tap.scale.bit_length() - 1) + [ceil_mode] * (int(tap.layer[4]) - 1)
    for rounds_up in reductions:
        height, width = (height + rounds_up) // 2, (width + rounds_up) // 2
    return height, width


def geometry(convolutions: Iterable[str], taps: Sequence[Tap]) -> tuple[int, int]:
    """Return how far the taps of one scale look, and what borders must be multiples of, px."""
    scale, unit = taps[0].scale, max(map(stride_of, taps))
    deepest = max(int(tap.layer[4]) for tap in taps)
    reach, jump = 0, scale
    for name in convolutions:
        if int(name[4]) > deepest:
            break
        if name in FIRST_OF_BLOCK:  # a pooling before it looks at one position more
            reach += jump
            jump *= 2
        reach += jump
    reach += scale  # the mean of squares
    return -(-reach // unit) * unit, unit


def _pieces(size: tuple[int, int], margin: int, unit: int, piece: int) -> Iterator[Piece]:
    piece = max(unit, piece // unit * unit)
    for rows in _cuts(size[0], margin, piece):
        for columns in _cuts(size[1], margin, piece):
            yield Piece((rows[0], columns[0]), (rows[1], columns[1]))


def _cuts(side: int, margin: int, piece: int) -> Iterator[tuple[slice, slice]]:
    """Yield what is seen along one axis, and which part of that is kept."""
    starts = list(range(0, side, piece))
    if len(starts) > 1 and side - starts[-1] < margin:  # a last one that is nearly all margin
        starts.pop()
    for start, stop in zip(starts, [*starts[1:], side], strict=True):
        first, last = max(0, start - margin), min(side, stop + margin)
        yield slice(first, last), slice(start - first, stop - first)


def _cut(values: Tensor, piece: Piece, stride: int) -> Tensor:
    """Cut the margins off a map, ``(1, N, h, w)``."""
    rows, columns = (
        slice(
            kept.start // stride,
            None if kept.stop == seen.stop - seen.start else kept.stop // stride,
        )
        for seen, kept in zip(piece.seen, piece.kept, strict=True)
    )
    return values[..., rows, columns]

"""Distilling a small loss network from VGG-19: what ``nst distill`` computes.

The student has VGG-19's shape at a fraction of its width. Its own Gram matrices mislead, so it
comes with a matrix W for each layer from its channels to the teacher's, and everything is compared
in the teacher's space: features as ``W F``, Gram matrices as ``W G W^T``. It learns

    |W F - T|^2 / |T|^2  +  2 |W G W^T - A|^2 / |A|^2  +  g |dJ - dJ'|^2 / |dJ'|^2

with T, A and dJ' the teacher's features, Gram matrices and gradient of the objective with respect
to the picture. Pictures are photographs, paintings and everything between: a small transformation
network for each style image is trained by the student meanwhile, and what it paints is blended with
the photograph, so that the student learns on the way that it will lead others.

What is kept of W is R with ``R^T R = W^T W``: distances are the same, and it is no wider than the
student.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nst.encoder import VGG19
from nst.functional import correlation, energy, gram_matrix, mapped_gram, relative_error
from nst.losses import PerceptualLoss
from nst.presets import PRESETS, Tap
from nst.runtime import autocast
from nst.tensors import as_rgb
from nst.transformer import TransformerNet
from nst.weights import MAP, VGGWeights
from train.distill_config import DistillConfig
from train.loop import learning_rate

PRESET = PRESETS["pyramid"]
LAYERS = tuple(sorted({tap.layer for tap in PRESET.taps}))
"""Where the student can be compared."""
PAINTER_WIDTH = 8
PAINTER_RATE = 2e-3
SHARE_OF_PHOTOGRAPHS = 0.2
SHARE_OF_PAINTINGS = 0.5
"""Pictures that are not blended; the others are, in equally likely proportions."""
GRADIENT_WEIGHT = 0.2
"""g: the gradient's error is the largest of the three by far and falls least."""
GRAM_WEIGHT = 2.0
"""What a painter can exploit are Gram matrices that are wrong in the same way everywhere."""
GREATEST_NORM = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class DistillRecord:
    """One step; its tensors stay on the device until somebody asks."""

    step: int
    """Steps done, 1 after the first."""
    features: Tensor
    """Relative error of the features, mean over taps, scalar."""
    grams: Tensor
    """The same of the Gram matrices."""
    gradient: Tensor
    """Relative error of the objective's gradient, scalar."""
    cosine: Tensor
    """Between both gradients, scalar."""
    painted: Tensor
    """S of what was shown, by the teacher, scalar."""


class Student(nn.Module):
    """The narrow network, its matrices to the teacher's channels, and the painters it trains.

    Args:
        weights: What the narrow network begins with.
        matrices: For each of ``LAYERS`` W, ``(N, n)``.
        painters: How many transformation networks.
        seed: Of their weights.
    """

    def __init__(
        self, weights: VGGWeights, matrices: dict[str, Tensor], *, painters: int, seed: int
    ) -> None:
        super().__init__()
        self.weights = weights
        self.encoder = VGG19(weights, deepest=PRESET.deepest_layer).requires_grad_(True).train()
        # Copied: what is read from a file lies anywhere, and a product's last bits depend on that.
        self.matrices = nn.ParameterDict({k: matrix.clone() for k, matrix in matrices.items()})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.painters = nn.ModuleList(TransformerNet(PAINTER_WIDTH) for _ in range(painters))

    def map_encoder(self) -> None:
        """Have the encoder compare in the teacher's space, by R with ``R^T R = W^T W``."""
        self.encoder.mapped_layers = LAYERS
        for layer, matrix in self.matrices.items():
            setattr(self.encoder, f"map_{layer}", _square_root(matrix))

    def tensors(self) -> dict[str, Tensor]:
        """Return what a weights file of the finished network holds."""
        with torch.no_grad():
            found = {
                f"{name}.{kind}": getattr(conv, kind)
                for name, conv in self.encoder.convolutions.items()
                for kind in ("weight", "bias")
            }
            return found | {f"{k}{MAP}": _square_root(w) for k, w in self.matrices.items()}


class Distillation:
    """A student, its teacher's objectives and where the distillation stands.

    Args:
        student: What learns.
        teacher: VGG-19's weights.
        styles: Style images, RGB in [0, 1], ``(1, 3, H, W)`` each, one for each painter.
        config: Settings.
        dtype: Of the teacher's convolutions.
    """

    def __init__(
        self,
        student: Student,
        teacher: VGGWeights,
        styles: Sequence[Tensor],
        config: DistillConfig,
        dtype: torch.dtype,
    ) -> None:
        self.student = student
        self.styles = list(styles)
        self.config = config
        self.dtype = dtype
        layout = torch.channels_last
        self.teachers = [
            PerceptualLoss(teacher, style).to(memory_format=layout) for style in styles
        ]
        student.map_encoder()
        self.criterion = PerceptualLoss(student.weights, styles[0])
        self.criterion.encoder = student.encoder
        painters = list(student.painters.parameters())
        students = [*student.encoder.parameters(), *student.matrices.values()]
        self.optimizer = torch.optim.Adam(
            [{"params": students, "lr": 0.0}, {"params": painters, "lr": PAINTER_RATE}],
            betas=(0.9, 0.99),
        )
        self.step = 0

    @property
    def parameter_names(self) -> list[str]:
        """Names of the parameters in the order of the optimiser."""
        names = {parameter: name for name, parameter in self.student.named_parameters()}
        return [names[p] for group in self.optimizer.param_groups for p in group["params"]]

    def run(self, batches: Iterable[Tensor]) -> Iterator[DistillRecord]:
        """Take a step for each batch, uint8 ``(B, S, S, 3)``, and tell what it found."""
        for batch in batches:
            yield self._step(as_rgb(batch))

    def _step(self, photographs: Tensor) -> DistillRecord:
        student, number = self.student, self.step % len(self.styles)
        painted = student.painters[number](photographs)
        share = self._shares(len(photographs)).to(photographs.device)
        blend = share * painted + (1 - share) * photographs
        picture = blend.detach().requires_grad_()

        teacher = self.teachers[number]
        with autocast(picture.device, self.dtype):
            theirs = teacher.features(picture)
            terms = teacher.compare(theirs, picture, teacher.content_target(photographs))
        (expected,) = torch.autograd.grad(terms.per_picture.sum(), picture)

        student.map_encoder()
        self.criterion.aim_at(self.styles[number])
        target = self.criterion.content_target(photographs)
        ours = self.criterion.features(picture)
        total = self.criterion.compare(ours, picture, target).per_picture.sum()
        (found,) = torch.autograd.grad(total, picture, create_graph=True)

        features, grams = self._errors(ours, theirs)
        gradient = relative_error(found, expected, energy(expected)).mean()
        loss = features + GRAM_WEIGHT * grams + GRADIENT_WEIGHT * gradient.clamp(max=10)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        blend.backward(found.detach() / len(photographs))
        self.optimizer.param_groups[0]["lr"] = learning_rate(self.step, self.config)
        for group in self.optimizer.param_groups:
            nn.utils.clip_grad_norm_(group["params"], GREATEST_NORM)
        self.optimizer.step()
        self.step += 1
        cosine = torch.cosine_similarity(found.flatten(1), expected.flatten(1)).mean()
        return DistillRecord(
            self.step,
            features.detach(),
            grams.detach(),
            gradient.detach(),
            cosine.detach(),
            terms.style.mean().detach(),
        )

    def _errors(self, ours: dict[Tap, Tensor], theirs: dict[Tap, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the relative errors of features and Gram matrices, mean over pictures and taps."""
        features, grams = [], []
        for tap in PRESET.taps:
            matrix = self.student.matrices[tap.layer]
            gram, guess = gram_matrix(theirs[tap].detach()), gram_matrix(ours[tap])
            both = correlation(theirs[tap].detach(), ours[tap])
            # |W F - T|^2 without W F, which is as wide as the teacher's features.
            mapped = (matrix.T @ matrix * guess).sum((1, 2))
            power = gram.diagonal(dim1=1, dim2=2).sum(1)
            features.append((mapped - 2 * (matrix * both).sum((1, 2)) + power) / power)
            grams.append(relative_error(mapped_gram(guess, matrix), gram, energy(gram)))
        return torch.stack(features).mean(), torch.stack(grams).mean()

    def _shares(self, count: int) -> Tensor:
        """Draw how much of each picture is painted, in [0, 1], ``(B, 1, 1, 1)``."""
        generator = torch.Generator().manual_seed((self.config.seed << 32) + self.step)
        drawn = torch.rand(2, count, generator=generator)
        share = torch.where(drawn[0] < SHARE_OF_PHOTOGRAPHS, 0.0, drawn[1])
        share = torch.where(drawn[0] > 1 - SHARE_OF_PAINTINGS, 1.0, share)
        return share[:, None, None, None]


def _square_root(matrix: Tensor) -> Tensor:
    """Return R, ``(n, n)``, with ``R^T R = W^T W`` for W ``(N, n)``."""
    square = matrix.T @ matrix
    jitter = 1e-6 * square.diagonal().mean().detach()
    root: Tensor = torch.linalg.cholesky(
        square + jitter * torch.eye(len(square), device=square.device)
    )
    return root.T

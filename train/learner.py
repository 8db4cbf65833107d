"""What a training changes: the network, its optimiser and where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from nst.folding import norm_parameters
from nst.nets import build_network
from nst.network import StyleNetwork
from train.config import TrainConfig
from train.mixes import Draw, Mixes
from train.outliers import Outliers


@dataclass(eq=False)
class Learner:
    """What a training changes: the network, its optimiser and where it stands.

    Attributes:
        network: The image transformation network.
        optimizer: Fused Adam over its parameters.
        step: Steps done.
        lattice_weight: Of ``nst.functional.lattice_loss``, beside the objective.
        stability: Weight of ``train.stability.stability_loss``.
        levels: Of ``train.levels.with_levels``.
        outlier_weight: Of ``train.outliers.Outliers``.
        edge_weight: Of ``train.edges.edge_loss``.
        seed: Of the training.
        rate_factor: What the learning rate is multiplied by; lowered after trouble.
        micro_batch: Photographs that go through the network at once; None for the whole batch.
        mixes: Which styles it is asked for, of a network that mixes several.
        rank: Which of the processes this is that share a training.
        ranks: How many they are.
        skipped: See ``StepRecord``.
        skipped_in_a_row: See ``StepRecord``.
        parallel: The network as it is called; wrapped where several processes share a training.
        drawn: What the last step was asked for, of a network that mixes several styles.
        outliers: Watches the maps of the network where they have a weight.
    """

    network: StyleNetwork
    optimizer: torch.optim.Adam
    lattice_weight: float = 0.0
    stability: float = 0.0
    levels: float = 0.0
    outlier_weight: float = 0.0
    edge_weight: float = 0.0
    seed: int = 0
    step: int = 0
    rate_factor: float = 1.0
    micro_batch: int | None = None
    mixes: Mixes | None = None
    rank: int = 0
    ranks: int = 1

    def __post_init__(self) -> None:
        device = next(self.network.parameters()).device
        self.skipped = torch.zeros((), dtype=torch.int64, device=device)
        self.skipped_in_a_row = torch.zeros((), dtype=torch.int64, device=device)
        self.parallel: nn.Module = self.network
        self.drawn: Draw | None = None
        self.outliers = Outliers(self.network) if self.outlier_weight else None

    @classmethod
    def new(
        cls,
        config: TrainConfig,
        device: torch.device,
        mixes: Mixes | None = None,
        *,
        learns_strength: bool = False,
    ) -> Learner:
        """Make a network with random weights from the seed, and its optimiser.

        Where not all styles are drawn, only the norms of those that are can change; and with
        ``learns_strength`` what all styles share of it for less than full strength.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = build_network(config.dimensions, mixes.styles if mixes else 0)
        network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        is_alone = mixes is not None and mixes.styles > len(mixes.drawn)
        if mixes is not None and is_alone:
            rows = [1 + style for style in mixes.drawn]
            _freeze_all_but(network, [0, *rows] if learns_strength else rows)
        betas = (0.9, config.beta2)
        factors = 1.0, config.norm_factor(alone=is_alone)
        groups = [
            {"params": parameters, "factor": factor}
            for names, factor in zip(_groups(network), factors, strict=True)
            if (parameters := [network.get_parameter(name) for name in names])
        ]
        optimizer = torch.optim.Adam(groups, lr=0.0, betas=betas, fused=True)
        return cls(
            network,
            optimizer,
            config.lattice_weight,
            config.stability,
            config.levels,
            config.outlier_weight,
            config.edge_weight,
            seed=config.seed,
            mixes=mixes,
        )

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Context whose steps are forgotten at its end; for a learner that has made none yet."""
        weights = {name: value.clone() for name, value in self.network.state_dict().items()}
        try:
            yield
        finally:
            self.network.load_state_dict(weights)
            self.optimizer.state.clear()
            self.optimizer.zero_grad(set_to_none=True)
            self.step, self.micro_batch = 0, None
            self.skipped.zero_()
            self.skipped_in_a_row.zero_()

    def first_of_step(self, count: int) -> int:
        """Return the number, in the whole training, of the first of this process's photographs."""
        return (self.step * self.ranks + self.rank) * count

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights: float32, whatever the convolutions are computed in."""
        return next(self.network.parameters()).dtype

    @property
    def parameter_names(self) -> list[str]:
        """Names of the parameters that are learnt, in the order of the optimiser."""
        return [name for names in _groups(self.network) for name in names]


def _groups(network: StyleNetwork) -> tuple[list[str], list[str]]:
    """Return the names of what is learnt: of convolutions, and of norms."""
    norms = norm_parameters(network)
    learnt = [name for name, p in network.named_parameters() if p.requires_grad]
    return [n for n in learnt if n not in norms], [n for n in learnt if n in norms]


def _freeze_all_but(network: StyleNetwork, rows: Sequence[int]) -> None:
    """Let nothing learn but some rows of scales and shifts; the others keep every bit.

    Adam leaves alone what has had no gradient from the start.
    """
    norms = norm_parameters(network)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in norms)
        if name in norms:
            is_learnt = torch.zeros(len(parameter), 1, device=parameter.device)
            is_learnt[list(rows)] = 1.0
            parameter.register_hook(partial(torch.mul, is_learnt))  # type: ignore[no-untyped-call]

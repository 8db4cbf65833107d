"""Make nst/assets/trunk-NET-WIDTH.safetensors: weights from which a new style is learnt soonest.

    python docs/trunk.py STYLES --data PHOTOGRAPHS -o trunk-johnson-16.safetensors
    python docs/trunk.py --of RUN -o trunk-swift-32.safetensors

One network learns all styles together by conditional instance normalisation (Dumoulin, Shlens and
Kudlur, "A learned representation for artistic style", 2017): convolutions are shared, and each
style has the scales and shifts of its norms for itself. The trunk is those convolutions, and the
mean of the norms. Each painting stands for three styles, itself and twice with its colours
exchanged. VGG-19 measures: what a training by the compact network exploits in it would stay in the
trunk. An interrupted run goes on from OUTPUT.part when it is called again.

With ``--of`` the trunk is the network of a finished run of ``nst train``, for one style.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import torch
from torch import Tensor, nn

from nst.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_network,
    load_newest,
    network_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from nst.image import find_images
from nst.losses import LossTerms, PerceptualLoss
from nst.nets import build_network
from nst.network import StyleNetwork
from nst.runtime import choose_device, choose_precision, tune
from nst.tensors import load_style
from nst.terminal import progress, say
from nst.weights import find_weights
from train.config import TrainConfig
from train.data import open_photographs
from train.feed import Crops, open_feed
from train.loop import Learner, learning_rate, training_step
from train.reading import Reading
from train.sources import find_sources

STYLE_PX = 512
ORDERS = ((0, 1, 2), (1, 2, 0), (2, 0, 1))
"""Of red, green and blue in a painting and its copies."""
EVERY = 250
"""Steps between files."""


def main() -> None:
    """Train the trunk and write it in half precision."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("styles", type=Path, nargs="?", help="a folder of paintings")
    parser.add_argument("--of", type=Path, metavar="RUN", help="in place of paintings and data")
    parser.add_argument("--data", action="append", default=[])
    parser.add_argument("--net", default="johnson")
    parser.add_argument("--width", type=int)
    parser.add_argument("--steps", type=int, default=10_000, help="of 2 crops, each of one style")
    parser.add_argument("--learning-rate", type=float, help="default: that of nst train")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    if (asked.styles is None) == (asked.of is None):
        parser.error("give either a folder of paintings or --of RUN")
    if asked.of is not None:
        checkpoint, source, _ = load_newest(asked.of)
        steps = int(checkpoint.header["step"])
        _write(asked.output, load_network(checkpoint, source=str(source)), steps)
        return
    device = choose_device()
    dtype = choose_precision("auto", device)
    tune(device, dtype)
    reading = Reading(announce=say, progress=progress)
    weights = find_weights(None, announce=say, bars=progress)
    paintings = [load_style(file, STYLE_PX)[0].to(device) for file in find_images(asked.styles)]
    layout = torch.channels_last
    criteria = [
        PerceptualLoss(weights, painting[:, order], tv_weight=0.1).to(memory_format=layout)
        for order in ORDERS
        for painting in paintings
    ]
    say(f"{len(criteria)} styles; {criteria[0].describe()}")
    config = TrainConfig(
        net=asked.net,
        width=asked.width,
        steps=asked.steps,
        learning_rate=asked.learning_rate,
        batch=2,
    )
    sources = find_sources(asked.data, shards=None, reading=reading)
    photographs = open_photographs(sources, size=config.size, reading=reading)
    feed = open_feed(photographs, Crops(batch=2, size=config.size, seed=0), device, reading.workers)
    trunk = Trunk(len(criteria), config, device)
    part = asked.output.with_suffix(".part")
    if part.is_file():
        trunk.restore(load_checkpoint(part))
    with progress("trunk", asked.steps) as bar:
        for crops in feed.batches(trunk.step, asked.steps):
            number = trunk.step % len(criteria)
            terms = trunk.learn(number, criteria[number], crops, dtype)
            if trunk.step % 25 == 0:
                bar.update(trunk.step, f"J {float(terms.total):.3f}")
            if trunk.step % EVERY == 0 or trunk.step == asked.steps:
                save_checkpoint(part, trunk.checkpoint())
                _write(asked.output, trunk.mean(), trunk.step)


class Trunk:
    """Networks with the same convolutions, each with norms of its own, and one optimiser."""

    def __init__(self, count: int, config: TrainConfig, device: torch.device) -> None:
        self.config = config
        first = Learner.new(config, device)
        self.networks = [first.network]
        for _ in range(count - 1):
            network = build_network(config.dimensions).to(device)
            _share_convolutions(network, first.network)
            self.networks.append(network)
        self.all = nn.ModuleList(self.networks)  # names a parameter once, where it is met first
        self.names = [name for name, _ in self.all.named_parameters()]
        self.optimizer = torch.optim.Adam(self.all.parameters(), lr=0.0, fused=True)
        self.learners = [
            Learner(network, self.optimizer, config.lattice_weight) for network in self.networks
        ]
        self.step = 0

    def learn(
        self, number: int, criterion: PerceptualLoss, crops: Tensor, dtype: torch.dtype
    ) -> LossTerms:
        """Make a step for one style."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.config)
        learner = self.learners[number]
        learner.step = self.step  # what noise there is, follows from it
        self.step += 1
        return training_step(learner, criterion, crops, dtype)

    def checkpoint(self) -> Checkpoint:
        """Return everything that ``restore`` needs."""
        tensors = dict(self.all.named_parameters())
        found: dict[str, Tensor] = {f"all.{name}": value for name, value in tensors.items()}
        found |= optimizer_tensors(self.optimizer, self.names)
        return Checkpoint(found, {"step": self.step})

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on where a checkpoint was made."""
        with torch.no_grad():
            for name, parameter in self.all.named_parameters():
                parameter.copy_(checkpoint.tensors[f"all.{name}"])
        restore_optimizer(self.optimizer, self.names, checkpoint.tensors)
        self.step = int(checkpoint.header["step"])

    def mean(self) -> StyleNetwork:
        """Return a network with the convolutions and the mean of the norms."""
        states = [network.state_dict() for network in self.networks]
        network = build_network(self.config.dimensions)
        network.load_state_dict(
            {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
        )
        return network


def _share_convolutions(network: StyleNetwork, other: StyleNetwork) -> None:
    """Give a network the convolutions of another one; its norms stay its own."""
    theirs = dict(other.named_modules())
    for name, module in list(network.named_modules()):
        for child in list(module._modules):
            place = f"{name}.{child}" if name else child
            if isinstance(theirs[place], nn.Conv2d):
                setattr(module, child, theirs[place])


def _write(path: Path, network: StyleNetwork, steps: int) -> None:
    halves = {name: value.half() for name, value in network_tensors(network).items()}
    dimensions = dataclasses.asdict(network.dimensions)
    save_checkpoint(path, Checkpoint(halves, {"dimensions": dimensions, "steps": steps}))


if __name__ == "__main__":
    main()

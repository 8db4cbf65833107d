"""Make nst/assets/trunk-16.safetensors: weights from which a new style is learnt soonest.

    python docs/trunk.py STYLES --data PHOTOGRAPHS --data synthetic --rounds 400

Reptile (Nichol, Achiam and Schulman, "On first-order meta-learning algorithms", 2018): each round
the network learns one of the styles for some steps, as a training would, and the trunk moves a part
of the way to where that led. Each painting stands for three styles, itself and twice with its
colours exchanged. The compact loss network measures. An interrupted run goes on from its output
file when it is called again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from nst.checkpoint import Checkpoint, load_checkpoint, load_network, network_tensors
from nst.checkpoint import save_checkpoint as save
from nst.image import find_images
from nst.loss_network import find_loss_network
from nst.losses import PerceptualLoss
from nst.runtime import choose_device, choose_precision, tune
from nst.tensors import load_style
from nst.terminal import progress, say
from nst.transformer import TransformerNet
from train.config import TrainConfig
from train.data import open_photographs
from train.feed import Crops, open_feed
from train.loop import Learner, fit
from train.reading import Reading
from train.sources import find_sources

STYLE_PX = 512
ORDERS = ((0, 1, 2), (1, 2, 0), (2, 0, 1))
"""Of red, green and blue in a painting and its copies."""
EVERY = 10
"""Rounds between files."""


def main() -> None:
    """Train the trunk and write it in half precision."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("styles", type=Path, help="a folder of paintings")
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--steps", type=int, default=25, help="of each round")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--vgg", help="another loss network than the compact one")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    device = choose_device()
    dtype = choose_precision("auto", device)
    tune(device, dtype)
    reading = Reading(announce=say, progress=progress)
    weights = find_loss_network("vgg19" if asked.vgg else "compact", asked.vgg)
    paintings = [load_style(file, STYLE_PX)[0].to(device) for file in find_images(asked.styles)]
    criteria = [
        PerceptualLoss(weights, painting[:, order], tv_weight=0.1).to(
            memory_format=torch.channels_last
        )
        for order in ORDERS
        for painting in paintings
    ]
    say(f"{len(criteria)} styles; {criteria[0].describe()}")
    config = TrainConfig(
        width=asked.width, steps=asked.steps, learning_rate=asked.learning_rate, batch=2
    )
    sources = find_sources(asked.data, shards=None, reading=reading)
    photographs = open_photographs(sources, size=config.size, reading=reading)
    feed = open_feed(photographs, Crops(batch=2, size=config.size, seed=0), device, reading.workers)
    trunk, first = _begin(asked.output, config)
    batches = feed.batches(first * asked.steps, asked.rounds * asked.steps)
    with progress("trunk", asked.rounds) as bar:
        for number in range(first, asked.rounds):
            learner = Learner.new(config, device)
            learner.network.load_state_dict(trunk)
            criterion = criteria[number % len(criteria)]
            piece = (next(batches) for _ in range(asked.steps))
            for record in fit(learner, criterion, piece, config, dtype):
                last = record
            share = 1.0 - 0.9 * number / asked.rounds
            for name, value in learner.network.state_dict().items():
                trunk[name].lerp_(value, share)
            bar.update(number + 1, f"J {float(last.terms.total):.3f}")
            if (number + 1) % EVERY == 0 or number + 1 == asked.rounds:
                _write(asked.output, trunk, config.width, number + 1)


def _begin(path: Path, config: TrainConfig) -> tuple[dict[str, torch.Tensor], int]:
    """Return the trunk so far and the rounds that it has seen."""
    if not path.is_file():
        network = Learner.new(config, torch.device("cpu")).network
        return {k: v.clone() for k, v in network.state_dict().items()}, 0
    checkpoint = load_checkpoint(path)
    network = load_network(checkpoint, source=str(path))
    return {k: v.clone() for k, v in network.state_dict().items()}, checkpoint.header["rounds"]


def _write(path: Path, trunk: dict[str, torch.Tensor], width: int, rounds: int) -> None:
    network = TransformerNet(width)
    network.load_state_dict(trunk)
    halves = {name: value.half() for name, value in network_tensors(network).items()}
    dimensions = {"network": network.dimensions.network, "width": width}
    save(path, Checkpoint(halves, {"dimensions": dimensions, "rounds": rounds}))


if __name__ == "__main__":
    main()

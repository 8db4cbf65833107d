"""Write nst/assets/trunk-NET-WIDTH.safetensors: weights from which a new style is learnt soonest.

    nst train PAINTINGS... --net swift --data PHOTOGRAPHS --init none
    python docs/trunk.py RUN -o trunk-swift-32.safetensors

RUN is a training of several styles: its convolutions are shared by all of them, and each style has
the scales and shifts of its norms for itself (Dumoulin, Shlens and Kudlur, "A learned
representation for artistic style", 2017). The trunk is those convolutions, and the mean of the
norms, in half precision.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from nst.checkpoint import Checkpoint, load_network, load_newest, network_tensors, save_checkpoint
from nst.folding import adapted
from nst.nets import build_network


def main() -> None:
    """Write the trunk of a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    checkpoint, source, _ = load_newest(asked.run)
    trained = load_network(checkpoint, source=str(source))
    trunk = build_network(trained.dimensions)
    trunk.load_state_dict(adapted(trained, 0))
    halves = {name: value.half() for name, value in network_tensors(trunk).items()}
    header = {
        "dimensions": dataclasses.asdict(trunk.dimensions),
        "steps": int(checkpoint.header["step"]),
    }
    save_checkpoint(asked.output, Checkpoint(halves, header))


if __name__ == "__main__":
    main()

"""What ``nst bench infer`` measures: a network, a size and a place to run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nst.commands.peers import halved
from nst.contract import Controls, FilePrecision, ModelInfo
from nst.dimensions import dimensions_named
from nst.nets import build_network
from nst.network import StyleNetwork
from nst.settings import Provider


@dataclass(frozen=True, slots=True, eq=False)
class Net:
    """A network that takes part."""

    name: str
    precision: FilePrecision
    data: bytes
    """The file that ours runs."""
    single: StyleNetwork
    """What the others run: the same for one style, without any control."""
    styles: tuple[str, ...]
    """Of the file, of which the first is painted; none where it has no control."""
    controls: Controls = "none"

    @property
    def style(self) -> str | None:
        """What is painted, of a file of several."""
        return self.styles[0] if self.styles else None


@dataclass(frozen=True, slots=True)
class Case:
    """A network, a size and a place to run."""

    net: Net
    height: int
    width: int
    provider: Provider

    def picture(self) -> NDArray[np.uint8]:
        """Return uint8 ``(H, W, 3)``: noise, which is as slow as any."""
        shape = self.height, self.width, 3
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    @property
    def is_divisible(self) -> bool:
        """Whether it can be painted in two styles side by side."""
        return self.net.controls == "regional" and len(self.net.styles) > 1

    def mask(self) -> NDArray[np.uint8]:
        """Return uint8 ``(H, W)``, white in the right half, where the second style is painted."""
        mask = np.zeros((self.height, self.width), np.uint8)
        mask[:, self.width // 2 :] = 255
        return mask

    def mix(self, *, is_divided: bool = False) -> NDArray[np.float32] | None:
        """Return the input ``mix`` for a file with controls: the first style, or two halves."""
        if not self.net.styles:
            return None
        from infer.mixture import Mixture, Region

        shares = np.eye(1 + len(self.net.styles), dtype=np.float32)
        halves = [Region("the right half", self.mask(), shares[2])] if is_divided else []
        mixture = Mixture(label="", ground=shares[1:2], regions=halves)
        return mixture.grid(self.height, self.width, strength=1.0, name="the picture")

    @property
    def device(self) -> torch.device:
        """Where the provider computes, as torch calls it."""
        return torch.device("cuda" if self.provider in ("cuda", "tensorrt") else "cpu")

    def torch_device(self) -> torch.device:
        """Return where torch does the same; the CPU where it has no such device."""
        return self.device if is_there(self.device) else torch.device("cpu")


def random_net(name: str, precision: FilePrecision) -> Net:
    """Return a network with random weights, as ``nst train --net`` has it.

    Raises:
        UsageError: There is no such network.
    """
    dimensions = dimensions_named(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(dimensions).eval()
    return _net(dimensions.name, precision, network, ())


def net_of(path: Path, precision: FilePrecision) -> Net:
    """Return the network of an exported file; of several styles the first is painted.

    Raises:
        ModelError: The file is no style model.
    """
    from infer.model_file import read_model
    from train.warm_start import trained_at

    checked = read_model(path)
    network = trained_at(path, lambda line: None).network.eval()
    styles = () if checked.info.controls == "none" else checked.info.styles
    if precision == "float16":
        return _net(path.name, precision, network, styles)
    controls = checked.info.controls
    return Net(path.name, precision, checked.data, _single(network), styles, controls)


def _single(network: StyleNetwork) -> StyleNetwork:
    """Return the network that paints the first style alone."""
    from nst.folding import folded

    return folded(network, torch.eye(network.styles)[0]) if network.styles else network


def _net(
    name: str, precision: FilePrecision, network: StyleNetwork, styles: tuple[str, ...]
) -> Net:
    """Trace a network as ``nst export`` does."""
    from export.to_onnx import to_model, write_info

    single = _single(network)
    controls: Controls = "regional" if styles else "none"
    if precision == "float16":
        network, single = halved(network), halved(single)
    named = styles or ("random",)
    info = ModelInfo(
        styles=named,
        style_sha256=("0" * 64,) * len(named),
        network=network.dimensions.network,
        width=network.dimensions.width,
        reach_px=network.reach_px,
        size_multiple=network.size_multiple,
        bytes_per_pixel=network.bytes_per_pixel,
        controls=controls,
        dimensions=dataclasses.asdict(network.dimensions),
    )
    data = write_info(to_model(network, controls), info)
    return Net(name, precision, data, single, styles, controls)


def is_there(device: torch.device) -> bool:
    """Whether torch has it."""
    return device.type != "cuda" or torch.cuda.is_available()

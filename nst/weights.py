"""Where the weights of VGG-19 come from, checked before use.

``find_weights`` looks at the file that was asked for, else at ``$NST_VGG19``, else at
torchvision's cache, else it downloads what torchvision offers. It never tries the next place
because one place held something damaged.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nst.download import download
from nst.errors import WeightsError, in_one_line
from nst.files import sha256_of

if TYPE_CHECKING:
    from nst.terminal import Bars

ENVIRONMENT = "NST_VGG19"
CONVOLUTIONS = tuple(
    f"conv{block}_{depth}"
    for block, depths in enumerate((2, 2, 4, 4, 4), start=1)
    for depth in range(1, depths + 1)
)
"""The sixteen convolutions of VGG-19 in order (Simonyan and Zisserman 2014, configuration E)."""

TORCHVISION_SHA256 = "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44"
"""Of torchvision's ``vgg19-dcbb9e9d.pth``, 574,673,361 bytes. PyTorch itself publishes the eight
digits in the name; the others stand, alike, in the lists of several independent projects."""

MAP = ".map"
"""What the names of ``VGGWeights.maps`` end with in a file."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_METADATA = {
    "padding": ("zeros", "reflect"),
    "pooling": ("max", "avg"),
    "ceil_mode": ("true", "false"),
    "channels": ("RGB",),
}
"""What metadata of a file may say; anything else would change the features unnoticed."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VGGWeights:
    """Weights of VGG-19 from its first layer to some layer, and how pictures enter it."""

    tensors: Mapping[str, Tensor]
    """``conv1_1.weight`` ``(N, C, 3, 3)``, ``conv1_1.bias`` ``(N,)``, ...; float32."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Subtracted from RGB in [0, 1]."""
    std: tuple[float, float, float] = IMAGENET_STD
    """Divides what remains."""
    padding: str = "zeros"
    """``zeros`` or ``reflect``."""
    pooling: str = "max"
    """``max`` or ``avg``, 2x2 with stride 2."""
    ceil_mode: bool = False
    """Whether pooling rounds odd sizes up."""
    source: str = "given tensors"
    """Where they come from, for people."""
    sha256: str = ""
    """Hash of the file, 64 hexadecimal digits."""
    name: str = "VGG-19"
    """What network it is: ``VGG-19``, or ``compact`` for one that was distilled from it."""
    maps: Mapping[str, Tensor] = field(default_factory=dict)
    """``relu1_1`` ``(N, N)``, ...: what features are multiplied with before they are compared. A
    distilled network has them, so that distances are estimates of its teacher's."""

    @property
    def convolutions(self) -> tuple[str, ...]:
        """The convolutions that are there, in order."""
        return tuple(name for name in CONVOLUTIONS if f"{name}.weight" in self.tensors)

    @property
    def deepest_layer(self) -> str:
        """The last layer that can be asked for, as in ``relu3_4``."""
        return self.convolutions[-1].replace("conv", "relu")


def find_weights(
    path: Path | str | None = None,
    *,
    announce: Callable[[str], None] | None = None,
    bars: Bars | None = None,
) -> VGGWeights:
    """Return the weights of VGG-19 from the first place that is named.

    Args:
        path: A safetensors file or a state_dict; None for ``$NST_VGG19``, then torchvision's.
        announce: Told before a download starts, with its size and target.
        bars: Shows the advance of a download, as ``nst.terminal.progress`` does.

    Raises:
        WeightsError: The file is missing, damaged, not VGG-19, or cannot be downloaded.
        OutputError: The download cannot be written.
    """
    if path is None:
        path = os.environ.get(ENVIRONMENT) or None
    if path is None:
        return load_weights(torchvision_file(announce=announce, bars=bars))
    return load_weights(Path(path))


def load_weights(path: Path) -> VGGWeights:
    """Read VGG-19 weights from a safetensors file or a state_dict.

    Keys are ours (``conv1_1.weight``) or torchvision's (``features.0.weight``). The file may stop
    at any layer. Metadata of a safetensors file may carry ``mean``, ``std``, ``padding``,
    ``pooling`` and ``ceil_mode``.

    Raises:
        WeightsError: The file is missing, damaged or not VGG-19.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(
            f"{path}: no such file; give VGG-19 weights with --vgg or ${ENVIRONMENT}"
        )
    if path.suffix == ".safetensors":
        state, metadata = _read_safetensors(path)
    else:
        state, metadata = _read_state_dict(path), {}
    maps = {key.removesuffix(MAP): state.pop(key) for key in sorted(state) if key.endswith(MAP)}
    tensors = _check_layers(_rename(state), path)
    return VGGWeights(
        tensors=tensors,
        name=metadata.get("name", "VGG-19"),
        maps=_check_maps(maps, tensors, path),
        source=str(path),
        sha256=sha256_of(path),
        **_preprocessing(metadata, path),
    )


def torchvision_url() -> str:
    """Return the address of torchvision's ``VGG19_Weights.IMAGENET1K_V1``."""
    from torchvision.models import VGG19_Weights

    return str(VGG19_Weights.IMAGENET1K_V1.url)


def torchvision_file(
    *, announce: Callable[[str], None] | None = None, bars: Bars | None = None
) -> Path:
    """Return torchvision's weights file from its cache, downloaded first when it is not there.

    The file name carries the first eight digits of its SHA-256. All 64 of ``TORCHVISION_SHA256``
    are checked in both cases, the eight only if torchvision should offer another file one day.

    Raises:
        WeightsError: The download fails, or the file in the cache is damaged.
        OutputError: The download cannot be written.
    """
    url = torchvision_url()
    target = torchvision_cache() / url.rsplit("/", 1)[-1]
    expected = _hash_prefix(target.name)
    if TORCHVISION_SHA256.startswith(expected):
        expected = TORCHVISION_SHA256
    if not target.is_file():
        if announce is not None:
            announce(f"VGG-19: downloading 548 MB from {url} to {target}")
        download(url, target, sha256=expected, bars=bars)
    elif not sha256_of(target).startswith(expected):
        raise WeightsError(
            f"{target}: damaged, its SHA-256 does not start with {expected[:8]}; delete it"
        )
    return target


def torchvision_cache() -> Path:
    """Return the folder in which torchvision keeps its weights."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def _hash_prefix(name: str) -> str:
    match = re.search(r"-([0-9a-f]{8,})\.", name)
    if match is None:
        raise WeightsError(f"{name}: torchvision's file name carries no hash to check")
    return match.group(1)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: damaged or no safetensors file ({error})") from None


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    try:
        # torchvision's own file is of the format before zip, which cannot be mapped into memory.
        can_be_mapped = zipfile.is_zipfile(path)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=can_be_mapped)
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise WeightsError(f"{path}: cannot be read as a state_dict ({reason})") from None
    is_state = isinstance(state, Mapping) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    )
    if not is_state:
        raise WeightsError(f"{path}: holds no state_dict of tensors")
    return dict(state)


def _rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give torchvision's keys our names: ``features.0`` is conv1_1, each pooling layer counts."""
    names = {}
    index = 0
    for block, depths in enumerate((2, 2, 4, 4, 4), start=1):
        for depth in range(1, depths + 1):
            names[f"features.{index}"] = f"conv{block}_{depth}"
            index += 2  # a convolution and its ReLU
        index += 1  # the pooling layer
    renamed = {}
    for key, tensor in state.items():
        layer, _, kind = key.rpartition(".")
        renamed[f"{names.get(layer, layer)}.{kind}"] = tensor
    return renamed


def _check_layers(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Keep the convolutions from conv1_1 on without a gap, and check that they fit together."""
    kept: dict[str, Tensor] = {}
    channels = 3
    for name in CONVOLUTIONS:
        weight, bias = tensors.get(f"{name}.weight"), tensors.get(f"{name}.bias")
        if weight is None or bias is None:
            break
        if weight.shape[1:] != (channels, 3, 3) or bias.shape != weight.shape[:1]:
            raise WeightsError(
                f"{path}: {name} has weights {tuple(weight.shape)} and {tuple(bias.shape)},"
                f" not (N, {channels}, 3, 3) and (N,)"
            )
        if not (weight.isfinite().all() and bias.isfinite().all()):
            raise WeightsError(f"{path}: {name} holds values that are not finite")
        if not weight.is_floating_point() or not weight.any():
            raise WeightsError(f"{path}: {name} holds no weights, they are whole numbers or all 0")
        kept[f"{name}.weight"] = weight.float().contiguous()
        kept[f"{name}.bias"] = bias.float().contiguous()
        channels = weight.shape[0]
    if not kept:
        raise WeightsError(
            f"{path}: no VGG-19 weights in it (neither conv1_1.weight nor features.0.weight)"
        )
    later = {key for key in tensors if key.split(".")[0] in CONVOLUTIONS} - set(kept)
    if later:
        raise WeightsError(f"{path}: layers are missing before {min(later)}")
    return kept


def _check_maps(
    maps: Mapping[str, Tensor], tensors: Mapping[str, Tensor], path: Path
) -> dict[str, Tensor]:
    for layer, matrix in maps.items():
        conv = tensors.get(layer.replace("relu", "conv") + ".weight")
        if conv is None or matrix.shape != (len(conv), len(conv)) or not matrix.isfinite().all():
            raise WeightsError(f"{path}: {layer}{MAP} does not belong to a layer that is there")
    return {layer: matrix.float().contiguous() for layer, matrix in maps.items()}


def _preprocessing(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    """Read mean, std, padding, pooling and ceil_mode from a file's metadata."""
    # "max", or in words: "max 2x2 stride 2, ceil_mode"
    pooling, _, words = metadata.get("pooling", "max").partition(" ")
    found: dict[str, Any] = {
        "padding": metadata.get("padding", "zeros"),
        "pooling": pooling.strip(","),
        "ceil_mode": metadata.get("ceil_mode", str("ceil_mode" in words)).lower(),
        "channels": metadata.get("channels", "RGB"),
    }
    for key, value in found.items():
        if value not in _METADATA[key]:
            allowed = " or ".join(_METADATA[key])
            raise WeightsError(f"{path}: metadata {key} is {value!r}, not {allowed}")
    del found["channels"]
    found["ceil_mode"] = found["ceil_mode"] == "true"
    for key in ("mean", "std"):
        if key in metadata:
            found[key] = _three_numbers(metadata[key], f"{path}: metadata {key}")
    if min(found.get("std", IMAGENET_STD)) <= 0:
        raise WeightsError(f"{path}: metadata std is {metadata['std']}; pictures are divided by it")
    return found


def _three_numbers(text: str, what: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in json.loads(text))
    except (ValueError, TypeError, OverflowError, RecursionError):
        numbers = ()
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        raise WeightsError(f"{what} is {in_one_line(text[:40])}, not three finite numbers")
    return numbers


def hash_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return one SHA-256 over names, shapes, dtypes and bytes of tensors, in order of names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

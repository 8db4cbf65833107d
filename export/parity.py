"""Whether ONNX Runtime paints what torch paints, at sizes that were not traced.

A valid graph can still be a wrong one. So the file is run as a reader runs it, bytes in and bytes
out, and compared with the network between the conversions of ``nst.tensors``, which share
nothing with those in the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from nst.contract import INPUT, MIX, OUTPUT, TEXTURE, Controls
from nst.errors import ParityError
from nst.network import StyleNetwork
from nst.ort import create_session
from nst.tensors import to_tensor, to_uint8

TOLERANCE = 1
"""Grey levels of 255. Float sums in another order land on the other side of a half here and there,
at one value in a thousand; a real fault is off by far more."""

FLAT_TOLERANCE = 8
"""Of a picture of one colour. Each norm divides what rounding has left there by the root of its
eps, three hundred times as much at every one; what comes out follows from the order of sums, which
is another one on another processor."""


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison: how many pictures, of which size, showing what."""

    batch: int
    height: int
    width: int
    content: Literal["noise", "photograph"]
    texture: float = 1.0
    """What the noise of the network is multiplied by."""
    style: int | None = None
    """The only style, of a network that mixes several; None for a mix that is drawn."""

    @property
    def tolerance(self) -> int:
        """Grey levels by which values may differ; of the photograph alone none."""
        if self.style == ORIGINAL:
            return 0
        return FLAT_TOLERANCE if self.height == self.width == 1 else TOLERANCE


CASES = (
    Case(1, 1, 1, "noise"),
    Case(1, 5, 5, "noise"),
    Case(1, 17, 23, "photograph"),
    Case(1, 98, 131, "noise"),
    Case(3, 60, 44, "photograph"),
    Case(1, 479, 641, "noise"),
    Case(1, 720, 1280, "photograph"),
)
"""From the least size to a video's; sides of every remainder by 4, and a batch."""


CALMER = Case(1, 75, 102, "photograph", texture=0.5)
"""One more, for networks that have noise."""
AGAINST = "against"
"""Key of an entry of the receipt that compares with something else than torch."""
ORIGINAL = -1
"""In place of a style: nothing but the photograph, which must come back as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """The outcome of one case."""

    shape: tuple[int, int, int, int]
    """``(N, H, W, 3)``."""
    content: str
    """``noise`` or ``photograph``."""
    max_grey_levels: int
    """The largest difference, 0 to 255."""
    values_off: int
    """How many values differ at all."""
    values: int
    """How many values there are."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the receipt in the model's metadata."""
        return asdict(self) | {"shape": list(self.shape)}


def check_parity(
    network: StyleNetwork,
    model: bytes,
    cases: Sequence[Case] = CASES,
    *,
    controls: Controls = "none",
    source: str,
) -> tuple[Parity, ...]:
    """Run both on the same pictures and compare every value.

    Args:
        network: What was exported; in evaluation mode, on the CPU.
        model: The ONNX file's content.
        cases: What to compare; besides them, every style alone and the photograph alone.
        controls: Of the file.
        source: What to call the model in an error.

    Raises:
        ParityError: An output has another size or type, or is off by more than its tolerance.
    """
    session = create_session(model, ["CPUExecutionProvider"])
    receipt = []
    for case, inputs in feeds_of(network, cases, controls):
        images = inputs[INPUT]
        texture, mix = (
            torch.from_numpy(inputs[name]) if name in inputs else None for name in (TEXTURE, MIX)
        )
        with torch.inference_mode():
            expected = to_uint8(network(to_tensor(images), texture, mix=mix))
        if case.style == ORIGINAL:
            expected = images
        (painted,) = session.run([OUTPUT], inputs)
        parity = _compare(painted, expected, case, source)
        if parity.max_grey_levels > case.tolerance:
            raise ParityError(
                f"{source}: not exported, ONNX Runtime is {parity.max_grey_levels} grey levels off"
                f" torch at {_size(*parity.shape)} ({parity.values_off:,} of {parity.values:,}"
                f" values differ, allowed: {case.tolerance});"
                " try other versions of torch and onnxruntime"
            )
        receipt.append(parity)
    return tuple(receipt)


def feeds_of(
    network: StyleNetwork, cases: Sequence[Case], controls: Controls
) -> Iterator[tuple[Case, dict[str, NDArray[Any]]]]:
    """Yield each case with what a file is given in it, by name; then every style and the original.

    Args:
        network: What was exported.
        cases: What to compare.
        controls: Of the file.
    """
    more = [CALMER] if network.noise is not None else []
    if network.styles:
        pure = replace(CALMER, texture=1.0)
        more += [replace(pure, style=number) for number in range(-1, network.styles)]
    for number, case in enumerate((*cases, *more)):
        inputs: dict[str, NDArray[Any]] = {INPUT: picture(case, seed=number)}
        if case.texture != 1:
            inputs[TEXTURE] = np.array([case.texture], np.float32)
        if network.styles:
            inputs[MIX] = _mix(case, network.styles, controls, seed=number)
        yield case, inputs


def summary(receipt: Sequence[Mapping[str, Any]]) -> str:
    """Say in one line what the receipt in a model's metadata says of torch."""
    receipt = [entry for entry in receipt if AGAINST not in entry]
    worst = max(entry["max_grey_levels"] for entry in receipt)
    line = f"parity: {len(receipt)} sizes, "
    if worst == 0:
        return line + "no value differs from torch"
    largest = max(receipt, key=lambda entry: int(entry["values"]))
    return (
        f"{line}at most {worst} grey level{'s' * (worst > 1)} off torch"
        f" ({_size(*largest['shape'])}: {largest['values_off']:,} of {largest['values']:,}"
        " values differ)"
    )


def picture(case: Case, *, seed: int) -> NDArray[np.uint8]:
    """Return the pictures of a case, RGB, uint8 ``(N, H, W, 3)``; the same seed, the same pictures.

    ``photograph`` has what a photograph has: slopes, edges, flat and blown-out parts, grain.
    """
    random = np.random.default_rng(seed)
    shape = (case.batch, case.height, case.width, 3)
    if case.content == "noise":
        return random.integers(0, 256, shape, dtype=np.uint8)
    rows = np.linspace(0, 1, case.height)[:, None, None]
    columns = np.linspace(0, 1, case.width)[None, :, None]
    images = np.empty(shape, dtype=np.uint8)
    for image in images:
        tones, slopes = random.uniform(40, 160, 3), random.uniform(-200, 200, (2, 3))
        light = tones + slopes[0] * rows + slopes[1] * columns  # (H, W, 3)
        for y, x, radius in random.uniform(0, 1, (6, 3)):
            disc = (rows - y) ** 2 + (columns - x) ** 2 < (radius / 4) ** 2
            light = np.where(disc, random.uniform(0, 255, 3), light)
        grain = random.normal(0, 3, light.shape)
        image[:] = np.clip(light + grain, 0, 255)
    return images


def _mix(case: Case, styles: int, controls: Controls, *, seed: int) -> NDArray[np.float32]:
    """Return the mix of a case: one style, or one that is drawn, for all pictures or for each."""
    if case.style is not None:
        return np.eye(styles + 1, dtype=np.float32)[None, 1 + case.style, :, None, None]
    random = np.random.default_rng(seed)
    grid = tuple(random.integers(1, 9, 2)) if controls == "regional" else (1, 1)
    drawn = random.random((int(random.choice([1, case.batch])), styles + 1, *grid))
    is_absent = random.random(drawn.shape) < 0.3  # here and there all of them: the photograph
    return np.where(is_absent, 0, drawn).astype(np.float32)


def _compare(painted: NDArray[Any], expected: NDArray[np.uint8], case: Case, source: str) -> Parity:
    shape = (case.batch, case.height, case.width, 3)
    if painted.shape != shape or expected.shape != shape or painted.dtype != np.uint8:
        raise ParityError(
            f"{source}: not exported, pictures of shape {shape} come back as {painted.dtype}"
            f" {painted.shape} from ONNX Runtime and {expected.shape} from torch"
        )
    off = np.abs(painted.astype(np.int16) - expected)
    return Parity(
        shape=shape,
        content=case.content,
        max_grey_levels=int(off.max()),
        values_off=int(np.count_nonzero(off)),
        values=off.size,
    )


def _size(n: int, height: int, width: int, _channels: int) -> str:
    return f"{width}x{height} px" if n == 1 else f"{n} pictures of {width}x{height} px"

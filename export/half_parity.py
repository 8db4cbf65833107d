"""How near a float16 model paints to its float32 one, in dB; too far is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from export.half import rounded_twin
from export.parity import AGAINST, CASES, ORIGINAL, Case, feeds_of
from nst.contract import OUTPUT, Controls
from nst.errors import ParityError
from nst.network import StyleNetwork
from nst.ort import create_session

LEAST_DB = 45.0
"""Peak signal-to-noise ratio below which nothing is written. There the difference is 1.4 grey
levels in root mean square; trained networks reach 60 to 70 dB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfParity:
    """The outcome of one photograph."""

    shape: tuple[int, int, int, int]
    """``(N, H, W, 3)``."""
    psnr_db: float | None
    """Of the float16 painting against the float32 one, both rounded to bytes; None where no value
    differs."""
    max_grey_levels: int
    """The largest difference, 0 to 255."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the receipt in the model's metadata."""
        return asdict(self) | {"shape": list(self.shape), AGAINST: "float32"}


def check_half(
    network: StyleNetwork,
    model: ModelProto,
    half: ModelProto,
    cases: Sequence[Case] = CASES,
    *,
    controls: Controls = "none",
    source: str,
) -> tuple[HalfParity, ...]:
    """Run both on the photographs of the parity cases and compare.

    The float16 file runs twice, as it is and as its ``rounded_twin``, which rounds as a GPU does;
    the worse of the two counts.

    Args:
        network: What was exported, for the cases.
        model: The float32 model, compared with torch already.
        half: The float16 model.
        cases: What to compare; of these the photographs, and every style alone.
        controls: Of the file.
        source: What to call the model in an error.

    Raises:
        ParityError: One of them is below ``LEAST_DB``.
    """
    exact, *halves = (
        create_session(each.SerializeToString(), ["CPUExecutionProvider"])
        for each in (model, half, rounded_twin(half))
    )
    receipt = []
    for case, inputs in feeds_of(network, cases, controls):
        if case.content != "photograph":
            continue
        (expected,) = exact.run([OUTPUT], inputs)
        found = [_compare(session.run([OUTPUT], inputs)[0], expected) for session in halves]
        worst = min(found, key=lambda parity: _decibels(parity.psnr_db))
        # The photograph alone must come back as it is.
        least = math.inf if case.style == ORIGINAL else LEAST_DB
        if _decibels(worst.psnr_db) < least:
            n, height, width, _ = worst.shape
            pictures = "" if n == 1 else f"{n} pictures of "
            raise ParityError(
                f"{source}: not exported, in float16 it is {worst.psnr_db} dB from float32 at"
                f" {pictures}{width}x{height} px ({LEAST_DB:g} are needed); export it with"
                " --precision float32"
            )
        receipt.append(worst)
    return tuple(receipt)


def summary_of_half(receipt: Sequence[Mapping[str, Any]]) -> str:
    """Say in one line what the receipt in a model's metadata says of float16; or nothing."""
    entries = [entry for entry in receipt if entry.get(AGAINST) == "float32"]
    if not entries:
        return ""
    least = min(_decibels(entry["psnr_db"]) for entry in entries)
    if least == math.inf:
        return f"float16: {len(entries)} photographs, no value differs from float32"
    return f"float16: {len(entries)} photographs, at least {least:.1f} dB against float32"


def psnr_db(painted: NDArray[np.uint8], expected: NDArray[np.uint8]) -> float:
    """Return the peak signal-to-noise ratio of bytes, dB; infinite where no value differs."""
    error = float(np.mean((painted.astype(np.float64) - expected) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


def _compare(painted: NDArray[np.uint8], expected: NDArray[np.uint8]) -> HalfParity:
    ratio = psnr_db(painted, expected)
    n, height, width, colors = painted.shape
    off = np.abs(painted.astype(np.int16) - expected)
    return HalfParity(
        shape=(n, height, width, colors),
        psnr_db=None if ratio == math.inf else round(ratio, 1),
        max_grey_levels=int(off.max()),
    )


def _decibels(ratio: float | None) -> float:
    return math.inf if ratio is None else ratio

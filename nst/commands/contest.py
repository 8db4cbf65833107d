"""The contest of ``nst bench train``: our step and the plain loop that everybody copies.

The plain side is given our layers, scales and Gram matrices so that only the way of computing
differs.
"""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from nst.commands.feed_rates import noise_photographs
from nst.commands.plain_loop import PlainLoop, random_vgg
from nst.losses import PerceptualLoss
from nst.presets import find_preset
from nst.runtime import choose_precision, tune, wait_for, why_no_compiler
from nst.settings import Precision
from nst.tensors import to_tensor
from train.config import TrainConfig
from train.feed import Crops, open_feed
from train.learner import Learner
from train.loop import compile_step, fit, training_step

STYLE_PX = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What both sides are given."""

    size: int
    """Side of the crops, px."""
    batch: int
    width: int
    preset: str
    device: str
    precision: Precision = "auto"
    """Of our side; the plain loop is float32."""

    def crops(self) -> NDArray[np.uint8]:
        """Return the pictures of a step, uint8 ``(B, S, S, 3)``: noise, which is as slow as any."""
        shape = (self.batch, self.size, self.size, 3)
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    def style(self) -> Tensor:
        """Return the style image, RGB in [0, 1], ``(1, 3, 512, 512)``."""
        shape = (STYLE_PX, STYLE_PX, 3)
        noise = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
        return to_tensor(noise, self.device)


class OurSide:
    """Our step, from uint8 crops to updated weights, as ``nst train`` makes it."""

    compile_mode: str | None = None

    def __init__(self, setting: Setting) -> None:
        self.device = torch.device(setting.device)
        self.dtype = choose_precision(setting.precision, self.device)
        tune(self.device, self.dtype)
        self.config = TrainConfig(
            net="johnson",
            width=setting.width,
            size=setting.size,
            batch=setting.batch,
            steps=1000,
            lattice_weight=0.0,  # the plain loop has none
        )
        self.learner = Learner.new(self.config, self.device)
        for group in self.learner.optimizer.param_groups:
            group["lr"] = self.config.peak_rate
        preset = find_preset(setting.preset)
        criterion = PerceptualLoss(random_vgg(), setting.style(), preset=preset)
        self.criterion = criterion.to(memory_format=torch.channels_last)
        self.crops = torch.from_numpy(setting.crops())
        if self.device.type == "cuda" and not why_no_compiler(self.device):  # as --compile auto
            compile_step(self.learner, self.criterion, mode=self.compile_mode)

    def step(self) -> None:
        """Make one step."""
        crops = self.crops.to(self.device, non_blocking=True)
        training_step(self.learner, self.criterion, crops, self.dtype)


class GraphSide(OurSide):
    """The same with CUDA graphs, which spare the time of launching kernels."""

    compile_mode = "reduce-overhead"


class PlainSide:
    """The step of the plain loop, from uint8 crops to updated weights."""

    def __init__(self, setting: Setting) -> None:
        self.device = torch.device(setting.device)
        self.plain = PlainLoop(
            random_vgg(), setting.style(), width=setting.width, preset=setting.preset
        ).to(self.device)
        self.crops = setting.crops()

    def step(self) -> None:
        """Make one step."""
        crops = torch.from_numpy(self.crops).permute(0, 3, 1, 2)
        self.plain.step(crops.to(self.device))


PLAIN = "plain loop"
GRAPHS = "nst graphs"
SIDES: dict[str, type[OurSide] | type[PlainSide]] = {
    PLAIN: PlainSide,
    "nst": OurSide,
    GRAPHS: GraphSide,
}


def run_round(
    sides: Sequence[tuple[str, Precision]], setting: Setting, steps: int
) -> list[dict[str, Any]]:
    """Let all sides make their steps in turns.

    Args:
        sides: Names and precisions, the plain loop first.
        setting: What all are given.
        steps: Steps of each that are counted; one more warms up.

    Returns:
        For each side its figures by name.
    """
    seconds: list[list[float]] = [[] for _ in sides]
    with ExitStack() as stack:
        contestants = [
            stack.enter_context(
                closing(Contestant(name, dataclasses.replace(setting, precision=precision)))
            )
            for name, precision in sides
        ]
        flops = [contestant.count_flops() for contestant in contestants]
        for _ in range(steps):
            for times, contestant in zip(seconds, contestants, strict=True):
                times.append(contestant.step())
    rows = []
    for (name, precision), times, count in zip(sides, seconds, flops, strict=True):
        median = statistics.median(times)
        ratios = [plain / own for plain, own in zip(seconds[0], times, strict=True)]
        rows.append(
            {
                "side": name,
                "precision": precision,
                "batch": setting.batch,
                "seconds": times,
                "median_s": median,
                "images_per_s": setting.batch / median,
                "flops": count,
                "flops_per_s": count / median,
                "ratios": ratios,
                "ratio": statistics.median(ratios),
            }
        )
    return rows


class Contestant:
    """One side in a process of its own, so that neither changes how the other one runs."""

    def __init__(self, name: str, setting: Setting) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, name, setting), daemon=True)
        self._process.start()
        there.close()

    def count_flops(self) -> int:
        """Make one step, which warms up, and return its floating point operations.

        Convolutions and matrix products are counted, a multiplication and an addition as two.
        """
        return int(self._ask("count"))

    def step(self) -> float:
        """Make one step and return its seconds."""
        return self._ask("step")

    def close(self) -> None:
        """End the process."""
        self._here.close()
        self._process.join(timeout=60)

    def _ask(self, what: str) -> float:
        self._here.send(what)
        answer: float = self._here.recv()
        return answer


def _serve(connection: Connection, name: str, setting: Setting) -> None:
    side = SIDES[name](setting)
    while True:
        try:
            what = connection.recv()
        except EOFError:
            return
        connection.send(count_flops(side) if what == "count" else time_step(side))


def time_step(side: OurSide | PlainSide) -> float:
    """Make one step and return its seconds."""
    return seconds_of(side.step, side.device)


def seconds_of(run: Callable[[], object], device: torch.device) -> float:
    """Call something once and return its seconds, until the device has finished."""
    started_at = time.perf_counter()
    run()
    wait_for(device)
    return time.perf_counter() - started_at


def count_flops(side: OurSide | PlainSide) -> int:
    """Make one step and return its floating point operations."""
    with FlopCounterMode(display=False) as counter:
        side.step()
    return int(counter.get_total_flops())


def matrix_rate(device: torch.device, precision: Precision) -> float:
    """Return the floating point operations a second of a big matrix product, the best of ten."""
    dtype = choose_precision(precision, device)
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.rand(side, side, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(10):
        started_at = time.perf_counter()
        a @ b
        wait_for(device)
        seconds.append(time.perf_counter() - started_at)
    return 2 * side**3 / min(seconds)


def profile_step(setting: Setting) -> str:
    """Return a table of the kernels of our step, those that take longest first."""
    side = OurSide(setting)
    activities = [torch.profiler.ProfilerActivity.CPU]
    if side.device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    side.step()
    with torch.profiler.profile(activities=activities) as profiler:
        time_step(side)
    order = f"self_{side.device.type}_time_total"
    table: str = profiler.key_averages().table(sort_by=order, row_limit=25)
    return table


def measure_views(setting: Setting, views: int) -> float:
    """Return the seconds of so many views by our side, the data path included.

    256 photographs of noise are repeated; one step more warms up and compiles.
    """
    side = OurSide(setting)
    crops = Crops(batch=setting.batch, size=setting.size, seed=0)
    photographs = noise_photographs(setting.size)
    feed = open_feed(photographs, crops, side.device, os.cpu_count() or 1)
    batches = feed.batches(0, 1 + math.ceil(views / setting.batch))
    records = fit(side.learner, side.criterion, batches, side.config, side.dtype)
    next(records).terms.total.item()  # waits for the device
    started_at = time.perf_counter()
    for record in records:
        last = record
    last.terms.total.item()
    return time.perf_counter() - started_at


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Return what the figures depend on."""
    name = platform.processor() or platform.machine()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return {
        "device": f"{device.type}: {name}",
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }

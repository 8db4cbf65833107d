"""The search of ``nst bench nets``: networks trained for the same time, judged and timed.

What is done is written down after every training, so that a search that was broken off goes on.
"""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nst.appraisal import Yardstick
from nst.commands.subject import open_subject
from nst.commands.verdict import SPEED_PX, judge_subject
from nst.config import JudgingConfig
from nst.dimensions import dimensions_named
from nst.errors import UsageError
from nst.files import atomic_write, sha256_of
from nst.interrupt import Stopped
from nst.losses import PerceptualLoss
from nst.runtime import choose_device
from nst.settings import LossNetwork
from nst.tensors import load_style, to_uint8
from nst.terminal import progress, say
from nst.weights import find_weights

CANDIDATES = (
    "johnson:width=32",
    "johnson:width=16",
    "johnson:width=8",
    "johnson:width=16,noise=0.5",
    "swift",
    "swift:noise=0",
    "swift:noise=0,head=shuffle,kernel=12",
    "swift:head=shuffle,kernel=12",
    "swift:head=half,kernel=12",
    "swift:head=resize,kernel=12",
    "swift:kernel=12",
    "swift:width=24",
    "swift:width=48",
    "swift:blocks=3",
    "swift:blocks=6",
    "swift:norms=1",
    "swift:width=48,block=depthwise",
    "swift:width=48,block=grouped",
    "swift:width=64,factor=8,kernel=16",
    "swift:width=16,factor=2,kernel=4",
)
"""What is tried when no network is named."""
RESULTS = "nets.json"
ROUNDS, WARM, RUNS = 6, 3, 8
"""How often each network is loaded, in turns; its runs before the timed ones, and those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What all networks are given."""

    styles: Sequence[Path]
    data: Sequence[str]
    photographs: Mapping[str, Path]
    """That judge, by name."""
    folder: Path
    minutes: float | None
    """Of a network's first training, whose steps those for other styles have; or ``steps``."""
    steps: int | None
    loss_network: LossNetwork
    vgg: str | None
    """VGG-19 weights, which judge; and train, where ``loss_network`` is vgg19."""
    device: str
    seed: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """One network trained for one style."""

    net: str
    style: str
    steps: int
    images: int
    seconds: float
    """Of the training, with planning and previews."""
    parameters: int
    total: float
    style_term: float
    content: float
    grid: float | None
    """Highest peak of a lattice where photographs are flat, over the style image's; None where no
    photograph is."""
    warping: float
    """Warping error under known motion, grey levels."""


class Search:
    """Networks and styles, one training for each pair."""

    def __init__(self, nets: Sequence[str], plan: Plan) -> None:
        from train.reading import Reading

        self.plan = plan
        self.nets = [dimensions_named(net).name for net in nets]
        self.reading = Reading(announce=say, progress=progress)
        self.device = choose_device(plan.device)
        self.weights = find_weights(plan.vgg, announce=say, bars=progress)
        self.results = plan.folder / RESULTS
        self.setting = {
            "minutes": plan.minutes,
            "steps": plan.steps,
            "loss_network": plan.loss_network,
            "seed": plan.seed,
            "data": list(plan.data),
            "vgg_sha256": self.weights.sha256,
            "photographs": sorted(plan.photographs),
        }
        self.styles = {path.stem: sha256_of(path) for path in plan.styles}
        self._known: dict[str, str] = {}
        self._all = self._read()

    @property
    def outcomes(self) -> list[Outcome]:
        """What is done of the styles that are asked for."""
        return [outcome for outcome in self._all if outcome.style in self.styles]

    def run(self) -> None:
        """Train and judge what has not been yet.

        Raises:
            Stopped: A signal came; the training that it broke off begins anew next time.
        """
        for style in self.plan.styles:
            yardstick = self._yardstick(style)
            for net in self.nets:
                if any((o.net, o.style) == (net, style.stem) for o in self.outcomes):
                    continue
                say(f"{net} learns {style.stem}")
                self._all.append(self._outcome(net, style, yardstick))
                self._write()

    def model(self, net: str) -> Path:
        """Return the exported model of a network, of whichever style."""
        return self._file(net, self.plan.styles[0])

    def time(self) -> dict[str, float]:
        """Return the time of a painting at 640x360 on the CPU, ms, by network.

        Plain ONNX Runtime with its defaults, uint8 to uint8; the median of some runs in the best of
        several rounds, since what disturbs a computer only ever makes it slower. Only one is loaded
        at a time: the threads of the others would wait in a loop and take its processors.
        """
        picture = np.random.default_rng(0).integers(0, 256, (1, *SPEED_PX, 3), dtype=np.uint8)
        times = dict.fromkeys(self.nets, math.inf)
        with progress("timing, rounds", ROUNDS) as bar:
            for done in range(1, ROUNDS + 1):
                for net in self.nets:
                    found = statistics.median(_times_of(self.model(net), picture))
                    times[net] = min(times[net], 1000 * found)
                bar.update(done)
        return times

    def _outcome(self, net: str, style: Path, yardstick: Yardstick) -> Outcome:
        """Train one network, export and judge it."""
        from export.cli import export_checkpoint
        from train.cli import run_session
        from train.config import TrainConfig
        from train.setup import new_session

        plan, model = self.plan, self._file(net, style)
        steps = plan.steps or self._steps_of(net)
        config = TrainConfig(
            net=net,
            minutes=plan.minutes if steps is None else None,
            steps=steps,
            seed=plan.seed,
            loss_network=plan.loss_network,
            vgg=plan.vgg if plan.loss_network == "vgg19" else None,
            device=plan.device,
            init="none",
        )
        started_at = time.perf_counter()
        session = new_session([style], plan.data, config, runs=model.parent, reading=self.reading)
        try:
            run_session(session)
        except Stopped:
            reason = "stopped; the same command goes on with this network"
            raise Stopped(reason, session.stopped_by) from None
        seconds = time.perf_counter() - started_at
        export_checkpoint(session.run.folder, model, overwrite=True)
        verdict = judge_subject(
            open_subject(model, plan.photographs, provider="cpu", style=style),
            plan.photographs,
            yardstick,
            JudgingConfig(),
            announce=lambda line: None,
            bars=progress,
        )
        say(f"{net}, {style.stem}: {verdict.line}")
        mean, found = verdict.mean, verdict.values["mean"]
        network = session.learner.network
        return Outcome(
            net=net,
            style=style.stem,
            steps=session.learner.step,
            images=session.learner.step * session.batch,
            seconds=seconds,
            parameters=sum(p.numel() for p in network.parameters()),
            total=mean.total,
            style_term=mean.style,
            content=mean.content,
            grid=found["texture"]["grid"] if found["texture"] else None,
            warping=found["steadiness"]["mean"],
        )

    def _steps_of(self, net: str) -> int | None:
        """Return how many steps fitted into the time when the network learned another style.

        A step takes equally long for every style, and a computer is not equally fast at every hour.
        """
        return next((outcome.steps for outcome in self._all if outcome.net == net), None)

    def _yardstick(self, style: Path) -> Yardstick:
        image, _ = load_style(style, JudgingConfig().style_size)
        criterion = PerceptualLoss(self.weights, image.to(self.device))
        return Yardstick(criterion, to_uint8(image)[0])

    def _file(self, net: str, style: Path) -> Path:
        return self.plan.folder / net.replace(":", "-").replace("=", "-") / f"{style.stem}.onnx"

    def _read(self) -> list[Outcome]:
        if not self.results.is_file():
            return []
        found = json.loads(self.results.read_text("utf-8"))
        others = found["setting"].pop("styles")
        known = others | self.styles == self.styles | others
        if not known or found["setting"] != json.loads(json.dumps(self.setting)):
            raise UsageError(
                f"{self.results} is of a search with other settings; name another --out"
            )
        self._known = others
        return [Outcome(**values) for values in found["outcomes"]]

    def _write(self) -> None:
        values = {
            "setting": {**self.setting, "styles": self._known | self.styles},
            "outcomes": [dataclasses.asdict(outcome) for outcome in self._all],
        }
        self.results.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.results) as file:
            file.write(json.dumps(values, indent=1).encode())


def rows_of(
    nets: Sequence[str], outcomes: Sequence[Outcome], ms: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Put together what was found for each network, the fastest first.

    Time and speed of training are those of its first style.
    """
    rows = []
    for net in nets:
        own = [outcome for outcome in outcomes if outcome.net == net]
        grids = [outcome.grid for outcome in own if outcome.grid is not None]
        rows.append(
            {
                "net": net,
                "parameters": own[0].parameters,
                "ms": ms[net],
                "minutes": own[0].seconds / 60,
                "images_per_s": own[0].images / own[0].seconds,
                "total": {o.style: o.total for o in own},
                "style": {o.style: o.style_term for o in own},
                "content": {o.style: o.content for o in own},
                "mean_total": statistics.mean(o.total for o in own),
                "grid": statistics.mean(grids) if grids else None,
                "warping": statistics.mean(o.warping for o in own),
            }
        )
    return sorted(rows, key=lambda row: row["ms"])


def _times_of(model: Path, picture: NDArray[np.uint8]) -> list[float]:
    """Load a model as everybody does and return the seconds of a few runs."""
    import onnxruntime

    from nst.contract import INPUT

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    times = []
    for _ in range(WARM + RUNS):
        started_at = time.perf_counter()
        session.run(None, {INPUT: picture})
        times.append(time.perf_counter() - started_at)
    return times[WARM:]

"""Several processes on one training. Truth: one process that takes the whole batch itself."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nst.checkpoint import load_checkpoint
from nst.errors import UsageError
from train.distributed import Ranks

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = ("--width", "8", "--size", "64", "--batch", "4", "--style-size", "64", "--device", "cpu")

PARTS = """
import sys
import numpy as np
import torch
from nst.losses import PerceptualLoss
from nst.tensors import load_style
from nst.weights import find_weights
from train.config import TrainConfig
from train.distributed import joined_ranks, parallelize
from train.learner import Learner
from train.loop import backward, fit

vgg, style, out = sys.argv[1:4]
crops = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (10, 4, 64, 64, 3), np.uint8))
config = TrainConfig(width=8, size=64, batch=4, steps=10, learning_rate=2e-3)

def make(dtype, ranks):
    torch.manual_seed(0)
    learner = Learner.new(config, torch.device("cpu"))
    learner.network.to(dtype)
    criterion = PerceptualLoss(find_weights(vgg), load_style(style, 64)[0].to(dtype))
    parallelize(learner, ranks)
    return learner, criterion

with joined_ranks() as ranks:
    share = ranks.share_of(4)
    mine = crops[:, ranks.rank * share : (ranks.rank + 1) * share]
    learner, criterion = make(torch.float32, ranks)
    backward(learner, criterion, mine[0], torch.float32)
    gradient = torch.cat([p.grad.flatten() for p in learner.network.parameters()])
    learner, criterion = make(torch.float64, ranks)
    records = fit(learner, criterion, mine, config, torch.float32)
    totals = [ranks.mean(record.terms.total) for record in records]
    weights = torch.cat([p.detach().flatten() for p in learner.network.parameters()])
    if ranks.is_first:
        torch.save({"gradient": gradient, "weights": weights, "totals": totals}, out)
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def in_ranks(size: int, program: str) -> list[str]:
    """The program for each of several processes, with what torchrun puts into the environment."""
    port = free_port()
    return [
        "import os\n"
        f"os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT='{port}', WORLD_SIZE='{size}',"
        f" RANK='{rank}', LOCAL_RANK='{rank}')\n" + program
        for rank in range(size)
    ]


def run_in_ranks(
    start: Callable[..., Any], size: int, program: str, *arguments: str | Path
) -> None:
    children = [start(*arguments, program=each) for each in in_ranks(size, program)]
    for child in children:
        assert child.wait() == 0, child.err.read_text()


def test_two_processes_make_the_steps_of_one(
    start: Callable[..., Any], vgg_file: Path, style_file: Path, tmp_path: Path
) -> None:
    """Another implementation: one process. Gradients in float32, ten steps of Adam in float64.

    Adam turns the rounding of float32 into steps, so weights are compared in float64 only.
    """
    found = []
    for size in (1, 2):
        out = tmp_path / f"{size}.pt"
        run_in_ranks(start, size, PARTS, vgg_file, style_file, out)
        found.append(torch.load(out))
    one, two = found
    difference = torch.linalg.vector_norm(one["gradient"] - two["gradient"])
    assert difference <= 1e-5 * torch.linalg.vector_norm(one["gradient"])
    assert (one["weights"] - two["weights"]).abs().max() <= 1e-6
    torch.testing.assert_close(one["totals"], two["totals"], rtol=1e-9, atol=0.0)


def test_a_training_of_two_processes_writes_one_run_folder(
    start: Callable[..., Any],
    vgg_file: Path,
    style_file: Path,
    photo_folder: Path,
    tmp_path: Path,
) -> None:
    """By invariant: the same batches, so the same log but for rounding; the first process talks."""
    inputs = [style_file, "--data", photo_folder, "--vgg", vgg_file, *SMALL, "--log-every", "1"]
    inputs += ["--steps", "3", "--precision", "float32"]
    program = "import runpy; runpy.run_module('train', run_name='__main__')"
    logs = []
    for size in (1, 2):
        runs = tmp_path / f"runs-{size}"
        children = [
            start(*inputs, "--runs", runs, program=each) for each in in_ranks(size, program)
        ]
        for child in children:
            assert child.wait() == 0, child.err.read_text()
        assert children[0].out.read_text() == f"{runs / 'starry-night-1'}\n"
        assert [child.out.read_text() for child in children[1:]] == [""] * (size - 1)
        assert [child.err.read_text() for child in children[1:]] == [""] * (size - 1)
        assert [path.name for path in runs.iterdir()] == ["starry-night-1"]
        lines = (runs / "starry-night-1" / "log.jsonl").read_text().splitlines()
        logs.append([json.loads(line)["total"] for line in lines])
        assert load_checkpoint(runs / "starry-night-1" / "last.safetensors").header["step"] == 3
    assert logs[0] == pytest.approx(logs[1], rel=1e-3)


def test_a_batch_that_cannot_be_dealt_out_is_refused() -> None:
    assert Ranks(rank=1, size=2).share_of(4) == 2
    with pytest.raises(UsageError, match=r"--batch 4 .* 3 processes; give a multiple of 3"):
        Ranks(size=3).share_of(4)


def test_processes_without_cuda_share_the_cpu() -> None:
    """By hand: gloo adds up gradients of the CPU, not those of Apple's GPU."""
    assert Ranks().device("auto") == "auto"
    if not torch.cuda.is_available():
        assert Ranks(rank=1, size=2, local=1).device("auto") == "cpu"

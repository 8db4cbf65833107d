"""A storm of kills: whatever moment a training is killed at, nothing is lost but a few steps.

Truth: an unbroken run. Two kills by default; ``NST_KILLS=50`` is the whole storm, of five
minutes.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from nst.checkpoint import load_checkpoint

KILLS = int(os.environ.get("NST_KILLS", "2"))
STEPS = 100 * KILLS
SMALL = ("--width", "8", "--size", "64", "--batch", "1", "--style-size", "64", "--device", "cpu")
OFTEN = ("--checkpoint-every", "3", "--log-every", "5", "--preview-every", "7")

PROGRAM = "from train.cli import app; app()"


@pytest.mark.usefixtures("one_thread")
def test_a_storm_of_kills_changes_nothing(
    start: Callable[..., Any],
    wait_until: Callable[[Callable[[], bool]], None],
    measured: Callable[[str, object], None],
    style_file: Path,
    photo_folder: Path,
    vgg_file: Path,
    tmp_path: Path,
) -> None:
    """By invariant: killed and resumed, with another number of threads each time, to the bit."""
    given = [style_file, "--data", photo_folder, "--vgg", vgg_file, *SMALL, *OFTEN]
    given += ["--steps", STEPS, "--precision", "float32"]

    def begin(runs: Path) -> Any:
        return start(*given, "--runs", runs, program=PROGRAM)

    def finish(child: Any, last: Path) -> None:
        wait_until(last.is_file)
        seen = 0.0
        while (code := child.wait()) is None:  # after a minute
            before, seen = seen, last.stat().st_mtime
            assert seen != before, "it no longer advances"
        assert code == 0, child.err.read_text()

    whole, last = (
        tmp_path / name / "starry-night-1" / "last.safetensors" for name in ("unbroken", "killed")
    )
    finish(begin(tmp_path / "unbroken"), whole)
    draw = random.Random(KILLS)
    child, reached = begin(tmp_path / "killed"), []
    for number in range(KILLS):
        # Some are killed before they have loaded what they go on from.
        wait_until(last.is_file)
        time.sleep(draw.uniform(0.0, 2.0))
        with suppress(ProcessLookupError):  # the last of them may come when all is done
            child.send(signal.SIGKILL)
        assert child.wait() in (-signal.SIGKILL, 0), child.err.read_text()
        assert last.is_file(), child.err.read_text()
        reached.append(load_checkpoint(last).header["step"])
        child = start("--resume", last.parent, "--workers", 1 + number % 3, program=PROGRAM)
    finish(child, last)
    assert reached == sorted(reached)
    one, other = load_checkpoint(whole), load_checkpoint(last)
    assert one.header["step"] == other.header["step"] == STEPS
    assert one.tensors.keys() == other.tensors.keys()
    for name, tensor in one.tensors.items():
        assert torch.equal(tensor, other.tensors[name]), name
    measured("kills", len(reached))
    measured("steps", STEPS)

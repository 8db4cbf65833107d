"""What is loaded when. Truth: ``sys.modules`` of a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys

from nst.cli import COMMANDS

TORCH = ("torch", "torchvision")
HEAVY = (*TORCH, "numpy", "PIL", "onnx", "onnxruntime", "av", "cv2", "datasets", "matplotlib")
FLOOR = (
    *("errors", "contract", "files", "settings", "terminal", "interrupt", "ort"),
    *("color", "image", "memory", "model_graph"),
)


def fresh(program: str) -> str:
    """Run a program in an interpreter of its own and return its stdout."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(*statements: str, watched: tuple[str, ...] = TORCH) -> dict[str, list[str]]:
    """Return which of some modules are there behind each statement, in one interpreter."""
    program = "import sys, json\nfound = {}\n"
    for statement in statements:
        program += f"{statement}\n"
        program += f"found[{statement!r}] = [m for m in {watched!r} if m in sys.modules]\n"
    answer: dict[str, list[str]] = json.loads(fresh(program + "print(json.dumps(found))"))
    return answer


def test_this_file_can_fail() -> None:
    assert loaded_by("import nst.color", watched=HEAVY) == {"import nst.color": ["numpy"]}


def test_the_floor_is_torch_free() -> None:
    statements = [f"import nst.{name}" for name in FLOOR]
    assert loaded_by(*statements) == {statement: [] for statement in statements}


def test_cards_and_what_is_measured_on_pictures_need_no_torch() -> None:
    names = ("card", "curve", "curve_plot", "lab", "motion", "spectrum", "speed", "cache_folder")
    statements = [f"import nst.{name}" for name in names]
    assert loaded_by(*statements) == {statement: [] for statement in statements}


def test_what_needs_no_pictures_loads_no_numpy() -> None:
    statements = [f"import nst.{name}" for name in (*FLOOR[:7], "config", "registry")]
    assert loaded_by(*statements, watched=HEAVY) == {statement: [] for statement in statements}


def test_stylising_needs_no_torch() -> None:
    assert loaded_by("import infer.stylizer") == {"import infer.stylizer": []}


def test_the_front_door_is_light() -> None:
    assert loaded_by("import nst.cli", watched=HEAVY) == {"import nst.cli": []}


def test_commands_are_light() -> None:
    """The modules of all commands together: their help pages load nothing heavy either."""
    statements = [f"import {entry.module}" for entry in COMMANDS.values()]
    statements += ["import train.cli"]
    assert loaded_by(*statements, watched=HEAVY) == {statement: [] for statement in statements}


def test_help_is_light() -> None:
    """``nst --help`` imports the module of no command."""
    program = f"""
import sys
from nst import cli
try:
    cli.main(["--help"])
except SystemExit as end:
    assert not end.code
assert not [m for m in {HEAVY!r} if m in sys.modules], sorted(sys.modules)
assert not [e for e in cli.COMMANDS.values() if e.module in sys.modules], sorted(sys.modules)
"""
    shown = fresh(program)
    for name in COMMANDS:
        assert f" {name} " in shown


def test_help_of_every_command_is_light() -> None:
    """Run, and not only imported: one after another in one interpreter, none loads a library."""
    program = f"""
import contextlib, io, sys
from nst import cli
for name in cli.COMMANDS:
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        try:
            cli.main([name, "--help"])
        except SystemExit as end:
            assert not end.code, name
    assert "Usage" in shown.getvalue(), name
    assert not [m for m in {HEAVY!r} if m in sys.modules], name
    print(name)
"""
    assert fresh(program).split() == list(COMMANDS)

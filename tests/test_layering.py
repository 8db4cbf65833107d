"""Three sentences hold the house up. Truth: the imports in the syntax tree of every file.

1. ``nst`` imports no verb, but for its front door ``nst/cli.py`` and ``nst/commands``; nothing
   imports these, and the front door loads everything lazily.
2. The verbs ``train``, ``export`` and ``infer`` never import each other.
3. ``infer`` imports only the torch-free floor of ``nst``.

That nothing heavy is loaded before it is needed is tested in test_light_imports.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VERBS = ("train", "export", "infer")
HOUSE = ("nst", *VERBS)
FLOOR = (
    *("errors", "contract", "image", "color", "files", "settings", "terminal", "interrupt"),
    *("memory", "model_graph", "ort", "recipe", "masks", "enlarge", "critic", "animation"),
    *("download", "cache_folder", "samples", "seal", "registry", "model_entry"),
)
"""Modules of ``nst`` that ``infer`` may import; what they are made of has to be torch-free too."""
OF_ONE_VERB = (
    *("nst.commands.train", "nst.commands.distill"),
    *("nst.commands.contest", "nst.commands.feed_rates", "nst.commands.loss_speed"),
)
"""A command whose options are those of its verb, and a module that only its command imports."""
TORCH = ("torch", "torchvision", "safetensors", "onnxscript")


@dataclass(frozen=True)
class Import:
    """One imported name: ``nst.image`` and ``nst.image.load_image`` are looked at alike."""

    importer: str
    place: str
    name: str
    is_lazy: bool

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    def is_of(self, *modules: str) -> bool:
        return any(f"{self.name}.".startswith(f"{module}.") for module in modules)


def imports(root: Path) -> list[Import]:
    """Every import of every file, those inside functions and for type checkers too."""
    found = []
    for package in HOUSE:
        for path in sorted((root / package).rglob("*.py")):
            relative = path.relative_to(root)
            importer = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
            for node, is_lazy in _walk(ast.parse(path.read_text("utf-8")), is_lazy=False):
                place = f"{relative.as_posix()}:{node.lineno}"
                found += [Import(importer, place, name, is_lazy) for name in _names(node)]
    return found


def _walk(node: ast.AST, *, is_lazy: bool) -> Iterator[tuple[ast.stmt | ast.expr, bool]]:
    for child in ast.iter_child_nodes(node):
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(child, ast.stmt | ast.expr):
            yield child, is_lazy
        yield from _walk(child, is_lazy=is_lazy or is_function)


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        start = "." * node.level + (node.module or "")
        return [f"{start}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else None
        called = node.func.id if isinstance(node.func, ast.Name) else called
        if called in ("import_module", "__import__"):
            is_literal = bool(node.args) and isinstance(node.args[0], ast.Constant)
            return [str(node.args[0].value) if is_literal else "?"]  # type: ignore[attr-defined]
    return []


def is_front_door(module: str) -> bool:
    return module == "nst.cli" or f"{module}.".startswith("nst.commands.")


def violations(root: Path) -> list[str]:
    """Say for each import that breaks one of the sentences where it is and what it breaks."""
    found = []
    everything = imports(root)
    for each in everything:
        home = each.importer.partition(".")[0]
        is_main = each.importer.endswith(".__main__")
        if each.name.startswith("."):
            found.append(f"{each.place}: a relative import")
        if home == "nst" and each.package in VERBS and not is_front_door(each.importer):
            found.append(f"{each.place}: nst imports the verb {each.package}")
        must_be_lazy = is_front_door(each.importer) and each.importer not in OF_ONE_VERB
        if must_be_lazy and each.package in VERBS and not each.is_lazy:
            found.append(f"{each.place}: the front door does not load {each.package} lazily")
        is_inside = is_front_door(each.importer) or is_main
        if each.is_of("nst.cli", "nst.commands") and not is_inside:
            found.append(f"{each.place}: {each.importer} imports the front door")
        if home in VERBS and each.package in VERBS and each.package != home:
            found.append(f"{each.place}: {home} imports {each.package}")
        if home == "infer" and each.package == "nst" and not is_main:
            allowed = ("nst.__version__", *(f"nst.{name}" for name in FLOOR))
            if not each.is_of(*allowed):
                found.append(f"{each.place}: infer imports {each.name}, which is not of the floor")
        if each.name == "?" and not is_front_door(each.importer):
            found.append(f"{each.place}: imports what cannot be read from the file")
    return sorted(found + _torch_below(everything))


def _torch_below(everything: list[Import]) -> list[str]:
    """Follow the imports of ``infer`` and of the floor down: torch is nowhere to be met."""
    modules = {each.importer for each in everything}
    below = {module for module in modules if module.partition(".")[0] == "infer"}
    below |= {f"nst.{name}" for name in FLOOR}
    waiting, found = set(below), []
    while waiting:
        module = waiting.pop()
        for each in everything:
            if each.importer != module:
                continue
            if each.package in TORCH:
                found.append(f"{each.place}: {module} must be torch-free, imports {each.name}")
            if each.package == "nst" and not is_front_door(each.importer):
                met = {m for m in modules if each.is_of(m) and m != "nst"} - below
                below |= met
                waiting |= met
    return found


def own_names(root: Path) -> list[str]:
    """Modules named like one that they import, which would import themselves as scripts."""
    return sorted(
        {
            each.place.partition(":")[0]
            for each in imports(root)
            if each.package not in HOUSE and each.importer.rpartition(".")[2] == each.package
        }
    )


def test_the_house_stands() -> None:
    assert violations(ROOT) == []


def test_no_module_is_named_like_one_that_it_wraps() -> None:
    assert own_names(ROOT) == []


def test_every_package_is_looked_at() -> None:
    importers = {each.importer for each in imports(ROOT)}
    for module in ("nst.image", "train.cli", "export.cli", "infer.stylizer", "nst.cli"):
        assert module in importers
    assert all((ROOT / "nst" / f"{name}.py").is_file() for name in FLOOR)


MADE_UP = {
    "nst/cli.py": "import importlib\nimportlib.import_module(x)\ndef f():\n    import train\n",
    "nst/commands/bench.py": "from nst.cli import app\ndef f():\n    import train.loop\n",
    "nst/__main__.py": "from nst.cli import main\n",
    "nst/losses.py": "import torch\nfrom nst.errors import NSTError\n",
    "nst/errors.py": "",
    "nst/image.py": "from nst.pixels import scale\n",
    "nst/pixels.py": "import numpy\n",
    "train/loop.py": "import nst.losses\nfrom nst import losses\nimport torch\n",
    "infer/session.py": "from nst import __version__\nfrom nst.image import load\nimport infer.x\n",
    "infer/__main__.py": "from nst.cli import main\n",
}
"""A small house that stands."""


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("nst/losses.py", "import train.loop", "nst/losses.py:1: nst imports the verb train"),
        ("nst/a.py", "def f():\n    from infer import x", "nst/a.py:2: nst imports the verb infer"),
        (
            "nst/a.py",
            "import importlib\nimportlib.import_module('export.cli')",
            "nst/a.py:2: nst imports the verb export",
        ),
        ("nst/a.py", "import nst.cli", "nst/a.py:1: nst.a imports the front door"),
        ("train/a.py", "from nst import cli", "train/a.py:1: train.a imports the front door"),
        (
            "export/a.py",
            "from nst.commands.bench import f",
            "export/a.py:1: export.a imports the front door",
        ),
        ("nst/cli.py", "from train import x", "nst/cli.py:1: the front door does not load train"),
        (
            "nst/commands/bench.py",
            "from infer.providers import x",
            "nst/commands/bench.py:1: the front door does not load infer",
        ),
        ("train/a.py", "from export.cli import x", "train/a.py:1: train imports export"),
        ("export/a.py", "def f():\n    import infer", "export/a.py:2: export imports infer"),
        (
            "infer/a.py",
            "if TYPE_CHECKING:\n    from train import x",
            "infer/a.py:2: infer imports train",
        ),
        (
            "infer/a.py",
            "from nst.losses import x",
            "infer/a.py:1: infer imports nst.losses.x, which is not of the floor",
        ),
        (
            "infer/a.py",
            "from nst import losses",
            "infer/a.py:1: infer imports nst.losses, which is not of the floor",
        ),
        (
            "infer/a.py",
            "from nst.pixels import x",
            "infer/a.py:1: infer imports nst.pixels.x, which is not of the floor",
        ),
        (
            "infer/a.py",
            "def f():\n    import torch.nn",
            "infer/a.py:2: infer.a must be torch-free, imports torch.nn",
        ),
        (
            "nst/pixels.py",
            "from torch import Tensor",
            "nst/pixels.py:1: nst.pixels must be torch-free, imports torch.Tensor",
        ),
        ("train/a.py", "from . import loop", "train/a.py:1: a relative import"),
        (
            "train/a.py",
            "import importlib\nimportlib.import_module(name)",
            "train/a.py:2: imports what cannot be read from the file",
        ),
    ],
)
def test_a_broken_house_is_noticed(tmp_path: Path, path: str, content: str, expected: str) -> None:
    """Each sentence can be broken, in a made-up tree that stands without that one line."""
    for name, text in MADE_UP.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert violations(tmp_path) == []
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(content)
    assert any(line.startswith(expected) for line in violations(tmp_path))


def test_a_module_named_like_one_that_it_wraps_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "onnx.py").write_text("def f():\n    import onnx\n")
    (tmp_path / "export" / "to_onnx.py").write_text("import onnx\n")
    assert own_names(tmp_path) == ["export/onnx.py"]

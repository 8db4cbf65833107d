"""README and docs: commands can be typed, Python can be imported, pictures are there."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from nst.cli import COMMANDS, app

HOUSE = Path(__file__).parent.parent
PAGES = {path: path.read_text() for path in (HOUSE / "README.md", *(HOUSE / "docs").rglob("*.md"))}
README = PAGES[HOUSE / "README.md"]


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and text of each fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def nst_commands() -> list[list[str]]:
    """Every call of `nst` in a block or between backquotes on any page, as words; each once."""
    texts = []
    for page in PAGES.values():
        texts += [text for language, text in blocks(page) if language in ("sh", "bash", "")]
        texts += re.findall(r"`(nst [a-z][^`\n]*)`", page)
        texts += re.findall(r"^    (nst [a-z].*)$", page, flags=re.MULTILINE)
    found: list[list[str]] = []
    for text in texts:
        for line in text.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\||;", line):
                words = shlex.split(part, comments=True)
                is_ours = words and words[0].rsplit("/", 1)[-1] == "nst"
                if is_ours and words[1:] not in found:
                    found.append(words[1:])
    return found


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The typer command that some words ask for, and the words behind its name."""
    command: Any = typer.main.get_command(app)
    if words[0] in COMMANDS:
        module = importlib.import_module(COMMANDS[words[0]].module)
        command, words = typer.main.get_command(module.app), words[1:]
    while words and words[0] in getattr(command, "commands", {}):  # as in `nst bench train`
        command, words = command.commands[words[0]], words[1:]
    return command, words


def test_there_are_commands_to_check() -> None:
    assert len(nst_commands()) >= 5
    assert {words[0] for words in nst_commands()} >= {"train", "stylize", "optimize"}


@pytest.mark.parametrize("words", nst_commands(), ids=" ".join)
def test_a_command_can_be_typed(words: list[str]) -> None:
    """By the program itself: the sub-command exists, and so does each of its flags."""
    assert words[0] in COMMANDS or words[0].startswith("--"), f"nst {words[0]}: no such command"
    command, rest = command_of(words)
    known = {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)}
    known.add("--help")
    given = [word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
    assert set(given) <= known, f"unknown: {set(given) - known}"


def all_commands() -> dict[str, Any]:
    """Every command and sub-command by its whole name, as in `nst bench train`."""
    found = {}
    for name in COMMANDS:
        command, _ = command_of([name])
        found[f"nst {name}"] = command
        for part, inner in getattr(command, "commands", {}).items():
            found[f"nst {name} {part}"] = inner
    return found


def test_the_page_of_flags_begins_with_all_commands() -> None:
    """By the program itself."""
    page = PAGES[HOUSE / "docs" / "help.md"]
    assert [row for row in page.splitlines() if row.startswith("* [`nst ")] == [
        f"* [`nst {name}`](#nst-{name}): {entry.summary}" for name, entry in COMMANDS.items()
    ]


@pytest.mark.parametrize("name", all_commands())
def test_the_page_of_flags_is_that_of_the_program(name: str) -> None:
    """By the program itself, both ways; `python docs/help_pages.py > docs/help.md` mends it."""
    _, heading, rest = PAGES[HOUSE / "docs" / "help.md"].partition(f"# `{name}`\n")
    assert heading
    section = re.split(r"^#+ `nst", rest, flags=re.MULTILINE)[0]
    options = [p for p in all_commands()[name].params if p.param_type_name == "option"]
    for option in options:
        words = " ".join((option.help or "").split()).replace("<", "&lt;")
        assert all(flag in section for flag in option.opts)
        assert words in " ".join(section.split()), option.name
    arguments = [p for p in all_commands()[name].params if p.param_type_name == "argument"]
    for words in (all_commands()[name].help, *(p.help for p in arguments)):
        first = (words or "").split("\n\n")[0]
        assert " ".join(first.split()) in " ".join(section.split())
    names = re.findall(r"^\* `(-[^`]*)`", section, flags=re.MULTILINE)
    shown = {flag for name in names for flag in re.findall(r"(?<![-\w])--?[a-z][-\w]*", name)}
    assert shown == {flag for p in options for flag in (*p.opts, *p.secondary_opts)} | {"--help"}


@pytest.mark.parametrize("name", sorted({words[0] for words in nst_commands()} & set(COMMANDS)))
def test_a_command_has_a_help_page(name: str) -> None:
    outcome = CliRunner().invoke(app, [name, "--help"])
    assert outcome.exit_code == 0, outcome.output
    assert "Usage" in outcome.output


def test_the_test_command_stands_behind_its_marker() -> None:
    """By another reader: the first block behind the marker is what the gate runs."""
    _, marker, rest = README.partition("<!-- the test command")
    assert marker
    match = re.search(r"^```sh\n(.*?)^```", rest, flags=re.MULTILINE | re.DOTALL)
    assert match
    assert "pytest" in match.group(1)
    assert "pip install" in match.group(1)


def python_blocks(page: str = README) -> list[str]:
    return [text for language, text in blocks(page) if language == "python"]


@pytest.mark.parametrize("block", [b for page in PAGES.values() for b in python_blocks(page)])
def test_what_the_python_imports_exists(block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom):
            assert node.module
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module}.{alias.name}"


@pytest.mark.parametrize("package", ["onnxruntime", "infer"])
def test_the_python_that_paints_paints(
    package: str,
    invert_model: Path,
    photo: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Run as it stands, with and without this package; the model is made by hand."""
    (block,) = (text for text in python_blocks() if re.search(rf"(import|from) {package}\b", text))
    monkeypatch.chdir(tmp_path)
    Path("starry-night.onnx").write_bytes(invert_model.read_bytes())
    Image.fromarray(photo).save("photo.jpg")
    exec(block, {})
    with Image.open("photo.jpg") as seen, Image.open("out.png") as painted:
        np.testing.assert_array_equal(np.asarray(painted), 255 - np.asarray(seen))


def test_the_same_lines_are_shown_to_those_who_embed_the_file() -> None:
    """By copy: what is run above is what docs/embedding.md shows."""
    (block,) = python_blocks(PAGES[HOUSE / "docs" / "embedding.md"])
    assert block in python_blocks()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_pictures_and_files_that_are_shown_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", PAGES[page]):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_nothing_was_left_to_fill_in(page: Path) -> None:
    assert not re.findall(r"@[A-Z_]+@|TODO|FIXME", PAGES[page])

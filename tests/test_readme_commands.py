"""README: its command blocks are run, in its order and in one folder.

Trainings take one step on small crops; what never ends, and the quickstart, show their help.
Truth: the outputs that README shows.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from nst import registry

README = Path(__file__).parent.parent / "README.md"
HELP_ALONE = ("quickstart", "serve", "webcam")
QUICK = {
    "train": "--steps 1 --size 64 --density 64 --loss-network compact --device cpu",
    "stylize": "--size 96",
    "models": "",
}
"""Added to a command, by its name."""


def shown() -> list[tuple[list[str], str]]:
    """The words of every call of ``nst``, and the output that is quoted behind its block."""
    found = []
    pattern = r"^```sh\n(.*?)^```\n(?:\n> `([^`\n]+)`$)?"
    for block, output in re.findall(pattern, README.read_text(), flags=re.MULTILINE | re.DOTALL):
        calls = [
            words[1:]
            for line in block.splitlines()
            for part in line.split("&&")
            if (words := shlex.split(part)) and words[0].rsplit("/", 1)[-1] == "nst"
        ]
        found += [(words, output if words is calls[-1] else "") for words in calls]
    return found


def test_every_kind_of_command_is_there() -> None:
    assert {words[0] for words, _ in shown()} == {*QUICK, *HELP_ALONE}
    assert sum(output != "" for _, output in shown()) == 4


@pytest.mark.usefixtures("few_sizes")
def test_readme_from_top_to_bottom(
    style_file: Path,
    photo_folder: Path,
    invert_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    exit_code: Callable[..., int | str | None],
) -> None:
    """Every command ends well and writes what README says; the next one reads what it left."""
    pytest.importorskip("av")
    if not registry.entries():
        pytest.skip("no model is embedded")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NST_DATA", str(tmp_path / "data"))
    shutil.copytree(photo_folder, "photos")
    with Image.open(next(Path("photos").iterdir())) as picture:
        picture.convert("RGB").save("photo.jpg")
        picture.convert("L").save("sky.png")
    for number, name in enumerate(("style", "wave", "scream")):
        with Image.open(style_file) as style:
            style.rotate(90 * number, expand=True).save(f"{name}.jpg")
    frames = [Image.new("RGB", (32, 24), (60 * level,) * 3) for level in range(3)]
    frames[0].save("holiday.gif", save_all=True, append_images=frames[1:], duration=100)
    assert exit_code("stylize", invert_model, "holiday.gif", "-o", "holiday.mp4") == 0
    for words, output in shown():
        name, *rest = words
        quick = ["--help"] if name in HELP_ALONE else shlex.split(QUICK[name])
        if "--minutes" in rest:
            at = rest.index("--minutes")
            del rest[at : at + 2]
        capsys.readouterr()
        assert exit_code(name, *rest, *quick) == 0, (words, capsys.readouterr().err)
        lines = capsys.readouterr().out.splitlines()
        if name in ("train", "stylize"):
            assert Path(lines[-1]).is_file(), words
            if output:
                assert lines[-1] == output, words

"""The command `nst optimize`: the picture, the record beside it, stops and errors."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from nst.cli import main
from nst.files import sha256_of
from nst.image import load_image

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def photo_file(photo: NDArray[np.uint8], tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    return path


@pytest.fixture
def nst_optimize(
    style_file: Path, vgg_file: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process; exit code, stdout, stderr."""

    def run(photo: Path, *arguments: str | Path) -> tuple[int, str, str]:
        fixed = [photo, style_file, "--vgg", vgg_file, "--device", "cpu", "--style-size", "64"]
        with pytest.raises(SystemExit) as caught:
            main(["optimize", *map(str, fixed), "--evaluations", "6", *map(str, arguments)])
        streams = capsys.readouterr()
        return int(caught.value.code or 0), streams.out, streams.err

    return run


Run = Callable[..., tuple[int, str, str]]


def test_the_picture_and_the_record(
    nst_optimize: Run, photo_file: Path, style_file: Path, vgg_file: Path, tmp_path: Path
) -> None:
    """By hand: names, hashes, sizes; a line for the start and for each iteration."""
    out = tmp_path / "deep" / "painted.png"
    code, stdout, stderr = nst_optimize(photo_file, "-o", out)
    assert (code, stdout) == (0, f"{out}\n")
    assert "preset pyramid" in stderr
    assert "photo.png: 64x48 px painted at 64x48 px, 1 size" in stderr
    assert "64x48: 6 evaluations; J " in stderr
    assert load_image(out).rgb.shape == (48, 64, 3)
    assert sorted(path.name for path in out.parent.iterdir()) == ["painted.json", "painted.png"]
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["photograph"] == {"name": "photo.png", "sha256": sha256_of(photo_file)}
    assert record["style"] == {"name": "Starry Night.png", "sha256": sha256_of(style_file)}
    assert record["vgg_sha256"] == sha256_of(vgg_file)
    assert record["size"] == [64, 48]
    assert record["settings"]["evaluations"] == 6
    assert record["settings"]["preset"] == "pyramid"
    assert record["is_stopped"] is False
    assert record["seconds"] > 0
    assert record["made_with"].startswith("nst ")
    lines = record["iterations"]
    assert lines[0]["content"] == 0
    assert lines[-1]["evaluations"] == 6
    assert [line["iteration"] for line in lines] == list(range(len(lines)))
    assert set(lines[0]) == {
        "scale",
        "iteration",
        "evaluations",
        "total",
        "content",
        "style",
        "total_variation",
    }
    for line in lines:
        assert line["total"] == pytest.approx(line["content"] + 4.5 * line["style"], rel=1e-4)


def test_json_prints_the_record(nst_optimize: Run, photo_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "painted.png"
    code, stdout, _ = nst_optimize(photo_file, "-o", out, "--json")
    assert code == 0
    assert stdout.count("\n") == 1
    assert json.loads(stdout) == json.loads(out.with_suffix(".json").read_text())


def test_sixteen_bits(nst_optimize: Run, photo_file: Path, tmp_path: Path) -> None:
    """By hand: bytes 24 and 25 of a PNG are its bits and 2 for RGB; the same run in 8 bits."""
    deep, flat = tmp_path / "deep.png", tmp_path / "flat.png"
    assert nst_optimize(photo_file, "-o", deep, "--bits", "16")[0] == 0
    assert nst_optimize(photo_file, "-o", flat)[0] == 0
    assert tuple(deep.read_bytes()[24:26]) == (16, 2)
    assert tuple(flat.read_bytes()[24:26]) == (8, 2)
    difference = load_image(deep).rgb.astype(int) - load_image(flat).rgb
    assert abs(difference).max() <= 1


def test_pictures_on_the_way(nst_optimize: Run, photo_file: Path, tmp_path: Path) -> None:
    """By hand: every second line of the record has its picture, at every size."""
    out = tmp_path / "way" / "painted.png"
    assert nst_optimize(photo_file, "-o", out, "--save-every", "2", "--scales", "2")[0] == 0
    lines = json.loads(out.with_suffix(".json").read_text())["iterations"]
    names = [f"painted-{line:06d}.png" for line in range(2, len(lines), 2)]
    assert len(names) >= 3
    assert sorted(path.name for path in out.parent.glob("painted-*")) == names
    for line, name in zip(range(2, len(lines), 2), names, strict=True):
        width = 32 if lines[line]["scale"] == 1 else 64
        assert load_image(out.parent / name).width == width


@pytest.mark.parametrize("name", ["painted.png", "painted.json", "painted-000050.png"])
def test_what_exists_is_not_replaced(
    nst_optimize: Run, photo_file: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("precious")
    arguments = ("-o", tmp_path / "painted.png", "--save-every", "1")
    code, stdout, stderr = nst_optimize(photo_file, *arguments)
    assert (code, stdout) == (1, "")
    assert stderr == f"nst: {tmp_path / name} exists; pass --overwrite to replace it\n"
    assert (tmp_path / name).read_text() == "precious"
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", name}
    assert nst_optimize(photo_file, *arguments, "--overwrite")[0] == 0
    assert (tmp_path / "painted.png").read_bytes()[:4] == b"\x89PNG"


def test_transparency_is_kept(nst_optimize: Run, photo: NDArray[np.uint8], tmp_path: Path) -> None:
    """By hand: a gradient of transparency in, the same out; half the size, half of it."""
    alpha = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
    path = tmp_path / "photo.png"
    Image.fromarray(np.dstack([photo, alpha])).save(path)
    assert nst_optimize(path, "-o", tmp_path / "painted.png")[0] == 0
    painted = load_image(tmp_path / "painted.png")
    assert painted.alpha is not None
    np.testing.assert_array_equal(painted.alpha, alpha)
    assert nst_optimize(path, "-o", tmp_path / "small.webp", "--size", "40")[0] == 0
    small = load_image(tmp_path / "small.webp")
    assert small.alpha is not None
    assert small.rgb.shape == (30, 40, 3)
    np.testing.assert_allclose(small.alpha[15], np.linspace(0, 255, 40), atol=6)
    code, _, stderr = nst_optimize(path, "-o", tmp_path / "flat.jpg")
    assert code == 2
    assert "JPEG cannot hold transparency" in stderr


def test_the_size_of_the_result(nst_optimize: Run, photo_file: Path, tmp_path: Path) -> None:
    """By hand: 64x48 px at a long side of 33 is 33x25; 0 leaves the photograph's own size."""
    for size, expected in ((33, (25, 33)), (0, (48, 64)), (4000, (48, 64))):
        out = tmp_path / f"{size}.png"
        assert nst_optimize(photo_file, "-o", out, "--size", str(size))[0] == 0
        assert load_image(out).rgb.shape[:2] == expected


def test_a_start_from_a_picture(nst_optimize: Run, photo_file: Path, tmp_path: Path) -> None:
    """By invariant: after one evaluation, that of the start, the start is the result."""
    start = tmp_path / "start.png"
    Image.new("RGB", (64, 48), (10, 100, 200)).save(start)
    out = tmp_path / "painted.png"
    code, _, _ = nst_optimize(photo_file, "-o", out, "--init", start, "--evaluations", "1")
    assert code == 0
    np.testing.assert_array_equal(load_image(out).rgb, load_image(start).rgb)


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["-o", "painted.gif"], 2, "painted.gif"),
        (["-o", "painted.jpg", "--bits", "16"], 2, "--bits 16 needs png or tiff"),
        (["-o", "painted.png", "--bits", "12"], 2, "--bits must be 8 or 16"),
        (["-o", "painted.png", "--init", "chaos"], 2, "--init must be content, noise or a picture"),
        (["-o", "painted.png", "--scales", "-1"], 2, "--scales must be at least 0"),
        (["-o", "painted.png", "--scales", "8"], 2, "--scales 8: the photograph"),
        (["-o", "painted.png", "--preset", "gatys"], 1, "ends at relu3_4, before relu5_1"),
        (["-o", "painted.png", "--style-layers", "relu9_1"], 2, "--style-layers: unknown layer re"),
        (["-o", "painted.png", "--learning-rate", "0.1"], 2, "no use for --learning-rate without"),
        (["-o", "painted.png", "--style-weight", "9"], 2, "no use for --style-weight without"),
        (["-o", "painted.png", "--vgg", "nowhere.pth"], 1, "nowhere.pth: no such file"),
        (["-o", "painted.png", "--device", "abacus"], 2, "--device must be"),
    ],
    ids=lambda value: " ".join(value[2:] or value) if isinstance(value, list) else "",
)
def test_an_error_is_one_line(
    nst_optimize: Run,
    photo_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    found, stdout, stderr = nst_optimize(photo_file, *arguments)
    last_line = stderr.splitlines()[-1]
    assert (found, stdout) == (code, "")
    assert last_line.startswith("nst: ")
    assert expected in last_line
    assert "Traceback" not in stderr
    assert sum(line.startswith("nst: ") for line in stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


@pytest.mark.parametrize("kind", ["missing", "text", "tiny"])
def test_a_bad_photograph_is_named(nst_optimize: Run, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bad.jpg"
    if kind == "text":
        path.write_text("no picture")
    elif kind == "tiny":
        Image.new("RGB", (3, 3)).save(path)
    code, _, stderr = nst_optimize(path, "-o", tmp_path / "painted.png")
    assert code == 1
    assert stderr.count("\n") == 1
    assert stderr.startswith(f"nst: {path}")
    assert not (tmp_path / "painted.png").exists()


def test_ctrl_c_keeps_the_picture_so_far(
    photo_file: Path,
    style_file: Path,
    vgg_file: Path,
    tmp_path: Path,
    start: Callable[..., Any],
    wait_until: Callable[[Callable[[], bool]], None],
) -> None:
    """By hand: exit code 130, the last iteration in both files, and it is said."""
    shutil.copyfile(style_file, tmp_path / "style.png")
    arguments = ["photo.png", "style.png", "-o", "painted.png", "--vgg", vgg_file, "--device"]
    arguments += ["cpu", "--evaluations", "1000000", "--optimizer", "adam", "--tolerance", "0"]
    child = start("optimize", *arguments, "--style-size", "64", "--save-every", "5")
    wait_until((tmp_path / "painted-000005.png").is_file)
    child.send(signal.SIGINT)
    said = child.err
    assert child.wait() == 130, said.read_text()
    assert said.read_text().splitlines()[-1] == "nst: stopped; painted.png holds the picture so far"
    assert "Traceback" not in said.read_text()
    record = json.loads((tmp_path / "painted.json").read_text())
    assert record["is_stopped"] is True
    assert len(record["iterations"]) > 5
    assert load_image(tmp_path / "painted.png").rgb.shape == (48, 64, 3)
    assert child.out.read_text() == ""

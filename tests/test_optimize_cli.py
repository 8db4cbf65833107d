"""The command `nst optimize`: the picture, the record beside it, stops and errors."""

from __future__ import annotations

import json
import shutil
import signal
import textwrap
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import nst.footprint
import nst.image
from nst.cli import main
from nst.files import sha256_of
from nst.image import load_image
from nst.losses import ContentTarget, PerceptualLoss

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
    assert record["styles"] == [{"name": "Starry Night.png", "sha256": sha256_of(style_file)}]
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
        "accepted",
        "seconds",
    }
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)
    assert 0 < seconds[0] < seconds[-1] <= record["seconds"]
    for line in lines:
        sum_of_terms = line["content"] + 4.5 * line["style"] + line["total_variation"]
        assert line["total"] == pytest.approx(sum_of_terms, rel=1e-4)


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
    """By hand: every second accepted iteration has its picture, counted over both sizes.

    The start of a size is none, and neither is a last record that found nothing better.
    """
    out = tmp_path / "way" / "painted.png"
    assert nst_optimize(photo_file, "-o", out, "--save-every", "2", "--scales", "2")[0] == 0
    lines = json.loads(out.with_suffix(".json").read_text())["iterations"]
    expected, accepted, before = {}, 0, 0
    for line in lines:
        if line["iteration"] > before:
            accepted += 1
            if accepted % 2 == 0:
                expected[f"painted-{accepted:06d}.png"] = 32 if line["scale"] == 1 else 64
        before = line["iteration"]
        assert line["accepted"] == accepted
    assert len(set(expected.values())) == 2
    found = {path.name: load_image(path).width for path in out.parent.glob("painted-*")}
    assert found == expected


def test_a_record_without_a_new_picture_is_not_counted(
    nst_optimize: Run, photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: the one step that two evaluations allow is refused, at both sizes."""
    monkeypatch.setattr("nst.lbfgs.FIRST_STEP_RMS", 0.5)
    out = tmp_path / "painted.png"
    arguments = ("-o", out, "--save-every", "1", "--scales", "2", "--evaluations", "2")
    assert nst_optimize(photo_file, *arguments)[0] == 0
    lines = json.loads(out.with_suffix(".json").read_text())["iterations"]
    assert [line["accepted"] for line in lines] == [0, 0, 0, 0]
    assert not list(tmp_path.glob("painted-*"))


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
        (["-o", "x.png", "--color-transfer", "luminance"], 2, "without --original-colors; add"),
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
    lines = said.read_text().splitlines()
    assert lines[-1] == "nst: stopped; painted.png holds the picture so far"
    assert lines.count("stopping after this step; once more to stop at once") == 1
    assert "Traceback" not in said.read_text()
    record = json.loads((tmp_path / "painted.json").read_text())
    assert record["is_stopped"] is True
    assert len(record["iterations"]) > 5
    assert load_image(tmp_path / "painted.png").rgb.shape == (48, 64, 3)
    assert child.out.read_text() == ""


SLOW = """
    import time
    from pathlib import Path
    import nst.optimize
    from nst.cli import main

    evaluate, count = nst.optimize._Evaluator.__call__, iter(range(1000))

    def slow(self, image):
        if next(count) == 4:
            Path("slow").touch()
            end_at = time.monotonic() + 60
            while time.monotonic() < end_at:
                time.sleep(0.01)
        return evaluate(self, image)

    nst.optimize._Evaluator.__call__ = slow
    main()
"""
"""The fifth evaluation takes a minute, as one of a big picture may."""


def test_a_second_ctrl_c_stops_at_once_and_keeps_the_picture(
    photo_file: Path,
    style_file: Path,
    vgg_file: Path,
    tmp_path: Path,
    start: Callable[..., Any],
    wait_until: Callable[[Callable[[], bool]], None],
) -> None:
    """By hand: four evaluations are done; the first signal is answered within the fifth."""
    shutil.copyfile(style_file, tmp_path / "style.png")
    arguments = ["photo.png", "style.png", "-o", "painted.png", "--vgg", vgg_file, "--device"]
    arguments += ["cpu", "--optimizer", "adam", "--style-size", "64"]
    child = start("optimize", *arguments, program=textwrap.dedent(SLOW))
    wait_until((tmp_path / "slow").is_file)
    child.send(signal.SIGINT)
    wait_until(lambda: "stopping after this step" in child.err.read_text())
    child.send(signal.SIGINT)
    assert child.wait() == 130, child.err.read_text()
    last_line = child.err.read_text().splitlines()[-1]
    assert last_line == "nst: stopped; painted.png holds the picture so far"
    record = json.loads((tmp_path / "painted.json").read_text())
    assert record["is_stopped"] is True
    assert [line["evaluations"] for line in record["iterations"]] == [1, 2, 3, 4]
    assert load_image(tmp_path / "painted.png").rgb.shape == (48, 64, 3)


def test_a_stop_at_a_coarse_size_says_so(
    nst_optimize: Run, photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: Ctrl-C comes with the first picture on the way, which is half as wide."""
    save = nst.image.save_image
    is_first = iter([True])

    def save_and_ask(*arguments: Any, **options: Any) -> None:
        save(*arguments, **options)
        if next(is_first, False):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("nst.commands.painting.save_image", save_and_ask)
    out = tmp_path / "painted.png"
    code, stdout, stderr = nst_optimize(photo_file, "-o", out, "--scales", "2", "--save-every", "1")
    assert (code, stdout) == (130, "")
    assert stderr.splitlines()[-1] == (
        f"nst: stopped; {out} holds the picture so far, 32x24 of 64x48 px"
    )
    assert load_image(out).rgb.shape == (24, 32, 3)
    record = json.loads(out.with_suffix(".json").read_text())
    assert (record["size"], record["is_stopped"]) == ([32, 24], True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_last_save_loses_nothing(
    nst_optimize: Run,
    photo_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    """By hand: everything was painted, so everything is written, and the exit code is 0."""
    save = nst.image.save_image

    def ask_and_save(*arguments: Any, **options: Any) -> None:
        signal.raise_signal(number)
        save(*arguments, **options)

    monkeypatch.setattr("nst.commands.painting.save_image", ask_and_save)
    out = tmp_path / "painted.png"
    code, stdout, stderr = nst_optimize(photo_file, "-o", out)
    assert (code, stdout) == (0, f"{out}\n")
    assert stderr.count("saving; once more to stop without it\n") == 1
    assert load_image(out).rgb.shape == (48, 64, 3)
    assert json.loads(out.with_suffix(".json").read_text())["is_stopped"] is False


def test_the_last_size_is_there_when_the_next_one_fails(
    nst_optimize: Run, photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: the picture of 32x24 px is written before 64x48 px are begun, and is kept."""
    content_target = PerceptualLoss.content_target
    out = tmp_path / "painted.png"
    seen = []

    def fail(self: PerceptualLoss, image: Tensor) -> ContentTarget:
        if image.shape[-1] == 64:
            seen.append((load_image(out).rgb.shape, out.with_suffix(".json").is_file()))
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return content_target(self, image)

    monkeypatch.setattr(PerceptualLoss, "content_target", fail)
    code, stdout, stderr = nst_optimize(photo_file, "-o", out, "--scales", "2")
    assert (code, stdout) == (1, "")
    assert seen == [((24, 32, 3), True)]
    assert stderr.splitlines()[-1] == (
        "nst: not enough memory to paint at 64x48 px; give a smaller --size;"
        f" {out} holds the picture so far, 32x24 of 64x48 px"
    )
    assert json.loads(out.with_suffix(".json").read_text())["size"] == [32, 24]


def test_what_does_not_fit_into_memory_is_refused(
    nst_optimize: Run, photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nst.footprint, "free_bytes", lambda: 1_000_000)
    code, stdout, stderr = nst_optimize(photo_file, "-o", tmp_path / "painted.png")
    assert (code, stdout) == (1, "")
    assert stderr.startswith("nst: painting 64x48 px takes 0.0 GB of memory")
    assert stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_a_small_style_image_is_no_error_and_is_said(
    nst_optimize: Run, style_file: Path, tmp_path: Path
) -> None:
    """By hand: 2052 px want 4 sizes (257 px first); 48 px of style allow 2, 24 px first."""
    noise = np.random.default_rng(0).integers(0, 256, (130, 2052, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "wide.png")
    arguments = ("-o", tmp_path / "a.png", "--size", "0", "--evaluations", "1")
    code, _, stderr = nst_optimize(tmp_path / "wide.png", *arguments)
    assert code == 0
    assert "painted at 2052x130 px, 2 sizes\n" in stderr
    assert f"{style_file}: too small for more sizes, 4 would suit the photograph\n" in stderr


def test_notes_of_every_picture_are_said(nst_optimize: Run, tmp_path: Path) -> None:
    """By hand: a colour profile that is none, in the photograph and in the start."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    paths = [tmp_path / "photo.png", tmp_path / "start.png"]
    for path in paths:
        Image.fromarray(noise).save(path, icc_profile=b"no profile")
    code, _, stderr = nst_optimize(paths[0], "-o", tmp_path / "a.png", "--init", paths[1])
    assert code == 0
    for path in paths:
        assert f"{path}: its colour profile is damaged and is ignored\n" in stderr


def test_progress_counts_evaluations_by_their_pixels(
    nst_optimize: Run, photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: 6 evaluations of a quarter of the pixels and 6 of all are 7.5 of all."""
    shown: list[float] = []

    class Bar:
        def update(self, completed: float, note: str = "") -> None:
            shown.append(completed)

    def bars(label: str, total: float | None) -> AbstractContextManager[Bar]:
        shown.append(total or 0)
        return nullcontext(Bar())

    monkeypatch.setattr("nst.commands.painting.progress", bars)
    out = tmp_path / "painted.png"
    assert nst_optimize(photo_file, "-o", out, "--scales", "2", "--optimizer", "adam")[0] == 0
    assert shown == [7.5, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]


def test_a_name_that_is_too_long_is_refused_before_the_work(
    nst_optimize: Run, photo_file: Path, tmp_path: Path
) -> None:
    code, _, stderr = nst_optimize(photo_file, "-o", tmp_path / ("n" * 300 + ".png"))
    assert code == 1
    assert stderr.endswith(".png: cannot be written, file name too long\n")
    assert stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["photo", "style"])
def test_a_painting_never_replaces_what_it_is_made_from(
    nst_optimize: Run, photo_file: Path, style_file: Path, name: str
) -> None:
    """By invariant: also with --overwrite, which is about earlier paintings."""
    source = {"photo": photo_file, "style": style_file}[name]
    before = source.read_bytes()
    code, stdout, stderr = nst_optimize(photo_file, "-o", source, "--overwrite")
    assert (code, stdout) == (2, "")
    assert f"the painting would replace {source}; name another file" in stderr
    assert source.read_bytes() == before


def test_a_place_that_cannot_be_written_is_found_before_the_work(
    nst_optimize: Run, photo_file: Path
) -> None:
    code, _, stderr = nst_optimize(photo_file, "-o", photo_file / "painted.png")
    assert code == 1
    assert stderr.count("\n") == 1, "nothing was begun"
    assert "cannot be written, a file stands where a folder is needed" in stderr


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_an_objective_that_is_not_finite_is_an_error(
    nst_optimize: Run, photo_file: Path, tmp_path: Path, optimizer: str
) -> None:
    plain = ("--weights", "gatys", "--style-weight", "1e300", "--optimizer", optimizer)
    code, stdout, stderr = nst_optimize(photo_file, "-o", tmp_path / "out.png", *plain)
    assert (code, stdout) == (1, "")
    assert stderr.splitlines()[-1].startswith("nst: the objective is ")
    assert not list(tmp_path.glob("out*"))


def test_a_style_layer_that_is_named_twice_is_refused(
    nst_optimize: Run, photo_file: Path, tmp_path: Path
) -> None:
    layers = ("--style-layers", "relu1_1, relu2_1,relu1_1")
    code, _, stderr = nst_optimize(photo_file, "-o", tmp_path / "out.png", *layers)
    assert code == 2
    assert "--style-layers names relu1_1 twice" in stderr


def test_several_styles_masks_and_own_colours(
    nst_optimize: Run, photo_file: Path, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    """By hand: what was asked for stands in the record; the colours are the photograph's."""
    mask = np.zeros((48, 64), np.uint8)
    mask[:, :32] = 255
    for name, plane in (("left", mask), ("right", 255 - mask)):
        Image.fromarray(plane).save(tmp_path / f"{name}.png")
    given = [tmp_path / "left.png", tmp_path / "right.png"]
    out = tmp_path / "painted.png"
    code, _, stderr = nst_optimize(
        photo_file,
        photo_file,
        *("--mask", given[0], "--mask", given[1], "--style-weights", "0.7,0.3"),
        *("--original-colors", "-o", out),
    )
    assert code == 0, stderr
    record = json.loads(out.with_suffix(".json").read_text())
    assert [style["name"] for style in record["styles"]] == ["Starry Night.png", "photo.png"]
    assert record["style_weights"] == [0.7, 0.3]
    assert [mask["name"] for mask in record["masks"]] == ["left.png", "right.png"]
    change = load_image(out).rgb.astype(int) - photo
    inside = (load_image(out).rgb > 2) & (load_image(out).rgb < 253)
    spread = (change.max(2) - change.min(2))[inside.all(2)]
    assert spread.max() <= 1  # the same is added to all three


def test_a_model_gives_the_start(
    nst_optimize: Run,
    photo_file: Path,
    photo: NDArray[np.uint8],
    invert_model: Path,
    tmp_path: Path,
) -> None:
    """By hand: the model paints the negative, and one evaluation changes nothing."""
    out = tmp_path / "painted.png"
    code, _, stderr = nst_optimize(
        photo_file, "--init-model", invert_model, "--evaluations", "1", "-o", out
    )
    assert code == 0, stderr
    np.testing.assert_array_equal(load_image(out).rgb, 255 - photo)
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["init_model"]["name"] == "invert.onnx"
    assert record["settings"]["init"] == "model"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--style-weights", "0.7,x"), "--style-weights 0.7,x: write numbers, as in 0.7,0.3"),
        (("--style-weights", "1,2"), "2 style weights for 1 style images"),
        (("--init-model", "m.onnx", "--init", "noise"), "--init and --init-model exclude"),
    ],
)
def test_controls_that_do_not_suit_are_refused(
    nst_optimize: Run, photo_file: Path, tmp_path: Path, words: tuple[str, ...], reason: str
) -> None:
    code, stdout, stderr = nst_optimize(photo_file, *words, "-o", tmp_path / "painted.png")
    assert (code, stdout) == (2, "")
    assert reason in stderr

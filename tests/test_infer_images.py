"""Which pictures are painted, where they go, and what becomes of each."""

from __future__ import annotations

import errno
import os
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import infer.memory
from infer.images import Record, paint_image, paint_moving
from infer.jobs import Format, Job, check_targets, find_jobs, is_batch, place, style_name
from infer.stylizer import Stylizer
from nst.errors import ImageError, OutputError, UsageError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def paint(invert_model: Path) -> Stylizer:
    return Stylizer(invert_model, provider="cpu")


def draw(*names: str, alpha: bool = False) -> None:
    """Write small pictures of the kinds that the suffixes tell."""
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        picture = Image.new(
            "RGBA" if alpha else "RGB", (6, 4), (10, 20, 30, 40)[: 4 if alpha else 3]
        )
        picture.save(name)


def names(jobs: list[Job]) -> list[str]:
    return [Path(job.name).as_posix() for job in jobs]


def placed(
    *inputs: str, output: str | None = None, format: Format | None = None, style: str = "wave"
) -> list[str]:
    """Where the inputs go, as a user would write it."""
    has_folder = is_batch(inputs)
    jobs = place(find_jobs(inputs), output, style=style, format=format, has_folder=has_folder)
    return ["-" if job.target is None else job.target.as_posix() for job in jobs]


# --- inputs --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_files_folders_and_patterns_are_expanded() -> None:
    """By hand."""
    draw("a.jpg", "f/z.png", "f/deep/b.webp", "f/c.jpg", "p1.png", "p2.png")
    Path("f/notes.txt").write_text("no picture")
    found = find_jobs(["a.jpg", "f", "p?.png"])
    assert names(found) == ["a.jpg", "f/c.jpg", "f/deep/b.webp", "f/z.png", "p1.png", "p2.png"]
    assert [job.within for job in found] == [None, *[Path("f")] * 3, None, None]
    assert all(job.problem is None for job in found)
    assert names(find_jobs(["f/**/*.webp"])) == ["f/deep/b.webp"]


@pytest.mark.usefixtures("here")
def test_the_videos_in_a_folder_are_painted_too() -> None:
    """Behind the pictures, because each takes as long as many of them."""
    draw("f/a.jpg", "f/c.jpg")
    Path("f/b.mp4").write_bytes(b"")
    Path("f/notes.txt").write_text("no picture")
    found = find_jobs(["f"])
    assert names(found) == ["f/a.jpg", "f/c.jpg", "f/b.mp4"]
    assert [job.is_moving for job in found] == [False, False, True]


@pytest.mark.usefixtures("here")
def test_a_file_may_have_the_name_of_a_pattern() -> None:
    draw("a[1].png")
    (job,) = find_jobs(["a[1].png"])
    assert (job.name, job.problem, is_batch(["a[1].png"])) == ("a[1].png", None, False)


@pytest.mark.usefixtures("here")
def test_what_names_nothing_is_one_clear_line() -> None:
    """And does not keep the others from being painted."""
    draw("a.jpg")
    Path("empty").mkdir()
    found = find_jobs(["none.jpg", "empty", "*.webp", "a.jpg"])
    assert [job.problem is None for job in found] == [False, False, False, True]
    assert [str(job.problem) for job in found[:3]] == [
        "none.jpg: no such file",
        "empty: no pictures or videos in this folder",
        "*.webp: no file matches",
    ]


@pytest.mark.usefixtures("here")
def test_a_file_that_is_named_in_several_ways_is_painted_once() -> None:
    draw("f/a.jpg", "f/b.jpg")
    assert names(find_jobs(["f/b.jpg", "f/*", "f", "./f/b.jpg"])) == ["f/b.jpg", "f/a.jpg"]
    assert len(find_jobs(["none.jpg", "f/none.jpg"])) == 2


@pytest.mark.usefixtures("here")
def test_a_pipe_in_a_folder_is_no_picture() -> None:
    draw("f/b.jpg")
    os.mkfifo("f/a.jpg")
    assert names(find_jobs(["f"])) == ["f/b.jpg"]
    assert find_jobs(["f/a.jpg"])[0].problem is None  # one that is named is read


@pytest.mark.usefixtures("here")
def test_a_folder_that_cannot_be_read_spoils_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    draw("f/b.jpg", "f/closed/c.jpg")
    real = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    lost, found = find_jobs(["f"])
    assert str(lost.problem) == "f/closed: cannot be read, permission denied"
    assert (found.name, found.problem) == ("f/b.jpg", None)


@pytest.mark.usefixtures("here")
def test_what_is_wrong_with_the_inputs_comes_before_where_they_go() -> None:
    jobs = place(
        find_jobs(["a[1].jpg"]),
        "x.png",
        style="wave",
        format=None,
        has_folder=is_batch(["a[1].jpg"]),
    )
    assert [str(job.problem) for job in jobs] == ["a[1].jpg: no file matches"]


@pytest.mark.usefixtures("here")
def test_a_mask_is_not_painted_over() -> None:
    draw("a.jpg", "sky.png")
    with pytest.raises(UsageError, match=r"over the mask \./sky\.png; give another --output"):
        place(
            find_jobs(["a.jpg"]),
            "sky.png",
            style="wave",
            format=None,
            has_folder=False,
            masks=["./sky.png"],
        )


def test_stdin_can_be_read_once() -> None:
    (job,) = find_jobs(["-"])
    assert (job.source, job.name) == (None, "stdin")
    with pytest.raises(UsageError, match="once"):
        find_jobs(["-", "a.jpg", "-"])


@pytest.mark.usefixtures("here")
def test_what_moves_is_known_before_it_is_read() -> None:
    """A video by its suffix, an animated picture by its content."""
    draw("still.gif", "still.png")
    frames = [Image.new("L", (4, 4), level) for level in (0, 99)]
    frames[0].save("moving.gif", save_all=True, append_images=frames[1:])
    Path("film.MP4").write_bytes(b"")
    found = find_jobs(["still.gif", "still.png", "moving.gif", "film.MP4"])
    assert [job.is_moving for job in found] == [False, False, True, True]


# --- outputs -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("a.jpg", "a-wave.jpg"),
        ("sub/a.JPEG", "a-wave.JPEG"),
        ("a.b.png", "a.b-wave.png"),
        ("a.webp", "a-wave.webp"),
        ("a.tiff", "a-wave.tiff"),
        ("a.bmp", "a-wave.png"),  # BMP and GIF are read and not written
        ("a.gif", "a-wave.png"),
    ],
)
def test_without_output_the_style_is_in_the_name(source: str, target: str) -> None:
    """By hand: in the current folder, the photograph's own kind where it can be written."""
    draw(source)
    assert placed(source) == [target]


@pytest.mark.usefixtures("here")
def test_every_form_of_output() -> None:
    """By hand."""
    draw("a.jpg", "f/b.png", "f/deep/c.jpg")
    Path("there").mkdir()
    assert placed("a.jpg", output="x.png") == ["x.png"]
    assert placed("a.jpg", output="new/") == ["new/a.jpg"]
    assert placed("a.jpg", output="there") == ["there/a.jpg"]
    assert placed("a.jpg", output="-") == ["-"]
    assert placed("-", output="-") == ["-"]
    assert placed("-") == ["stdin-wave.png"]
    assert placed("-", format="webp") == ["stdin-wave.webp"]
    assert placed("f") == ["f-wave/b.png", "f-wave/deep/c.jpg"]
    assert placed("f", "a.jpg", output="new") == ["new/b.png", "new/deep/c.jpg", "new/a.jpg"]
    assert placed("f", output="new", format="jpeg") == ["new/b.jpg", "new/deep/c.jpg"]
    assert placed("f/*.png", output="new") == ["new/b.png"]


@pytest.mark.usefixtures("here")
def test_paintings_of_an_earlier_run_are_no_inputs(here: Path) -> None:
    """By hand: the output folder lies inside the input folder, by default or by name."""
    draw("f/a.png", "f/out/a.png", f"{here.name}-wave/f/a.png")
    assert placed("f", output="f/out") == ["f/out/a.png"]
    assert placed(".") == [f"{here.name}-wave/f/{name}" for name in ("a.png", "out/a.png")]
    assert placed("f/out", output="f/") == ["f/a.png"]
    Path("f/a.png").unlink()
    with pytest.raises(UsageError, match="all inputs lie in the output folder"):
        placed("f", output="f/out")


@pytest.mark.usefixtures("here")
def test_videos_keep_a_suffix_that_can_be_written() -> None:
    for name in ("a.mp4", "b.avi"):
        Path(name).write_bytes(b"")
    assert placed("a.mp4", "b.avi", format="png") == ["a-wave.mp4", "b-wave.mp4"]
    with pytest.raises(UsageError, match="still pictures only"):
        placed("a.mp4", output="-")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("inputs", "output", "format", "words"),
    [
        (["a.jpg", "b.jpg"], "-", None, "one picture to stdout, found 2"),
        (["f"], "-", None, "one picture to stdout"),
        (["a.jpg", "b.jpg"], "x.png", None, "one file for several inputs"),
        (["a.jpg", "b.jpg"], "b.jpg", None, "one file for several inputs"),
        (["a.jpg"], "x", None, "write x.png for a file or x/ for a folder"),
        (["a.jpg"], "x.png", "jpeg", "do not agree"),
        (["f/a.jpg", "a.jpg"], "new/", None, "would both write new"),
        (["a.jpg", "a.mp4"], "new.mp4", None, "one file for several inputs"),
        (["a.jpg"], "", None, "-o is empty"),
        (["a.jpg", ""], None, None, "INPUTs is empty"),
        (["a.jpg"], "a.jpg", None, "over the photograph itself"),
        (["a.jpg"], ".", None, "over the photograph itself"),
        (["a.jpg", "f"], "f", None, "over the photograph"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    inputs: list[str], output: str | None, format: Format | None, words: str
) -> None:
    draw("a.jpg", "b.jpg", "f/a.jpg")
    with pytest.raises(UsageError, match=words):
        placed(*inputs, output=output, format=format)


@pytest.mark.usefixtures("here")
def test_macos_takes_one_case_for_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand; elsewhere they are two files."""
    draw("a.jpg")
    assert placed("a.jpg", output="A.jpg") == ["A.jpg"]
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UsageError, match="over the photograph itself"):
        placed("a.jpg", output="A.jpg")


@pytest.mark.usefixtures("here")
def test_two_photographs_of_one_name_become_two_paintings() -> None:
    """By hand: who keeps the suffix keeps the name, whatever lies beside it or comes first."""
    draw("f/a.bmp", "f/a.png", "f/b.bmp", "f/deep/a.gif", "a.jpg", "a.png")
    assert placed("f", output="new") == [
        "new/a.bmp.png",
        "new/a.png",
        "new/b.png",
        "new/deep/a.png",
    ]
    assert placed("a.jpg", "a.png", output="new", format="png") == ["new/a.jpg.png", "new/a.png"]
    assert placed("f/a.bmp", "f/a.png") == ["a.bmp-wave.png", "a-wave.png"]
    assert placed("f/a.bmp", "a.jpg", output="new", format="webp") == [
        "new/a.bmp.webp",
        "new/a.jpg.webp",
    ]


@pytest.mark.usefixtures("here")
def test_formats_may_agree_under_two_names() -> None:
    draw("a.jpg")
    assert placed("a.jpg", output="x.jpeg", format="jpeg") == ["x.jpeg"]
    assert placed("a.jpg", output="x.TIFF", format="tiff") == ["x.TIFF"]


@pytest.mark.usefixtures("here")
def test_outputs_that_exist_are_refused_before_the_work() -> None:
    draw("a.jpg", "b.jpg", "out/a.jpg", "out/b.jpg")
    jobs = [Job(n, Path(n), target=Path("out") / n) for n in ("a.jpg", "b.jpg")]
    with pytest.raises(OutputError, match=r"a\.jpg and 1 more outputs exist .*--overwrite"):
        check_targets(jobs, may_exist=False)
    with pytest.raises(OutputError, match=r"a\.jpg exists already; .*--skip-existing"):
        check_targets(jobs[:1], may_exist=False)
    check_targets(jobs, may_exist=True)
    with pytest.raises(UsageError, match="xyz"):
        check_targets([Job("a.jpg", Path("a.jpg"), target=Path("x.xyz"))], may_exist=True)


@pytest.mark.parametrize(
    ("label", "model", "name"),
    [
        ("starry night", "model", "starry-night"),
        ("../../etc/passwd", "model", "etc-passwd"),
        ("Große Welle", "model", "Große-Welle"),
        ("///", "model", "model"),
        ("///", "...", "styled"),
        ("x" * 300, "model", "x" * 64),
    ],
)
def test_the_name_of_a_style_is_made_safe(label: str, model: str, name: str) -> None:
    """By hand: it comes from a file of anyone, and becomes a part of a path."""
    assert style_name(label, Path(f"some/{model}.onnx")) == name


# --- painting ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_a_job_becomes_a_file_and_a_record(paint: Stylizer, photo: NDArray[np.uint8]) -> None:
    """By hand: the negative."""
    Image.fromarray(photo).save("a.png")
    record = paint_image(paint, Job("a.png", Path("a.png"), target=Path("new/x.png")))
    with Image.open("new/x.png") as painted:
        np.testing.assert_array_equal(np.asarray(painted), 255 - photo)
    assert (record.error, record.width, record.height) == (None, 64, 48)
    assert min(record.decode_ms, record.paint_ms, record.write_ms) > 0
    values = record.to_json()
    assert (values["input"], Path(values["output"])) == ("a.png", Path("new/x.png"))
    assert {"width", "height", "decode_ms", "paint_ms", "write_ms", "notes"} < set(values)


@pytest.mark.parametrize(("format", "kind"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_a_pipe_on_both_sides(
    paint: Stylizer, photo: NDArray[np.uint8], format: Format, kind: str
) -> None:
    """By another implementation: Pillow reads what comes out. PNG is exact."""
    stdin, stdout = BytesIO(), BytesIO()
    Image.fromarray(photo).save(stdin, "PNG")
    stdin.seek(0)
    record = paint_image(paint, Job("stdin", None), format=format, stdin=stdin, stdout=stdout)
    assert record.error is None
    painted = Image.open(stdout)
    assert painted.format == kind
    if format == "png":
        np.testing.assert_array_equal(np.asarray(painted), 255 - photo)


@pytest.mark.usefixtures("here")
def test_transparency_in_a_jpeg_is_refused_before_the_network_runs(
    paint: Stylizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw("a.png", alpha=True)
    monkeypatch.setattr(Stylizer, "__call__", None)  # a call would raise
    record = paint_image(paint, Job("a.png", Path("a.png"), target=Path("x.jpg")))
    assert "transparency" in str(record.error)


@pytest.mark.usefixtures("here")
def test_failures_are_records(paint: Stylizer) -> None:
    """A damaged file, a file that appeared meanwhile, a file too large: each named, none raised."""
    Path("bad.jpg").write_bytes(b"\xff\xd8\xff" + bytes(50))
    draw("a.jpg", "x.jpg")
    before = Path("x.jpg").read_bytes()
    bad = paint_image(paint, Job("bad.jpg", Path("bad.jpg"), target=Path("y.jpg")))
    taken = paint_image(paint, Job("a.jpg", Path("a.jpg"), target=Path("x.jpg")))
    paint.max_pixels = 23
    large = paint_image(paint, Job("a.jpg", Path("a.jpg"), target=Path("y.jpg")))
    assert isinstance(bad.error, ImageError)
    assert "bad.jpg" in str(bad.error)
    assert isinstance(taken.error, OutputError)
    assert Path("x.jpg").read_bytes() == before
    assert "--max-pixels" in str(large.error)
    assert not Path("y.jpg").exists()
    assert bad.to_json() == {"input": "bad.jpg", "output": None, "error": str(bad.error)}


@pytest.mark.usefixtures("here")
def test_an_animated_picture_becomes_a_video(paint: Stylizer) -> None:
    """By hand: three frames in, three frames out; 40 px wide reduced to 20."""
    av = pytest.importorskip("av")
    frames = [Image.new("RGB", (40, 24), (level,) * 3) for level in (20, 90, 200)]
    frames[0].save("a.gif", save_all=True, append_images=frames[1:], duration=100)
    paint.size = 20
    *steps, last = paint_moving(paint, Job("a.gif", Path("a.gif"), target=Path("a.mp4")))
    assert isinstance(last, Record)
    assert (last.error, last.frames, last.width, last.height) == (None, 3, 20, 12)
    assert last.is_reduced
    assert last.notes == ("40x24 painted at 20x12",)
    assert len(steps) >= 3
    with av.open("a.mp4") as video:
        levels = [frame.to_ndarray(format="rgb24").mean() for frame in video.decode(video=0)]
    np.testing.assert_allclose(levels, [235, 165, 55], atol=6)  # H.264 loses a little


@pytest.mark.usefixtures("here")
def test_a_film_does_not_end_because_memory_is_short_for_a_moment(
    paint: Stylizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frames behind the first are painted in the memory that it took."""
    pytest.importorskip("av")
    frames = [Image.new("RGB", (40, 24), (level,) * 3) for level in (20, 90, 200)]
    frames[0].save("a.gif", save_all=True, append_images=frames[1:], duration=100)
    readings = iter([10**9])
    monkeypatch.setattr(infer.memory, "free_bytes", lambda: next(readings, 0))
    *_, last = paint_moving(paint, Job("a.gif", Path("a.gif"), target=Path("a.mp4")))
    assert isinstance(last, Record)
    assert (last.error, last.frames) == (None, 3)


@pytest.mark.usefixtures("here")
def test_a_damaged_video_is_a_record(paint: Stylizer) -> None:
    pytest.importorskip("av")
    Path("bad.mp4").write_bytes(bytes(100))
    (last,) = paint_moving(paint, Job("bad.mp4", Path("bad.mp4"), target=Path("x.mp4")))
    assert isinstance(last, Record)
    assert "bad.mp4" in str(last.error)
    assert not Path("x.mp4").exists()

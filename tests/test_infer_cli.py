"""``nst stylize`` as a user meets it: streams, exit codes, lines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner, Result

import infer.cli
import infer.memory
import infer.stylizer
from nst.cli import app
from nst.image import Picture, load_image
from nst.terminal import Progress


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: NDArray[np.uint8]) -> Path:
    """A current folder with three photographs and a damaged file."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "f/b.png", "f/deep/c.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(name)
    Path("bad.png").write_bytes(Path("a.png").read_bytes()[:200])
    return tmp_path


def stylize(*arguments: str | Path, input: bytes | None = None) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, ["stylize", *map(str, arguments)], input=input)


def in_a_process(*arguments: str | Path, input: bytes | None = None) -> tuple[int, bytes, str]:
    """Run the command in a fresh interpreter; return exit code, stdout, stderr."""
    command = [sys.executable, "-m", "nst", "stylize", *arguments]
    done = subprocess.run(command, input=input, capture_output=True)
    return done.returncode, done.stdout, done.stderr.decode()


def pixels(source: str | BytesIO) -> NDArray[np.uint8]:
    """Read a picture with Pillow alone."""
    with Image.open(source) as image:
        return np.asarray(image)


def lines_of(text: str) -> list[str]:
    return text.splitlines()


# --- results -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_one_picture(invert_model: Path, photo: NDArray[np.uint8]) -> None:
    """By hand: the negative; its path on stdout, what ran on stderr."""
    done = stylize(invert_model, "a.png")
    assert (done.exit_code, done.stdout) == (0, "a-negative.png\n")
    assert done.stderr.startswith("provider: asked ")
    np.testing.assert_array_equal(pixels("a-negative.png"), 255 - photo)


@pytest.mark.usefixtures("here")
def test_a_folder_keeps_its_structure(invert_model: Path, photo: NDArray[np.uint8]) -> None:
    done = stylize(invert_model, "f", "-o", "out/")
    assert done.exit_code == 0
    assert [Path(line) for line in lines_of(done.stdout)] == [
        Path("out/b.png"),
        Path("out/deep/c.png"),
    ]
    np.testing.assert_array_equal(pixels("out/deep/c.png"), 255 - photo)


@pytest.mark.usefixtures("here")
def test_a_reduced_picture_is_said_aloud_with_what_to_do(invert_model: Path) -> None:
    """The first time with the flags, then without."""
    done = stylize(invert_model, "a.png", "f", "-o", "out", "--size", "32")
    notes = [line for line in lines_of(done.stderr) if " painted at " in line]
    assert notes[0] == (
        "a.png: 64x48 painted at 32x24; --size 0 for all of it, --restore-size to bring it back"
    )
    assert [note.partition(": ")[2] for note in notes[1:]] == ["64x48 painted at 32x24"] * 2
    assert pixels("out/a.png").shape == (24, 32, 3)


@pytest.mark.usefixtures("here")
def test_size_0_is_the_photographs_own(
    invert_model: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(photo).resize((1100, 30)).save("wide.png")
    assert stylize(invert_model, "wide.png", "--size", "0", "-o", "x.png").exit_code == 0
    assert pixels("x.png").shape == (30, 1100, 3)
    assert stylize(invert_model, "wide.png", "-o", "y.png").exit_code == 0
    assert pixels("y.png").shape == (28, 1024, 3)
    done = stylize(invert_model, "wide.png", "-o", "z.png", "--restore-size")
    assert pixels("z.png").shape == (30, 1100, 3)
    assert "painted at 1024x28 and enlarged again\n" in done.stderr


@pytest.mark.usefixtures("here")
def test_colours_and_strength_reach_the_painting(
    invert_model: Path, photo: NDArray[np.uint8]
) -> None:
    """By invariant: strength 0 is the photograph; with its own colours it is not the negative."""
    stylize(invert_model, "a.png", "-o", "x.png", "--strength", "0")
    np.testing.assert_array_equal(pixels("x.png"), photo)
    stylize(invert_model, "a.png", "-o", "y.png", "--original-colors")
    assert (pixels("y.png") != 255 - photo).any()


@pytest.mark.usefixtures("here")
def test_json_is_one_object_for_each_input(invert_model: Path) -> None:
    done = stylize(invert_model, "a.png", "bad.png", "none.png", "-o", "out", "--json")
    first, bad, none = [json.loads(line) for line in lines_of(done.stdout)]
    assert (first["input"], Path(first["output"])) == ("a.png", Path("out/a.png"))
    assert (first["width"], first["height"]) == (64, 48)
    assert first["provider"] in done.stderr
    assert min(first["decode_ms"], first["paint_ms"], first["write_ms"]) >= 0
    assert (bad["output"], "bad.png" in bad["error"]) == (None, True)
    assert none["error"] == "none.png: no such file"
    assert done.exit_code == 3


@pytest.mark.usefixtures("here")
def test_quality_and_format(invert_model: Path) -> None:
    """By invariant: less quality, fewer bytes."""
    for quality in ("10", "95"):
        stylize(invert_model, "a.png", "-o", f"{quality}.jpg", "--quality", quality)
    assert Path("10.jpg").stat().st_size < Path("95.jpg").stat().st_size
    assert stylize(invert_model, "a.png", "--format", "webp").stdout == "a-negative.webp\n"
    assert Path("a-negative.webp").read_bytes()[8:12] == b"WEBP"


# --- what is not written over --------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_nothing_is_replaced_unless_asked(invert_model: Path) -> None:
    Path("x.png").write_bytes(b"mine")
    done = stylize(invert_model, "a.png", "-o", "x.png")
    assert (done.exit_code, Path("x.png").read_bytes()) == (1, b"mine")
    assert lines_of(done.stderr)[-1] == (
        "nst: x.png exists already; --overwrite to replace, --skip-existing to leave"
    )
    done = stylize(invert_model, "a.png", "-o", "x.png", "--skip-existing")
    assert (done.exit_code, done.stdout, Path("x.png").read_bytes()) == (0, "", b"mine")
    assert "a.png: skipped, x.png exists" in done.stderr
    done = stylize(invert_model, "a.png", "-o", "x.png", "--overwrite")
    assert (done.exit_code, pixels("x.png").shape) == (0, (48, 64, 3))


@pytest.mark.usefixtures("here")
def test_a_batch_goes_on_where_it_stopped(invert_model: Path) -> None:
    Path("out").mkdir()
    Path("out/b.png").write_bytes(b"mine")
    done = stylize(invert_model, "f", "-o", "out", "--skip-existing")
    assert (done.exit_code, Path(done.stdout.strip())) == (0, Path("out/deep/c.png"))
    assert Path("out/b.png").read_bytes() == b"mine"
    assert "1 of 2 inputs painted, 1 skipped" in done.stderr


# --- failures ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_one_failure_does_not_stop_the_others(invert_model: Path) -> None:
    done = stylize(invert_model, "bad.png", "a.png", "none.png", "f", "-o", "out")
    assert done.exit_code == 3
    assert len(lines_of(done.stdout)) == 3
    assert sum(line.startswith("nst: bad.png") for line in lines_of(done.stderr)) == 1
    assert "nst: none.png: no such file" in lines_of(done.stderr)
    assert lines_of(done.stderr)[-1] == "nst: 2 of 5 inputs failed, the others were written"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["bad.png"], 1, "bad.png"),
        (["none.png"], 1, "none.png: no such file"),
        (["*.webp"], 1, "*.webp: no file matches"),
        (["none.png", "bad.png"], 1, "none of the 2 inputs could be painted"),
        (["a.png", "--overwrite", "--skip-existing"], 2, "exclude each other"),
        (["a.png", "--color-transfer", "statistics"], 2, "without --original-colors; add"),
        (["a.png", "--strength", "2"], 2, "--strength must be at most 1"),
        (["a.png", "--size", "-1"], 2, "--size must be at least 0"),
        (["a.png", "--quality", "0"], 2, "--quality must be at least 1"),
        (["a.png", "-o", "-", "--json"], 2, "--json"),
        (["a.png", "-o", "x.xyz"], 2, "x.xyz"),
        (["a.png", "-o", "x.mp4"], 2, "x.mp4"),
        (["a.png", "f/b.png", "-o", "x.png"], 2, "one file for several inputs"),
        (["a.png", "-o", "."], 2, "over the photograph itself"),
        (["a.png", "--max-pixels", "100"], 1, "--max-pixels"),
    ],
)
def test_an_error_is_one_line_and_a_code(
    invert_model: Path, arguments: list[str], code: int, words: str
) -> None:
    before = sorted(Path().rglob("*"))
    done = stylize(invert_model, *arguments)
    errors = [line for line in lines_of(done.stderr) if line.startswith("nst: ")]
    assert (done.exit_code, done.stdout) == (code, "")
    assert words in errors[-1]
    assert "Traceback" not in done.stderr
    assert sorted(Path().rglob("*")) == before  # no file, half file or folder is left


@pytest.mark.usefixtures("here")
def test_a_model_that_is_none(tmp_path: Path) -> None:
    done = stylize("a.png", "a.png")
    assert (done.exit_code, done.stdout) == (1, "")
    assert lines_of(done.stderr)[-1].startswith("nst: a.png is no ONNX file")
    assert stylize("none.onnx", "a.png").exit_code == 1


@pytest.mark.usefixtures("here")
def test_a_picture_that_does_not_fit_into_memory(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(infer.memory, "free_bytes", lambda: 10_000)
    done = stylize(invert_model, "a.png", "--provider", "cpu")
    assert done.exit_code == 1
    assert "a.png: 64x48 px need" in done.stderr
    assert "--size 41 fits" in done.stderr


@pytest.mark.usefixtures("here")
def test_ctrl_c_leaves_what_is_finished(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def interrupted(source: object, *, name: str, **settings: int) -> object:
        if name.endswith("c.png"):
            raise KeyboardInterrupt
        return load_image(source, name=name, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(infer.stylizer, "load_image", interrupted)
    done = stylize(invert_model, "f", "-o", "out")
    assert done.exit_code == 130
    assert [path.name for path in Path("out").rglob("*")] == ["b.png"]
    assert "1 of 2 inputs painted; add --skip-existing to go on from there" in done.stderr


# --- videos --------------------------------------------------------------------------------------


@pytest.fixture
def film(here: Path) -> Path:
    """Ten frames, an animated picture that is painted as a video."""
    pytest.importorskip("av")
    frames = [Image.new("RGB", (32, 24), (20 * level,) * 3) for level in range(10)]
    frames[0].save("film.gif", save_all=True, append_images=frames[1:], duration=100)
    return Path("film.gif")


def frames_of(path: str) -> int:
    """Count the frames of a video, read without our reader."""
    import av

    with av.open(path) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[[signal.Signals, int, str], None]:
    """Have a signal come with a certain frame, while it is painted or while it is shown."""

    def arrange(number: signal.Signals, frame: int, where: str) -> None:
        calls = iter(range(1, 1000))
        original = infer.stylizer.Stylizer.__call__

        def paint(self: infer.stylizer.Stylizer, *args: Any, **options: Any) -> Picture:
            if next(calls) == frame:
                signal.raise_signal(number)
            return original(self, *args, **options)

        @contextmanager
        def progress(label: str, total: float | None) -> Iterator[Progress]:
            class Bar:
                def update(self, completed: float, note: str = "") -> None:
                    if completed == frame:
                        signal.raise_signal(number)

            yield Bar()

        if where == "painting":
            monkeypatch.setattr(infer.stylizer.Stylizer, "__call__", paint)
        else:
            monkeypatch.setattr(infer.cli, "progress", progress)

    return arrange


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(("where", "kept"), [("painting", 5), ("showing", 6)])
@pytest.mark.parametrize("output", ["film.mp4", "film.mkv"])
def test_a_film_that_is_stopped_is_kept_under_a_name_of_its_own(
    invert_model: Path,
    film: Path,
    interrupt: Callable[[signal.Signals, int, str], None],
    number: signal.Signals,
    code: int,
    where: str,
    kept: int,
    output: str,
) -> None:
    """By hand: the sixth frame; what stood under the name, and could be replaced, stays."""
    Path(output).write_bytes(b"complete")
    interrupt(number, 6, where)
    done = stylize(invert_model, film, "-o", output, "--overwrite")
    assert (done.exit_code, done.stdout) == (code, "")
    part = output.replace(".", ".partial.")
    assert lines_of(done.stderr)[-2:] == [
        f"film.gif: stopped after {kept} of 10 frames; {part} holds them and plays",
        "nst: stopped",
    ]
    assert frames_of(part) == kept
    assert Path(output).read_bytes() == b"complete"
    assert sorted(path.name for path in Path().glob("film*")) == sorted([film.name, output, part])
    assert not list(Path().glob(".*"))


def test_the_end_of_a_film_is_said_once(invert_model: Path, film: Path) -> None:
    done = stylize(invert_model, film)
    assert sum(line.startswith("film.gif 10/10") for line in lines_of(done.stderr)) == 1


@pytest.mark.usefixtures("here")
def test_the_videos_of_a_folder_are_painted(invert_model: Path, film: Path) -> None:
    film.rename("f/film.gif")
    done = stylize(invert_model, "f", "-o", "out")
    assert done.exit_code == 0
    assert [Path(line).as_posix() for line in lines_of(done.stdout)] == [
        "out/b.png",
        "out/deep/c.png",
        "out/film.gif",
    ]
    assert frames_of("out/film.gif") == 10


def test_settings_of_pictures_that_a_video_cannot_have(invert_model: Path, film: Path) -> None:
    done = stylize(invert_model, film, "--format", "png")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--format png is for pictures" in lines_of(done.stderr)[-1]
    assert stylize(invert_model, film, "a.png", "--format", "webp", "-o", "out").exit_code == 0
    assert {path.name for path in Path("out").iterdir()} == {"film.gif", "a.webp"}


def test_settings_that_a_video_shares_with_pictures(invert_model: Path, film: Path) -> None:
    """By invariant: less quality, fewer bytes; and a limit of pixels holds for frames."""
    for quality in ("1", "95"):
        stylize(invert_model, film, "-o", f"{quality}.mp4", "--quality", quality)
    assert Path("1.mp4").stat().st_size < Path("95.mp4").stat().st_size
    done = stylize(invert_model, film, "--max-pixels", "700")
    assert done.exit_code == 1
    assert "film.gif has frames of 32x24" in lines_of(done.stderr)[-1]
    assert lines_of(done.stderr)[-1].endswith("or raise --max-pixels")


def test_a_part_of_a_video_is_painted(invert_model: Path, film: Path) -> None:
    """By hand: frames of 0.1 s each; where the time went is said in words or in JSON."""
    done = stylize(invert_model, film, "-o", "a.mp4", "--start", "0.3", "--duration", "0:00:00.5")
    assert done.exit_code == 0
    assert frames_of("a.mp4") == 5
    assert "film.gif: 5 frames in " in done.stderr
    assert "sets the pace" in done.stderr
    done = stylize(invert_model, film, "-o", "b.mp4", "--start", "0.3", "--json")
    record = json.loads(done.stdout)
    assert record["frames"] == 7
    times = [record[f"{name}_ms"] for name in ("decode", "paint", "write", "wait", "total")]
    assert all(ms >= 0 for ms in times)
    assert record["total_ms"] >= record["paint_ms"] > 0


def test_our_own_choice_of_a_container_is_said(
    invert_model: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import infer.jobs

    monkeypatch.setattr(infer.jobs, "output_suffix", lambda source: ".mkv")
    done = stylize(invert_model, film)
    assert done.stdout == "film-negative.mkv\n"
    assert "film.gif: is written as .mkv, because an .mp4 cannot hold its sound" in done.stderr


# --- json ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "keys"),
    [
        (["a.png"], 0, ["output"]),
        (["film.gif"], 0, ["frames"]),
        (["a.png", "film.gif", "-o", "out"], 0, ["output", "frames"]),
        (["a.png", "-o", "there.png", "--skip-existing"], 0, ["skipped"]),
        (["bad.png"], 1, ["error"]),
        (["none.png", "bad.png"], 1, ["error", "error"]),
        (["bad.png", "a.png", "-o", "out"], 3, ["error", "output"]),
        (["film.gif", "--max-pixels", "1"], 1, ["error"]),
        (["a.png", "-o", "there.png"], 1, []),
        (["a.png", "-o", "x.xyz"], 2, []),
        (["a.png", "--strength", "2"], 2, []),
        (["film.gif", "--format", "png"], 2, []),
        (["film.gif", "--start", "soon"], 2, []),
        (["film.gif", "--start", "0:00:05"], 1, ["error"]),
        (["a.png", "--duration", "1"], 2, []),
        (["film.gif", "-o", "film.webm", "--codec", "prores"], 2, []),
    ],
)
@pytest.mark.usefixtures("here", "film")
def test_json_is_all_that_stdout_gets(
    invert_model: Path, arguments: list[str], code: int, keys: list[str]
) -> None:
    """Every way to end: nothing but objects on stdout, in the order of the inputs."""
    Path("there.png").write_bytes(b"mine")
    done = stylize(invert_model, *arguments, "--json")
    records = [json.loads(line) for line in lines_of(done.stdout)]
    assert done.exit_code == code
    assert all(key in record for key, record in zip(keys, records, strict=True))
    assert [record["input"] for record in records] == arguments[: len(keys)]


@pytest.mark.parametrize("frame", [1, 6])
def test_json_ends_where_it_is_stopped(
    invert_model: Path,
    film: Path,
    interrupt: Callable[[signal.Signals, int, str], None],
    frame: int,
) -> None:
    interrupt(signal.SIGTERM, frame, "painting")
    done = stylize(invert_model, "a.png", film, "f", "-o", "out", "--json")
    records = [json.loads(line) for line in lines_of(done.stdout)]
    assert done.exit_code == 143
    assert [record["input"] for record in records] == ["a.png"][: frame - 1]
    assert f"{len(records)} of 4 inputs painted; add --skip-existing to go on" in done.stderr


# --- processes -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_a_pipe_carries_the_picture_and_nothing_else(
    invert_model: Path, photo: NDArray[np.uint8]
) -> None:
    """By hand: the negative; all talk is on stderr."""
    data = Path("a.png").read_bytes()
    code, stdout, stderr = in_a_process(invert_model, "-", "-o", "-", input=data)
    assert code == 0
    np.testing.assert_array_equal(pixels(BytesIO(stdout)), 255 - photo)
    assert [line.partition(":")[0] for line in lines_of(stderr)] == ["provider"]


@pytest.mark.usefixtures("here")
def test_no_torch_in_the_command(invert_model: Path) -> None:
    """In a fresh interpreter; what pictures do not need is not loaded either."""
    code = (
        "import sys; from nst.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end\n"
        "print([m for m in ('torch', 'torchvision', 'av', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "stylize", invert_model, "a.png"],
        capture_output=True,
        text=True,
    )
    assert lines_of(done.stdout) == ["a-negative.png", "[]"], done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals and pseudo-terminals are those of POSIX")
@pytest.mark.usefixtures("here")
def test_a_bar_on_the_terminal_takes_no_line_from_stdout(invert_model: Path) -> None:
    """stderr is a terminal, stdout a pipe: the bar there, the paths here."""
    import pty

    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "nst", "stylize", str(invert_model), "f", "-o", "out"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal) as process:
        os.close(terminal)
        shown = b""
        try:
            while part := os.read(master, 4096):
                shown += part
        except OSError:  # Linux says so when the other end is closed
            pass
        assert process.stdout is not None
        written = process.stdout.read().decode()
    os.close(master)
    assert len(lines_of(written)) == 2, shown
    assert b"painting" in shown


@pytest.mark.skipif(os.name != "posix", reason="names of files are bytes on POSIX")
def test_a_name_that_is_no_text_goes_out_as_it_came_in(invert_model: Path, here: Path) -> None:
    """As in a locale of UTF-8, where Python would rather raise than print it."""
    name = b"\xff.png"
    try:
        Path("a.png").rename(os.fsdecode(name))
    except OSError:
        pytest.skip("this file system has no such names")
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    command = [sys.executable, "-m", "nst", "stylize", str(invert_model), os.fsdecode(name)]
    done = subprocess.run([*command, "-o", "out/"], capture_output=True, env=environment)
    assert (done.returncode, done.stdout) == (0, b"out/" + name + b"\n"), done.stderr


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C as a signal is that of POSIX")
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.usefixtures("here")
def test_a_real_signal(invert_model: Path, number: signal.Signals, expected: int) -> None:
    """Sent while stdin is waited for: exit code 130 or 143, one line, no traceback."""
    command = [sys.executable, "-m", "nst", "stylize", str(invert_model), "a.png", "-", "-o", "out"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()  # the first picture is written
        time.sleep(0.1)
        process.send_signal(number)
        stderr = process.stderr.read().decode()
        code = process.wait(10)
    assert code == expected, stderr
    assert Path("out/a.png").exists()
    assert lines_of(stderr)[-1] == "nst: stopped"
    assert "Traceback" not in stderr


def test_the_help_page_names_every_setting() -> None:
    done = stylize("--help")
    assert done.exit_code == 0
    for flag in ("--output", "--size", "--restore-size", "--original-colors", "--strength"):
        assert flag in done.stdout
    for flag in ("--provider", "--overwrite", "--skip-existing", "--json", "--format"):
        assert flag in done.stdout
    assert "nst stylize starry.onnx photo.jpg" in done.stdout

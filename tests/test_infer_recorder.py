"""Recordings and the keys of the webcam. Truth: by hand, and films read with PyAV."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from infer.mixture import mixture_of
from infer.recorder import Recorder
from infer.webcam_keys import HELP, Keys
from nst.contract import ModelInfo
from nst.errors import NSTError, OutputError

Array = NDArray[np.uint8]


def picture(level: int, height: int = 24, width: int = 32) -> Array:
    return np.full((height, width, 3), level, np.uint8)


def read(path: Path) -> tuple[list[float], list[float]]:
    """Grey levels of a film, and when they are shown, seconds."""
    levels, times = [], []
    with av.open(str(path)) as film:
        for frame in film.decode(video=0):
            levels.append(float(frame.to_ndarray(format="rgb24").mean()))
            assert frame.time is not None
            times.append(frame.time)
    return levels, times


def test_a_film_has_the_times_of_its_frames(tmp_path: Path) -> None:
    """By hand: as they came, unevenly; odd sides gain a row and a column."""
    recorder = Recorder(tmp_path / "a.mp4")
    for level, at in ((40, 100.0), (90, 100.033), (140, 100.5), (200, 101.25)):
        recorder.add(picture(level, 23, 31), at)
    assert recorder.seconds == pytest.approx(1.25)
    assert recorder.close() == f"{tmp_path / 'a.mp4'}: 4 frames in 1.2 s"
    levels, times = read(tmp_path / "a.mp4")
    assert levels == pytest.approx([40, 90, 140, 200], abs=2)
    assert times == pytest.approx([0, 0.033, 0.5, 1.25], abs=0.001)
    with av.open(str(tmp_path / "a.mp4")) as film:
        stream = film.streams.video[0]
        assert (stream.width, stream.height) == (32, 24)
        assert stream.codec_context.name == "h264"


def test_a_film_replaces_none(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("mine")
    with pytest.raises(OutputError, match=r"a\.mp4: cannot be written"):
        Recorder(tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_text() == "mine"


def test_nothing_recorded_leaves_nothing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mp4")
    with pytest.raises(OutputError, match="nothing was recorded"):
        recorder.close()
    assert list(tmp_path.iterdir()) == []


def test_another_size_ends_it(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mp4")
    recorder.add(picture(1), 0.0)
    with pytest.raises(OutputError, match="size of the picture has changed"):
        recorder.add(picture(1, 48, 64), 0.1)
    recorder.close()
    assert len(read(tmp_path / "a.mp4")[0]) == 1


def test_a_dead_encoder_is_one_line(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mp4")
    recorder._process.kill()
    recorder._process.wait()

    def go_on() -> None:
        for i in range(10_000):
            recorder.add(picture(i % 256), i / 30)

    with pytest.raises(OutputError, match="the encoder has ended"):
        go_on()
    with pytest.raises(OutputError, match=r"a\.mp4: the encoder has ended"):
        recorder.close()
    assert not (tmp_path / "a.mp4").exists()  # nothing was written, so nothing is left


def test_frames_are_left_out_while_the_encoder_is_busy(tmp_path: Path) -> None:
    """A process that stands still: the queue fills up, and nobody waits for it."""
    if not hasattr(signal, "SIGSTOP"):
        pytest.skip("no SIGSTOP here")
    recorder = Recorder(tmp_path / "a.mp4")
    recorder._process.send_signal(signal.SIGSTOP)
    large = picture(7, 240, 320)  # more than a pipe holds
    for i in range(30):
        recorder.add(large, i / 30)
    recorder._process.send_signal(signal.SIGCONT)
    assert recorder.left_out > 10
    assert "left out because encoding was too slow" in recorder.close()
    assert len(read(tmp_path / "a.mp4")[0]) == 30 - recorder.left_out


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_film_outlives_the_program(tmp_path: Path, number: signal.Signals) -> None:
    """Killed, or interrupted with all its group as a terminal does: what was recorded plays."""
    path = tmp_path / "a.mp4"
    program = f"""
import os, signal, sys
import numpy as np
from pathlib import Path
from infer.recorder import Recorder
recorder = Recorder(Path({str(path)!r}))
for i in range(20):
    while not recorder._behind.offer((i / 30, np.full((24, 32, 3), 9 * i, np.uint8))):
        pass
while not recorder._behind._queue.empty():
    pass
print(recorder._process.pid, flush=True)
os.kill({"os.getpid()" if number == signal.SIGKILL else "0"}, {int(number)})
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, start_new_session=True
    )
    wait_for_end(int(done.stdout.split()[0]))
    levels, _ = read(path)
    assert len(levels) >= 18  # the last ones may have been on their way
    assert levels == pytest.approx([9 * i for i in range(len(levels))], abs=3)


def wait_for_end(pid: int) -> None:
    """Wait for a process that is not our child."""
    import psutil

    if psutil.pid_exists(pid):
        psutil.wait_procs([psutil.Process(pid)], timeout=30)


def test_the_process_imports_no_opencv() -> None:
    program = """
import sys
import infer.record_process
from infer.video_codec import find_encoder
find_encoder("h264")
assert "av" in sys.modules
assert not {"cv2", "torch", "onnxruntime"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, env=dict(os.environ))


# --- keys


class FakePainter:
    """What the keys change of a ``Stylizer``."""

    def __init__(self, *styles: str, is_mixing: bool = True) -> None:
        self.info = ModelInfo(
            styles=styles,
            style_sha256=("0" * 64,) * len(styles),
            network="swift",
            width=8,
            reach_px=0,
            size_multiple=4,
            bytes_per_pixel=130,
            controls="global" if is_mixing else "none",
        )
        self.mixture = mixture_of(self.info, model="m", style=styles[0]) if is_mixing else None
        self.strength = 1.0
        self.original_colors = False

    @property
    def label(self) -> str:
        return self.info.styles[0] if self.mixture is None else self.mixture.label


class FakeRecorder:
    """Keeps frames; can fail."""

    def __init__(self, path: Path, *, fails: Sequence[str] = ()) -> None:
        self.path, self.fails, self.seconds = path, fails, 3.4
        self.frames: list[Array] = []

    def add(self, painted: Array, captured_at: float) -> None:
        if "add" in self.fails:
            raise OutputError(f"{self.path}: disk full")
        self.frames.append(painted)

    def close(self) -> str:
        if "close" in self.fails:
            raise OutputError(f"{self.path}: cannot be closed")
        return f"{self.path}: {len(self.frames)} frames"


def make_keys(painter: FakePainter, record: Any = FakeRecorder) -> tuple[Keys, list[str]]:
    said: list[str] = []
    arguments: Any = SimpleNamespace(
        name=lambda: painter.label, announce=said.append, deliver=said.append, record=record
    )
    anything: Any = painter
    return Keys(anything, **vars(arguments)), said


def test_digits_and_neighbours_choose_styles() -> None:
    painter = FakePainter("wave", "scream", "night")
    keys, _ = make_keys(painter)
    seen = []
    for key in ("2", "n", "n", "p", "1"):
        keys.actions[key]()
        assert painter.mixture is not None
        grid = painter.mixture.grid(8, 8, strength=1.0, name="p")
        assert grid.ravel().tolist() == [0.0, *(painter.label == s for s in painter.info.styles)]
        seen.append(painter.label)
    assert seen == ["scream", "night", "wave", "night", "wave"]
    assert keys.caption() == "wave   100%   h: help"


def test_a_style_that_is_not_there_is_said() -> None:
    for painter, words in (
        (FakePainter("wave", "scream"), "this model has 2 styles"),
        (FakePainter("wave", is_mixing=False), "this model has one style"),
    ):
        keys, _ = make_keys(painter)
        keys.actions["9"]()
        assert painter.label == "wave"
        assert words in keys.caption()
        keys.actions["["]()
        assert keys.caption() == "wave   90%   h: help"


def test_from_a_mix_the_next_style_is_the_first() -> None:
    painter = FakePainter("wave", "scream")
    for key, style in (("n", "wave"), ("p", "scream")):
        painter.mixture = mixture_of(painter.info, model="m", style="wave,scream")
        keys, _ = make_keys(painter)
        keys.actions[key]()
        assert painter.label == style


def test_the_help_is_shown_and_hidden() -> None:
    painter = FakePainter("wave")
    keys, _ = make_keys(painter)
    keys.actions["h"]()
    keys.actions["o"]()
    assert keys.caption().splitlines() == ["wave   100%   original colours", *HELP]
    keys.actions["h"]()
    assert len(keys.caption().splitlines()) == 1
    assert all(line.isascii() for line in HELP)  # OpenCV's font knows nothing else


def test_recording_from_key_to_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    keys, said = make_keys(FakePainter("wave"))
    keys.take(picture(1), 0.0)
    keys.actions["r"]()
    assert keys.is_recording
    assert "REC 3 s" in keys.caption()
    keys.take(picture(2), 0.1)
    keys.actions["r"]()
    keys.close()
    assert not keys.is_recording
    assert said == ["wave-001.mp4: 1 frames", "wave-001.mp4"]


@pytest.mark.parametrize("where", ["start", "add", "close"])
def test_a_film_that_fails_does_not_end_the_show(where: str) -> None:
    def record(path: Path) -> FakeRecorder:
        if where == "start":
            raise NSTError("no PyAV")
        return FakeRecorder(path, fails=(where,))

    keys, said = make_keys(FakePainter("wave"), record)
    keys.actions["r"]()
    keys.take(picture(1), 0.0)
    keys.close()
    assert not keys.is_recording
    words = {"start": "no PyAV", "add": "disk full", "close": "cannot be closed"}
    assert words[where] in said[0]

"""The command ``nst webcam``, with a camera and a window that are not there."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from infer.camera import CameraInfo, Shot
from infer.virtual_camera import VirtualCamera
from nst.cli import main
from nst.errors import MediaError, OutputError
from nst.image import load_image

Array = NDArray[np.uint8]


class FakeCamera:
    """Gives five frames of one colour each; the last film is kept for the test to look at."""

    last: FakeCamera

    def __init__(self, device: str, *, width: int | None, height: int | None) -> None:
        self.name = f"camera {device}"
        self.size = (24, 32)
        self.dropped = 2
        self.is_closed = False
        self.asked = (width, height)
        self._left = [0, 1, 2, 3, 4]
        FakeCamera.last = self

    @property
    def is_over(self) -> bool:
        return not self._left

    def read(self, timeout_s: float) -> Shot | None:
        if not self._left:
            return None
        frame = np.full((24, 32, 3), 10 * self._left.pop(0), np.uint8)
        frame[:, :8] = 255
        return Shot(frame, time.perf_counter())

    def close(self) -> None:
        self.is_closed = True


class FakeWindow:
    last: FakeWindow
    keys: Sequence[str | BaseException] = ()

    def __init__(self, title: str) -> None:
        self.title = title
        self.shown: list[Array] = []
        self.captions: list[str] = []
        self.is_closed = False
        self._keys = list(FakeWindow.keys)
        FakeWindow.last = self

    def show(self, rgb: Array, caption: str = "") -> None:
        self.shown.append(rgb)
        self.captions.append(caption)

    def key(self) -> str:
        key = self._keys.pop(0) if self._keys else ""
        if isinstance(key, BaseException):
            raise key
        return key

    def close(self) -> None:
        self.is_closed = True


class FakeLibrary:
    """pyvirtualcam and its camera in one."""

    last: FakeLibrary
    error: RuntimeError | None = None
    device = "/dev/video9"

    def __init__(self, width: int, height: int, fps: float) -> None:
        if FakeLibrary.error is not None:
            raise FakeLibrary.error
        self.width, self.height = width, height
        self.sent: list[Array] = []
        self.is_closed = False
        FakeLibrary.last = self

    @staticmethod
    def Camera(width: int, height: int, fps: float) -> FakeLibrary:
        return FakeLibrary(width, height, fps)

    def send(self, frame: Array) -> None:
        self.sent.append(frame)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def devices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("infer.camera.Camera", FakeCamera)
    monkeypatch.setattr("infer.window.Window", FakeWindow)
    monkeypatch.setattr("infer.window.check_display", lambda: None)
    monkeypatch.setattr(FakeWindow, "keys", ())
    monkeypatch.chdir(tmp_path)


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as end:
        main(["webcam", *map(str, arguments)])
    code = end.value.code
    return code if isinstance(code, int) else 0


def test_the_camera_is_painted_and_mirrored(invert_model: Path, capsys: Any) -> None:
    assert run(invert_model, "--provider", "cpu") == 0
    window = FakeWindow.last
    assert [int(p[0, 0, 0]) for p in window.shown] == [255, 245, 235, 225, 215]  # 255 - frame
    assert all((p[:, -8:] == 0).all() for p in window.shown)  # the left edge is on the right
    assert window.title == "nst negative"
    assert window.is_closed
    assert FakeCamera.last.is_closed
    out, err = capsys.readouterr()
    assert out == ""
    assert "provider: asked CPU, got CPU" in err
    assert "camera 0: 32x24" in err
    assert "5 frames shown" in err
    assert " ms old when shown, 2 of the camera's left out" in err


def test_options_reach_the_camera_and_the_painter(invert_model: Path, capsys: Any) -> None:
    code = run(
        *(invert_model, "--provider", "cpu", "--camera", "3", "--width", "1280", "--height", "720"),
        *("--no-mirror", "--size", "16", "--strength", "0"),
    )
    assert code == 0
    shown = FakeWindow.last.shown
    assert all(p.shape == (12, 16, 3) for p in shown)
    assert [int(p[0, -1, 0]) for p in shown] == [0, 10, 20, 30, 40]  # strength 0: the photograph
    assert FakeCamera.last.asked == (1280, 720)
    assert "camera 3: 32x24, not the 1280x720 asked for" in capsys.readouterr().err


def test_snapshots_take_free_names(
    invert_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(FakeWindow, "keys", ("s", "", "s"))
    (tmp_path / "negative-001.png").write_text("mine")
    assert run(invert_model, "--provider", "cpu") == 0
    assert capsys.readouterr().out.splitlines() == ["negative-002.png", "negative-003.png"]
    assert (tmp_path / "negative-001.png").read_text() == "mine"
    for name, number in (("negative-002.png", 0), ("negative-003.png", 2)):
        saved = load_image(tmp_path / name).rgb
        assert np.array_equal(saved, FakeWindow.last.shown[number])


def test_a_snapshot_that_cannot_be_written_does_not_end_the_show(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def full(path: Path, rgb: Any) -> None:
        raise OutputError(f"{path}: cannot be written, no space left on device")

    monkeypatch.setattr(FakeWindow, "keys", ("s", ""))
    monkeypatch.setattr("nst.image.save_image", full)
    assert run(invert_model, "--provider", "cpu") == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "negative-001.png: cannot be written, no space left on device" in told.err
    assert len(FakeWindow.last.shown) == 5


def test_o_switches_the_original_colours(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeWindow, "keys", ("", "o", "", "o"))
    assert run(invert_model, "--provider", "cpu") == 0
    monkeypatch.setattr(FakeWindow, "keys", ())
    switched = FakeWindow.last.shown
    run(invert_model, "--provider", "cpu")
    plain = FakeWindow.last.shown
    run(invert_model, "--provider", "cpu", "--original-colors")
    kept = FakeWindow.last.shown
    for i, expected in enumerate((plain, plain, kept, kept, plain)):
        assert np.array_equal(switched[i], expected[i])


def test_the_strength_is_changed_by_keys(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: two steps down are 80 %; and no step leads beyond 0 or 100 %."""
    monkeypatch.setattr(FakeWindow, "keys", ("+", "[", "[", "]", ""))
    assert run(invert_model, "--provider", "cpu") == 0
    shares = [line.splitlines()[1].split()[1] for line in FakeWindow.last.captions]
    assert shares == ["100%", "100%", "90%", "80%", "90%"]
    shown = [int(p[0, 0, 0]) for p in FakeWindow.last.shown]
    expected = [255, 245, 0.9 * 235 + 0.1 * 20, 0.8 * 225 + 0.2 * 30, 0.9 * 215 + 0.1 * 40]
    assert shown == pytest.approx(expected, abs=1)


def test_r_records_what_is_shown(
    invert_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """From key to key, under a free name; the last film ends with the command."""
    (tmp_path / "negative-001.mp4").write_text("mine")
    monkeypatch.setattr(FakeWindow, "keys", ("r", "", "r", "r", ""))
    assert run(invert_model, "--provider", "cpu") == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == ["negative-002.mp4", "negative-003.mp4"]
    assert "negative-002.mp4: 2 frames in " in err
    assert "negative-003.mp4: 1 frames in " in err
    assert (tmp_path / "negative-001.mp4").read_text() == "mine"
    assert levels_of(tmp_path / "negative-002.mp4") == pytest.approx([245, 235], abs=3)
    assert levels_of(tmp_path / "negative-003.mp4") == pytest.approx([215], abs=3)
    assert ["REC" in caption for caption in FakeWindow.last.captions] == [0, 1, 1, 0, 1]


def levels_of(path: Path) -> list[float]:
    import av

    with av.open(str(path)) as film:
        frames = [f.to_ndarray(format="rgb24") for f in film.decode(video=0)]
    return [float(frame[:, :16].mean()) for frame in frames]  # right of it lies the bright edge


def test_a_recording_that_fails_ends_alone(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(FakeWindow, "keys", ("r", ""))
    assert run(invert_model, "--provider", "cpu") == 0
    assert "recording needs the package av" in capsys.readouterr().err
    assert len(FakeWindow.last.shown) == 5
    assert "cannot record" in FakeWindow.last.captions[1]


def test_the_virtual_camera_gets_what_is_shown(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", FakeLibrary)
    assert run(invert_model, "--provider", "cpu", "--virtual") == 0
    camera = FakeLibrary.last
    assert (camera.width, camera.height) == (32, 24)
    assert len(camera.sent) == 6  # the first one of the warm-up
    assert np.array_equal(camera.sent[1], FakeWindow.last.shown[0])
    assert camera.is_closed
    assert "virtual camera: /dev/video9" in capsys.readouterr().err


def test_no_virtual_camera_is_one_line(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", FakeLibrary)
    monkeypatch.setattr(FakeLibrary, "error", RuntimeError("no device\n'obs' backend: none"))
    assert run(invert_model, "--provider", "cpu", "--virtual") == 1
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("nst: ")]
    assert "--virtual: there is no virtual camera, or it is taken" in line
    assert "no device 'obs' backend: none" in line
    assert FakeCamera.last.is_closed


def test_without_pyvirtualcam_the_package_is_named(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    assert run(invert_model, "--provider", "cpu", "--virtual") == 1
    assert "pip install pyvirtualcam" in capsys.readouterr().err


def test_a_virtual_camera_has_even_sides_and_follows_the_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", FakeLibrary)
    camera = VirtualCamera()
    assert camera.name == ""
    odd = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    camera.send(odd)
    first = FakeLibrary.last
    assert (first.width, first.height) == (8, 6)
    assert np.array_equal(first.sent[0][:5, :7], odd)
    assert np.array_equal(first.sent[0][5, :7], odd[4])
    camera.send(np.zeros((4, 4, 3), np.uint8))
    assert first.is_closed
    assert FakeLibrary.last.width == 4
    camera.close()
    assert FakeLibrary.last.is_closed


def test_ctrl_c_says_how_it_went(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(FakeWindow, "keys", ("", "", KeyboardInterrupt()))
    assert run(invert_model, "--provider", "cpu") == 130
    assert "2 frames shown" in capsys.readouterr().err
    assert FakeWindow.last.is_closed
    assert FakeCamera.last.is_closed


def test_a_window_that_cannot_be_opened_lets_the_camera_go(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def refuse(title: str) -> None:
        raise MediaError("this OpenCV has no windows")

    monkeypatch.setattr("infer.window.Window", refuse)
    assert run(invert_model, "--provider", "cpu") == 1
    assert "nst: this OpenCV has no windows\n" in capsys.readouterr().err
    assert FakeCamera.last.is_closed


def test_no_camera_is_one_line(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def refuse(device: str, **options: Any) -> None:
        raise MediaError("camera 0 cannot be opened")

    monkeypatch.setattr("infer.camera.Camera", refuse)
    assert run(invert_model, "--provider", "cpu") == 1
    assert capsys.readouterr().err.splitlines()[-1] == "nst: camera 0 cannot be opened"


def test_list_prints_the_cameras(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    found = [CameraInfo(0, 640, 480, "Front"), CameraInfo(2, 1280, 720, "")]
    monkeypatch.setattr("infer.camera.list_cameras", lambda: found)
    assert run("--list") == 0
    assert capsys.readouterr().out.splitlines() == ["0  640x480  Front", "2  1280x720"]
    monkeypatch.setattr("infer.camera.list_cameras", list)
    assert run("--list") == 0
    assert "no camera" in capsys.readouterr().err


def test_a_model_is_needed(capsys: Any) -> None:
    assert run() == 2
    assert "needs a MODEL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "value"), [("--size", "-1"), ("--strength", "2"), ("--width", "0")]
)
def test_a_value_out_of_bounds_names_its_flag(
    invert_model: Path, flag: str, value: str, capsys: Any
) -> None:
    assert run(invert_model, flag, value) == 2
    assert flag in capsys.readouterr().err


def test_the_command_loads_neither_torch_nor_pyav(invert_model: Path) -> None:
    # The whole command but for its hardware, in a fresh interpreter.
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import infer.webcam_cli
heavy = ("numpy", "onnxruntime", "cv2", "av", "torch")
assert not any(name in sys.modules for name in heavy), "imported before it is needed"
import infer.camera, infer.window
from test_infer_webcam_cli import FakeCamera, FakeWindow
infer.camera.Camera, infer.window.Window = FakeCamera, FakeWindow
infer.window.check_display = lambda: None
from nst.cli import main
try:
    main(["webcam", {str(invert_model)!r}, "--provider", "cpu"])
except SystemExit as end:
    assert not end.code
assert len(FakeWindow.last.shown) == 5
assert "torch" not in sys.modules and "av" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

"""The camera, the window and the loop between them, with fakes in place of hardware."""

from __future__ import annotations

import ast
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

import infer
from infer import camera as camera_module
from infer import webcam as webcam_module
from infer.camera import Camera, Feed, Shot
from infer.timing import FrameRate
from infer.webcam import WebcamRecord, run_webcam
from infer.window import Window, check_display
from nst.errors import MediaError

Array = NDArray[np.uint8]

DEADLINE_S = 5.0


def picture(value: int) -> Array:
    return np.full((4, 6, 3), value, np.uint8)


def wait_until(is_true: Callable[[], bool]) -> None:
    end = time.perf_counter() + DEADLINE_S
    while not is_true():
        assert time.perf_counter() < end, "waited in vain"
        time.sleep(0.002)


class FakeFeed:
    """A camera that gives what the test pushes; None is a failed read, "stop" ends the waiting."""

    def __init__(self, *frames: Array | None, interval_s: float = 0.0) -> None:
        self.interval_s = interval_s
        self.captured_at: float | None = None
        self.taken = 0
        self.is_closed = False
        self._frames: queue.Queue[Array | None] = queue.Queue()
        for frame in frames:
            self.push(frame)

    def push(self, frame: Array | None) -> None:
        self._frames.put(frame)

    def read(self) -> Array | None:
        while not self.is_closed:
            try:
                frame = self._frames.get(timeout=0.01)
            except queue.Empty:
                if self.interval_s:
                    return None
                continue
            self.taken += 1
            return frame
        return None

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def opened() -> Any:
    """Make cameras that are closed after the test."""
    cameras: list[tuple[Camera, Sequence[FakeFeed]]] = []

    def make(*feeds: FakeFeed) -> Camera:
        waiting = iter(feeds)

        def open_feed() -> Feed:
            try:
                return next(waiting)
            except StopIteration:
                raise MediaError("gone") from None

        camera = Camera(0, open_feed=open_feed)
        cameras.append((camera, feeds))
        return camera

    yield make
    for camera, feeds in cameras:
        for feed in feeds:
            feed.is_closed = True  # lets a waiting read go
        camera.close()


# --- Camera: truths by hand


def test_the_newest_frame_wins(opened: Any) -> None:
    feed = FakeFeed(picture(0))
    camera = opened(feed)
    for value in (1, 2, 3, 4):
        feed.push(picture(value))
    wait_until(lambda: feed.taken == 5 and camera.dropped == 4)
    shot = camera.read(1.0)
    assert shot is not None
    assert shot.rgb[0, 0, 0] == 4
    assert camera.dropped == 4
    assert camera.size == (4, 6)


def test_a_frame_is_given_once(opened: Any) -> None:
    feed = FakeFeed(picture(7))
    camera = opened(feed)
    assert camera.read(1.0) is not None
    assert camera.read(0.02) is None
    feed.push(picture(8))
    shot = camera.read(1.0)
    assert shot is not None
    assert shot.rgb[0, 0, 0] == 8
    assert camera.dropped == 0


def test_read_waits_for_a_frame(opened: Any) -> None:
    feed = FakeFeed(picture(0))
    camera = opened(feed)
    camera.read(1.0)
    before = time.perf_counter()
    threading.Timer(0.1, feed.push, [picture(1)]).start()
    shot = camera.read(DEADLINE_S)
    assert shot is not None
    assert shot.rgb[0, 0, 0] == 1
    assert before + 0.09 < shot.captured_at <= time.perf_counter()


def test_a_slow_painter_sees_the_present(opened: Any) -> None:
    # Frames come every 5 ms and are painted in 40 ms: what is read is at most a frame old.
    feed = FakeFeed(picture(0))
    camera = opened(feed)
    is_done = threading.Event()

    def film() -> None:
        for value in range(1, 60):
            feed.push(picture(value))
            time.sleep(0.005)
        is_done.set()

    threading.Thread(target=film, daemon=True).start()
    ages = []
    while not is_done.is_set():
        if (shot := camera.read(0.1)) is not None:
            ages.append(time.perf_counter() - shot.captured_at)
        time.sleep(0.04)
    assert len(ages) > 3
    assert np.median(ages) < 0.06  # a queue would grow to more than 0.2 s
    assert camera.dropped > 20


def test_a_lost_camera_is_opened_again(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_module, "RETRY_PAUSE_S", 0.01)
    lost, found = FakeFeed(picture(1), None), FakeFeed(picture(2))
    camera = opened(lost, found)
    first, second = camera.read(1.0), camera.read(1.0)
    assert first is not None
    assert second is not None
    assert (first.rgb[0, 0, 0], second.rgb[0, 0, 0]) == (1, 2)
    assert lost.is_closed


def test_a_camera_that_stays_lost_is_an_error(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_module, "RETRY_PAUSE_S", 0.01)
    monkeypatch.setattr(camera_module, "PATIENCE_S", 0.2)
    camera = opened(FakeFeed(picture(1), None))
    assert camera.read(1.0) is not None
    started_at = time.perf_counter()

    def read_on() -> None:
        while True:
            camera.read(0.02)

    with pytest.raises(MediaError, match=r"camera 0 has given no picture for 0\.2 s"):
        read_on()
    assert 0.1 < time.perf_counter() - started_at < DEADLINE_S


def test_a_camera_without_a_picture_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_module, "PATIENCE_S", 0.1)
    monkeypatch.setattr(camera_module, "RETRY_PAUSE_S", 0.05)
    feed = FakeFeed(*[None] * 100)
    with pytest.raises(MediaError, match="gives no picture"):
        Camera(2, open_feed=lambda: feed)
    assert feed.is_closed
    assert feed.taken > 1


def test_a_file_ends_and_is_played_at_its_speed(opened: Any) -> None:
    feed = FakeFeed(picture(0), picture(1), picture(2), interval_s=0.03)
    started_at = time.perf_counter()
    camera = opened(feed)
    seen = []
    while not camera.is_over:
        if (shot := camera.read(0.05)) is not None:
            seen.append(int(shot.rgb[0, 0, 0]))
    assert seen == [0, 1, 2]
    assert time.perf_counter() - started_at > 0.05
    assert feed.is_closed


def test_the_time_of_decoding_is_part_of_the_speed() -> None:
    """By hand: 12 frames of 80 ms, 60 ms of them decoding, take 0.96 s and not 1.68 s."""

    class SlowFeed(FakeFeed):
        def read(self) -> Array | None:
            time.sleep(0.06)
            return super().read()

    feed = SlowFeed(*[picture(i) for i in range(13)], interval_s=0.08)
    camera = Camera(0, open_feed=lambda: feed)
    started_at = time.perf_counter()
    wait_until(lambda: feed.taken == 13)
    elapsed_s = time.perf_counter() - started_at
    camera.close()
    assert 0.9 < elapsed_s < 1.4


def test_close_lets_the_camera_go() -> None:
    feed = FakeFeed(*[picture(i) for i in range(200)])
    camera = Camera(0, open_feed=lambda: feed)
    closing = threading.Thread(target=camera.close)
    closing.start()
    wait_until(lambda: feed.is_closed or feed.taken == 200)
    feed.is_closed = True
    closing.join(DEADLINE_S)
    assert not closing.is_alive()


# --- OpenCV itself, in its own process: it must not meet PyAV


def run_python(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
    )


def test_opencv_reads_a_file_as_a_camera(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=50, options={"crf": "5"})
        stream.width, stream.height = 64, 48
        for _ in range(5):
            red = np.full((48, 64, 3), (200, 30, 30), np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(red, format="rgb24")))
        out.mux(stream.encode(None))
    done = run_python(f"""
import sys
from infer.camera import Camera, list_cameras
camera = Camera({str(path)!r})
shot = camera.read(1.0)
assert camera.size == (48, 64), camera.size
r, g, b = shot.rgb[24, 32].astype(int)
assert abs(r - 200) < 12 and abs(g - 30) < 12 and abs(b - 30) < 12, (r, g, b)  # RGB, not BGR
while not camera.is_over:
    camera.read(0.1)
camera.close()
list_cameras()
assert "cv2" in sys.modules
assert "av" not in sys.modules and "torch" not in sys.modules
""")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_camera_that_gives_nothing_at_first_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    class SlowFeed:
        interval_s = 0.0

        def __init__(self, device: int, **size: Any) -> None:
            self.frames = iter([None] * 3 + [picture(1)] if device == 1 else [None] * 50)

        def read(self) -> Array | None:
            return next(self.frames)

        def close(self) -> None:
            pass

    monkeypatch.setattr(camera_module, "LISTING_S", 0.3)
    monkeypatch.setattr(camera_module, "OpenCVFeed", SlowFeed)
    monkeypatch.setattr(camera_module, "_candidates", lambda: [0, 1])
    assert [each.index for each in camera_module.list_cameras()] == [1]


def test_a_missing_camera_is_one_line() -> None:
    done = run_python("""
from infer.camera import Camera
from nst.errors import MediaError
for device in (63, "/dev/video63", "nothing.mp4"):
    try:
        Camera(device)
    except MediaError as error:
        print(error)
""")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all("cannot be opened" in line and "--list" in line for line in lines)
    assert lines[0].startswith("camera 63")
    assert lines[1].startswith("camera 63")


def test_without_opencv_the_package_is_named() -> None:
    done = run_python("""
import sys
sys.modules["cv2"] = None
from infer.camera import Camera
from nst.errors import MediaError
try:
    Camera(0)
except MediaError as error:
    print(error)
""")
    assert "pip install opencv-python" in done.stdout, done.stderr


def test_no_import_of_pyav_beside_opencv() -> None:
    folder = Path(infer.__file__).parent
    for name in (
        *("camera.py", "window.py", "webcam.py", "webcam_cli.py", "webcam_keys.py", "timing.py"),
        *("recorder.py", "virtual_camera.py", "pipeline.py"),
    ):
        for node in ast.walk(ast.parse((folder / name).read_text(encoding="utf-8"))):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            for module in modules:
                assert module.split(".")[0] != "av", name
                assert not module.startswith("infer.video"), name


class FakeDriver:
    """OpenCV with one camera that stamps its frames."""

    CAP_PROP_FPS, CAP_PROP_POS_MSEC, CAP_PROP_BUFFERSIZE = 5, 0, 38
    COLOR_BGR2RGB = 4
    error = RuntimeError

    def __init__(self, stamp_ms: float) -> None:
        self.stamp_ms = stamp_ms

    def VideoCapture(self, device: int) -> FakeDriver:
        return self

    def isOpened(self) -> bool:
        return True

    def set(self, key: int, value: float) -> None:
        pass

    def get(self, key: int) -> float:
        return self.stamp_ms if key == self.CAP_PROP_POS_MSEC else 30.0

    def read(self) -> tuple[bool, Array]:
        return True, picture(1)

    def cvtColor(self, frame: Array, code: int) -> Array:
        return frame

    def release(self) -> None:
        pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux stamps frames")
@pytest.mark.parametrize(("age_s", "is_taken"), [(0.04, True), (-5.0, False), (3.0, False)])
def test_the_age_of_a_frame_begins_with_the_driver(
    monkeypatch: pytest.MonkeyPatch, age_s: float, is_taken: bool
) -> None:
    """By hand; a stamp that cannot be of our clock is not believed."""
    taken_at = time.perf_counter() - age_s
    driver = FakeDriver(taken_at * 1e3)
    monkeypatch.setattr(camera_module, "load_opencv", lambda: driver)
    with closing(Camera(0)) as camera:
        shot = camera.read(1.0)
    assert shot is not None
    assert (shot.captured_at == pytest.approx(taken_at, abs=1e-3)) == is_taken
    assert is_taken or abs(time.perf_counter() - shot.captured_at) < 1.0


# --- Window


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Qt aborts on Linux only")
def test_no_display_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(MediaError, match="no display"):
        check_display()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Qt aborts on Linux only")
def test_a_display_that_is_not_there_does_not_end_the_process() -> None:
    program = """
from infer.window import Window
from nst.errors import MediaError
try:
    Window()
except MediaError as error:
    print(error)
"""
    done = run_python(program, DISPLAY=":4711", WAYLAND_DISPLAY="")
    assert done.returncode == 0, done.stderr
    assert "no window can be opened on the display :4711" in done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Qt aborts on Linux only")
def test_a_display_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure is told each time, and a success is remembered: trying takes a second."""
    codes, tried = iter([1, 0]), []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        tried.append(command)
        return subprocess.CompletedProcess(command, next(codes), "", "")

    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.setattr("infer.window.load_opencv", lambda: None)
    monkeypatch.setattr(subprocess, "run", run)
    check_display.cache_clear()
    with pytest.raises(MediaError, match="no window can be opened"):
        check_display()
    check_display()
    check_display()
    check_display.cache_clear()
    assert len(tried) == 2


class FakeOpenCV:
    """OpenCV with its own drawing and no windows."""

    def __init__(self) -> None:
        import cv2

        self._cv2: Any = cv2
        self.shown: list[Array] = []
        self.code = -1
        self.is_visible = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cv2, name)

    def namedWindow(self, *arguments: Any) -> None:
        pass

    def resizeWindow(self, *arguments: Any) -> None:
        pass

    def destroyWindow(self, *arguments: Any) -> None:
        raise self._cv2.error("closed already")

    def getWindowProperty(self, *arguments: Any) -> float:
        return float(self.is_visible)

    def imshow(self, title: str, shown: Array) -> None:
        self.shown.append(shown)

    def waitKeyEx(self, delay: int) -> int:
        return self.code


@pytest.fixture
def fake_opencv(monkeypatch: pytest.MonkeyPatch) -> FakeOpenCV:
    fake = FakeOpenCV()
    monkeypatch.setattr("infer.window.load_opencv", lambda: fake)
    monkeypatch.setattr("infer.window.check_display", lambda: None)
    return fake


def test_the_text_is_drawn_on_a_copy(fake_opencv: FakeOpenCV) -> None:
    rgb = np.full((120, 160, 3), (10, 100, 200), np.uint8)
    before = rgb.copy()
    Window().show(rgb, "25.0 fps")
    shown = fake_opencv.shown[0]
    assert np.array_equal(rgb, before)
    assert shown[:20, :40].max() > 240  # letters
    assert (shown[-20:] == (200, 100, 10)).all()  # the rest is the picture, BGR for OpenCV


def test_each_line_has_its_bar(fake_opencv: FakeOpenCV) -> None:
    """By hand: white letters at two heights; below them, and where no line is, the picture."""
    Window().show(np.full((200, 300, 3), 90, np.uint8), "25 fps\nh help")
    rows = np.flatnonzero(fake_opencv.shown[0].min(axis=-1).max(axis=1) > 240)
    gaps = np.flatnonzero(np.diff(rows) > 3)
    assert len(gaps) == 1
    assert (fake_opencv.shown[0][100:] == 90).all()


def test_a_long_line_is_made_to_fit(fake_opencv: FakeOpenCV) -> None:
    """Its bar, and so its last letter, ends inside the picture."""
    Window().show(np.full((200, 160, 3), 90, np.uint8), "a line of letters that is very long " * 2)
    bar = (fake_opencv.shown[0] == 0).all(axis=-1).any(axis=0)
    assert 140 < np.flatnonzero(bar).max() < 159


@pytest.mark.parametrize(
    ("code", "key"),
    [
        *((-1, ""), (27, "q"), (ord("q"), "q"), (ord("S"), "s"), (0x100000 + 109, "m")),
        *((0xFF51, ""), (0xFF52, ""), (0xFF53, ""), (0xFF1B, "q")),  # X11: left, up, right, Escape
    ],
)
def test_keys(fake_opencv: FakeOpenCV, code: int, key: str) -> None:
    window = Window()
    window.show(picture(1))
    fake_opencv.code = code
    assert window.key() == key


def test_closing_the_window_is_the_quit_key(fake_opencv: FakeOpenCV) -> None:
    window = Window()
    window.show(picture(1))
    fake_opencv.is_visible = False
    window.show(picture(2))
    assert len(fake_opencv.shown) == 1  # OpenCV would open a second window
    assert window.key() == "q"
    window.close()


# --- The loop


class FakeSource:
    def __init__(self, *shots: Shot | None) -> None:
        self.shots = list(shots)
        self.dropped = 3
        self.is_closed = False

    @property
    def is_over(self) -> bool:
        return not self.shots

    def read(self, timeout_s: float) -> Shot | None:
        return self.shots.pop(0) if self.shots else None

    def close(self) -> None:
        self.is_closed = True


class FakeScreen:
    def __init__(self, keys: str = "") -> None:
        self.keys = list(keys)
        self.shown: list[Array] = []
        self.captions: list[str] = []
        self.is_closed = False

    def show(self, rgb: Array, caption: str = "") -> None:
        self.shown.append(rgb)
        self.captions.append(caption)

    def key(self) -> str:
        return self.keys.pop(0).strip() if self.keys else ""

    def close(self) -> None:
        self.is_closed = True


def shot(value: int, *, age_s: float = 0.0) -> Shot:
    ramp = picture(value)
    ramp[:, 0] = 255  # the left column tells whether the picture is mirrored
    return Shot(ramp, time.perf_counter() - age_s)


def negative(frame: Array) -> Array:
    return 255 - frame


def run(
    source: FakeSource, screen: FakeScreen, paint: Any = negative, **options: Any
) -> list[WebcamRecord]:
    return list(run_webcam(source, paint, screen, **options))


def test_every_frame_is_painted_and_shown() -> None:
    source, screen = FakeSource(shot(1), None, shot(2, age_s=0.5)), FakeScreen()
    records = run(source, screen, mirror=False)
    assert [r.frame for r in records] == [1, 2]
    assert [int(p[0, -1, 0]) for p in screen.shown] == [254, 253]
    assert [int(p[0, 0, 0]) for p in screen.shown] == [0, 0]
    assert 500 <= records[1].latency_ms < 1500
    assert records[1].dropped == 3
    assert screen.captions[1].startswith(f"{records[0].fps:.1f} fps")
    assert source.is_closed
    assert screen.is_closed


def test_the_mirror_is_switched_with_m() -> None:
    source, screen = FakeSource(*[shot(1) for _ in range(4)]), FakeScreen("m m ")
    run(source, screen, mirror=True)
    is_mirrored = [bool(p[0, -1, 0] == 0) for p in screen.shown]
    assert is_mirrored == [True, False, False, True]


def test_a_snapshot_is_the_painted_frame() -> None:
    source, screen = FakeSource(shot(1), shot(2), shot(3)), FakeScreen(" s ")
    records = run(source, screen)
    assert [r.snapshot is not None for r in records] == [False, True, False]
    assert records[1].snapshot is screen.shown[1]


def test_a_snapshot_asked_for_between_frames_is_the_next_frame() -> None:
    records = run(FakeSource(None, shot(1), shot(2)), FakeScreen("s"))
    assert [r.snapshot is not None for r in records] == [True, False]


@pytest.mark.parametrize("end", ["q", ""])
def test_a_snapshot_that_no_frame_follows_is_what_is_on_the_screen(end: str) -> None:
    """The camera stands still, then the user quits or the film ends."""
    screen = FakeScreen(f" s{end}")
    records = run(FakeSource(shot(1), None), screen)
    assert [r.frame for r in records] == [1, 1]
    assert records[0].snapshot is None
    assert records[1].snapshot is screen.shown[0]


def test_other_keys_do_what_they_are_told_to() -> None:
    pressed = []
    actions = {"o": lambda: pressed.append("o")}
    run(FakeSource(shot(1), shot(2)), FakeScreen("ox"), actions=actions)
    assert pressed == ["o"]


def test_the_caption_and_the_outputs_get_every_frame() -> None:
    """Below the figures stands what the caller says; outputs get the frame that is shown."""
    source, screen, given = FakeSource(shot(1), shot(2)), FakeScreen(), list[tuple[Array, float]]()
    shots = list(source.shots)
    run(
        *(source, screen),
        caption=lambda: "wave   80%",
        outputs=[lambda painted, captured_at: given.append((painted, captured_at))],
    )
    assert [caption.splitlines()[1] for caption in screen.captions] == ["wave   80%"] * 2
    assert [frame is shown for (frame, _), shown in zip(given, screen.shown, strict=True)]
    assert [at for _, at in given] == [each.captured_at for each in shots if each is not None]


def test_the_last_frame_stays_while_the_camera_is_gone(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unplugged camera: nothing new is shown, keys are looked at, and then it is one error."""
    monkeypatch.setattr(camera_module, "RETRY_PAUSE_S", 0.01)
    monkeypatch.setattr(camera_module, "PATIENCE_S", 0.3)
    monkeypatch.setattr(webcam_module, "WAIT_S", 0.02)
    asked = []

    class Screen(FakeScreen):
        def key(self) -> str:
            asked.append(len(self.shown))
            return ""

    screen = Screen()
    camera = opened(FakeFeed(picture(1), None))
    with pytest.raises(MediaError, match="has given no picture"):
        list(run_webcam(camera, negative, screen))
    assert len(screen.shown) == 1
    assert asked.count(1) > 3
    assert screen.is_closed


def test_q_ends_the_loop_with_and_without_a_frame() -> None:
    source = FakeSource(*[shot(i) for i in range(9)])
    assert len(run(source, FakeScreen(" q"))) == 2
    assert source.is_closed
    source = FakeSource(shot(0), None, shot(1))
    assert len(run(source, FakeScreen(" q"))) == 1


def test_everything_is_closed_when_the_painter_fails() -> None:
    source, screen = FakeSource(shot(1)), FakeScreen()

    def paint(frame: Array) -> Array:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        run(source, screen, paint)
    assert source.is_closed
    assert screen.is_closed


def test_everything_is_closed_when_the_caller_leaves() -> None:
    source, screen = FakeSource(shot(1), shot(2)), FakeScreen()
    records = run_webcam(source, negative, screen)
    next(records)
    records.close()
    assert source.is_closed
    assert screen.is_closed


# --- Timing: by hand


def test_frame_rate_looks_back_one_second() -> None:
    rate = FrameRate()
    assert rate.tick(10.0) == 0.0
    assert rate.tick(10.5) == pytest.approx(2.0)
    for k in range(1, 31):
        fps = rate.tick(10.5 + k / 10)
    assert fps == pytest.approx(10.0)


def test_frame_rate_of_a_slow_model_is_not_zero() -> None:
    rate = FrameRate()
    rate.tick(0.0)
    assert rate.tick(4.0) == pytest.approx(0.25)
    assert rate.tick(8.0) == pytest.approx(0.25)

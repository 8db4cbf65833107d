"""A camera whose newest frame wins.

OpenCV only. PyAV must not be imported beside it: both bundle FFmpeg and window libraries, and the
two together froze programs on Linux (opencv/opencv#21952, PyAV#978). Files are painted by
``infer.video``, which knows nothing of this module.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nst.errors import MediaError

PATIENCE_S = 3.0
"""How long a camera may give nothing, while it is opened again and again, before we give up."""
LISTING_S = 1.0
"""How long a camera that is listed may give nothing at first."""
RETRY_PAUSE_S = 0.25
"""Pause between two tries to open a camera that was lost."""
OLDEST_S = 2.0
"""A driver that calls a frame older than that has another clock than ours."""
INDICES_TRIED = 8
"""How many cameras are looked for where the system does not list them."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame of a camera."""

    rgb: NDArray[np.uint8]
    """(H, W, 3)."""
    captured_at: float
    """When it was taken, by the driver, or else when OpenCV handed it over; on the clock of
    ``time.perf_counter``, s."""


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera that gave a picture."""

    index: int
    width: int
    height: int
    name: str
    """As the system calls it; empty where it does not say."""


class Feed(Protocol):
    """An opened camera."""

    interval_s: float
    """Seconds between two frames of a file played as a camera; 0 for a camera, which waits."""
    captured_at: float | None
    """When the driver took the last frame, on the clock of ``time.perf_counter``, s; None when it
    does not tell."""

    def read(self) -> NDArray[np.uint8] | None:
        """Wait for the next frame, RGB (H, W, 3); None when there is none."""

    def close(self) -> None:
        """Let go of the camera."""


class Camera:
    """A camera read by a thread into a slot of one frame, so that a slow painter skips frames.

    A video file can take the place of the camera; it is played once, at its own speed.

    Args:
        device: Index, or path of a device or a video file.
        width: Width to ask the camera for, px; ``size`` tells what it gives.
        height: Height to ask the camera for, px.
        open_feed: Opens the device; OpenCV does if not given.

    Raises:
        MediaError: OpenCV is not installed, the camera cannot be opened or gives no picture.
    """

    def __init__(
        self,
        device: int | str = 0,
        *,
        width: int | None = None,
        height: int | None = None,
        open_feed: Callable[[], Feed] | None = None,
    ) -> None:
        self.name = _name(device)
        self.dropped = 0
        """Frames that were overtaken by newer ones before anybody read them."""
        self._open_feed = open_feed or (lambda: OpenCVFeed(device, width=width, height=height))
        self._changed = threading.Condition()
        self._is_stopped = threading.Event()
        self._has_ended = False
        self._slot: Shot | None = None
        self._last_at = 0.0
        feed = self._open_feed()
        first = _first_frame(feed, PATIENCE_S)
        if first is None:
            feed.close()
            raise MediaError(f"{self.name} was opened but gives no picture; try another one")
        self.size: tuple[int, int] = (first.shape[0], first.shape[1])
        """Height and width of a frame, px."""
        self._put(first, feed.captured_at)
        self._thread = threading.Thread(target=self._run, args=(feed,), daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether no frame will come any more; a file ends, a camera does not."""
        with self._changed:
            return self._has_ended and self._slot is None

    def read(self, timeout_s: float) -> Shot | None:
        """Return a frame newer than the last one; None when none came within ``timeout_s``.

        Raises:
            MediaError: The camera has given nothing for ``PATIENCE_S``.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._slot is not None or self._has_ended, timeout_s)
            shot, self._slot = self._slot, None
            silent_s = time.perf_counter() - self._last_at
            if shot is None and not self._has_ended and silent_s > PATIENCE_S:
                raise MediaError(
                    f"{self.name} has given no picture for {PATIENCE_S:g} s;"
                    " is it unplugged, or taken by another program?"
                )
            return shot

    def close(self) -> None:
        """Stop reading and let go of the camera."""
        self._is_stopped.set()
        # A driver can hold a read for ten seconds; the thread ends by itself afterwards.
        self._thread.join(timeout=1.0)

    def _put(self, frame: NDArray[np.uint8], captured_at: float | None) -> None:
        with self._changed:
            self._last_at = time.perf_counter()
            self.dropped += self._slot is not None
            self._slot = Shot(frame, self._last_at if captured_at is None else captured_at)
            self._changed.notify_all()

    def _run(self, opened: Feed) -> None:
        feed: Feed | None = opened
        interval_s = opened.interval_s
        due_at = time.perf_counter() + interval_s  # of the next frame; decoding takes time too
        while not self._is_stopped.wait(max(0.0, due_at - time.perf_counter())):
            due_at += interval_s
            frame = feed.read() if feed is not None else None
            if feed is not None and frame is not None:
                self._put(frame, feed.captured_at)
            elif interval_s:
                break
            else:
                feed = self._reopened(feed)
        if feed is not None:
            feed.close()
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def _reopened(self, lost: Feed | None) -> Feed | None:
        if lost is not None:
            lost.close()
        self._is_stopped.wait(RETRY_PAUSE_S)
        try:
            return self._open_feed()
        except MediaError:
            return None  # ``read`` gives up when this has gone on for too long


class OpenCVFeed:
    """A camera, or a video file in its place, opened by OpenCV.

    Raises:
        MediaError: OpenCV is not installed, or the device cannot be opened.
    """

    def __init__(self, device: int | str, *, width: int | None, height: int | None) -> None:
        self._cv2 = load_opencv()
        self._capture = self._cv2.VideoCapture(_index_or_path(device))
        if not self._capture.isOpened():
            self._capture.release()
            raise MediaError(_cannot_open(device))
        place = _index_or_path(device)
        is_file = isinstance(place, str) and Path(place).is_file()
        rate = self._capture.get(self._cv2.CAP_PROP_FPS) or 25.0
        self.interval_s = 1 / rate if is_file else 0.0
        self.captured_at: float | None = None
        if not is_file:
            self._ask_for(width, height)

    def read(self) -> NDArray[np.uint8] | None:
        """Wait for the next frame, RGB (H, W, 3); None when there is none."""
        try:
            is_read, bgr = self._capture.read()
            if not is_read or bgr is None:
                return None
            self.captured_at = None if self.interval_s else self._driver_time()
            return np.asarray(self._cv2.cvtColor(bgr, self._cv2.COLOR_BGR2RGB), dtype=np.uint8)
        except self._cv2.error:  # a camera that is unplugged in the middle of a frame
            return None

    def close(self) -> None:
        """Let go of the camera."""
        self._capture.release()

    def _driver_time(self) -> float | None:
        """Return when the driver took the frame; Linux stamps it with the clock that we use."""
        if not sys.platform.startswith("linux"):
            return None
        taken_at = self._capture.get(self._cv2.CAP_PROP_POS_MSEC) / 1e3
        age_s = time.perf_counter() - taken_at
        return taken_at if 0 <= age_s < OLDEST_S else None  # a driver with another clock

    def _ask_for(self, width: int | None, height: int | None) -> None:
        cv2, capture = self._cv2, self._capture
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the driver's queue is age, not speed
        if width is None and height is None:
            return
        # Raw pictures of a large size do not fit through USB 2 at full rate, JPEG does.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        if width is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        if height is not None:
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)


def _first_frame(feed: Feed, patience_s: float) -> NDArray[np.uint8] | None:
    """Return the first frame; None where none comes, at once of a file, else after a while."""
    deadline = time.perf_counter() + patience_s
    while (frame := feed.read()) is None:  # some cameras give nothing at first
        if feed.interval_s or time.perf_counter() > deadline:
            return None
        time.sleep(RETRY_PAUSE_S / 5)
    return frame


def list_cameras() -> list[CameraInfo]:
    """Open every camera for a moment and return those that give a picture.

    Raises:
        MediaError: OpenCV is not installed.
    """
    load_opencv()
    found = []
    for index in _candidates():
        try:
            feed = OpenCVFeed(index, width=None, height=None)
        except MediaError:
            continue
        frame = _first_frame(feed, LISTING_S)
        feed.close()
        if frame is not None:
            label = Path(f"/sys/class/video4linux/video{index}/name")
            name = label.read_text(encoding="utf-8").strip() if label.is_file() else ""
            found.append(CameraInfo(index, frame.shape[1], frame.shape[0], name))
    return found


def load_opencv() -> ModuleType:
    """Import OpenCV and keep it from printing what our own errors say.

    Raises:
        MediaError: It is not installed.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # On Windows a camera opens in 10 to 20 s otherwise (OpenCV, issue 17687).
    os.environ.setdefault("OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS", "0")
    try:
        import cv2
    except ImportError:
        raise MediaError(
            "the webcam needs the package opencv-python; install it: pip install opencv-python"
        ) from None
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


def _candidates() -> list[int]:
    if not sys.platform.startswith("linux"):
        return list(range(INDICES_TRIED))
    numbers = (re.fullmatch(r"video(\d+)", p.name) for p in Path("/dev").glob("video*"))
    return sorted(int(match[1]) for match in numbers if match)


def _index_or_path(device: int | str) -> int | str:
    """Return what OpenCV opens with the driver of the system: an index for ``/dev/video2``."""
    match = re.fullmatch(r"(?:/dev/video)?(\d+)", str(device))
    return int(match[1]) if match else str(device)


def _name(device: int | str) -> str:
    index = _index_or_path(device)
    return f"camera {index}" if isinstance(index, int) else str(device)


def _cannot_open(device: int | str) -> str:
    index = _index_or_path(device)
    if isinstance(index, str):
        return f"{index} cannot be opened as a camera; `nst webcam --list` shows the cameras"
    if sys.platform == "darwin":
        return (
            f"camera {index} cannot be opened: there is none, another program uses it, or it is"
            " not allowed: System Settings, Privacy & Security, Camera; then start again"
        )
    node = Path(f"/dev/video{index}")
    if node.exists() and not os.access(node, os.R_OK | os.W_OK):
        return f"camera {index}: permission denied on {node}; add yourself to the group video"
    return (
        f"camera {index} cannot be opened: there is none, or another program uses it;"
        " `nst webcam --list` shows the cameras"
    )

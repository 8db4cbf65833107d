"""A window that shows pictures, with lines of text that are in no picture. OpenCV only."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.camera import load_opencv
from nst.errors import MediaError

QUIT = "q"
ESCAPE = 27
NO_CHARACTER = 0xFF00
"""In the codes of X11 for keys that type nothing: 0xFF51 is the left arrow, 0xFF1B Escape."""
WIDEST = 0.94
"""Share of the picture's width that a line of text may take."""
PROBE = "import cv2; cv2.namedWindow('nst'); cv2.destroyAllWindows()"
PROBE_TIMEOUT_S = 30


class Window:
    """A window on the screen.

    Args:
        title: What its bar says.

    Raises:
        MediaError: There is no display, or OpenCV was built without windows.
    """

    def __init__(self, title: str = "nst") -> None:
        check_display()
        self._cv2: Any = load_opencv()
        self._title = title
        self._is_sized = False
        self._is_closed = False
        flags = self._cv2.WINDOW_NORMAL | self._cv2.WINDOW_KEEPRATIO | self._cv2.WINDOW_GUI_NORMAL
        try:
            self._cv2.namedWindow(title, flags)
        except self._cv2.error:
            raise MediaError(_NO_WINDOWS) from None

    def show(self, rgb: NDArray[np.uint8], caption: str = "") -> None:
        """Show a picture with text in its corner; the picture itself is not changed.

        Args:
            rgb: (H, W, 3).
            caption: One line or more, ASCII; the font knows nothing else.
        """
        if self._is_sized and not self._is_visible():
            self._is_closed = True  # showing again would open a second window
            return
        picture = self._cv2.cvtColor(rgb, self._cv2.COLOR_RGB2BGR)
        self._write(picture, caption)
        if not self._is_sized:
            self._cv2.resizeWindow(self._title, rgb.shape[1], rgb.shape[0])
            self._is_sized = True
        self._cv2.imshow(self._title, picture)

    def key(self) -> str:
        """Handle what happened to the window and return the key pressed, in lower case.

        Returns:
            One character, "" for none, "q" also for Escape and for the closed window.
        """
        code = self._cv2.waitKeyEx(1)
        if self._is_closed or (self._is_sized and not self._is_visible()):
            return QUIT
        if code < 0:
            return ""
        if code & 0xFF00 == NO_CHARACTER and code & 0xFF != ESCAPE:
            return ""  # otherwise an arrow would be taken for a letter
        return QUIT if code & 0xFF == ESCAPE else chr(code & 0xFF).lower()

    def close(self) -> None:
        """Close the window."""
        try:
            self._cv2.destroyWindow(self._title)
            self._cv2.waitKey(1)
        except self._cv2.error:
            pass  # it was closed with the mouse

    def _is_visible(self) -> bool:
        try:
            return bool(self._cv2.getWindowProperty(self._title, self._cv2.WND_PROP_VISIBLE) >= 1)
        except self._cv2.error:
            return False

    def _write(self, picture: NDArray[np.uint8], caption: str) -> None:
        """Write white on a black bar for each line into the upper left corner of a BGR picture."""
        cv2, size, top = self._cv2, max(0.5, picture.shape[0] / 900), 0
        font, lines = cv2.FONT_HERSHEY_SIMPLEX, caption.splitlines()
        widths = [cv2.getTextSize(line, font, size, 1)[0][0] for line in lines]
        if (widest := max(widths, default=0)) > (room := WIDEST * picture.shape[1]):
            size *= room / widest
        thickness = max(1, round(2 * size))
        for line in lines:
            (width, height), below = cv2.getTextSize(line, font, size, thickness)
            margin = height // 2
            corner = (width + 2 * margin, top + height + below + 2 * margin)
            cv2.rectangle(picture, (0, top), corner, (0, 0, 0), cv2.FILLED)
            place = (margin, top + height + margin)
            white = (255, 255, 255)
            cv2.putText(picture, line, place, font, size, white, thickness, cv2.LINE_AA)
            top = corner[1]


@functools.cache
def check_display() -> None:
    """See whether a window can be opened, before one is; once it could, nothing is tried again.

    On Linux OpenCV's windows are Qt's, and Qt ends the whole process when it finds no display, so
    that no error could be told. So another process tries first.

    Raises:
        MediaError: There is no display, or OpenCV was built without windows.
    """
    if not sys.platform.startswith("linux"):
        return
    if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        raise MediaError(
            f"there is no display to show a window on (DISPLAY is not set); {_ELSEWHERE}"
        )
    load_opencv()
    command = [sys.executable, "-P", "-c", PROBE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise MediaError(f"{_display()} does not answer; {_ELSEWHERE}") from None
    if "cv2.error" in done.stderr:
        raise MediaError(_NO_WINDOWS)
    if done.returncode != 0:
        raise MediaError(f"no window can be opened on {_display()}; {_ELSEWHERE}")


def _display() -> str:
    if display := os.environ.get("DISPLAY"):
        return f"the display {display}"
    return "Wayland alone, without X11 (install Xwayland)"


_ELSEWHERE = "run this on a desktop, or paint files with `nst stylize`"
_NO_WINDOWS = (
    "this OpenCV has no windows; pip uninstall opencv-python-headless opencv-python,"
    " then pip install opencv-python"
)

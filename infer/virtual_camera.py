"""A camera for other programs that shows what is painted: for calls, by pyvirtualcam."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nst.errors import MediaError, in_one_line

RATE = 30
"""Frames per second that programs are told; what they get is what is painted."""

_ADVICE = {
    "linux": "load the kernel module: sudo modprobe v4l2loopback devices=1 exclusive_caps=1",
    "win32": "install OBS Studio, or Unity Capture",
    "darwin": "install OBS Studio and start its virtual camera once",
}


class VirtualCamera:
    """A virtual camera, opened with the first picture and again where its size changes.

    Raises:
        MediaError: pyvirtualcam is not installed.
    """

    def __init__(self) -> None:
        try:
            import pyvirtualcam
        except ImportError:
            raise MediaError(
                "--virtual needs the package pyvirtualcam; install it: pip install pyvirtualcam"
            ) from None
        self._library: Any = pyvirtualcam
        self._camera: Any = None

    @property
    def name(self) -> str:
        """The device as other programs list it; empty before the first picture."""
        return "" if self._camera is None else str(self._camera.device)

    def send(self, painted: NDArray[np.uint8]) -> None:
        """Show a picture.

        Args:
            painted: (H, W, 3); an odd side gains one pixel, the last row or column repeated.

        Raises:
            MediaError: There is no virtual camera, or it is taken.
        """
        height, width = painted.shape[:2]
        if height % 2 or width % 2:
            painted = np.pad(painted, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        size = (painted.shape[1], painted.shape[0])
        try:
            if self._camera is None or (self._camera.width, self._camera.height) != size:
                self.close()
                self._camera = self._library.Camera(*size, fps=RATE)
            self._camera.send(np.ascontiguousarray(painted))
        except RuntimeError as error:  # its only kind of error
            advice = _ADVICE.get(sys.platform, "see the page of pyvirtualcam")
            raise MediaError(
                f"--virtual: there is no virtual camera, or it is taken; {advice}"
                f" ({in_one_line(error)})"
            ) from None

    def close(self) -> None:
        """Let go of the virtual camera."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None

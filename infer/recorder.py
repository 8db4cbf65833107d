"""Recording what is shown, in a process of its own.

That process encodes with PyAV, which must not be imported beside OpenCV (``infer.camera`` says
why); OpenCV's own writer knows no H.264 here, and no time stamps, so that a film of a live picture
would run too fast or too slow. Ctrl-C does not reach the process, and when this one dies it sees
the end of the pipe: in both cases it completes the file, which plays.
"""

from __future__ import annotations

import importlib.util
import os
import struct
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from infer.pipeline import WriteBehind
from nst.errors import MediaError, OutputError, in_one_line
from nst.files import describe
from nst.interrupt import interrupts_held

HEAD = struct.Struct("<dII")
"""Before each frame: when it was taken, seconds, and its height and width, px."""
DEPTH = 8
"""Frames that may wait for the encoder; what comes then is left out, since the show goes on."""
PATIENCE_S = 30.0
"""How long the end of the encoding may take."""


class Recorder:
    """A film that is being recorded.

    Args:
        path: The file to write, .mp4; it must not exist.

    Raises:
        MediaError: PyAV is not installed.
        OutputError: The file exists or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left_out = 0
        """Frames that came while the encoder had enough to do."""
        self.frames = 0
        self._size: tuple[int, int] | None = None
        self._begins_at = self._ends_at = 0.0
        if importlib.util.find_spec("av") is None:
            raise MediaError("recording needs the package av; install it: pip install av")
        try:
            path.open("xb").close()  # the name is ours now
        except OSError as error:
            raise OutputError(f"{path}: cannot be written, {describe(error)}") from None
        try:
            # Not a pipe, which could fill up while both sides wait; closed with the film.
            self._words = tempfile.TemporaryFile()  # noqa: SIM115
            self._process = _start(path, self._words)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise OutputError(f"{path}: no encoder can be started, {describe(error)}") from None
        self._behind = WriteBehind(self._write, DEPTH)

    @property
    def seconds(self) -> float:
        """Duration so far, seconds."""
        return self._ends_at - self._begins_at

    def add(self, painted: NDArray[np.uint8], captured_at: float) -> None:
        """Record a frame; it never waits.

        Args:
            painted: (H, W, 3), always of the size of the first one.
            captured_at: When it was taken, seconds; later than the last one.

        Raises:
            OutputError: The encoder has ended, or the size has changed; ``close`` says more.
        """
        if self._size is None:
            self._size, self._begins_at = (painted.shape[0], painted.shape[1]), captured_at
        if painted.shape[:2] != self._size:
            raise OutputError(f"{self.path}: the size of the picture has changed")
        try:
            if self._behind.offer((captured_at, painted)):
                self.frames += 1
                self._ends_at = captured_at
            else:
                self.left_out += 1
        except OSError:
            raise OutputError(f"{self.path}: the encoder has ended") from None

    def close(self) -> str:
        """Complete the film and return the line that says what it holds.

        Raises:
            OutputError: It could not be written.
        """
        patience = threading.Timer(PATIENCE_S, self._process.kill)  # which breaks a write too
        patience.start()
        try:
            with interrupts_held():
                with suppress(OSError):  # the process says why, below
                    self._behind.finish()
                assert self._process.stdin is not None
                with suppress(OSError):
                    self._process.stdin.close()
                words = self._wait()
        finally:
            patience.cancel()
        if not self.frames or (self.path.exists() and not self.path.stat().st_size):
            self.path.unlink(missing_ok=True)
        if words or not self.frames:
            raise OutputError(f"{self.path}: {words or 'nothing was recorded'}")
        left = f", {self.left_out} left out because encoding was too slow" if self.left_out else ""
        return f"{self.path}: {self.frames} frames in {self.seconds:.1f} s{left}"

    def _wait(self) -> str:
        """Wait for the process; return its words when it failed."""
        code = self._process.wait()
        with self._words as file:
            file.seek(0)
            lines = file.read().decode(errors="replace").splitlines()
        return in_one_line(lines[-1] if lines else "the encoder has ended") if code else ""

    def _write(self, item: tuple[float, NDArray[np.uint8]]) -> None:
        captured_at, painted = item
        assert self._process.stdin is not None
        self._process.stdin.write(HEAD.pack(captured_at, *painted.shape[:2]))
        self._process.stdin.write(np.ascontiguousarray(painted).data)
        self._process.stdin.flush()


def _start(path: Path, words: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the process, where neither Ctrl-C nor a package in the current folder reaches it."""
    root = str(Path(__file__).parent.parent)
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "infer.record_process", str(path)],
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=words,
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # Windows
    )

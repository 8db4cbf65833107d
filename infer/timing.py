"""How fast frames come."""

from __future__ import annotations

from collections import deque


class FrameRate:
    """Frames per second over the recent past.

    Args:
        window_s: How far back the rate looks, seconds.
    """

    def __init__(self, window_s: float = 1.0) -> None:
        self.window_s = window_s
        self._shown_at: deque[float] = deque()

    def tick(self, now_s: float) -> float:
        """Note a frame and return the rate, 1/s; 0 while there is a single frame to go by.

        Args:
            now_s: When the frame was shown, on a clock that never goes back.
        """
        self._shown_at.append(now_s)
        # Two frames are kept however old they are, or a slow model would always show 0.
        while len(self._shown_at) > 2 and now_s - self._shown_at[0] > self.window_s:
            self._shown_at.popleft()
        elapsed_s = now_s - self._shown_at[0]
        return (len(self._shown_at) - 1) / elapsed_s if elapsed_s > 0 else 0.0

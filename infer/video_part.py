"""Which frames and packets lie in the part of a video that is wanted, and when they are shown."""

from __future__ import annotations

from fractions import Fraction

from infer.frames import Cut


class Part:
    """A cut on the clock of a file.

    Args:
        cut: What is wanted.
        begins_s: When the first picture of the file is shown, seconds.
        streams: Numbers of the streams that are read.
    """

    def __init__(self, cut: Cut, begins_s: Fraction, streams: set[int]) -> None:
        self.going_on = streams
        """Streams of which more is wanted."""
        self._is_moved = cut.start_s is not None
        self._start_s = begins_s + (cut.start_s or 0)
        self._end_s = None if cut.end_s is None else begins_s + cut.end_s

    def origin(self, time_base: Fraction) -> int:
        """Return the stamp that becomes 0; without a start, stamps stay as they are."""
        return round(self._start_s / time_base) if self._is_moved else 0

    def placed(
        self, stamp: int, duration: int, time_base: Fraction, frame_s: Fraction, stream: int
    ) -> tuple[int, int] | None:
        """Return stamp and duration of a frame in the part; None when it is not in it.

        A picture that is on the screen at the start is the first one, unless less than half a frame
        is left of it: the stamps of a steady film are rounded.

        Args:
            stamp: When it is shown, in units of ``time_base``.
            duration: How long; 0 when it is not known.
            time_base: Seconds to a unit.
            frame_s: The average duration of a frame, seconds.
            stream: Its number; nothing more is wanted of it once a frame lies behind the part.
        """
        if self._is_behind(stamp, time_base, stream):
            return None
        if self._end_s is not None:
            duration = min(duration, round(self._end_s / time_base) - stamp)
        if not self._is_moved:
            return stamp, duration
        origin = self.origin(time_base)
        until = stamp + (duration or round(frame_s / time_base))
        if until - origin < frame_s / time_base / 2:
            return None
        stamp = max(stamp, origin) - origin
        return stamp, min(duration, until - origin - stamp)

    def has_sound(self, stamp: int, time_base: Fraction, stream: int) -> bool:
        """Whether a packet of sound begins in the part."""
        return not self._is_behind(stamp, time_base, stream) and (
            not self._is_moved or stamp >= self.origin(time_base)
        )

    def _is_behind(self, stamp: int, time_base: Fraction, stream: int) -> bool:
        if self._end_s is None or stamp < round(self._end_s / time_base):
            return False
        self.going_on.discard(stream)
        return True

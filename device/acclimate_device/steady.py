"""Seconds since 1970 that only go on: the wall clock is asked once, then a clock counts that nobody sets.

Windows of labels, limits a minute and triggers live on event times. A wall clock that is set forward would end every
window at once, and one that is set back would let none end, and no trigger fire, until it has caught up.
"""

import time
from collections.abc import Callable


def since_boot_s() -> float:
    """Return seconds that go on while the machine sleeps, where it has such a clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Steady:
    """A clock for event times."""

    def __init__(self, wall: Callable[[], float] = time.time, beat: Callable[[], float] = since_boot_s) -> None:
        """Begin now.

        Args:
            wall: seconds since 1970.
            beat: seconds that nobody sets.
        """
        self._beat, self._origin_s = beat, wall() - beat()

    def __call__(self) -> float:
        """Return seconds since 1970, as far as the wall clock was right at the start."""
        return self._origin_s + self._beat()

    def not_before(self, time_s: float) -> None:
        """Go on from this time if it is later: an earlier life has been there, its clock was ahead of this one."""
        self._origin_s += max(0.0, time_s - self())

"""Intervals drawn as text, below each other on one scale, so that a person sees what overlaps zero and what does not.

Example:
    >>> scale = Scale.of([(-1.0, 1.0), (0.5, 3.0)], width=17)
    >>> scale.drawn(-1.0, 0.0, 1.0)
    '├───●───┤'
    >>> scale.drawn(0.5, 2.0, 3.0)
    '    ┊ ├─────●───┤'
"""

from collections.abc import Iterable
from dataclasses import dataclass

BAR, LEFT, RIGHT, MIDDLE, ZERO = "─", "├", "┤", "●", "┊"


@dataclass(frozen=True, slots=True)
class Scale:
    """From ``low``, at most 0, to ``high``, at least 0, in ``width`` characters."""

    low: float
    high: float
    width: int

    @classmethod
    def of(cls, intervals: Iterable[tuple[float, float]], *, width: int = 25) -> "Scale":
        """Return the scale that holds all intervals and zero."""
        ends = [0.0, *(end for interval in intervals for end in interval)]
        return cls(min(ends), max(ends), width)

    def _at(self, value: float) -> int:
        span = self.high - self.low
        share = (min(max(value, self.low), self.high) - self.low) / span if span > 0 else 0.0
        return round(share * (self.width - 1))

    def drawn(self, low: float, middle: float, high: float) -> str:
        """Return an interval with its middle, and where zero is; trailing blanks are left out."""
        cells = [" "] * self.width
        cells[self._at(0.0)] = ZERO
        begin, end = self._at(low), self._at(high)
        cells[begin : end + 1] = BAR * (end - begin + 1)
        cells[begin], cells[end] = LEFT, RIGHT
        cells[self._at(middle)] = MIDDLE
        return "".join(cells).rstrip()

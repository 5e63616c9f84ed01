"""ADWIN, adaptive windowing (Bifet and Gavaldà 2007, "Learning from Time-Changing Data with Adaptive Windowing").

Keeps the longest recent window whose parts agree. The window is held as an exponential histogram: row i has buckets
of 2^i values each, at most ``max_buckets`` of them before the two oldest merge into one of row i + 1; only sum and sum
of squared deviations are kept, so that n values take O(max_buckets · log n) numbers. Every ``clock`` values each border
between buckets is tried as a cut (section 3 of the paper, the bound with the variance of the window); while the means
on the two sides differ by more than the bound, the oldest bucket is dropped. What is
left is the window
after the change; like River, and unlike the paper, the next value then starts an empty window.

With River's options the answers are River's, value by value.
"""

import math

import msgspec

from acclimate_device.drift.base import Exact, finite, require


class Adwin(Exact, kw_only=True, tag="adwin/1"):
    """Finds a change of the mean in either direction.

    Attributes:
        delta: Confidence of each cut, in (0, 1); less means fewer false alarms and longer delays.
        clock: Values between two searches for a cut.
        max_buckets: Buckets a row before two merge; more means finer cuts.
        min_window_length: Fewest values on each side of a cut.
        grace_period: No search before the window is longer than this.
        drift_detected: Whether the last value completed the proof of a change.
        width: Values in the window.
        total: Their sum.
        deviation: Sum of their squared deviations from the mean.
        seen: Values seen since the last start.
        before: Mean of the older part at the last cut.
        after: Mean of the newer part at the last cut.
        sums: Sum of each bucket by row, the oldest first.
        deviations: Sum of squared deviations of each bucket, likewise.
    """

    delta: float = 0.002
    clock: int = 32
    max_buckets: int = 5
    min_window_length: int = 5
    grace_period: int = 10
    drift_detected: bool = False
    width: int = 0
    total: float = 0.0
    deviation: float = 0.0
    seen: int = 0
    before: float = math.nan
    after: float = math.nan
    sums: list[list[float]] = msgspec.field(default_factory=lambda: [[]])
    deviations: list[list[float]] = msgspec.field(default_factory=lambda: [[]])

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ValueError: If one is out of its range.
        """
        require("delta", self.delta, right=0 < self.delta < 1, remedy="give a number in (0, 1)")
        for name in ("clock", "min_window_length", "max_buckets"):
            value = getattr(self, name)
            require(name, value, right=value >= 1, remedy="give at least 1")
        require("grace_period", self.grace_period, right=self.grace_period >= 0, remedy="give at least 0")

    @property
    def estimation(self) -> float:
        """Mean of the window, 0 while it is empty."""
        return self.total / self.width if self.width else 0.0

    @property
    def variance(self) -> float:
        """Variance of the window, 0 while it is empty."""
        return self.deviation / self.width if self.width else 0.0

    def update(self, x: float) -> None:
        """Take the next value.

        Raises:
            InputError: If it is not finite.
        """
        x = float(finite(x))
        if self.drift_detected:
            self.reset()
        if self.width:
            self.deviation += self.width * (x - self.total / self.width) ** 2 / (self.width + 1)
        self.width += 1
        self.total += x
        self.sums[0].append(x)
        self.deviations[0].append(0.0)
        if len(self.sums[0]) > self.max_buckets:
            self._merge_oldest()
        self.seen += 1
        if self.seen % self.clock == 0 and self.width > self.grace_period:
            while self._cut_exists():
                self.drift_detected = True
                self._drop_oldest()

    def reset(self) -> None:
        """Forget all values and keep the options."""
        self.drift_detected = False
        self.width, self.total, self.deviation = 0, 0.0, 0.0
        self.seen = 0
        self.before = self.after = math.nan
        self.sums, self.deviations = [[]], [[]]

    def detail(self) -> dict[str, float]:
        """Return length and mean of the window, the means beside the last cut (NaN before it), their change."""
        sides = {"before": self.before, "after": self.after, "change": self.after - self.before}
        return {"width": self.width, "mean": self.estimation, **sides}

    def _merge_oldest(self) -> None:
        """Merge the two oldest buckets of each row that is too long into one of the next row."""
        for row, (sums, deviations) in enumerate(zip(self.sums, self.deviations, strict=True)):
            if len(sums) <= self.max_buckets:
                return
            if row + 1 == len(self.sums):
                self.sums.append([])
                self.deviations.append([])
            size = float(1 << row)
            apart = size * size * (sums[0] / size - sums[1] / size) ** 2 / (size + size)
            self.sums[row + 1].append(sums[0] + sums[1])
            self.deviations[row + 1].append(deviations[0] + deviations[1] + apart)
            del sums[:2], deviations[:2]

    def _drop_oldest(self) -> None:
        """Take the oldest bucket out of the window."""
        size = 1 << (len(self.sums) - 1)
        oldest, deviation = self.sums[-1].pop(0), self.deviations[-1].pop(0)
        self.width -= size
        self.total -= oldest
        apart = oldest / size - self.total / self.width
        self.deviation -= deviation + size * self.width * apart**2 / (size + self.width)
        while len(self.sums) > 1 and not self.sums[-1]:
            self.sums.pop()
            self.deviations.pop()

    def _cut_exists(self) -> bool:
        """Return whether the means on the sides of some border differ by more than the bound (eq. 3.1)."""
        log = math.log(2.0 * math.log(self.width) / self.delta)
        spread = max(self.deviation, 0.0) / self.width  # rounding can leave less than 0
        least = self.min_window_length
        old, old_sum = 0, 0.0
        new, new_sum = self.width, self.total
        for row in range(len(self.sums) - 1, -1, -1):
            size = 1 << row
            for bucket in self.sums[row]:
                old += size
                new -= size
                old_sum += bucket
                new_sum -= bucket
                if new >= least and old >= least:
                    harmonic = 1.0 / (old - least + 1.0) + 1.0 / (new - least + 1.0)
                    bound = math.sqrt(2.0 * harmonic * spread * log) + 2.0 / 3.0 * harmonic * log
                    if abs(old_sum / old - new_sum / new) > bound:
                        self.before, self.after = old_sum / old, new_sum / new
                        return True
        return False

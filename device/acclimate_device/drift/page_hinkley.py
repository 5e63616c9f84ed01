"""The Page-Hinkley test (Page 1954, "Continuous Inspection Schemes"; Hinkley 1971).

Sums how far each value lies from the running mean, less an allowance ``delta``; when the sum has risen more than
``threshold`` above its minimum, or fallen as much below its maximum, the mean has changed. The test then starts anew
with the next value. With River's options the answers are River's, value by value.

``threshold`` and ``delta`` are in units of the value. ``standardise``, which River has not, takes them in running
standard deviations, so that one setting serves losses of any scale. Deviations beyond three of them then count as
three: otherwise a handful of errors of a model that hardly ever errs would pass for a drift.
"""

import math
from typing import Literal

from acclimate_device.drift.base import Exact, finite, require

CLIP = 3.0  # standard deviations


class PageHinkley(Exact, kw_only=True, tag="page-hinkley/1"):
    """Finds a change of the mean upwards, downwards or in both directions.

    Attributes:
        min_instances: Values before the first answer.
        delta: Change that is too small to matter, in units of the value (or standard deviations).
        threshold: Sum that means drift, in the same units.
        alpha: Share of the sums kept at each value, in (0, 1].
        mode: ``up``, ``down`` or ``both``.
        standardise: Divide each deviation by the running standard deviation; none is summed before
            ``min_instances`` values have shown what that is.
        drift_detected: Whether the last value completed the proof of a change.
        seen: Values since the last start.
        mean: Their mean.
        deviation: Sum of their squared deviations from the mean.
        up: Sum that rises with the mean.
        up_least: Its minimum.
        down: Sum that falls with the mean.
        down_most: Its maximum.
    """

    min_instances: int = 30
    delta: float = 0.005
    threshold: float = 50.0
    alpha: float = 1 - 0.0001
    mode: Literal["up", "down", "both"] = "both"
    standardise: bool = False
    drift_detected: bool = False
    seen: int = 0
    mean: float = 0.0
    deviation: float = 0.0
    up: float = 0.0
    up_least: float = math.inf
    down: float = 0.0
    down_most: float = -math.inf

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ValueError: If one is out of its range.
        """
        require("min_instances", self.min_instances, right=self.min_instances >= 1, remedy="give at least 1")
        require("delta", self.delta, right=self.delta >= 0, remedy="give at least 0")
        require("threshold", self.threshold, right=self.threshold > 0, remedy="give more than 0")
        require("alpha", self.alpha, right=0 < self.alpha <= 1, remedy="give a number in (0, 1]")

    def update(self, x: float) -> None:
        """Take the next value.

        Raises:
            InputError: If it is not finite.
        """
        x = float(finite(x))
        if self.drift_detected:
            self.reset()
        self.seen += 1
        step = x - self.mean
        self.mean += step / self.seen
        away = x - self.mean
        if self.standardise:
            self.deviation += step * away
            if self.seen <= self.min_instances or self.deviation <= 0:
                return
            away = max(-CLIP, min(CLIP, away / math.sqrt(self.deviation / self.seen)))
        self.up = self.alpha * self.up + away - self.delta
        self.down = self.alpha * self.down + away + self.delta
        self.up_least = min(self.up_least, self.up)
        self.down_most = max(self.down_most, self.down)
        if self.seen >= self.min_instances:
            rose = self.mode != "down" and self.up - self.up_least > self.threshold
            fell = self.mode != "up" and self.down_most - self.down > self.threshold
            self.drift_detected = rose or fell

    def reset(self) -> None:
        """Forget all values and keep the options."""
        self.drift_detected = False
        self.seen, self.mean, self.deviation = 0, 0.0, 0.0
        self.up, self.up_least, self.down, self.down_most = 0.0, math.inf, 0.0, -math.inf

    def detail(self) -> dict[str, float]:
        """Return values seen, their mean, the larger of the two sums with its sign, and the threshold."""
        rise = max(self.up - self.up_least, 0.0)
        fall = max(self.down_most - self.down, 0.0)
        change = rise if rise >= fall else -fall
        return {"seen": self.seen, "mean": self.mean, "change": change, "threshold": self.threshold}

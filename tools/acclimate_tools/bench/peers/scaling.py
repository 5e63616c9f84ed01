"""Running mean and variance, for peers that need scaled inputs or targets and bring no scaler of their own."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Scaler:
    """Standardises by the moments of what was learned so far (Chan, Golub and LeVeque 1983).

    Example:
        >>> scaler = Scaler(1)
        >>> scaler.learn(np.array([[1.0], [3.0]]))
        >>> scaler.scaled(np.array([[4.0]])).tolist()
        [[2.0]]
    """

    def __init__(self, width: int) -> None:
        """Start with nothing learned."""
        self.count = 0
        self.mean, self.m2 = np.zeros(width), np.zeros(width)

    @property
    def deviation(self) -> Array:
        """(width,) standard deviations; 1 where nothing has varied."""
        found = np.sqrt(self.m2 / max(self.count, 1))
        return np.where(found > 0, found, 1.0)

    def learn(self, x: Array) -> None:
        """Merge the moments of ``x`` (rows, width)."""
        mean = x.mean(0)
        delta, total = mean - self.mean, self.count + len(x)
        self.m2 += ((x - mean) ** 2).sum(0) + delta**2 * (self.count * len(x) / total)
        self.mean += delta * (len(x) / total)
        self.count = total

    def scaled(self, x: Array) -> Array:
        """Return ``x`` (rows, width) in standard deviations from the mean."""
        return (x - self.mean) / self.deviation

    def restored(self, z: Array) -> Array:
        """Return what ``scaled`` made ``z`` of."""
        return z * self.deviation + self.mean

"""Means of consecutive differences: what an e-process is fed when losses are autocorrelated.

An e-process speaks of conditional expectations. When differences hang together in time these wander, so evidence for
"better since the test began" is cheap although the long-run mean is 0. Means of b consecutive arrivals hang together
less. The length comes from a backtest: for AR(1) differences b = 5 (1 + rho) / (1 - rho), rho the upper 95 % bound of
the lag-1 autocorrelation; otherwise b = 5 (1 + 2 * the sum of the first 20 autocorrelations). Blocked tests run at
0.7 of their level, because at 5 the false promotions measure .058 at .05. When the block means of the running test
are still autocorrelated above .1, evidence for a promotion does not count: start again with longer blocks.

Example:
    >>> block_length(0.6), alpha_factor(block_length(0.6)), block_length(0.0)
    (20, 0.7, 1)
"""

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from acclimate_shared.evidence._seal import Reader, corrupt, pack_counts, pack_floats, sealed

Floats = NDArray[np.float64]

KIND = b"BLKS"
C = 5.0
ALPHA_FACTOR = 0.7
LAGS = 20
RARE = 64  # values that differ from the usual one: with fewer, chance is looked at instead of calculated
ORDERS = 400  # that tell what it does
MIN_BACKTEST = 100
MAX_AUTOCORRELATION = 0.1  # of block means
MAX_LENGTH = 100_000
_Z, _Z_LATER = 1.645, 2.5  # one-sided 95 and 99.4 %: one lag, and each of four
_Z_RUNNING = 2.576  # 99.5 %: a running estimate must leave the noise of its size


def block_length(rho: float) -> int:
    """Return the length for AR(1) differences, 1 for rho <= 0.

    Args:
        rho: Upper bound of the lag-1 autocorrelation, < 1.

    Raises:
        ValueError: If rho is not below 1.
    """
    if not rho < 1:
        raise ValueError(f"rho must be below 1, not {rho}")
    return 1 if rho <= 0 else _whole(C * (1 + rho) / (1 - rho))


def backtest_length(d: Floats) -> int:
    """Return the block length for a series of differences from before the test.

    The series counts as AR(1) when its first five autocorrelations lie within two standard errors of rho^k; it needs
    no blocks when they are no larger than by chance.

    Args:
        d: (n,) float64 in order of arrival, n >= 100.

    Raises:
        ValueError: If the series is shorter.
    """
    if len(d) < MIN_BACKTEST:
        raise ValueError(f"a backtest needs at least {MIN_BACKTEST} differences, not {len(d)}")
    rho = autocorrelations(d, LAGS)
    error = 1 / math.sqrt(len(d))
    within = rho[0] <= _Z * error and abs(rho[1:5]).max() <= _Z_LATER * error
    if within or (np.count_nonzero(d != np.median(d)) < RARE and _by_chance(d, rho)):
        return 1
    upper = min(float(rho[0]) + _Z * math.sqrt(max(1 - rho[0] ** 2, error**2)) * error, 1 - error**2)
    first_order = block_length(upper)
    if (abs(rho[:5] - np.maximum(rho[0], 0) ** np.arange(1, 6)) <= 2 * error).all():
        return first_order
    return max(first_order, _whole(C * (1 + 2 * max(float(rho.sum()), 0.0))))


def _by_chance(d: Floats, rho: Floats) -> bool:
    """Return whether the autocorrelations (LAGS,) of a series (n,) are no larger than in other orders of its values.

    Where few values differ from the rest the normal approximation is no guide: two of them that happen to be neighbours
    look like a series that hangs together.
    """
    rng, x, found = np.random.default_rng(0), d - d.mean(), []
    for _ in range(ORDERS):  # one by one, for memory is scarcer than time
        rng.shuffle(x)
        found.append(abs(float(x[1:] @ x[:-1]) / float(x @ x)))
    first, later = np.quantile(found, [0.95, 1 - 1 / 160]) + 2 / len(d)  # what the ends of the series make of it
    return bool(rho[0] <= first and abs(rho[1:5]).max() <= later)


def autocorrelations(d: Floats, lags: int) -> Floats:
    """Return the autocorrelations (lags,) of a series (n,) at lag 1, 2, ...; 0 for a constant series."""
    x = d - d.mean()
    scale = float(x @ x)
    return np.array([float(x[k:] @ x[:-k]) / scale if scale > 0 else 0.0 for k in range(1, lags + 1)])


def alpha_factor(length: int) -> float:
    """Return what a level is multiplied with: 0.7 when blocks are longer than 1."""
    return ALPHA_FACTOR if length > 1 else 1.0


@dataclass(slots=True)
class Blocks:
    """Gathers differences into means and watches how these hang together; it advances in place.

    Attributes:
        length: Differences in a block; ``held``: in the one that is not full yet; ``part``: their sum.
        n: Full blocks; ``total``, ``squares``, ``products``: sums of their means, the squares, neighbours' products.
        first: Mean of the first block; ``last``: of the last.
    """

    length: int
    held: int = 0
    n: int = 0
    part: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    products: float = 0.0
    first: float = 0.0
    last: float = 0.0

    def __post_init__(self) -> None:
        """Check the length.

        Raises:
            ValueError: If it is not in 1 .. 100,000, or not more than ``held``.
        """
        if not 0 < self.length <= MAX_LENGTH:
            raise ValueError(f"block length must be in 1 to {MAX_LENGTH}, not {self.length}")
        if not 0 <= self.held < self.length:
            raise ValueError(f"a block of {self.length} cannot hold {self.held} and not be full")

    def update(self, d: float) -> float | None:
        """Take one difference; return the mean of the block that it fills, or None."""
        self.part += d
        self.held += 1
        if self.held < self.length:
            return None
        mean = self.part / self.length
        self.held, self.part = 0, 0.0
        self._count(mean)
        return mean

    def update_many(self, d: Floats) -> Floats:
        """Take differences (n,) in order; return the means (blocks,) of the blocks that they fill."""
        means = self.means(d)
        left = self.held + len(d) - len(means) * self.length
        start = self.part if not len(means) else 0.0
        rest = d[len(d) - min(left, len(d)) :]
        self.part = float(np.cumsum(np.append(start, rest))[-1])
        self.held = left
        for mean in means.tolist():
            self._count(mean)
        return means

    def means(self, d: Floats) -> Floats:
        """Return the means (blocks,) that `update_many` would return, and leave the state as it is."""
        full = (self.held + len(d)) // self.length
        if not full:
            return np.empty(0)
        if self.length == 1:
            return np.asarray(d, np.float64)
        taken = np.zeros(full * self.length)
        taken[self.held :] = d[: full * self.length - self.held]
        rows = taken.reshape(full, self.length)
        rows[0, max(self.held - 1, 0)] += self.part
        return np.asarray(np.cumsum(rows, axis=1)[:, -1] / self.length, np.float64)

    @property
    def autocorrelation(self) -> float:
        """Lag-1 autocorrelation of the block means so far; 0 while there are fewer than three or all are equal."""
        mean = self.total / self.n if self.n else 0.0
        scale = self.squares - self.n * mean * mean
        if self.n < 3 or scale <= 1e-12 * self.squares:  # noqa: PLR2004 - a pair of pairs
            return 0.0
        cross = self.products - mean * (2 * self.total - self.first - self.last) + (self.n - 1) * mean * mean
        return cross / scale

    @property
    def too_short(self) -> bool:
        """Whether the block means are autocorrelated above .1, and above what chance makes of so few of them."""
        return self.n > 0 and self.autocorrelation > max(MAX_AUTOCORRELATION, _Z_RUNNING / math.sqrt(self.n))

    def _count(self, mean: float) -> None:
        if self.n:
            self.products += mean * self.last
        else:
            self.first = mean
        self.n += 1
        self.total += mean
        self.squares += mean * mean
        self.last = mean

    def sums(self) -> tuple[float, ...]:
        """Return the fields that are float64, in order."""
        return self.part, self.total, self.squares, self.products, self.first, self.last

    def to_bytes(self) -> bytes:
        """Return the state, exactly."""
        return sealed(KIND, pack_counts(self.length, self.held, self.n) + pack_floats(*self.sums()))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Blocks":
        """Read what `to_bytes` wrote.

        Raises:
            CorruptStateError: If the bytes are damaged.
            StateMismatchError: If they hold another kind of state.
        """
        reader = Reader(data, KIND)
        length, held, n = reader.counts(3)
        sums = reader.floats(len(fields(cls)) - 3)
        reader.end()
        try:
            return cls(length, held, n, *sums)
        except ValueError as exc:
            raise corrupt("no such block", field="length, held", value=(length, held)) from exc


def _whole(length: float) -> int:
    """Return the length rounded up, but not for the rounding of float64."""
    return min(math.ceil(length - 1e-9), MAX_LENGTH)

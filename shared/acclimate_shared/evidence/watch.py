"""The watch after a promotion: a Shiryaev-Roberts e-detector of "worse than the reference now".

For each bet, M <- (M + 1)(1 + lambda d), d = loss now - loss of the reference - margin: evidence that starts afresh at
every step, so that a recent harm is found however long all was well. The alarm is given when the weighted mean of the
M reaches A. While every conditional expectation of d is <= 0, M_n - n is a supermartingale, so the *average run length*
to a false alarm is at least A observations: by blocks of b labels, A b labels. Logarithms are kept, so nothing
overflows. Shin, Ramdas and Rinaldo, arXiv 2203.03532.

Example:
    >>> watch = Watch.new(Bets.of(effect=0.25, variance=0.25), run_length=1000)
    >>> watch.update_many(np.full(100, 0.5)), watch.n
    (True, 17)
"""

import math
from dataclasses import dataclass

import numpy as np

from acclimate_shared.evidence._seal import Reader, corrupt, pack_counts, pack_part, sealed
from acclimate_shared.evidence.bets import SLACK, Bets, Floats, mix, mix_one, wealth_paths
from acclimate_shared.evidence.blocks import Blocks
from acclimate_shared.evidence.mixbet import MixBet

KIND = b"WTCH"
NOTHING = -1e300  # log of the empty sum; finite, so that it is kept exactly


def detector_paths(bets: Bets, d: Floats, start: Floats | None = None) -> Floats:
    """Return the logarithm of M of each bet after every difference.

    Args:
        bets: K bets.
        d: (..., n) float64, in order along the last axis.
        start: (K,) float64, the logs before; nothing seen when None.

    Returns:
        (K, ..., n) float64.
    """
    wealth = wealth_paths(bets, d)  # W_n; M_n = W_n (M_0 + sum over i <= n of 1 / W_(i-1))
    before = np.zeros_like(wealth)
    np.negative(wealth[..., :-1], out=before[..., 1:])
    if start is not None and d.shape[-1]:
        before[..., 0] = np.logaddexp(start, 0.0).reshape(-1, *[1] * (d.ndim - 1))
    return np.asarray(wealth + np.logaddexp.accumulate(before, axis=-1), np.float64)


@dataclass(slots=True)
class Watch:
    """The state of a watch; it advances in place.

    Attributes:
        bets: The design, for differences of blocks.
        run_length: A: mean number of observations (blocks) to a false alarm, at least.
        blocks: Gathers labels into observations.
        logs: log M of each bet.
        n: Labels seen, up to the alarm.
        alarm: Whether M has reached A; stays so.
    """

    bets: Bets
    run_length: float
    blocks: Blocks
    logs: list[float]
    n: int = 0
    alarm: bool = False

    def __post_init__(self) -> None:
        """Check the run length.

        Raises:
            ValueError: If it is not a finite number above 1.
        """
        if not 1 < self.run_length < math.inf:
            raise ValueError(f"run_length must be above 1, not {self.run_length}")

    @classmethod
    def new(cls, bets: Bets, *, run_length: float, block: int = 1) -> "Watch":
        """Return a watch that has seen nothing.

        Args:
            bets: Made for the harm to be found, in block means.
            run_length: Observations (blocks) to a false alarm on average, at least.
            block: Labels in a block.

        Raises:
            ValueError: If run_length is not above 1 or the block not a length.
        """
        return cls(bets, run_length, Blocks(block), [NOTHING] * len(bets.lambdas))

    @property
    def average_run_length(self) -> float:
        """Labels to a false alarm on average, at least."""
        return self.run_length * self.blocks.length

    @property
    def log_m(self) -> float:
        """Log of the weighted mean of the M."""
        return mix_one(self.bets, self.logs)

    def update(self, d: float) -> bool:
        """Take the difference of one label, loss now - loss of the reference - margin; return the alarm.

        Raises:
            InputError: If it is out of bounds; the state is as before.
        """
        if not -1 - self.bets.margin - SLACK <= d < math.inf:
            self.bets.check(np.array([d]))
        if self.alarm:
            return True
        self.n += 1
        mean = self.blocks.update(d)
        if mean is not None:
            pairs = zip(self.bets.lambdas, self.logs, strict=True)
            self.logs = [_log_plus_1(log) + math.log1p(bet * mean) for bet, log in pairs]
            self.alarm = self.log_m >= math.log(self.run_length)
        return self.alarm

    def update_many(self, d: Floats) -> bool:
        """Take differences (n,) in order, return the alarm; those after it change nothing.

        Raises:
            InputError: If one is out of bounds; the state is as before.
        """
        self.bets.check(d)
        if self.alarm or not len(d):
            return self.alarm
        means = self.blocks.means(d)
        paths = detector_paths(self.bets, means, np.array(self.logs))
        crossed = mix(self.bets, paths) >= math.log(self.run_length) if len(means) else np.zeros(0, np.bool_)
        if crossed.any():
            means = means[: int(crossed.argmax()) + 1]
            d = d[: len(means) * self.blocks.length - self.blocks.held]
            self.alarm = True
        self.blocks.update_many(d)
        if len(means):
            self.logs = paths[:, len(means) - 1].tolist()
        self.n += len(d)
        return self.alarm

    def to_bytes(self) -> bytes:
        """Return the state, exactly."""
        design = MixBet(self.bets, 0, self.logs, self.run_length, 0.0).to_bytes()
        return sealed(
            KIND, pack_counts(self.n, int(self.alarm)) + pack_part(design) + pack_part(self.blocks.to_bytes())
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Watch":
        """Read what `to_bytes` wrote.

        Raises:
            CorruptStateError: If the bytes are damaged.
            StateMismatchError: If they hold another kind of state.
        """
        reader = Reader(data, KIND)
        n, alarm = reader.counts(2)
        design, blocks = MixBet.from_bytes(reader.part()), Blocks.from_bytes(reader.part())
        reader.end()
        if alarm > 1 or not design.total > 1:
            raise corrupt("no such watch", field="alarm, run_length", value=(alarm, design.total))
        return cls(design.bets, design.total, blocks, design.wealth, n, bool(alarm))


def _log_plus_1(log: float) -> float:
    """Return ln(exp(log) + 1)."""
    return max(log, 0.0) + math.log1p(math.exp(-abs(log)))

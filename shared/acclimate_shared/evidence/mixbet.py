"""The e-process of a contest: a mixture of bets that are fixed before the test ("mixbet").

Each bet lambda_k multiplies its wealth by 1 + lambda_k d for every paired difference d (positive: the challenger was
better); E is the weighted mean of the wealths. Then for any alpha, whatever the drift and the dependence,

    P(at some n: the mean of the conditional expectations of d up to n is <= 0, and E_n >= 1 / alpha) <= alpha,

because 1 + x <= exp(x) makes E, where that mean is <= 0, no larger than a nonnegative martingale that starts at 1, to
which Ville's inequality applies; compare Choe and Ramdas, arXiv 2110.00115. The bets must not depend on the data of
the test: adaptive bets are only valid when *every* expectation is <= 0, which drift breaks. Differences are bounded
below by -(1 + margin); gains may be capped, losses never.

Example:
    >>> bets = Bets.of(effect=0.1, variance=0.25)
    >>> test = MixBet.new(bets)
    >>> both = test.update(0.5), test.update(-0.25)
    >>> MixBet.from_bytes(test.to_bytes()) == test
    True
"""

import math
from dataclasses import dataclass
from math import log1p

import numpy as np

from acclimate_shared.errors import StateMismatchError
from acclimate_shared.evidence._seal import Reader, corrupt, pack_counts, pack_floats, sealed
from acclimate_shared.evidence.bets import MAX_BETS, SLACK, Bets, Floats, mix, mix_one, wealth_paths

KIND = b"MBET"


@dataclass(slots=True)
class MixBet:
    """The state of one e-process; it advances in place.

    Attributes:
        bets: The design.
        n: Differences seen.
        wealth: Log wealth of each bet.
        total: Sum of the differences.
        squares: Sum of their squares.
    """

    bets: Bets
    n: int
    wealth: list[float]
    total: float
    squares: float

    @classmethod
    def new(cls, bets: Bets) -> "MixBet":
        """Return the state before the first difference."""
        return cls(bets, 0, [0.0] * len(bets.lambdas), 0.0, 0.0)

    @property
    def log_e(self) -> float:
        """Log of the e-value; evidence at level alpha when it is at least ln(1 / alpha)."""
        return mix_one(self.bets, self.wealth)

    def update(self, d: float) -> float:
        """Take one difference and return log E.

        Raises:
            InputError: If it is not finite or below -(1 + margin); the state is as before.
        """
        if not -1 - self.bets.margin - SLACK <= d < math.inf:
            self.bets.check(np.array([d]))
        self.wealth = [log + log1p(bet * d) for bet, log in zip(self.bets.lambdas, self.wealth, strict=True)]
        self.n += 1
        self.total += d
        self.squares += d * d
        return self.log_e

    def update_many(self, d: Floats) -> Floats:
        """Take differences in order.

        Args:
            d: (n,) float64.

        Returns:
            (n,) float64, log E after each.

        Raises:
            InputError: If one is not finite or below -(1 + margin); the state is as before.
        """
        self.bets.check(d)
        paths = wealth_paths(self.bets, d, np.array(self.wealth))
        if len(d):
            self.wealth = paths[:, -1].tolist()
            self.n += len(d)
            self.total = float(np.cumsum(np.append(self.total, d))[-1])
            self.squares = float(np.cumsum(np.append(self.squares, d * d))[-1])
        return mix(self.bets, paths)

    def merge(self, *others: "MixBet") -> "MixBet":
        """Return the state of one process that saw the differences of all; log wealths add.

        Raises:
            StateMismatchError: If the designs differ.
        """
        states = (self, *others)
        if any(state.bets != self.bets for state in others):
            remedy = "merge only states of the same plan"
            raise StateMismatchError("e-processes of different designs", field="bets", remedy=remedy)
        wealth = [math.fsum(logs) for logs in zip(*(state.wealth for state in states), strict=True)]
        total = math.fsum(state.total for state in states)
        return MixBet(self.bets, sum(s.n for s in states), wealth, total, math.fsum(s.squares for s in states))

    def to_bytes(self) -> bytes:
        """Return the state, design included; at most 400 bytes for up to 11 bets."""
        counts = pack_counts(len(self.bets.lambdas), self.n)
        floats = (self.bets.margin, self.total, self.squares, *self.bets.lambdas, *self.bets.weights, *self.wealth)
        return sealed(KIND, counts + pack_floats(*floats))

    @classmethod
    def from_bytes(cls, data: bytes) -> "MixBet":
        """Read what `to_bytes` wrote; the state continues bit for bit.

        Raises:
            CorruptStateError: If the bytes are damaged.
            StateMismatchError: If they hold another kind of state.
        """
        reader = Reader(data, KIND)
        size, n = reader.counts(2)
        if not 0 < size <= MAX_BETS:
            raise corrupt("no such number of bets", field="bets", value=size)
        margin, total, squares = reader.floats(3)
        lambdas, weights, wealth = (reader.floats(size) for _ in range(3))
        reader.end()
        try:
            return cls(Bets(lambdas, weights, margin), n, list(wealth), total, squares)
        except ValueError as exc:
            raise corrupt(str(exc), field="bets") from exc

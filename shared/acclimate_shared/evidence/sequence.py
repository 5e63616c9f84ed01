"""The account of error for the life of a model: e-LOND.

Every test that is started, restarts included, takes the next index j of one endless sequence and the level

    alpha_j = alpha gamma_j (R + 1),    gamma_j = 6 / (pi² j²),

R the promotions so far. A promotion needs an e-value of at least 1 / alpha_j at the stopping time of its test. Then
the expected share of false promotions among all is at most alpha, whatever the dependence between the tests, and
several tests may run at once. Tests that are given up have spent their index all the same.

Example:
    >>> account = Account(alpha=0.05)
    >>> first = account.start()
    >>> account.promoted()
    >>> second = account.start()
    >>> round(first.alpha, 4), round(second.alpha, 4), second.index
    (0.0304, 0.0152, 2)
"""

import math
from dataclasses import dataclass

from acclimate_shared.evidence._seal import Reader, corrupt, pack_counts, pack_floats, sealed

KIND = b"ACCT"


@dataclass(frozen=True, slots=True)
class Level:
    """The index of a test in the sequence, from 1, and its level."""

    index: int
    alpha: float


@dataclass(slots=True)
class Account:
    """The state of the sequence; it advances in place.

    Attributes:
        alpha: Bound of the expected share of false promotions over the life of the model, in (0, 1).
        started: Tests started.
        promotions: Tests that ended in a promotion.
    """

    alpha: float
    started: int = 0
    promotions: int = 0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: If alpha is not in (0, 1), or there are more promotions than tests.
        """
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha must be in (0, 1), not {self.alpha}")
        if not 0 <= self.promotions <= self.started:
            raise ValueError(f"{self.promotions} promotions of {self.started} tests")

    @property
    def next_level(self) -> Level:
        """What the next test would get; looking spends nothing."""
        index = self.started + 1
        return Level(index, self.alpha * gamma(index) * (self.promotions + 1))

    def start(self) -> Level:
        """Start a test: return its index and level, which are spent whatever comes of it."""
        level = self.next_level
        self.started += 1
        return level

    def promoted(self) -> None:
        """Count the promotion of a started test.

        Raises:
            RuntimeError: If every started test has been promoted already.
        """
        if self.promotions == self.started:
            raise RuntimeError("a promotion needs a started test")
        self.promotions += 1

    def to_bytes(self) -> bytes:
        """Return the state, exactly."""
        return sealed(KIND, pack_floats(self.alpha) + pack_counts(self.started, self.promotions))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Account":
        """Read what `to_bytes` wrote.

        Raises:
            CorruptStateError: If the bytes are damaged.
            StateMismatchError: If they hold another kind of state.
        """
        reader = Reader(data, KIND)
        (alpha,) = reader.floats(1)
        started, promotions = reader.counts(2)
        reader.end()
        try:
            return cls(alpha, started, promotions)
        except ValueError as exc:
            raise corrupt(str(exc)) from exc


def gamma(index: int) -> float:
    """Return the share of alpha that test ``index`` (from 1) gets; over all tests the sum is 1."""
    return 6 / (math.pi * index) ** 2

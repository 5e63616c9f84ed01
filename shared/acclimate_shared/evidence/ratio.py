"""Is the traffic split as planned? A sample-ratio test that may be looked at after every event.

The counts of the arms are compared with the planned shares p by a Dirichlet-multinomial mixture,

    E = B(a + n) / B(a) / prod p_j^n_j,    a = 100 p 2,

an e-process while events go to the arms by p. A mismatch at level .01 means that the split, or the logging, is
broken, and that what was measured on it is not to be trusted. Lindon and Malek, arXiv 2011.03567.

Example:
    >>> split = Ratio.new((0.5, 0.5))
    >>> split.update(4000, 4100), split.update(2000, 2600)
    (False, True)
"""

import math
from dataclasses import dataclass

from acclimate_shared.evidence._seal import Reader, corrupt, pack_counts, pack_floats, sealed

KIND = b"RATI"
ALPHA = 0.01
CONCENTRATION = 200.0
MAX_ARMS = 64
_SLACK = 1e-9


@dataclass(slots=True)
class Ratio:
    """The state of the test; it advances in place.

    Attributes:
        shares: Planned share of each arm, in (0, 1); the sum is 1.
        counts: Events of each arm.
        alarm: Whether E has reached 1 / .01; stays so.
    """

    shares: tuple[float, ...]
    counts: list[int]
    alarm: bool = False

    def __post_init__(self) -> None:
        """Check the shares.

        Raises:
            ValueError: If they are not two or more positive shares of 1, with a count each.
        """
        if not 1 < len(self.shares) == len(self.counts) <= MAX_ARMS:
            raise ValueError(f"2 to {MAX_ARMS} arms, each with a count")
        if not all(share > 0 for share in self.shares) or abs(sum(self.shares) - 1) > _SLACK:
            raise ValueError(f"shares must be positive with sum 1, not {self.shares}")

    @classmethod
    def new(cls, shares: tuple[float, ...]) -> "Ratio":
        """Return the test before the first event.

        Raises:
            ValueError: If these are not shares.
        """
        return cls(shares, [0] * len(shares))

    @property
    def log_e(self) -> float:
        """Log of the e-value."""
        prior = [CONCENTRATION * share for share in self.shares]
        gain = math.lgamma(CONCENTRATION) - math.lgamma(CONCENTRATION + sum(self.counts))
        parts = zip(prior, self.counts, self.shares, strict=True)
        return gain + sum(math.lgamma(a + n) - math.lgamma(a) - n * math.log(share) for a, n, share in parts)

    def update(self, *new: int) -> bool:
        """Count new events, one number for each arm, and return the alarm.

        Raises:
            ValueError: If there is not one number >= 0 for each arm.
        """
        if len(new) != len(self.counts) or min(new) < 0:
            raise ValueError(f"{len(self.counts)} counts >= 0, not {new}")
        self.counts = [count + more for count, more in zip(self.counts, new, strict=True)]
        self.alarm = self.alarm or self.log_e >= math.log(1 / ALPHA)
        return self.alarm

    def to_bytes(self) -> bytes:
        """Return the state, exactly."""
        counts = pack_counts(len(self.shares), int(self.alarm), *self.counts)
        return sealed(KIND, counts + pack_floats(*self.shares))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Ratio":
        """Read what `to_bytes` wrote.

        Raises:
            CorruptStateError: If the bytes are damaged.
            StateMismatchError: If they hold another kind of state.
        """
        reader = Reader(data, KIND)
        arms, alarm = reader.counts(2)
        if arms > MAX_ARMS or alarm > 1:
            raise corrupt("no such test", field="arms, alarm", value=(arms, alarm))
        counts, shares = reader.counts(arms), reader.floats(arms)
        reader.end()
        try:
            return cls(shares, list(counts), bool(alarm))
        except ValueError as exc:
            raise corrupt(str(exc), field="shares") from exc

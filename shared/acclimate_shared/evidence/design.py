"""What is fixed before a three-way test, and what the test can say.

Example:
    >>> design = Design(alpha=0.05, effect=0.02, variance=0.1, equivalence=0.01, n_max=20_000)
    >>> len(design.bets), round(math.exp(design.threshold), 6)
    (4, 20.0)
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from acclimate_shared.evidence.bets import Bets
from acclimate_shared.evidence.blocks import alpha_factor


class Outcome(StrEnum):
    """What a test says; everything but RUNNING is final."""

    RUNNING = "running"
    PROMOTE = "promote"
    REJECT = "reject"
    EQUIVALENT = "equivalent"
    RESTART = "restart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What is fixed before the first label of a test.

    Attributes:
        alpha: Level of the test, in (0, 1).
        effect: Advantage that the plan is made for, > superiority.
        variance: Variance of one observation (of block means, if blocked) in the backtest; 0: not known.
        superiority: Margin of a promotion, >= 0.
        bad: Margin of a rejection, >= 0.
        equivalence: Half width of "no difference that matters", in (0, 1).
        n_max: Labels after which the challenger is parked.
        block: Labels in a block.
    """

    alpha: float
    effect: float
    variance: float = 0.0
    superiority: float = 0.0
    bad: float = 0.0
    equivalence: float
    n_max: int
    block: int = 1

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: If a number is out of its range.
        """
        if not (0 < self.alpha < 1 and 0 < self.equivalence < 1 and 0 <= self.variance <= 1):
            raise ValueError(f"alpha and equivalence must be in (0, 1), variance in [0, 1]: {self}")
        if not (0 <= self.superiority < self.effect < 1 and 0 <= self.bad < 1):
            raise ValueError(f"0 <= superiority < effect < 1 and 0 <= bad < 1 must hold: {self}")
        if not 0 < self.block <= self.n_max:
            raise ValueError(f"0 < block <= n_max must hold: {self}")

    @property
    def threshold(self) -> float:
        """What log E must reach: ln(1 / alpha), alpha times 0.7 if blocked."""
        return -math.log(self.alpha * alpha_factor(self.block))

    @property
    def bets(self) -> tuple[Bets, ...]:
        """The designs of the four e-processes."""
        margins = (self.superiority, self.bad, -self.equivalence, -self.equivalence)
        effects = (self.effect - self.superiority, self.effect, self.equivalence, self.equivalence)
        pairs = zip(effects, margins, strict=True)
        if self.variance == 0:
            return tuple(Bets.spread(effect, margin) for effect, margin in pairs)
        return tuple(Bets.of(effect=effect, variance=self.variance, margin=margin) for effect, margin in pairs)

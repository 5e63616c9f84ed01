"""The three-way test of a challenger against a champion, on paired differences in order of the arrival of labels.

Four e-processes run side by side, each at the level of the test:

    promote       d - superiority      the challenger is better by more than ``superiority``
    reject       -d - bad              it is worse by more than ``bad``
    equivalent    d + equivalence and -d + equivalence, both: it differs by less (two one-sided tests)

The first to cross decides, in this order; at ``n_max`` labels without a decision the outcome is "equivalent", which
parks the challenger. A promotion whose block means are still autocorrelated does not count: the outcome is "restart",
and a new test with longer blocks takes the next level of the account. After a decision labels change nothing, so that
the evidence is that of the stopping time. A confidence interval for reports comes from `confidence`.

All four see the same means, so what is kept is one account of these and four lists of wealth; the bets follow from the
design. That is at most MAX_STATE_BYTES.

Example:
    >>> design = Design(alpha=0.05, effect=0.1, variance=0.05, equivalence=0.05, n_max=1000)
    >>> test = Test.new(design)
    >>> test.update_many(np.tile([0.4, -0.1, 0.2, -0.1], 100)), test.n < 200
    (<Outcome.PROMOTE: 'promote'>, True)
"""

import math
from dataclasses import dataclass, replace
from itertools import chain
from math import log1p
from typing import ClassVar

import numpy as np

from acclimate_shared.errors import InputError
from acclimate_shared.evidence._seal import Reader, corrupt, pack_counts, pack_floats, sealed
from acclimate_shared.evidence.bets import SLACK, Bets, Floats, mix, mix_one, wealth_paths
from acclimate_shared.evidence.blocks import Blocks
from acclimate_shared.evidence.confidence import lower_bound
from acclimate_shared.evidence.design import Design, Outcome
from acclimate_shared.evidence.mixbet import MixBet

KIND = b"TES2"
MAX_STATE_BYTES = 400
SIGNS = (1.0, -1.0, 1.0, -1.0)  # of d in the processes: promote, reject, not worse, not better
_OUTCOMES = tuple(Outcome)


@dataclass(slots=True)
class Test:
    """The state of a three-way test; it advances in place."""

    __test__: ClassVar[bool] = False  # not one for pytest

    design: Design
    bets: tuple[Bets, ...]
    wealths: list[list[float]]  # log wealth of each bet of each process
    blocks: Blocks
    outcome: Outcome = Outcome.RUNNING

    @classmethod
    def new(cls, design: Design) -> "Test":
        """Return the test before its first label."""
        bets = design.bets
        return cls(design, bets, [[0.0] * len(each.lambdas) for each in bets], Blocks(design.block))

    @property
    def n(self) -> int:
        """Labels taken."""
        return self.blocks.n * self.blocks.length + self.blocks.held

    @property
    def log_e(self) -> list[float]:
        """Log e-values of the four processes."""
        return [mix_one(bets, wealth) for bets, wealth in zip(self.bets, self.wealths, strict=True)]

    @property
    def processes(self) -> tuple[MixBet, ...]:
        """The four e-processes, each a copy as if it had run alone; their sums are exact but for rounding."""
        n, total, squares = self.blocks.n, self.blocks.total, self.blocks.squares
        return tuple(
            MixBet(
                bets,
                n,
                list(wealth),
                sign * total - n * bets.margin,
                max(squares - 2 * sign * bets.margin * total + n * bets.margin**2, 0.0),
            )
            for sign, bets, wealth in zip(SIGNS, self.bets, self.wealths, strict=True)
        )

    def update(self, d: float) -> Outcome:
        """Take the difference of one label.

        Args:
            d: Champion's loss - challenger's loss, in [-1, 1], no margin taken off.

        Raises:
            InputError: If it is out of bounds; the state is as before.
        """
        if not -1 - SLACK <= d <= 1 + SLACK:
            _check(np.array([d]))
        if self.outcome is Outcome.RUNNING:
            mean = self.blocks.update(d)
            if mean is not None:
                for sign, bets, wealth in zip(SIGNS, self.bets, self.wealths, strict=True):
                    x = sign * mean - bets.margin
                    wealth[:] = [log + log1p(bet * x) for bet, log in zip(bets.lambdas, wealth, strict=True)]
                self.outcome = self._decide(self.log_e)
            elif self.n >= self.design.n_max:
                self.outcome = Outcome.EQUIVALENT
        return self.outcome

    def update_many(self, d: Floats) -> Outcome:
        """Take the differences (n,) of labels in order; those after the decision change nothing.

        Raises:
            InputError: If one is out of bounds; the state is as before.
        """
        _check(d)
        if self.outcome is not Outcome.RUNNING or not len(d):
            return self.outcome
        given, d = d, d[: self.design.n_max - self.n]
        means = self.blocks.means(d)
        paths = [
            wealth_paths(bets, sign * means - bets.margin, np.array(wealth))
            for sign, bets, wealth in zip(SIGNS, self.bets, self.wealths, strict=True)
        ]
        logs = np.stack([mix(bets, path) for bets, path in zip(self.bets, paths, strict=True)])
        crossed = logs >= self.design.threshold  # (4, blocks)
        ends = crossed[0] | crossed[1] | (crossed[2] & crossed[3])
        if ends.any():
            means = means[: int(ends.argmax()) + 1]
            d = d[: len(means) * self.blocks.length - self.blocks.held]
        self.blocks.update_many(d)
        if len(means):
            self.wealths = [path[:, len(means) - 1].tolist() for path in paths]
        self.outcome = self._decide(self.log_e)
        # Scalar and vectorised logarithms may differ in the last bit: what seemed to cross may not have.
        return self.update_many(given[len(d) :])

    def _decide(self, logs: list[float]) -> Outcome:
        threshold = self.design.threshold
        better, worse, not_worse, not_better = (log >= threshold for log in logs)
        if better:
            return Outcome.RESTART if self.blocks.too_short else Outcome.PROMOTE
        if worse:
            return Outcome.REJECT
        if (not_worse and not_better) or self.n >= self.design.n_max:
            return Outcome.EQUIVALENT
        return Outcome.RUNNING

    def interval(self) -> tuple[float, float]:
        """Return lower and upper bound of the mean difference, each at the level of the test, in [-1, 1]."""
        better, worse = self.processes[:2]
        alpha = math.exp(-self.design.threshold)
        low = lower_bound(better, alpha) + better.bets.margin
        high = -(lower_bound(worse, alpha) + worse.bets.margin)
        return max(low, -1.0), min(high, 1.0)

    def restarted(self, alpha: float) -> "Test":
        """Return a new test with blocks twice as long, at the next level of the account.

        Half the variance is expected of them; what autocorrelation adds to that costs samples, not validity.

        Raises:
            ValueError: If the blocks would be longer than n_max.
        """
        block = 2 * self.design.block
        return Test.new(replace(self.design, alpha=alpha, block=block, variance=self.design.variance / 2))

    def to_bytes(self) -> bytes:
        """Return the state, exactly; at most MAX_STATE_BYTES."""
        x, blocks = self.design, self.blocks
        counts = pack_counts(x.n_max, x.block, _OUTCOMES.index(self.outcome), blocks.held, blocks.n)
        floats = (x.alpha, x.effect, x.variance, x.superiority, x.bad, x.equivalence, *blocks.sums())
        return sealed(KIND, counts + pack_floats(*floats, *chain.from_iterable(self.wealths)))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Test":
        """Read what `to_bytes` wrote; the test continues bit for bit.

        Raises:
            CorruptStateError: If the bytes are damaged.
            StateMismatchError: If they hold another kind of state, such as the test of an earlier release.
        """
        reader = Reader(data, KIND)
        n_max, block, outcome, held, n = reader.counts(5)
        alpha, effect, variance, superiority, bad, equivalence = reader.floats(6)
        limits = {"alpha": alpha, "effect": effect, "variance": variance, "equivalence": equivalence}
        try:
            design = Design(**limits, superiority=superiority, bad=bad, n_max=n_max, block=block)
            test = cls.new(design)
            test.blocks = Blocks(block, held, n, *reader.floats(len(test.blocks.sums())))
        except ValueError as exc:
            raise corrupt(str(exc), field="design") from exc
        test.wealths = [list(reader.floats(len(bets.lambdas))) for bets in test.bets]
        reader.end()
        if outcome >= len(_OUTCOMES):
            raise corrupt("no such outcome", field="outcome", value=outcome)
        test.outcome = _OUTCOMES[outcome]
        return test


def _check(d: Floats) -> None:
    """Refuse differences (n,) out of [-1, 1]."""
    bad = ~(np.abs(d) <= 1 + SLACK)
    if bad.any():
        row = int(bad.argmax())
        remedy = "give differences of losses in [0, 1]"
        raise InputError("difference out of [-1, 1]", row=row + 1, field="d", value=float(d[row]), remedy=remedy)

"""The three-way test of a challenger against a champion, on paired differences in order of the arrival of labels.

Four e-processes run side by side, each at the level of the test:

    promote       d - superiority      the challenger is better by more than ``superiority``
    reject       -d - bad              it is worse by more than ``bad``
    equivalent    d + equivalence and -d + equivalence, both: it differs by less (two one-sided tests)

The first to cross decides, in this order; at ``n_max`` labels without a decision the outcome is "equivalent", which
parks the challenger. A promotion whose block means are still autocorrelated does not count: the outcome is "restart",
and a new test with longer blocks takes the next level of the account. After a decision labels change nothing, so that
the evidence is that of the stopping time. A confidence interval for reports comes from `confidence`.

Example:
    >>> design = Design(alpha=0.05, effect=0.1, variance=0.05, equivalence=0.05, n_max=1000)
    >>> test = Test.new(design)
    >>> test.update_many(np.tile([0.4, -0.1, 0.2, -0.1], 100)), test.n < 200
    (<Outcome.PROMOTE: 'promote'>, True)
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from acclimate_shared.errors import InputError
from acclimate_shared.evidence._seal import Reader, corrupt, pack_counts, pack_floats, pack_part, sealed
from acclimate_shared.evidence.bets import SLACK, Floats, mix, wealth_paths
from acclimate_shared.evidence.blocks import Blocks
from acclimate_shared.evidence.confidence import lower_bound
from acclimate_shared.evidence.design import Design, Outcome
from acclimate_shared.evidence.mixbet import MixBet

KIND = b"TEST"
SIGNS = (1.0, -1.0, 1.0, -1.0)  # of d in the processes: promote, reject, not worse, not better
_OUTCOMES = tuple(Outcome)


@dataclass(slots=True)
class Test:
    """The state of a three-way test; it advances in place."""

    __test__: ClassVar[bool] = False  # not one for pytest

    design: Design
    processes: tuple[MixBet, ...]
    blocks: Blocks
    n: int = 0  # labels
    outcome: Outcome = Outcome.RUNNING

    @classmethod
    def new(cls, design: Design) -> "Test":
        """Return the test before its first label."""
        return cls(design, tuple(MixBet.new(bets) for bets in design.bets), Blocks(design.block))

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
            self.n += 1
            mean = self.blocks.update(d)
            if mean is not None:
                pairs = zip(SIGNS, self.processes, strict=True)
                self.outcome = self._decide(
                    [process.update(sign * mean - process.bets.margin) for sign, process in pairs]
                )
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
        seen = [sign * means - process.bets.margin for sign, process in zip(SIGNS, self.processes, strict=True)]
        pairs = list(zip(self.processes, seen, strict=True))
        paths = [wealth_paths(process.bets, x, np.array(process.wealth)) for process, x in pairs]
        logs = np.stack([mix(process.bets, path) for process, path in zip(self.processes, paths, strict=True)])
        crossed = logs >= self.design.threshold  # (4, blocks)
        ends = crossed[0] | crossed[1] | (crossed[2] & crossed[3])
        if ends.any():
            means = means[: int(ends.argmax()) + 1]
            d = d[: len(means) * self.blocks.length - self.blocks.held]
        self.blocks.update_many(d)
        for (process, x), path in zip(pairs, paths, strict=True):
            process.advance(x[: len(means)], path)
        self.n += len(d)
        self.outcome = self._decide([process.log_e for process in self.processes])
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
        """Return the state, exactly; at most 400 bytes for each of the four e-processes."""
        x = self.design
        floats = pack_floats(x.alpha, x.effect, x.variance, x.superiority, x.bad, x.equivalence)
        counts = pack_counts(x.n_max, x.block, self.n, _OUTCOMES.index(self.outcome))
        parts = (self.blocks.to_bytes(), *(process.to_bytes() for process in self.processes))
        return sealed(KIND, floats + counts + b"".join(pack_part(part) for part in parts))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Test":
        """Read what `to_bytes` wrote; the test continues bit for bit.

        Raises:
            CorruptStateError: If the bytes are damaged.
            StateMismatchError: If they hold another kind of state.
        """
        reader = Reader(data, KIND)
        alpha, effect, variance, superiority, bad, equivalence = reader.floats(6)
        n_max, block, n, outcome = reader.counts(4)
        blocks = Blocks.from_bytes(reader.part())
        processes = tuple(MixBet.from_bytes(reader.part()) for _ in SIGNS)
        reader.end()
        limits = {"alpha": alpha, "effect": effect, "variance": variance, "equivalence": equivalence}
        try:
            design = Design(**limits, superiority=superiority, bad=bad, n_max=n_max, block=block)
        except ValueError as exc:
            raise corrupt(str(exc), field="design") from exc
        if tuple(p.bets for p in processes) != design.bets or blocks.length != block or outcome >= len(_OUTCOMES):
            raise corrupt("the parts of the test do not fit together", field="design")
        return cls(design, processes, blocks, n, _OUTCOMES[outcome])


def _check(d: Floats) -> None:
    """Refuse differences (n,) out of [-1, 1]."""
    bad = ~(np.abs(d) <= 1 + SLACK)
    if bad.any():
        row = int(bad.argmax())
        remedy = "give differences of losses in [0, 1]"
        raise InputError("difference out of [-1, 1]", row=row + 1, field="d", value=float(d[row]), remedy=remedy)

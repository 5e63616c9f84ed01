"""Gates before a promotion: what a winner must show beside its evidence. Pure; see ``gatekeeper`` for who asks.

Some gates are *limits* (state finite and small, answers quick): whoever breaks one is quarantined. The others stop one
promotion only. The static sanity set is a gate that could be worn out: a set that is asked again and again is slowly
learned by whoever is selected by it. Against that it tells nothing but pass or fail, its bar moves only when a
candidate is clearly better (the ladder mechanism, Blum & Hardt 2015, "The Ladder: A Reliable Leaderboard for Machine
Learning Competitions"), and it may be consulted a bounded number of times, which are counted.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_shared.evidence import Gate

Array = npt.NDArray[Any]

SANITY = "sanity"  # a gate of this name in a plan says how much worse a candidate may be on the sanity set
WORSE_BY = 0.05  # loss in [0, 1], where the plan does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a candidate may cost, and what the sanity set may.

    Attributes:
        state_bytes: of all tensors that an answer or a step of the candidate needs.
        operations: numbers of the state that go into one answer, about its multiplications.
        latency_s: median seconds of one answer; only where a clock may decide, which a replay's may not.
        sanity_rows: labelled rows that are frozen as the sanity set, 0 for none.
        sanity_bytes: that they may take at most.
        consultations: promotions that one sanity set may judge.
    """

    state_bytes: int = 256 << 20
    operations: int = 50_000_000
    latency_s: float = 0.010
    sanity_rows: int = 256
    sanity_bytes: int = 1 << 20
    consultations: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one gate said about one candidate.

    Attributes:
        name: of the gate.
        passed: whether it is open.
        limit: a candidate that does not pass is never asked again.
        numbers: what the verdict rests on, as far as it may be told.
    """

    name: str
    passed: bool
    limit: bool = False
    numbers: Mapping[str, float] = field(default_factory=dict)


def backtest(gate: Gate, mean: float, labels: int) -> Verdict:
    """Judge the recent lead of a challenger, on answers that were given before their labels were learned.

    Args:
        gate: of the plan.
        mean: loss of the champion minus that of the challenger.
        labels: that both have answered.
    """
    return Verdict(name=gate.name, passed=gate.passes(mean, labels), numbers={"mean": mean, "labels": float(labels)})


def finite(tensors: Iterable[Array]) -> Verdict:
    """Judge whether every number of a state is one."""
    wrong = sum(int(array.size - np.isfinite(array).sum()) for array in tensors)
    return Verdict(name="finite", passed=not wrong, limit=True, numbers={"not_finite": float(wrong)})


def size(state_bytes: int, limits: Limits) -> Verdict:
    """Judge the bytes of a state."""
    numbers = {"bytes": float(state_bytes), "limit": float(limits.state_bytes)}
    return Verdict(name="size", passed=state_bytes <= limits.state_bytes, limit=True, numbers=numbers)


def cost(operations: int, limits: Limits) -> Verdict:
    """Judge the work of an answer by count: the same on every machine and in every run."""
    numbers = {"operations": float(operations), "limit": float(limits.operations)}
    return Verdict(name="cost", passed=operations <= limits.operations, limit=True, numbers=numbers)


def latency(median_s: float, limits: Limits) -> Verdict:
    """Judge the measured time of an answer."""
    numbers = {"median_s": median_s, "limit_s": limits.latency_s}
    return Verdict(name="latency", passed=median_s <= limits.latency_s, limit=True, numbers=numbers)


class Ladder:
    """The bar of one sanity set, and how often it was asked.

    The bar is the best loss that was let through so far, on a grid; it moves only by whole steps of 1/sqrt(rows), which
    is what chance alone can do to a mean over so many rows. Before the first, and where what serves has become worse
    itself, for the world has changed since the set was frozen, what serves is the bar.
    """

    def __init__(self, rows: int, most: int) -> None:
        """Start for a fresh set.

        Args:
            rows: of the set.
            most: consultations.
        """
        self.rows, self.most = rows, most
        self.step = 1.0 / math.sqrt(max(rows, 1))
        self.consulted = 0
        self.best: float | None = None

    @property
    def worn(self) -> bool:
        """Whether the set has judged as often as it may."""
        return self.consulted >= self.most

    def consult(self, candidate: float, serving: float, worse_by: float) -> bool:
        """Return whether a candidate passes; that one bit is all that may be told.

        Args:
            candidate: its mean loss on the set, in [0, 1].
            serving: that of what serves.
            worse_by: how much worse it may be.

        Raises:
            RuntimeError: the set is worn.
        """
        if self.worn:
            raise RuntimeError("the sanity set is worn")
        self.consulted += 1
        bar = self._grid(serving)
        passed = candidate <= (bar if self.best is None else max(self.best, bar)) + worse_by
        if passed and (self.best is None or candidate < self.best - self.step):
            self.best = self._grid(candidate)
        return passed

    def verdict(self, *, passed: bool) -> Verdict:
        """Return what may be told of a consultation."""
        numbers = {"rows": self.rows, "consulted": self.consulted, "left": self.most - self.consulted}
        return Verdict(name=SANITY, passed=passed, numbers={name: float(value) for name, value in numbers.items()})

    def _grid(self, loss: float) -> float:
        """Return a loss rounded up to whole steps."""
        return math.ceil(loss / self.step - 1e-9) * self.step

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the state as JSON values."""
        return [self.rows, self.most, self.consulted, self.best]

    @classmethod
    def restored(cls, document: Any) -> "Ladder":  # noqa: ANN401
        """Return what ``document`` returned."""
        ladder = cls(document[0], document[1])
        ladder.consulted, ladder.best = document[2], document[3]
        return ladder

"""What an agent has done in a window of time, as a message: scores, tests, drift, resources; no event, no value of one.

The agent is looked at between two steps of its learning; looking changes nothing. What a window needs is the difference
to the window before, so the first one after a start begins at the start.
"""

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import psutil

from acclimate_device.agent import Agent
from acclimate_device.arena import Arena
from acclimate_device.contest import BACKTEST_ROWS, Contest
from acclimate_device.inputs import Inputs
from acclimate_shared.messages import limits
from acclimate_shared.messages.up import CandidateScore, Drift, FeatureCounts, Metrics, Resources, TestState

MOST = 1e12  # a score that is larger is not a number that helps anybody
_NO_NAME = re.compile(r"[^A-Za-z0-9_.\-]")


@dataclass(frozen=True, slots=True)
class _Seen:
    """The agent at one moment; the scores and tests are of the labels since the last one."""

    schema: str
    labels: int
    predictions: int
    written: int
    disk: int
    drifted: tuple[int, int]
    drift: tuple[Drift, ...]
    scores: tuple[CandidateScore, ...]
    tests: tuple[TestState, ...]


def name_of(text: str) -> str:
    """Return a name that a message may hold for one of ours, such as a candidate's."""
    return _NO_NAME.sub("-", text)[: limits.MAX_NAME].lstrip("-.") or "unnamed"


class Gauge:
    """Measures one agent."""

    def __init__(
        self,
        agent: Agent,
        *,
        now: Callable[[], float] = time.time,
        cpu: Callable[[], float] = time.process_time,
        features: Callable[[], tuple[str | None, tuple[FeatureCounts, ...]]] = lambda: (None, ()),
    ) -> None:
        """Begin a window.

        Args:
            agent: that is measured.
            now: seconds since 1970.
            cpu: processor seconds of this process.
            features: counts over declared bins since it was asked last, see ``bins.Spread.taken``.
        """
        self._agent, self._now, self._cpu = agent, now, cpu
        self._features = features
        self._drifted = (0, 0)  # rows and labels that detectors had seen when the window began
        self._start_s, self._cpu_s = now(), cpu()
        self._labels = self._learned = self._predictions = self._written = 0
        first = self._look()
        if first:
            self._labels = self._learned = first.labels
            self._predictions, self._written = first.predictions, first.written
            self._drifted = first.drifted

    def busy(self) -> bool:
        """Whether anything was predicted or learned since the window began."""
        seen = self._look()
        return seen is not None and (seen.predictions, seen.labels) != (self._predictions, self._learned)

    def age_s(self) -> float:
        """Return how long ago the window began, by the wall clock."""
        return abs(self._now() - self._start_s)

    def taken(self, outbox_bytes: int) -> Metrics | None:
        """Return the window and begin the next; None while the agent does not know its columns yet."""
        seen = self._look()
        if seen is None:
            return None
        bins, features = self._features()
        end_s, cpu_s, spans = self._now(), self._cpu(), _quantiles(self._agent.spans)
        resources = Resources(
            predictions=max(0, seen.predictions - self._predictions),
            latency_p50_s=spans[0],
            latency_p99_s=spans[1],
            cpu_s=max(0.0, cpu_s - self._cpu_s),
            memory_bytes=psutil.Process().memory_info().rss,
            disk_bytes=seen.disk,
            written_bytes=max(0, seen.written - self._written),
            outbox_bytes=outbox_bytes,
        )
        window = Metrics(
            start_s=min(self._start_s, end_s),
            end_s=end_s,
            schema=seen.schema,
            scores=seen.scores,
            tests=seen.tests,
            drift=seen.drift,
            features=features,
            bins=bins,
            resources=resources,
        )
        self._start_s, self._cpu_s = end_s, cpu_s
        self._predictions, self._written = seen.predictions, seen.written
        self._learned, self._drifted = seen.labels, seen.drifted
        if seen.scores:  # those of too few labels wait for more
            self._labels = seen.labels
        return window

    def _look(self) -> _Seen | None:
        return self._agent.look(self._seen)

    def _seen(self, arena: Arena, inputs: Inputs) -> _Seen:
        contest, status = arena.contest, self._agent.status()
        return _Seen(
            schema=inputs.digest(),
            labels=contest.labels,
            predictions=status["predictions"],
            written=status.get("bytes_written", 0),
            disk=status["state_bytes_on_disk"],
            drifted=arena.drifts.seen,
            drift=_drift(arena, self._drifted),
            scores=_scores(contest, contest.labels - self._labels),
            tests=_tests(contest),
        )


def _quantiles(spans: "deque[float]") -> tuple[float, float]:
    """Take seconds that answers took; return their median and 99th percentile, 0 where there are none."""
    taken = [spans.popleft() for _ in range(len(spans))]
    return (float(np.median(taken)), float(np.quantile(taken, 0.99))) if taken else (0.0, 0.0)


def _drift(arena: Arena, seen: tuple[int, int]) -> tuple[Drift, ...]:
    """Return what detectors did since they had seen so many rows and labels."""
    signals: dict[str, Literal["loss", "inputs"]] = {"loss": "loss", "inputs": "inputs"}
    told = arena.drifts.since(*seen)[: limits.MAX_DETECTORS]
    return tuple(
        Drift(detector=detector, signal=signals[on], looks=looks, alarms=min(marks, looks))
        for detector, on, looks, marks in told
    )


def _scores(contest: Contest, labels: int) -> tuple[CandidateScore, ...]:
    """Return the mean score of the champion and of who is tested over the last labels."""
    recent = min(labels, BACKTEST_ROWS)
    found = []
    for column in [contest.champion, *sorted(contest.running)][: limits.MAX_SCORES]:
        losses = contest.recent(column)[-recent:, 1] if recent > 0 else np.zeros(0)
        if len(losses) < limits.MIN_LABELS:
            continue
        mean = float(np.clip(losses.mean(), -MOST, MOST))
        measure: Literal["accuracy", "absolute-error", "bounded-loss"] = "bounded-loss"
        if contest.plan.loss == "zero_one":
            measure, mean = "accuracy", 1.0 - mean
        elif contest.plan.loss == "absolute":
            measure = "absolute-error"
        role: Literal["champion", "challenger"] = "champion" if column == contest.champion else "challenger"
        candidate = name_of(contest.names[column])
        found.append(CandidateScore(candidate=candidate, role=role, measure=measure, labels=len(losses), mean=mean))
    return tuple(found)


def _tests(contest: Contest) -> tuple[TestState, ...]:
    found = []
    for column, (plan, evidence) in sorted(contest.running.items())[: limits.MAX_TESTS]:
        test: Any = evidence.test
        low, high = test.interval()
        found.append(
            TestState(
                challenger=name_of(contest.names[column]),
                outcome="running",
                plan=plan.digest,
                labels=test.n,
                log_e=float(np.clip(test.log_e[0], -1e6, 1e6)),
                threshold=float(np.clip(test.design.threshold, -1e6, 1e6)),
                low=float(np.clip(low, -MOST, MOST)),
                high=float(np.clip(high, -MOST, MOST)),
            )
        )
    return tuple(found)

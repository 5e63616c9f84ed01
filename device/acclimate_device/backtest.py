"""Before a test begins: how far apart are champion and challengers, and how many labels would a decision take?

The stream is replayed in memory, test then train. Over the second half of it (the first is for learning) each candidate
is paired with the one that serves at the end: mean difference with its confidence sequence, share of answers that
differ, length of blocks, autocorrelation. From the test's own design, the bets that it would make at the next level of
the account, follows when the evidence is expected to suffice: the wealth of a bet grows on average by

    g(bet) = mean over blocks of ln(1 + bet · (difference - margin)),

and a decision is expected where ln Σ weight · exp(n · g) reaches the threshold. That holds if the stream goes on as it
was; the mean difference itself is only known within its interval, and the labels a decision takes vary between runs
about as much as their mean.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.inputs import Inputs
from acclimate_device.losses import bounded, raw_losses
from acclimate_device.plans import with_backtest
from acclimate_device.replay import Options, Replay, Row
from acclimate_shared.errors import UsageError
from acclimate_shared.evidence import Account, Design, Plan, Test, wealth_paths
from acclimate_shared.evidence.bets import Bets
from acclimate_shared.evidence.blocks import autocorrelations

Array = npt.NDArray[Any]

MIN_LABELS = 512  # in the half that is judged
MOST_LABELS = 1_000_000  # whose losses are kept in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """When a test is expected to end.

    Attributes:
        decision: promote, reject or equivalent.
        labels: expected until then.
        in_time: whether the evidence decides; otherwise the plan's n_max does, and parks as equivalent.
    """

    decision: str
    labels: int
    in_time: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One candidate beside the champion.

    Attributes:
        candidate: its id.
        difference: mean loss of the champion less that of the candidate, in units of the plan's loss: > 0 is better.
        low: lower end of its confidence sequence at the level of the next test; ``high`` the upper one.
        disagreement: share of labels whose losses differ.
        block: labels in a block.
        autocorrelation: of the differences, at lag 1.
        forecast: when a test is expected to end.
    """

    candidate: str
    difference: float
    low: float
    high: float
    disagreement: float
    block: int
    autocorrelation: float
    forecast: Forecast


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """What a backtest found; ``labels`` were judged, those before them only learned from."""

    champion: str
    loss: str
    plan: str
    alpha: float
    labels: int
    delay: int
    pairs: tuple[Pair, ...]

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


class _Kept(Replay):
    """A replay that keeps every live candidate's losses, before a plan caps them."""

    def __init__(self, inputs: Inputs, options: Options) -> None:
        super().__init__(inputs, options)
        self.kept: list[Array] = []

    def _score(self, chunk: Sequence[Row], y: Array, out: Array, memo: Array, baselines: Array) -> None:
        super()._score(chunk, y, out, memo, baselines)
        live = memo[:, : len(self.arena.names)]
        self.kept.append(raw_losses(self.arena.contest.plan.loss, live, y).astype(np.float32))


def backtest(
    inputs: Inputs, options: Options, rows: Sequence[Row], *, progress: Callable[[float], None] | None = None
) -> Backtest:
    """Replay rows and pair every candidate with the champion.

    Args:
        inputs: fresh, of the stream's columns.
        options: of the replay; its rules name plan and challengers.
        rows: the stream, in order.
        progress: called with the share that is done.

    Raises:
        UsageError: too few or too many rows, or nobody to compare with.
    """
    if not 2 * MIN_LABELS <= len(rows) <= MOST_LABELS:
        remedy = f"give {2 * MIN_LABELS:,} to {MOST_LABELS:,}; --rows takes the first of them"
        raise UsageError("not as many rows as a backtest can use", field="rows", value=len(rows), remedy=remedy)
    replay, at = _Kept(inputs, options), 0
    while at < len(rows):
        chunk = rows[at : at + replay.chunk_rows]
        at += len(chunk)
        if replay.feed(chunk):
            replay.committed()
        if progress:
            progress(at / len(rows))
    names, champion = replay.arena.names, replay.arena.champion
    columns = [c for c in options.rules.columns(names) if names[c] != champion]
    if not columns:
        raise UsageError(
            "nobody challenges the champion", field="challengers", remedy="name some, or let all challenge"
        )
    raw = np.concatenate(replay.kept).astype(np.float64)
    raw = raw[len(raw) // 2 :]
    account, plan = Account.from_bytes(replay.arena.contest.account.to_bytes()), replay.arena.contest.plan
    alpha = account.start().alpha
    pairs = [compare(plan, raw[:, [names.index(champion), c]], alpha, names[c]) for c in columns]
    pairs.sort(key=lambda pair: -pair.difference)
    return Backtest(
        champion=champion, loss=plan.loss, plan=plan.digest, alpha=alpha, labels=len(raw), delay=options.delay,
        pairs=tuple(pairs),
    )  # fmt: skip


def compare(plan: Plan, raw: Array, alpha: float, name: str) -> Pair:
    """Pair the losses of champion and candidate.

    Args:
        plan: as given.
        raw: (labels, 2) losses in [0, 1], or absolute errors.
        alpha: level of the test that would be started.
        name: of the candidate.
    """
    fixed = with_backtest(plan, raw)
    losses = bounded(raw, fixed)
    d = losses[:, 0] - losses[:, 1]
    design = fixed.design(alpha)
    low, high = _interval(design, d)
    rho = float(autocorrelations(d, 1)[0]) if d.any() else 0.0
    return Pair(
        candidate=name, difference=float(d.mean()), low=low, high=high, disagreement=float((d != 0).mean()),
        block=design.block, autocorrelation=rho, forecast=forecast(design, d),
    )  # fmt: skip


def _interval(design: Design, d: Array) -> tuple[float, float]:
    """Return the confidence sequence of the mean of (n,) differences after the last of them, whatever was decided."""
    test = Test.new(design)
    test.blocks.update_many(d)
    return test.interval()


def forecast(design: Design, d: Array) -> Forecast:
    """Return when a test of this design is expected to end on a stream that goes on as (n,) differences ``d``."""
    length = design.block
    blocks = len(d) // length
    means = d[: blocks * length].reshape(blocks, length).mean(1)
    better, worse, not_worse, not_better = (
        _blocks_until(process, sign * means - process.margin, design.threshold)
        for sign, process in zip((1.0, -1.0, 1.0, -1.0), design.bets, strict=True)
    )
    ends = {"promote": better, "reject": worse, "equivalent": max(not_worse, not_better)}
    decision = min(ends, key=lambda name: ends[name])
    labels = ends[decision] * length
    if labels > design.n_max:
        return Forecast(decision="equivalent", labels=design.n_max, in_time=False)
    return Forecast(decision=decision, labels=int(labels), in_time=True)


def _blocks_until(bets: Bets, means: Array, threshold: float) -> float:
    """Return how many blocks it takes until the expected log wealth reaches the threshold; inf for never."""
    if not len(means):
        return math.inf
    growth = wealth_paths(bets, means)[:, -1] / len(means)  # (bets,)
    if growth.max() <= 0:
        return math.inf
    shares = np.log(bets.weights)
    high = math.ceil((threshold - shares.min()) / growth.max()) + 1
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        reached = np.logaddexp.reduce(shares + middle * growth) >= threshold
        low, high = (low, middle) if reached else (middle, high)
    return float(high)

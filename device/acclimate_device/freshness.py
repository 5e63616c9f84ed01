"""What fresh data are worth: loss against the age of what was learned from.

Several times along a file, a learner is trained on windows of equal length that end 0, 1, 2, 4, 8 steps before a test
block, and answers the block without learning. The excess loss of an age is paired with age 0 on the same rows. Its
interval is taken over block means, with blocks as long as the differences hang together: it speaks of this file's past,
it is no promise. The question is that of He et al. 2014, "Practical Lessons from Predicting Clicks on Ads at Facebook":
how much is lost by training less often?
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.executor import Learner, State
from acclimate_device.inputs import Inputs
from acclimate_device.procedures import DEFAULT_DIMS, standard_learner
from acclimate_device.replay import Row
from acclimate_shared.errors import UsageError
from acclimate_shared.evidence import backtest_length

Array = npt.NDArray[Any]

STEPS = 40  # of a file; a test block is one
WINDOW_STEPS = 8
AGES = (0, 1, 2, 4, 8)  # steps between what is learned and what is answered
ORIGINS = 12
MIN_ROWS = 2_000
Z = 2.576  # of a two-sided interval at 99 %, since several ages are looked at
MIN_DIFFERENCES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """What was measured for one age.

    Attributes:
        rows: between the end of the training window and the test block.
        loss: mean loss: share of wrong answers, or mean absolute error.
        excess: mean loss beyond that of age 0 on the same rows; ``low`` and ``high`` its interval.
    """

    rows: int
    loss: float
    excess: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """The curve, and what follows from it.

    Attributes:
        metric: wrong or mae.
        ages: youngest first.
        tolerance: excess loss that does not matter.
        recommended_rows: learn at least so often (the longest age that is good enough, or the shortest that was
            measured); None if even the oldest is good enough.
        valuable: whether some age is worse than age 0 beyond doubt.
    """

    metric: str
    window_rows: int
    ages: tuple[Age, ...]
    tolerance: float
    recommended_rows: int | None
    valuable: bool

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def freshness(
    inputs: Inputs,
    rows: Sequence[Row],
    *,
    tolerance: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> Freshness:
    """Measure a stream.

    Args:
        inputs: fresh, of the stream's columns.
        rows: the stream, in order.
        tolerance: excess loss that does not matter; by default half a point, or 1 % of the mean absolute error.
        progress: called with the share that is done.

    Raises:
        UsageError: the stream is too short.
    """
    if len(rows) < MIN_ROWS:
        remedy = f"give at least {MIN_ROWS}"
        raise UsageError("too few rows to tell the value of freshness", field="rows", value=len(rows), remedy=remedy)
    x, y = _arrays(inputs, rows)
    learner, start = _fresh(inputs)
    step = len(rows) // STEPS
    first = (WINDOW_STEPS + AGES[-1]) * step
    origins = np.linspace(first, len(rows) - step, ORIGINS).astype(int).tolist()
    losses: list[list[Array]] = [[] for _ in AGES]
    for done, origin in enumerate(origins):
        for kept, age in zip(losses, AGES, strict=True):
            end = origin - age * step
            state = _trained(learner, start, x, y, slice(end - WINDOW_STEPS * step, end))
            block = slice(origin, origin + step)
            kept.append(_loss(inputs, learner.predict(state, x[block]), y[block]))
        if progress:
            progress((done + 1) / len(origins))
    return _judged(inputs, [np.concatenate(kept) for kept in losses], step, tolerance)


def _arrays(inputs: Inputs, rows: Sequence[Row]) -> tuple[Array, Array]:
    """Return features (rows, features) and targets; the history of labels is left out: it is fresh at any age."""
    y = np.array([inputs.index(row.label) for row in rows], np.int64 if inputs.task == "classification" else np.float64)
    vectors = []
    for row in rows:
        vectors.append(inputs.encoder.encode(row.parsed))
        inputs.encoder.learn(row.parsed)
    return np.stack(vectors), y


def _fresh(inputs: Inputs) -> tuple[Learner, State]:
    learner = standard_learner("rls", inputs.task)
    layout = inputs.layout()
    dims = {**DEFAULT_DIMS, "features": layout.features, "classes": layout.classes}
    dims["phi"] = 1 + layout.features + dims["fourier"]
    return learner, learner.init_state(dims, 0)


def _trained(learner: Learner, state: State, x: Array, y: Array, window: slice) -> State:
    w = np.ones(len(y[window]), np.float32)
    trained, _, _ = learner.update(state, x[window], y[window], w, learner.hyper(forgetting=1.0))
    return trained


def _loss(inputs: Inputs, out: Array, y: Array) -> Array:
    wrong = out.argmax(1) != y if inputs.task == "classification" else np.abs(out - y)
    return np.asarray(wrong, np.float64)


def _judged(inputs: Inputs, losses: Sequence[Array], step: int, tolerance: float | None) -> Freshness:
    ages = tuple(_age(age * step, loss, losses[0]) for age, loss in zip(AGES, losses, strict=True))
    regression = inputs.task == "regression"
    limit = tolerance if tolerance is not None else (0.01 * ages[0].loss if regression else 0.005)
    bad = [age.rows for age in ages if age.low > 0 and age.excess > limit]
    good = [age.rows for age in ages if not bad or age.rows < bad[0]]
    return Freshness(
        metric="mae" if regression else "wrong",
        window_rows=WINDOW_STEPS * step,
        ages=ages,
        tolerance=limit,
        recommended_rows=(good[-1] or ages[1].rows) if bad else None,
        valuable=bool(bad),
    )


def _age(rows: int, loss: Array, freshest: Array) -> Age:
    excess = loss - freshest
    length = backtest_length(excess) if len(excess) >= MIN_DIFFERENCES else 1
    length = min(length, max(1, len(excess) // ORIGINS))
    blocks = len(excess) // length
    means = excess[: blocks * length].reshape(blocks, length).mean(1)
    half = Z * float(means.std(ddof=1)) / math.sqrt(blocks) if blocks > 1 else math.inf
    mean = float(excess.mean())
    return Age(rows=rows, loss=float(loss.mean()), excess=mean, low=mean - half, high=mean + half)

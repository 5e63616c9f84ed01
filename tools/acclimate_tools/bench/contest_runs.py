"""Honesty of the contest on real losses: equals are not promoted, better ones are, worse ones are rejected.

Losses come from learners of one kind that differ in their seed alone, over real streams, test then train. A *run* takes
two of them, a random place to begin and a random order of the two, and tests one against the other as the agent would,
with a design from the labels before. A t-test that is looked at all the time is run on the same differences.
"""

import csv
import gzip
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device import prior
from acclimate_device.inputs import Inputs
from acclimate_device.plans import CLASSIFICATION, with_backtest
from acclimate_device.procedures import DEFAULT_DIMS, Task, standard_learner
from acclimate_device.replay import Options, Replay, Row
from acclimate_device.rules import NONE, Rules
from acclimate_device.schema import SAMPLE_ROWS, infer_columns
from acclimate_device.triggers import RECOMMENDED
from acclimate_shared.evidence import Outcome, Test

Array = npt.NDArray[Any]

ALPHA = CLASSIFICATION.alpha
BACKTEST = 1024
SEEDS = 6
LOOKS_FROM, T_CRITICAL = 100, 1.645
STREAMS = ("elec2", "weather_noaa", "hapt_har", "gas_drift")
DAYS: tuple[tuple[str, Task, int, int | None], ...] = (
    ("elec2", "classification", 48, None),
    ("bike_sharing", "regression", 24, None),
    ("beijing_air", "regression", 288, 50_000),
)
WINDOW_DAYS = 90
LEFT_OUT, FIRST_LABELS = 5, 20


def rows_of(path: Path, task: Task, rows: int | None = None) -> tuple[Inputs, list[Row]]:
    """Return inputs and checked rows of a stream whose last column is the label."""
    with gzip.open(path, "rt") as file:
        reader = csv.reader(file)
        head = next(reader)
        table = [row for row, _ in zip(reader, range(rows or 10**9), strict=False)]
    names = [name for name in head[:-1] if name not in {"timestamp", "device"}]
    at = [head.index(name) for name in names]
    sample = [[row[i] for i in at] for row in table[:SAMPLE_ROWS]]
    columns, _ = infer_columns(names, sample, levels_too=task == "regression")
    inputs = Inputs(task, columns)
    parsed = [inputs.parse({n: row[i] for n, i in zip(names, at, strict=True)}) for row in table]
    return inputs, [
        Row(row=i + 1, parsed=event, label=inputs.label(row[-1]), key="")
        for i, (event, row) in enumerate(zip(parsed, table, strict=True))
    ]


class Kept(Replay):
    """A replay that keeps whether each answer was wrong."""

    def __init__(self, inputs: Inputs, options: Options) -> None:
        """Start with nothing kept."""
        super().__init__(inputs, options)
        self.wrong: list[Array] = []

    def _score(self, chunk: Sequence[Row], y: Array, out: Array, memo: Array, baselines: Array) -> None:
        super()._score(chunk, y, out, memo, baselines)
        self.wrong.append(out.argmax(1) != y)


def drive(replay: Replay, rows: Sequence[Row]) -> None:
    """Feed rows, committing as a file's replay does."""
    at = 0
    while at < len(rows):
        chunk = rows[at : at + replay.chunk_rows]
        at += len(chunk)
        if replay.feed(chunk):
            replay.committed()


def series(folder: Path) -> list[Array]:
    """Return, for each stream, the 0/1 losses (seeds, rows) of one learner under several seeds."""
    out = []
    for name in STREAMS:
        losses = []
        for seed in range(SEEDS):
            inputs, rows = rows_of(folder / f"{name}.csv.gz", "classification", 20_000)
            options = Options(task="classification", learners=("rls-slow",), seed=seed, rules=Rules(challengers=NONE))
            replay = Kept(inputs, options)
            drive(replay, rows)
            losses.append(np.concatenate(replay.wrong).astype(float))
        out.append(np.stack(losses))
    return out


def judged(champion: Array, challenger: Array) -> tuple[str, int, bool]:
    """Test on losses (n,): return the outcome, the labels it took, and whether a peeked t-test would have promoted."""
    before = np.stack([champion[:BACKTEST], challenger[:BACKTEST]], 1)
    plan = with_backtest(CLASSIFICATION, before)
    test = Test.new(plan.design(ALPHA))
    d = champion[BACKTEST:] - challenger[BACKTEST:]
    while test.update_many(d[test.n :]) is Outcome.RESTART:
        d, test = d[test.n :], test.restarted(ALPHA / 2)
    n = np.arange(1, len(d) + 1)
    mean = np.cumsum(d) / n
    spread = np.sqrt(np.maximum(np.cumsum(d * d) / n - mean**2, 1e-12) / n)
    return test.outcome.value, test.n, bool((mean / spread > T_CRITICAL)[LOOKS_FROM:].any())


def equals(losses: Sequence[Array], runs: int, rng: np.random.Generator) -> dict[str, float]:
    """Run A against A: learners of a kind, in random order, from random places."""
    promoted = peeked = 0
    disagree = []
    for _ in range(runs):
        of = losses[int(rng.integers(len(losses)))]
        one, other = rng.choice(len(of), 2, replace=False)
        begin = int(rng.integers(0, of.shape[1] - BACKTEST - 3_000))
        pair = of[[one, other], begin : begin + BACKTEST + 8_000]
        disagree.append(float((pair[0] != pair[1]).mean()))
        outcome, _, early = judged(pair[0], pair[1])
        promoted += outcome == Outcome.PROMOTE.value
        peeked += early
    limit = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)
    shares = {"promoted": promoted / runs, "limit": limit, "peeked_t_test": peeked / runs}
    return {"runs": runs, "disagreement": float(np.mean(disagree)), **shares}


def planted(
    losses: Sequence[Array], runs: int, rng: np.random.Generator, *, mends: float, breaks: float
) -> dict[str, float]:
    """Run a champion against itself with answers mended and broken at given rates, 20,000 labels at most."""
    outcomes, labels = [], []
    able = [of for of in losses if of.mean() > 2 * mends]
    for _ in range(runs):
        of = able[int(rng.integers(len(able)))]
        champion = np.tile(of[int(rng.integers(len(of)))], 3)
        begin = int(rng.integers(0, of.shape[1]))
        champion = champion[begin : begin + BACKTEST + 20_000]
        error = champion.mean()
        u = rng.random(len(champion))
        flip = np.where(champion > 0, u < mends / error, u < breaks / (1 - error))
        outcome, taken, _ = judged(champion, np.abs(champion - flip))
        outcomes.append(outcome)
        labels.append(taken)
    share = {name: outcomes.count(name) / runs for name in ("promote", "reject", "equivalent", "running")}
    return {"runs": runs, "advantage": mends - breaks, "median_labels": float(np.median(labels)), **share}


def stationary(rows: int, rng: np.random.Generator) -> dict[str, float]:
    """Run the default agent over a stream that never changes; nobody should take over for nothing."""
    columns, _ = infer_columns(["a", "b", "c"], [[0.1, 0.2, 0.3]] * 100)
    inputs = Inputs("classification", columns)
    replay = Replay(inputs, Options(task="classification"))
    begun = time.perf_counter()
    for chunk in _steady(inputs, rows, rng):
        at = 0
        while at < len(chunk):
            part = chunk[at : at + replay.chunk_rows]
            at += len(part)
            if replay.feed(part):
                replay.committed()
    contest = replay.arena.contest
    log = [t.event for t in contest.log]
    found = {"promotions": contest.account.promotions, "rollbacks": log.count("rollback")}
    return {"events": rows, **found, "tests_started": contest.account.started, "seconds": time.perf_counter() - begun}


def backing_off(rows: int) -> dict[str, float]:
    """Learn a stream that never changes at once and by the recommended triggers: processor time, accuracy."""
    found: dict[str, float] = {"rows": rows}
    for name, triggers in (("at_once", None), ("recommended", RECOMMENDED)):
        columns, _ = infer_columns(["a", "b", "c"], [[0.1, 0.2, 0.3]] * 100)
        inputs = Inputs("classification", columns)
        replay = _Metered(inputs, Options(task="classification", triggers=triggers))
        for chunk in _steady(inputs, rows, np.random.default_rng(0)):
            drive(replay, chunk)
        found[f"{name}_training_s"], found[f"{name}_learned"] = replay.metered_s(), replay.learned
        found[f"{name}_accuracy"] = replay.scores.served()["accuracy"] or 0.0
    found["times_less"] = found["at_once_training_s"] / found["recommended_training_s"]
    return found


class _Metered(Replay):
    """A replay that meters what training takes."""

    def __init__(self, inputs: Inputs, options: Options) -> None:
        super().__init__(inputs, options)
        self._spent_s, train = 0.0, self.arena.train

        def metered(*args: Any, **names: Any) -> tuple[Array, Array]:  # noqa: ANN401 (those of train)
            begun = time.process_time()
            out = train(*args, **names)
            self._spent_s += time.process_time() - begun
            return out

        self.arena.train = metered  # type: ignore[method-assign]

    def metered_s(self) -> float:
        """Return processor seconds spent in training, the answers that come with it included."""
        return self._spent_s


def _steady(inputs: Inputs, rows: int, rng: np.random.Generator) -> Iterator[list[Row]]:
    for at in range(0, rows, 10_000):
        x = rng.standard_normal((10_000, 3))
        y = x[:, 0] - 0.5 * x[:, 1] + 0.5 * rng.standard_normal(10_000) > 0
        yield [
            Row(row=at + i + 1, parsed=inputs.parse(dict(zip("abc", row, strict=True))), label=str(label), key="")
            for i, (row, label) in enumerate(zip(x.tolist(), y.tolist(), strict=True))
        ]


def stateful(folder: Path) -> list[dict[str, Any]]:
    """Compare learning on with training anew every day from the last 90 days: processor time and loss."""
    out = []
    for name, task, day, limit in DAYS:
        inputs, rows = rows_of(folder / f"{name}.csv.gz", task, limit)
        x = np.stack([inputs.vector(row.parsed, "") for row in rows])[:, : inputs.layout().features]
        classes = inputs.layout().classes
        y = np.array([inputs.index(row.label) for row in rows], np.int64 if task == "classification" else np.float64)
        classes = inputs.layout().classes or classes
        on, on_s = _learn_on(task, x, y, classes, day)
        anew, anew_s = _learn_anew(task, x, y, classes, day)
        start = day * 7
        scores = {"stateful": float(on[start:].mean()), "stateless": float(anew[start:].mean())}
        loss = "wrong" if task == "classification" else "mae"
        out.append(
            {
                "stream": name,
                "loss": loss,
                **scores,
                "cpu_s": {"stateful": on_s, "stateless": anew_s},
                "times_less": anew_s / on_s,
            }
        )
    return out


def cold_start(folder: Path) -> dict[str, Any]:
    """Compare the first labels of new users with and without a prior learned on others, five users left out at once."""
    path = folder / "hapt_har.csv.gz"
    with gzip.open(path, "rt") as file:
        users = [row["device"] for row in csv.DictReader(file)]
    names = sorted(set(users))
    inputs, rows = rows_of(path, "classification")
    errors: dict[str, list[float]] = {"with": [], "without": []}
    for at in range(0, len(names), LEFT_OUT):
        out = names[at : at + LEFT_OUT]
        learned = Replay(_fresh(inputs), Options(task="classification"))
        drive(learned, [row for row, user in zip(rows, users, strict=True) if user not in out])
        tensors, documents = learned.checkpoint()
        for user in out:
            own = [row for row, of in zip(rows, users, strict=True) if of == user][:FIRST_LABELS]
            for kind, found in errors.items():
                replay = Kept(_fresh(inputs), Options(task="classification"))
                if kind == "with":
                    prior.take(tensors, documents, replay.inputs, replay.arena)
                drive(replay, own)
                found.append(float(np.concatenate(replay.wrong).sum()))
    means = {kind: float(np.mean(of_kind)) for kind, of_kind in errors.items()}
    fewer = 100 * (1 - means["with"] / means["without"])
    return {"users": len(names), "first_labels": FIRST_LABELS, "mean_errors": means, "percent_fewer": fewer}


def _fresh(inputs: Inputs) -> Inputs:
    """Return inputs of the same columns that have seen nothing."""
    return Inputs(inputs.task, inputs.encoder.columns)


def _state(task: Task, x: Array, classes: int) -> tuple[Any, Any]:
    learner = standard_learner("rls", task)
    dims = {**DEFAULT_DIMS, "features": x.shape[1], "classes": classes, "phi": 1 + x.shape[1] + DEFAULT_DIMS["fourier"]}
    return learner, learner.init_state(dims, 0)


def _wrong(task: Task, out: Array, y: Array) -> Array:
    return np.asarray(out.argmax(1) != y, np.float64) if task == "classification" else np.asarray(np.abs(out - y))


def _learn_on(task: Task, x: Array, y: Array, classes: int, day: int) -> tuple[Array, float]:
    learner, state = _state(task, x, classes)
    same_age = 1.0 - 2.0 / (WINDOW_DAYS * day)  # a row counts on average for as long as it would stay in the window
    hyper, losses, begun = learner.hyper(forgetting=same_age), [], time.process_time()
    for at in range(0, len(x), day):
        part = slice(at, at + day)
        losses.append(_wrong(task, learner.predict(state, x[part]), y[part]))
        state, _, _ = learner.update(state, x[part], y[part], np.ones(len(y[part]), np.float32), hyper)
    return np.concatenate(losses), time.process_time() - begun


def _learn_anew(task: Task, x: Array, y: Array, classes: int, day: int) -> tuple[Array, float]:
    learner, fresh = _state(task, x, classes)
    hyper, losses, begun = learner.hyper(forgetting=1.0), [], time.process_time()
    for at in range(0, len(x), day):
        part, window = slice(at, at + day), slice(max(0, at - WINDOW_DAYS * day), at)
        state = fresh
        if at:
            state, _, _ = learner.update(fresh, x[window], y[window], np.ones(len(y[window]), np.float32), hyper)
        losses.append(_wrong(task, learner.predict(state, x[part]), y[part]))
    return np.concatenate(losses), time.process_time() - begun

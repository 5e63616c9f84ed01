"""A concept that returns: how many labels until a model is as good as it was when it knew that concept.

Two concepts over the events of one real stream: A is the stream's own labels, B has every class renamed to the next.
Events are shuffled, so that nothing but the concept changes; A lasts for ``rows`` events, then B, then A again. The
first A tells how good the model was; recovered is the first label of the second A from which a window of WINDOW answers
is within POINTS of that. The same model without parked states goes on learning, and one that starts from nothing shows
what retraining would take. The target is that parked states recover TIMES as fast as that.

Measured, a single network reaches it; the default committee not on every stream, for its members that learn a row at
once know a concept again, or for the first time, after as few as 150 labels.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.procedures import Task
from acclimate_device.replay import Options, Row
from acclimate_device.rules import NONE, PARKED, Rules
from acclimate_tools.bench.contest_runs import Kept, drive, rows_of

Array = npt.NDArray[Any]

WINDOW = 256
POINTS = 0.02
TIMES = 5.0  # faster than from nothing
TASK: Task = "classification"


def shuffled(path: Path, rows: int, seed: int) -> tuple[Any, list[Row]]:
    """Return fresh inputs, and events of A, B, A from a stream, ``rows`` of each."""
    inputs, events = rows_of(path, TASK)
    order = np.random.default_rng(seed).permutation(len(events))[: 3 * rows]
    names = sorted({str(event.label) for event in events})
    renamed = dict(zip(names, names[1:] + names[:1], strict=True))
    out = []
    for at, i in enumerate(order):
        label = str(events[i].label)
        out.append(replace(events[i], row=at + 1, label=renamed[label] if rows <= at < 2 * rows else label))
    return inputs, out


def wrong(
    path: Path, rows: int, seed: int, *, learners: tuple[str, ...] | None, parked: bool, parts: slice
) -> tuple[Array, Any]:
    """Replay parts (of A, B, A) of a stream; return whether each answer was wrong, and the contest."""
    inputs, events = shuffled(path, rows, seed)
    events = [replace(event, row=at + 1) for at, event in enumerate(events[parts])]
    replay = Kept(
        inputs, Options(task=TASK, rules=Rules(challengers=(PARKED,) if parked else NONE), seed=seed, learners=learners)
    )
    drive(replay, events)
    return np.concatenate(replay.wrong).astype(float), replay.arena.result()


def labels_to(errors: Array, goal: float) -> int:
    """Return after how many labels a window of the answers is as good as ``goal``, all if never.

    Args:
        errors: (n,) 0 or 1.
        goal: share of wrong answers.
    """
    sums = np.convolve(errors, np.ones(WINDOW) / WINDOW, "valid")
    good = np.flatnonzero(sums <= goal)
    return int(good[0]) if len(good) else len(errors)


def recovery(
    path: Path, rows: int, *, learners: tuple[str, ...] | None = None, seeds: Sequence[int] = range(5)
) -> dict[str, Any]:
    """Measure the return of a concept on a stream of classes.

    Args:
        path: the stream.
        rows: events of each part.
        learners: of the model; None for the default committee.
        seeds: of the orders and of every generator; the curves of errors are averaged over them.

    Returns:
        Labels until recovered: with parked states, going on without, and from nothing; accuracy of the first A.
    """
    runs: dict[str, list[Array]] = {"parked": [], "continued": [], "retrained": []}
    before, events = [], []
    for seed in seeds:

        def run(*, parked: bool = False, parts: slice = slice(None), seed: int = seed) -> tuple[Array, Any]:
            return wrong(path, rows, seed, learners=learners, parked=parked, parts=parts)

        errors, contest = run(parked=True)
        before.append(errors[rows - rows // 4 : rows].mean())
        runs["parked"].append(errors[2 * rows :])
        runs["continued"].append(run()[0][2 * rows :])
        runs["retrained"].append(run(parts=slice(2 * rows, 3 * rows))[0])
        events.append([[e["row"], e["event"]] for e in contest["transitions"] if e["candidate"].startswith("parked")])
    former = float(np.mean(before))
    labels = {name: labels_to(np.mean(errors, 0), former + POINTS) for name, errors in runs.items()}
    return {
        "stream": path.name.removesuffix(".csv.gz"),
        "learners": learners,
        "rows": rows,
        "seeds": list(seeds),
        "accuracy_before": 1.0 - former,
        **labels,
        "over_continued": labels["continued"] / max(labels["parked"], 1),
        "over_retrained": labels["retrained"] / max(labels["parked"], 1),
        "reached": labels["retrained"] >= TIMES * labels["parked"],
        "transitions": events,
    }

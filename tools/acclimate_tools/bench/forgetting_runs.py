"""What is left of the old when only the new comes: classes that stop, and contexts that go away, in real streams.

The old part is learned (a fifth of it is kept aside), then 50 micro-batches of the new part alone, then the old part
again. The rows kept aside are asked before and after the new part, out of the blue: with no history of labels. Beside
Acclimate runs the same without rehearsal, and plain gradient descent on standardised inputs (scikit-learn's
``SGDClassifier``, logistic loss, constant rate), which has no guard at all.

Where old and new are contexts of the same classes, the new may say something else about the same events, and no memory
makes one model right about both. How much of a fall that is tells Acclimate given both parts shuffled into one: it
cannot forget by order, so what it loses on the old part is a change of the concept.
"""

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import SGDClassifier
from sklearn.preprocessing import StandardScaler

from acclimate_device.inputs import Inputs
from acclimate_device.procedures import Task
from acclimate_device.replay import Options, Replay, Row
from acclimate_device.rules import Rules
from acclimate_tools.bench.contest_runs import drive, rows_of

Array = npt.NDArray[Any]

MICRO_BATCHES = 50
ASIDE = 0.2  # of the old part
RATE = 0.01  # of plain gradient descent
STEP = 32  # rows a step of it
TASK: Task = "classification"


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How a real stream becomes an old and a new part.

    Attributes:
        name: for the table.
        stream: file in the folder of streams.
        old: tells by features and label whether a row is of the old part.
        new: likewise; a row may be of neither.
        micro_batch: labels between two commits.
        most_old: rows of the old part.
        read: rows of the file.
    """

    name: str
    stream: str
    old: Callable[[Row, int], bool]
    new: Callable[[Row, int], bool]
    micro_batch: int
    most_old: int = 6_000
    read: int | None = None

    @property
    def of_contexts(self) -> bool:
        """Whether old and new differ in their context, not in their classes."""
        return self.name.startswith("context")


def of_classes(*labels: str) -> Callable[[Row, int], bool]:
    """Return a test for rows of these classes."""
    return lambda row, _: str(row.label) in labels


def in_range(begin: float, end: float) -> Callable[[Row, int], bool]:
    """Return a test for a part of the file, as shares of all rows, by their place."""
    return lambda row, rows: begin * rows < row.row <= end * rows


SPLITS = (
    Split(
        name="classes: kdd99", stream="kdd99_10pct", old=of_classes("smurf", "normal", "teardrop"),
        new=of_classes("neptune", "back", "satan", "ipsweep", "portsweep", "pod"), micro_batch=512, read=160_000,
    ),
    Split(
        name="classes: activities", stream="hapt_har", old=of_classes("standing", "sitting", "laying"),
        new=of_classes("walking", "walking_upstairs", "walking_downstairs"), micro_batch=64,
    ),
    Split(
        name="classes: gases", stream="gas_drift", old=of_classes("1", "2", "3"), new=of_classes("4", "5", "6"),
        micro_batch=32,
    ),
    Split(
        name="context: other people", stream="hapt_har", old=in_range(0.0, 0.5), new=in_range(0.5, 1.0),
        micro_batch=64,
    ),
    Split(
        name="context: market", stream="elec2", old=in_range(0.0, 0.5), new=in_range(0.5, 1.0), micro_batch=256,
    ),
    Split(
        name="context: weather", stream="weather_noaa", old=in_range(0.0, 0.5), new=in_range(0.5, 1.0), micro_batch=128,
    ),
)  # fmt: skip


class Learner(Protocol):
    """What forgets, or does not."""

    def learn(self, rows: Sequence[Row]) -> None:
        """Learn rows in order."""

    def accuracy(self, rows: Sequence[Row]) -> float:
        """Return the share of right answers to rows, asked out of the blue."""


class Ours:
    """A replay with the default rules."""

    def __init__(self, inputs: Inputs, micro_batch: int, seed: int, *, rehearse: bool) -> None:
        """Start empty."""
        rules = Rules() if rehearse else Rules(rehearse=0)
        self._replay = Replay(inputs, Options(task=TASK, rules=rules, micro_batch=micro_batch, seed=seed))
        self._rows = 0

    def learn(self, rows: Sequence[Row]) -> None:
        """Learn rows in order, committing as a file's replay does."""
        drive(self._replay, [replace(row, row=self._rows + at + 1) for at, row in enumerate(rows)])
        self._rows += len(rows)

    def accuracy(self, rows: Sequence[Row]) -> float:
        """Return the share of right answers of what serves."""
        replay = self._replay
        x, y = encoded(replay.inputs, rows)
        out, _ = replay.arena.roster.serve(replay.arena.roster.moment, x)
        return float((out.argmax(1) == y).mean())


class Plain:
    """Plain gradient descent."""

    def __init__(self, inputs: Inputs, rows: Sequence[Row], classes: int, seed: int) -> None:
        """Start empty, with the scale of the old part and the number of all classes known."""
        self._inputs, self._classes = inputs, np.arange(classes)
        self._scaler = StandardScaler().fit(self._x(rows)[0])
        self._model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=RATE, random_state=seed)

    def _x(self, rows: Sequence[Row]) -> tuple[Array, Array]:
        x, y = encoded(self._inputs, rows)
        return np.nan_to_num(x[:, : self._inputs.layout().features]), y

    def learn(self, rows: Sequence[Row]) -> None:
        """Learn rows in order, STEP at a time."""
        x, y = self._x(rows)
        x = self._scaler.transform(x)
        for at in range(0, len(y), STEP):
            self._model.partial_fit(x[at : at + STEP], y[at : at + STEP], classes=self._classes)

    def accuracy(self, rows: Sequence[Row]) -> float:
        """Return the share of right answers."""
        x, y = self._x(rows)
        return float((self._model.predict(self._scaler.transform(x)) == y).mean())


def encoded(inputs: Inputs, rows: Sequence[Row]) -> tuple[Array, Array]:
    """Return the vectors of rows without any history of labels, (rows, width), and their classes, (rows,)."""
    x = np.stack([inputs.vector(row.parsed, row.key) for row in rows])
    x[:, inputs.layout().features :] = np.nan
    return x, np.array([inputs.index(row.label) for row in rows], np.int64)


def read(folder: Path, split: Split) -> tuple[Inputs, list[Row]]:
    """Return fresh inputs and the rows of the stream of a split."""
    inputs, rows = rows_of(folder / f"{split.stream}.csv.gz", TASK, split.read)
    return inputs, list(rows)


def parts(rows: Sequence[Row], split: Split, seed: int) -> tuple[list[Row], list[Row], list[Row]]:
    """Return the old part, what is kept aside of it, and the new part; each in an order of its own."""
    random = np.random.default_rng(seed)
    old = [row for row in rows if split.old(row, len(rows))]
    new = [row for row in rows if split.new(row, len(rows)) and not split.old(row, len(rows))]
    old = [old[i] for i in random.permutation(len(old))[: split.most_old]]
    most = MICRO_BATCHES * split.micro_batch
    new = [new[i] for i in random.permutation(len(new))[:most]]
    aside = int(ASIDE * len(old))
    return old[aside:], old[:aside], new


def forgotten(inputs: Inputs, rows: Sequence[Row], split: Split, seed: int) -> dict[str, Any]:
    """Measure how much of the old part is left after the new one.

    Args:
        inputs: from ``read``; they are not changed.
        rows: from ``read``.
        split: of them.
        seed: of the orders and of every generator.

    Returns:
        For each learner the accuracy on the rows kept aside before and after, and the fall in points; for "shuffled",
        of contexts alone, before is that of "rehearsal".
    """
    old, aside, new = parts(rows, split, seed)
    out: dict[str, Any] = {"split": split.name, "seed": seed, "old": len(old), "new": len(new), "aside": len(aside)}
    out["micro_batches"] = len(new) // split.micro_batch
    classes = len({row.label for row in [*old, *new]})
    learners: dict[str, Callable[[], Learner]] = {
        "rehearsal": lambda: Ours(copy.deepcopy(inputs), split.micro_batch, seed, rehearse=True),
        "no rehearsal": lambda: Ours(copy.deepcopy(inputs), split.micro_batch, seed, rehearse=False),
        "plain SGD": lambda: Plain(copy.deepcopy(inputs), old, classes, seed),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for name, start in learners.items():
            learner = start()
            learner.learn(old)
            before = learner.accuracy(aside)
            learner.learn(new)
            out[name] = fallen(before, learner.accuracy(aside))
        if split.of_contexts:
            learner, both = learners["rehearsal"](), [*old, *new]
            learner.learn([both[i] for i in np.random.default_rng(seed).permutation(len(both))])
            out["shuffled"] = fallen(out["rehearsal"]["before"], learner.accuracy(aside))
    return out


def fallen(before: float, after: float) -> dict[str, float]:
    """Return two accuracies and the fall between them."""
    return {"before": before, "after": after, "fall_points": 100 * (before - after)}

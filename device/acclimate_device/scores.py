"""Prequential scores: every number is about predictions made before their label was learned.

Sums only, added chunk by chunk in order, so a run that was killed and resumed has the same bits. ``accuracy`` and the
errors count the rows after the first label has arrived; ``accuracy_all_rows`` counts all, those before it as wrong.
Baselines stand beside every score because streams are autocorrelated: *no_change* (*last*) repeats the label that
arrived last, *majority* (*mean*) the usual one. kappa: Cohen 1960. kappa-temporal: Bifet, Zliobaite et al. 2015,
how much of the way from *no_change* to perfection was gone.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.logged import widened
from acclimate_device.procedures import Task

Array = npt.NDArray[Any]

SMALLEST = 1e-7  # probability below which a log-loss counts no more


class Baselines:
    """Last, and majority (or mean), of the labels that have arrived."""

    def __init__(self, task: Task) -> None:
        """Start with no label."""
        self.task = task
        self.last: float | None = None
        self._counts: list[int] = []
        self._usual = 0
        self._n, self._mean = 0, 0.0

    def arrived(self, target: float) -> None:
        """Note a label that has arrived: a class index or a value."""
        self.last = target
        if self.task == "regression":
            self._n += 1
            self._mean += (target - self._mean) / self._n
            return
        index = int(target)
        self._counts.extend([0] * (index + 1 - len(self._counts)))
        self._counts[index] += 1
        if self._counts[index] > self._counts[self._usual]:
            self._usual = index

    def answers(self) -> tuple[float, float]:
        """Return what (last, usual) would answer now; NaN before the first label."""
        if self.last is None:
            return math.nan, math.nan
        return float(self.last), self._mean if self.task == "regression" else float(self._usual)

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the state as JSON values."""
        return [self.last, self._counts, self._usual, self._n, self._mean]

    def restore(self, document: Any) -> None:  # noqa: ANN401
        """Take back what ``document`` returned."""
        self.last, self._counts, self._usual, self._n, self._mean = document


class ClassScores:
    """Scores of class predictions."""

    def __init__(self, members: int) -> None:
        """Start empty, with ``members`` candidates beside what serves."""
        self.rows = self.rows_all = self.hits_all = 0
        self.log_loss = 0.0
        self.confusion = np.zeros((0, 0), np.int64)  # (true, predicted)
        self.members = np.zeros(members, np.int64)
        self.baselines = np.zeros(2, np.int64)

    def add(self, y: Array, out: Array, members: Array, baselines: Array, scored: Array) -> tuple[Array, Array, Array]:
        """Add a chunk.

        Args:
            y: (rows,) int64 true classes.
            out: (rows, classes) float32 what served.
            members: (rows, members, classes) what each candidate answered.
            baselines: (rows, 2) float64 classes, NaN for none.
            scored: (rows,) bool, whether the first label had arrived.

        Returns:
            Hits of what served (rows,), of the candidates (rows, members), of the baselines (rows, 2), as float64.
        """
        predicted = out.argmax(1)
        right = predicted == y
        member_right = (members.argmax(2) == y[:, None]) & ~np.isnan(members).any(2)
        base_right = baselines == y[:, None]
        self.rows_all += len(y)
        self.rows += int(np.count_nonzero(scored))
        self.hits_all += int(np.count_nonzero(right & scored))
        wide = widened(out, int(y.max()) + 1)  # nobody has heard yet of a class beyond
        p = np.maximum(wide[np.arange(len(y)), y].astype(np.float64), SMALLEST)
        self.log_loss -= float(np.log(p[scored]).sum())
        size = wide.shape[1]
        if size > len(self.confusion):
            self.confusion = np.pad(self.confusion, (0, size - len(self.confusion)))
        np.add.at(self.confusion, (y[scored], predicted[scored]), 1)
        self.members += member_right[scored].sum(0)
        self.baselines += base_right[scored].sum(0)
        return right.astype(float), member_right.astype(float), base_right.astype(float)

    def served(self) -> dict[str, float | None]:
        """Return the scores of what served; None where a number is not defined."""
        hits, n = int(np.trace(self.confusion)), self.rows
        true, predicted = self.confusion.sum(1), self.confusion.sum(0)
        present = true > 0
        recalls = np.diagonal(self.confusion)[present] / true[present]
        accuracy = _share(hits, n)
        chance = float((true * predicted).sum()) / n**2 if n else None
        return {
            "accuracy": accuracy,
            "accuracy_all_rows": _share(self.hits_all, self.rows_all),
            "balanced_accuracy": float(recalls.mean()) if len(recalls) else None,
            "kappa": _above(accuracy, chance),
            "kappa_temporal": _above(accuracy, _share(int(self.baselines[0]), n)),
            "log_loss": self.log_loss / n if n else None,
        }

    def of_members(self) -> list[dict[str, float | None]]:
        """Return the score of each candidate."""
        return [{"accuracy": _share(int(hits), self.rows)} for hits in self.members]

    def of_baselines(self) -> dict[str, dict[str, float | None]]:
        """Return the scores of the baselines."""
        names = ("no_change", "majority")
        return {name: {"accuracy": _share(int(h), self.rows)} for name, h in zip(names, self.baselines, strict=True)}

    def document(self) -> Any:  # noqa: ANN401
        """Return the state as JSON values."""
        arrays = [self.confusion.tolist(), self.members.tolist(), self.baselines.tolist()]
        return [self.rows, self.rows_all, self.hits_all, self.log_loss, *arrays]

    def restore(self, document: Any) -> None:  # noqa: ANN401
        """Take back what ``document`` returned."""
        self.rows, self.rows_all, self.hits_all, self.log_loss, confusion, members, baselines = document
        self.confusion = np.array(confusion, np.int64).reshape(len(confusion), len(confusion))
        self.members, self.baselines = np.array(members, np.int64), np.array(baselines, np.int64)


class ValueScores:
    """Scores of numeric predictions."""

    def __init__(self, members: int) -> None:
        """Start empty, with ``members`` candidates beside what serves."""
        self.rows = 0
        self.absolute = self.square = 0.0
        self.mean = self.m2 = 0.0
        self.members = np.zeros(members)
        self.baselines = np.zeros(2)

    def add(self, y: Array, out: Array, members: Array, baselines: Array, scored: Array) -> tuple[Array, Array, Array]:
        """Add a chunk; as ``ClassScores.add`` with values, returning absolute errors."""
        error = np.abs(out - y)
        member_error = np.abs(np.nan_to_num(members) - y[:, None])
        base_error = np.abs(np.nan_to_num(baselines) - y[:, None])
        for value in y[scored]:  # Welford, in order
            self.rows += 1
            delta = float(value) - self.mean
            self.mean += delta / self.rows
            self.m2 += delta * (float(value) - self.mean)
        self.absolute += float(error[scored].sum())
        self.square += float((error[scored] ** 2).sum())
        self.members += member_error[scored].sum(0)
        self.baselines += base_error[scored].sum(0)
        return error, member_error, base_error

    def served(self) -> dict[str, float | None]:
        """Return the scores of what served; None where a number is not defined."""
        n = self.rows
        return {
            "mae": self.absolute / n if n else None,
            "rmse": math.sqrt(self.square / n) if n else None,
            "r2": 1.0 - self.square / self.m2 if n and self.m2 > 0 else None,
        }

    def of_members(self) -> list[dict[str, float | None]]:
        """Return the score of each candidate."""
        return [{"mae": float(total) / self.rows if self.rows else None} for total in self.members]

    def of_baselines(self) -> dict[str, dict[str, float | None]]:
        """Return the scores of the baselines."""
        means = [float(total) / self.rows if self.rows else None for total in self.baselines]
        return {"last": {"mae": means[0]}, "mean": {"mae": means[1]}}

    def document(self) -> Any:  # noqa: ANN401
        """Return the state as JSON values."""
        sums = [self.rows, self.absolute, self.square, self.mean, self.m2]
        return [*sums, self.members.tolist(), self.baselines.tolist()]

    def restore(self, document: Any) -> None:  # noqa: ANN401
        """Take back what ``document`` returned."""
        self.rows, self.absolute, self.square, self.mean, self.m2, members, baselines = document
        self.members, self.baselines = np.array(members), np.array(baselines)


Scores = ClassScores | ValueScores


def scores_for(task: Task, members: int) -> Scores:
    """Return empty scores for a task."""
    return ClassScores(members) if task == "classification" else ValueScores(members)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _above(score: float | None, reference: float | None) -> float | None:
    if score is None or reference is None or reference >= 1.0:
        return None
    return (score - reference) / (1.0 - reference)


class Windows:
    """Scores over consecutive windows of rows, for plots: at most MOST, merged in pairs when full."""

    FIRST_ROWS = 32
    MOST = 200

    def __init__(self, names: Sequence[str], baselines: Sequence[str]) -> None:
        """Name the candidates and the baselines."""
        self.names, self.baselines = list(names), list(baselines)
        self.size = self.FIRST_ROWS
        self.done: list[dict[str, Any]] = []
        self._open: dict[str, Any] | None = None

    def add(self, rows: Sequence[int], served: Array, members: Array, baselines: Array, weights: Array) -> None:
        """Add one chunk: row numbers, score of each row, and the weights in force after it (members,)."""
        i = 0
        while i < len(rows):
            if self._open is None:
                zero = np.zeros(len(self.names))
                self._open = {"first": rows[i], "last": rows[i], "n": 0, "served": 0.0, "members": zero}
                self._open |= {"baselines": np.zeros(2), "weights": zero}
            now = self._open
            take = min(self.size - now["n"], len(rows) - i)
            part = slice(i, i + take)
            now["n"] += take
            now["last"] = rows[i + take - 1]
            now["served"] += float(served[part].sum())
            now["members"] = now["members"] + members[part].sum(0)
            now["baselines"] = now["baselines"] + baselines[part].sum(0)
            now["weights"] = weights
            i += take
            if now["n"] >= self.size:
                self._close()

    def _close(self) -> None:
        if self._open is not None:
            self.done.append(_listed(self._open))
        self._open = None
        if len(self.done) >= self.MOST:
            pairs = zip(self.done[::2], self.done[1::2], strict=True)
            self.done = [_merged(a, b) for a, b in pairs]
            self.size *= 2

    def result(self) -> list[dict[str, Any]]:
        """Return the windows as the JSON result lists them, the unfinished one included."""
        return [self._row(w) for w in [*self.done, *([_listed(self._open)] if self._open else [])]]

    def _row(self, window: dict[str, Any]) -> dict[str, Any]:
        n = window["n"]
        return {
            "first_row": window["first"],
            "last_row": window["last"],
            "served": window["served"] / n,
            "candidates": {name: v / n for name, v in zip(self.names, window["members"], strict=True)},
            "baselines": {name: v / n for name, v in zip(self.baselines, window["baselines"], strict=True)},
            "weights": dict(zip(self.names, window["weights"], strict=True)),
        }

    def document(self) -> Any:  # noqa: ANN401
        """Return the state as JSON values."""
        return [self.size, self.done, self._open and _listed(self._open)]

    def restore(self, document: Any) -> None:  # noqa: ANN401
        """Take back what ``document`` returned."""
        self.size, self.done, now = document
        self._open = now and {name: np.array(v) if isinstance(v, list) else v for name, v in now.items()}


def _listed(window: dict[str, Any]) -> dict[str, Any]:
    """Return a window whose sums are lists, as JSON has them."""
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in window.items()}


def _merged(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    return {
        "first": a["first"],
        "last": b["last"],
        "n": a["n"] + b["n"],
        "served": a["served"] + b["served"],
        "members": [x + y for x, y in zip(a["members"], b["members"], strict=True)],
        "baselines": [x + y for x, y in zip(a["baselines"], b["baselines"], strict=True)],
        "weights": b["weights"],
    }

"""What is already known about the past when an event is predicted: labels that have arrived, per key.

Streams are autocorrelated, so the last label (or a value a day ago) is often the best single input. Only labels that
had arrived count, so a late label is a late input; predicting reads this history and never changes it.

Classification: the last label in 0/1 slots. Regression: targets some steps back, the mean of the last few, and how
far each number has moved since the last learned event.
"""

from collections import OrderedDict, deque
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Document = list[Any]  # plain JSON values

LAGS = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    12,
    24,
    48,
    96,
    168,
)  # steps back: neighbours, half days, days and weeks of usual clocks
MEAN_OF = 8  # targets in the running mean
MAX_KEYS = 1000  # keys remembered; the least recently learned one is forgotten first
LABEL_SLOTS = 16  # classes told apart as last label; further ones share slots


class ClassHistory:
    """The last label of each key as 0/1 slots."""

    def __init__(self) -> None:
        """Start with nothing known."""
        self.width = LABEL_SLOTS
        self._last: OrderedDict[str, int] = OrderedDict()

    def features(self, key: str, x: Vector, out: Vector | None = None) -> Vector:  # noqa: ARG002 (seam of ValueHistory)
        """Return (width,) float64, all zero while no label of ``key`` has arrived; ``out``, if given, holds zeros."""
        out = np.zeros(LABEL_SLOTS) if out is None else out
        last = self._last.get(key)
        if last is not None:
            out[last % LABEL_SLOTS] = 1.0
        return out

    def learn(self, key: str, x: Vector, label: float) -> None:  # noqa: ARG002
        """Note the label of a learned event (a class index)."""
        self._last[key] = int(label)
        self._last.move_to_end(key)
        if len(self._last) > MAX_KEYS:
            self._last.popitem(last=False)

    def document(self) -> Document:
        """Return the history as plain JSON values."""
        return list(self._last.items())

    def restore(self, document: Document) -> None:
        """Take back what ``document`` returned."""
        self._last = OrderedDict((key, label) for key, label in document)


class ValueHistory:
    """Earlier targets of each key, and the numbers of its last learned event."""

    def __init__(self, numbers: int) -> None:
        """Remember the first ``numbers`` entries of each learned vector."""
        self.numbers = numbers
        self.width = len(LAGS) + 1 + numbers
        self._past: OrderedDict[str, tuple[deque[float], Vector]] = OrderedDict()

    def features(self, key: str, x: Vector, out: Vector | None = None) -> Vector:
        """Return (width,) float64: lagged targets, their mean, movement of the numbers; NaN where unknown.

        Args:
            key: of the history.
            x: the encoded event, (at least ``numbers``,) float64.
            out: (width,) float64 that is filled in and returned; None for a new one.
        """
        out = np.empty(self.width) if out is None else out
        out.fill(np.nan)
        past = self._past.get(key)
        if past is not None:
            targets, last = past
            known = len(targets)
            for i, lag in enumerate(LAGS):
                if lag > known:
                    break
                out[i] = targets[-lag]
            recent = list(targets)[-MEAN_OF:]
            out[len(LAGS)] = sum(recent) / len(recent)
            out[len(LAGS) + 1 :] = x[: self.numbers] - last
        return out

    def learn(self, key: str, x: Vector, label: float) -> None:
        """Note the target of a learned event and its numbers."""
        past = self._past.pop(key, None)
        targets = past[0] if past else deque(maxlen=LAGS[-1])
        targets.append(float(label))
        self._past[key] = (targets, x[: self.numbers].copy())
        if len(self._past) > MAX_KEYS:
            self._past.popitem(last=False)

    def document(self) -> Document:
        """Return the history as plain JSON values (NaN as null)."""
        return [
            [key, list(targets), [None if np.isnan(v) else float(v) for v in last]]
            for key, (targets, last) in self._past.items()
        ]

    def restore(self, document: Document) -> None:
        """Take back what ``document`` returned."""
        self._past = OrderedDict(
            (key, (deque(targets, maxlen=LAGS[-1]), np.array([np.nan if v is None else v for v in last], dtype=float)))
            for key, targets, last in document
        )


History = ClassHistory | ValueHistory

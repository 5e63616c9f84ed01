"""Log and wait: what a prediction saw and said is kept until its label comes, and is what is learned from.

Bounded: beyond MAX_WAITING predictions the oldest is forgotten, counted, and its label refused later.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from acclimate_device.roster import Moment
from acclimate_device.schema import Parsed
from acclimate_shared.errors import DuplicateLabelError, UnknownPredictionError

MAX_WAITING = 100_000  # predictions without a label
MAX_DONE = 100_000  # ids remembered to tell a second label from an unknown prediction


@dataclass(slots=True, kw_only=True)
class Logged:
    """A prediction as it was made.

    Attributes:
        id: given to the caller.
        sequence: how many predictions were logged before it.
        texts: the categories it saw.
        key: group of its history.
        x: the vector it saw, (width,) float64.
        moment: who could answer, with which states; None once ``memo`` is complete.
        memo: every candidate's answer, (columns, classes) or (columns,) float64; until then what serving left of it.
        occupants: of the slots, see ``Moment``.
    """

    id: str
    sequence: int
    texts: list[str | None]
    key: str
    x: npt.NDArray[np.float64]
    moment: Moment | None
    memo: npt.NDArray[np.float64] | None
    occupants: tuple[int, ...] = ()

    def parsed(self) -> Parsed:
        """Return the event as far as learning its categories needs it."""
        return Parsed([], self.texts)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A prediction with its label.

    Attributes:
        logged: the prediction.
        target: class index or value.
        weight: importance.
        delay: events that passed between the two.
        source: who gave the label, "" if that was not said.
        time_s: event time in seconds at which it came.
    """

    logged: Logged
    target: float
    weight: float
    delay: int
    source: str = ""
    time_s: float = 0.0


class PendingLog:
    """Predictions that wait for their label."""

    def __init__(self, *, max_waiting: int = MAX_WAITING) -> None:
        """Start empty; hold at most ``max_waiting`` predictions."""
        self.max_waiting = max_waiting
        self.sequence = 0
        self.forgotten = 0
        self._waiting: OrderedDict[str, Logged] = OrderedDict()
        self._done: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        """Return how many predictions wait."""
        return len(self._waiting)

    def add(self, logged: Logged) -> None:
        """Keep a prediction, forgetting the oldest if there are too many."""
        self.sequence = logged.sequence + 1
        self._waiting[logged.id] = logged
        if len(self._waiting) > self.max_waiting:
            self._waiting.popitem(last=False)
            self.forgotten += 1

    def take(self, prediction_id: str) -> Logged:
        """Return a prediction and stop waiting for its label.

        Raises:
            DuplicateLabelError: it was labelled already.
            UnknownPredictionError: it was never made, or is too old.
        """
        if prediction_id in self._done:
            raise DuplicateLabelError(
                "this prediction has a label already",
                field="prediction_id",
                value=prediction_id,
                remedy="send each once",
            )
        logged = self._waiting.pop(prediction_id, None)
        if logged is None:
            raise UnknownPredictionError(
                "no such prediction waits for a label",
                field="prediction_id",
                value=prediction_id,
                remedy=f"use the id that predict returned; the last {self.max_waiting} are kept",
            )
        self._done[prediction_id] = None
        if len(self._done) > MAX_DONE:
            self._done.popitem(last=False)
        return logged

    def knows(self, prediction_id: str) -> bool:
        """Return whether a prediction waits, or has had its label."""
        return prediction_id in self._waiting or prediction_id in self._done

    def put_back(self, logged: Logged) -> None:
        """Wait again for a prediction whose label was refused."""
        self._done.pop(logged.id, None)
        self._waiting[logged.id] = logged

    def items(self) -> list[Logged]:
        """Return the waiting predictions, oldest first."""
        return list(self._waiting.values())

    def done(self) -> list[str]:
        """Return the ids that have had their label, oldest first."""
        return list(self._done)

    def restore(self, items: Iterable[Logged], done: Iterable[str], sequence: int, forgotten: int) -> None:
        """Take back what was saved."""
        self._waiting = OrderedDict((item.id, item) for item in items)
        self._done = OrderedDict.fromkeys(done)
        self.sequence, self.forgotten = sequence, forgotten


def widened(memo: npt.NDArray[np.float64], classes: int) -> npt.NDArray[np.float64]:
    """Return logged answers with room for ``classes`` classes: those that have appeared since had no probability."""
    missing = classes - memo.shape[-1] if memo.ndim > 1 else 0
    return np.pad(memo, ((0, 0), (0, missing))) if missing > 0 else memo

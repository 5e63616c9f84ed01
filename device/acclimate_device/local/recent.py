"""How well the latest answers were, for people who watch; bounded, and no part of any decision.

Accuracy beside "the same as the last label" for classes, mean absolute error beside the same for values.
"""

import threading
from collections import OrderedDict, deque
from typing import Any

MOST_OPEN = 20_000  # answers that wait for their label
LATEST = 200  # labelled answers that count

Said = str | float


class Recent:
    """The latest answers whose label has come; for any thread."""

    def __init__(self, *, regression: bool, most_open: int = MOST_OPEN) -> None:
        """Start empty.

        Args:
            regression: whether answers are values.
            most_open: answers that are remembered until their label comes.
        """
        self._regression, self._most_open = regression, most_open
        self._open: OrderedDict[str, Said | None] = OrderedDict()
        self._losses: deque[float] = deque(maxlen=LATEST)
        self._repeats: deque[float] = deque(maxlen=LATEST)
        self._last: Said | None = None
        self._lock = threading.Lock()

    def answered(self, event: str, said: Said | None) -> None:
        """Remember an answer."""
        with self._lock:
            self._open[event] = said
            if len(self._open) > self._most_open:
                self._open.popitem(last=False)

    def labelled(self, event: str, label: str | float) -> None:
        """Score an answer by its label."""
        truth: Said = float(label) if self._regression else str(label)
        with self._lock:
            said, last, self._last = self._open.pop(event, None), self._last, truth
            if said is not None and last is not None:
                self._losses.append(self._loss(said, truth))
                self._repeats.append(self._loss(last, truth))

    def _loss(self, said: Said, truth: Said) -> float:
        return abs(float(said) - float(truth)) if self._regression else float(said != truth)

    def told(self) -> dict[str, Any]:
        """Return mean losses: the share of wrong answers, or the mean absolute error; None before the first."""
        with self._lock:
            losses, repeats = list(self._losses), list(self._repeats)
        name = "mae" if self._regression else "wrong"
        mean = {key: sum(of) / len(of) if of else None for key, of in ((name, losses), ("last_label", repeats))}
        return {"labels": len(losses), **mean}

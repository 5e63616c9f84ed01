"""How much each source has given: rate limits, and the share of the influence that one source may have.

Influence is the weight of what was admitted among the last WINDOW labels given. A source that reaches its share gets
smaller weights, then none, until others have given more; so a flood moves no further than its share, however fast it
comes. A share means nothing while a source is alone: the cap begins to bind when a second one has been met. So that one
label of a newcomer cannot silence an old source, QUOTA is always free.
"""

import bisect
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.admission.policy import SourceRule

Array = npt.NDArray[Any]

WINDOW = 512  # labels given, a micro-batch by default
QUOTA = 32.0  # weight in a window that every source may have
MINUTE_S = 60.0
MOST_SOURCES = 256  # told apart; the one that has been silent for longest is forgotten
NOBODY = -1


class Ledger:
    """Who gave the last labels and what they weighed; when each limited source gave its last ones."""

    def __init__(self) -> None:
        """Start with nobody known."""
        self._slots: dict[str, int] = {}  # the source heard of last comes last
        self._who = np.full(WINDOW, NOBODY, np.int64)
        self._weight = np.zeros(WINDOW)
        self._at = 0
        self._times: dict[str, list[float]] = {}

    def __len__(self) -> int:
        """Return how many sources are told apart."""
        return len(self._slots)

    def __contains__(self, source: str) -> bool:
        """Return whether a source is known."""
        return source in self._slots

    def items(self) -> list[tuple[str, int]]:
        """Return the known sources and their numbers."""
        return list(self._slots.items())

    def slot(self, source: str) -> int:
        """Return the number of a source, which may have been another's who is forgotten."""
        found = self._slots.pop(source, None)
        if found is None:
            found = len(self._slots)
            if found >= MOST_SOURCES:
                oldest = next(iter(self._slots))
                found = self._slots.pop(oldest)
                self._times.pop(oldest, None)
                self._who[self._who == found] = NOBODY  # its weight goes on counting as somebody else's
        self._slots[source] = found
        return found

    def in_time(self, source: str, limit: int, now_s: float) -> bool:
        """Return whether a source may give one more label now, and if so count it.

        Args:
            source: who gives it.
            limit: most labels in any minute, 0 for none.
            now_s: event time in seconds. A clock that was set back begins a new minute.
        """
        if not limit:
            return True
        times = self._times.setdefault(source, [])
        if times and now_s < times[-1]:
            times.clear()
        del times[: bisect.bisect_right(times, now_s - MINUTE_S)]
        if len(times) >= limit:
            return False
        times.append(now_s)
        return True

    def capped(self, slot: int, rule: SourceRule, weight: float) -> float:
        """Return how much of a weight a source may still have, and enter it.

        Args:
            slot: of the source.
            rule: of the source.
            weight: at least 0.

        Returns:
            Between 0 and ``weight``.
        """
        self._who[self._at], self._weight[self._at] = NOBODY, 0.0  # what leaves the window counts no more
        if rule.share < 1.0 and not rule.trusted and len(self._slots) > 1:
            own = float(self._weight[self._who == slot].sum())
            others = float(self._weight[self._who != slot].sum())
            allowed = max(QUOTA, others * rule.share / (1.0 - rule.share))
            weight = min(weight, max(0.0, allowed - own))
        self._who[self._at], self._weight[self._at] = slot, weight
        self._at = (self._at + 1) % WINDOW
        return weight

    def shares(self) -> dict[str, float]:
        """Return each source's share of the influence, 0 to 1; any thread may ask, whatever is being learned."""
        total, slots = float(self._weight.sum()), list(self._slots.items())
        weights = {source: float(self._weight[self._who == slot].sum()) for source, slot in slots}
        return {source: weight / total if total else 0.0 for source, weight in weights.items()}

    def tensors(self) -> dict[str, Array]:
        """Return the tensors of the state."""
        return {"who": self._who, "weight": self._weight}

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the rest of the state as JSON values."""
        return [list(self._slots.items()), self._at, list(self._times.items())]

    def restore(self, tensors: dict[str, Array], document: Sequence[Any]) -> None:
        """Take back what ``tensors`` and ``document`` returned."""
        slots, self._at, times = document
        self._slots = dict(slots)
        self._times = {source: list(of) for source, of in times}
        self._who, self._weight = np.array(tensors["who"]), np.array(tensors["weight"])

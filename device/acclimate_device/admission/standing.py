"""How often each source contradicts the champion, compared with the others.

Real drift contradicts the champion whoever gives the label; a liar does so alone. So nothing here is absolute: a source
is *doubtful* while its recent rate of contradictions exceeds the median of the other sources' by more than chance and
habit explain, and *outlying* while, beyond that, most of its labels are contradictions. Both pass by themselves.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

HORIZON = 64.0  # labels of a source that its rate remembers
LEAST_LABELS = 16  # before a source is compared, or others are compared with it
LEAST_OTHERS = 2  # with fewer, nobody can say who is odd
RATIO, SLACK = 1.5, 0.06  # the others' rate times RATIO, plus SLACK, is no reason for doubt
MOSTLY = 0.4  # rate of contradictions of an outlying source, at least


class Standing:
    """Recent rate of contradictions by source."""

    def __init__(self) -> None:
        """Start with nobody known."""
        self._rates: dict[int, tuple[float, float]] = {}  # slot: labels, rate

    def note(self, slot: int, *, contradicts: bool) -> None:
        """Take one label of a source."""
        labels, rate = self._rates.get(slot, (0.0, 0.0))
        labels += 1.0
        self._rates[slot] = labels, rate + (float(contradicts) - rate) / min(labels, HORIZON)

    def forget(self, slot: int) -> None:
        """Drop what is known of a source."""
        self._rates.pop(slot, None)

    def _level(self, slot: int) -> float | None:
        others = [rate for of, (labels, rate) in self._rates.items() if of != slot and labels >= LEAST_LABELS]
        return float(np.median(others)) if len(others) >= LEAST_OTHERS else None

    def doubtful(self, slot: int) -> bool:
        """Return whether a source contradicts clearly more often than the others do."""
        labels, rate = self._rates.get(slot, (0.0, 0.0))
        level = self._level(slot) if labels >= LEAST_LABELS else None
        return level is not None and rate > RATIO * level + SLACK

    def outlying(self, slot: int) -> bool:
        """Return whether a doubtful source contradicts most of the time."""
        return self._rates.get(slot, (0.0, 0.0))[1] >= MOSTLY and self.doubtful(slot)

    def all_doubtful(self) -> list[int]:
        """Return the slots of all doubtful sources."""
        return [slot for slot in self._rates if self.doubtful(slot)]

    def rates(self) -> Mapping[int, float]:
        """Return the recent rate of contradictions by slot."""
        return {slot: rate for slot, (_, rate) in self._rates.items()}

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the state as JSON values."""
        return [[slot, labels, rate] for slot, (labels, rate) in self._rates.items()]

    def restore(self, document: Any) -> None:  # noqa: ANN401
        """Take back what ``document`` returned."""
        self._rates = {slot: (labels, rate) for slot, labels, rate in document}

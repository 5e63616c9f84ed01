"""Who has taught what: since when each source teaches, and the latest rows of each.

If a source is to be forgotten, this tells which earlier states are clean of it, and what others have taught since. Rows
are kept as soon as somebody with a name teaches; every source has the same number of places, so that a flood washes
away nothing but itself.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.admission.policy import UNNAMED

Array = npt.NDArray[Any]

ROWS = 256  # of one source
MOST_BYTES = 4 << 20  # of all rows
MOST_TEACHERS = 16  # whose rows are kept; the one heard of longest ago gives up its own
MOST_KNOWN = 1_024  # sources that are told apart


@dataclass(frozen=True, slots=True)
class Taught:
    """One row that was learned: ordinal among all that were, (width,) float64, class index or value, weight."""

    ordinal: int
    x: Array
    target: float
    weight: float


class Provenance:
    """Sources with the ordinals of their first labels and the numbers of their labels, and rows of each."""

    def __init__(self, *, keeps_rows: bool = True) -> None:
        """Start with nothing taught; ``keeps_rows``: whether rows of data may be kept."""
        self._keeps_rows = keeps_rows
        self.labels = 0
        self.known: dict[str, tuple[int, int]] = {}  # source to first ordinal, from 1, and labels
        self.crowded = False  # whether there were more sources than can be told apart
        self._rows: dict[str, deque[Taught]] = {}  # the source heard of last comes last

    def newcomers(self, sources: Iterable[str]) -> set[str]:
        """Return those with a name who have not taught yet."""
        return {source for source in sources if source not in self.known} - {UNNAMED}

    def note(self, x: Array, y: Array, w: Array, sources: Sequence[str]) -> None:
        """Take rows that are about to be learned: (rows, width), (rows,), (rows,), and who gave each label."""
        for row, target, weight, source in zip(x, y.tolist(), w.tolist(), sources, strict=True):
            self.labels += 1
            if source not in self.known and len(self.known) >= MOST_KNOWN:
                self.crowded = True
                continue
            first, count = self.known.get(source, (self.labels, 0))
            self.known[source] = first, count + 1
            if self._keeps_rows and len(self.known) > (UNNAMED in self.known):
                self._keep(source, Taught(self.labels, row.copy(), float(target), float(weight)))

    def _keep(self, source: str, taught: Taught) -> None:
        rows = self._rows.pop(source, None) or deque()
        self._rows[source] = rows
        rows.append(taught)
        if len(self._rows) > MOST_TEACHERS:
            del self._rows[next(iter(self._rows))]
        most = max(1, min(ROWS, MOST_BYTES // (8 * len(taught.x) * len(self._rows))))
        for kept in self._rows.values():
            while len(kept) > most:
                kept.popleft()

    def others(self, source: str, after: int) -> list[Taught]:
        """Return the rows of all other sources that were learned after an ordinal, in order."""
        rows = [row for name, kept in self._rows.items() if name != source for row in kept]
        return sorted((row for row in rows if row.ordinal > after), key=lambda row: row.ordinal)

    def drop(self, source: str) -> None:
        """Forget a source and its rows."""
        self.known.pop(source, None)
        self._rows.pop(source, None)

    def forget_rows(self) -> None:
        """Forget what events looked like."""
        self._rows.clear()

    # -- state --------------------------------------------------------------------------------------------------

    def tensors(self) -> dict[str, Array]:
        """Return the rows."""
        rows = [row for kept in self._rows.values() for row in kept]
        if not rows:
            return {}
        rest = [(row.ordinal, row.target, row.weight) for row in rows]
        return {"x": np.stack([row.x for row in rows]), "rest": np.array(rest, np.float64)}

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the rest of the state as JSON values."""
        known = [[source, *counts] for source, counts in self.known.items()]
        return [self.labels, known, [[name, len(kept)] for name, kept in self._rows.items()], self.crowded]

    def restore(self, tensors: Mapping[str, Array], document: Any) -> None:  # noqa: ANN401
        """Take back what ``tensors`` and ``document`` returned."""
        self.labels, known, kept, self.crowded = document
        self.known = {source: (first, count) for source, first, count in known}
        rows = [
            Taught(int(ordinal), x, target, weight)
            for x, (ordinal, target, weight) in zip(
                np.array(tensors.get("x", ())), np.array(tensors.get("rest", ())).tolist(), strict=True
            )
        ]
        self._rows, at = {}, 0
        for name, count in kept:
            self._rows[name] = deque(rows[at : at + count])
            at += count

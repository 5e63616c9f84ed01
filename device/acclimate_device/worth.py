"""What learning brings: the loss of an earlier state beside that of what has learned since, on the same rows.

At a firing the states from before it may be kept. The rows that come afterwards are answered by the lineage as it
learns, each before its label is known, and by the kept states once more; the mean difference of PROBE_ROWS paired
losses is what was brought since. Only a lower confidence bound above ``min_gain`` counts. Then the present states are
kept for the next comparison; otherwise the kept ones stay, so that small gains add up until they can be told from
chance. On a stream that stands still a kept state is the best proven so far, and proofs of a better one become rare.

Losses are Brier scores or absolute errors: both tell smaller differences than counts of wrong answers do.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.arena import Arena
from acclimate_device.losses import raw_losses
from acclimate_device.roster import Frozen, States
from acclimate_shared.evidence import backtest_length

Array = npt.NDArray[Any]

PROBE_ROWS = 512  # paired losses of one comparison
Z = 2.0  # standard errors below the mean: a gain where there is none is seen once in 44 comparisons
FEWEST_BLOCKS = 16
PREFIX = "kept/"


class Worth:
    """The kept states, and the rows on which they will be compared."""

    def __init__(self, min_gain: float) -> None:
        """Start with nothing kept; a gain of no more than ``min_gain`` is none."""
        self._min_gain = min_gain
        self._kept: States | None = None
        self._column = self._classes = -1
        self._from = -1  # ordinal of the last row that was answered before the states were kept
        self._open = False  # whether something was learned since the last comparison
        self._rows: list[tuple[Array, float, Array]] = []  # x, target, answer of the lineage

    def fires(self, arena: Arena, row: int) -> None:
        """Note that learning begins; call it before anything is learned.

        Args:
            arena: whose states are compared.
            row: ordinal of the last row that was answered.
        """
        if self._kept is None or not self._fits(arena):
            self._kept, self._from = arena.roster.states, row
            self._column, self._classes = arena.lineage, arena.committee.layout.classes
            self._rows.clear()
        self._open = True

    def _fits(self, arena: Arena) -> bool:
        """Return whether what was kept can answer the same question as what learns now."""
        return self._column == arena.lineage and self._classes == arena.committee.layout.classes

    def see(self, arena: Arena, x: Array, y: Array, live: Array, rows: Array) -> float | None:
        """Take labelled rows.

        Args:
            arena: whose states are compared.
            x: (rows, width) float64.
            y: (rows,) classes or values.
            live: (rows, columns, ...) answers as they were given.
            rows: (rows,) int64, ordinal of each row.

        Returns:
            The lower bound of what learning has brought, when a comparison is complete.
        """
        if self._kept is None or not self._open:
            return None
        if not self._fits(arena):
            self._kept = None
            return None
        for at in np.flatnonzero(rows > self._from).tolist():
            self._rows.append((x[at], y[at], live[at, self._column]))
        return self._compare(arena, y.dtype) if len(self._rows) >= PROBE_ROWS else None

    def _compare(self, arena: Arena, dtype: Any) -> float:  # noqa: ANN401 (of numpy)
        part, self._rows = self._rows[:PROBE_ROWS], []
        x, y = np.stack([row[0] for row in part]), np.array([row[1] for row in part], dtype)
        before = arena.roster.ask(Frozen(self._kept or {}, self._column, 0), x)
        both = np.stack([before, np.stack([row[2] for row in part])], 1)
        losses = raw_losses("brier", both, y)
        gain = lower_bound(losses[:, 0] - losses[:, 1])
        self._open = False
        if gain > self._min_gain:
            self._kept = None
        return gain

    def tensors(self) -> dict[str, Array]:
        """Return the tensors of the state."""
        out: dict[str, Array] = {}
        if self._kept is not None:
            out = {f"{PREFIX}{name}/{key}": a for name, state in self._kept.items() for key, a in state.items()}
        if self._rows:
            out["x"], out["answers"] = (np.stack([row[at] for row in self._rows]) for at in (0, 2))
            out["y"] = np.array([row[1] for row in self._rows], np.float64)
        return out

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the rest of the state as JSON values."""
        return [self._kept is not None, self._column, self._classes, self._from, self._open]

    def restore(self, tensors: Mapping[str, Array], document: Any) -> None:  # noqa: ANN401
        """Take back what ``tensors`` and ``document`` returned."""
        kept, self._column, self._classes, self._from, self._open = document
        states: dict[str, dict[str, Array]] = {}
        for path, array in tensors.items():
            if path.startswith(PREFIX):
                name, key = path.removeprefix(PREFIX).split("/", 1)
                states.setdefault(name, {})[key] = array
        self._kept = states if kept else None
        columns = zip(*(tensors.get(name, ()) for name in ("x", "y", "answers")), strict=True)
        self._rows = [(np.array(x), y.item(), np.array(answer)) for x, y, answer in columns]


def lower_bound(gains: Array) -> float:
    """Return the mean of (n,) paired differences less Z standard errors, from blocks as long as they hang together."""
    length = min(backtest_length(gains), max(1, len(gains) // FEWEST_BLOCKS))
    blocks = len(gains) // length
    means = gains[: blocks * length].reshape(blocks, length).mean(1)
    return float(gains.mean() - Z * means.std(ddof=1) / math.sqrt(blocks))

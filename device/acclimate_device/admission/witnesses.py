"""What other sources have said about similar events.

A label that contradicts the champion may be news or a lie. News has witnesses: other sources say the same about events
like this one. So the last rows of every source are kept, and a contradiction is *supported* when, among the nearest
rows of others, enough carry its label (edited nearest neighbours, Wilson 1972, asked across sources). Distances are the
largest over the features, in running standard deviations. An event is *novel* if it is further from the rows of others
than usual, or further outside the range that enough of them have shown: in many dimensions only the range tells.

Rows of all sources share ROWS places; when they are full, the source with most rows gives
up its oldest, so a flood cannot wash away what others have said.

Up to CORRUPT of the sources may lie together, so more than that many must say the same, the asker among them.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ROWS = 512  # labelled rows kept
NEIGHBOURS = 5
CORRUPT = 0.2  # share of the sources that may lie together
MOST_NEEDED = 3  # supporters that are asked for, however many sources there are
USUAL = 0.9  # quantile of the distances to others; beyond it an event is novel
DISTANCES = 256  # of which the quantile is taken
LEAST_OUTSIDE = 1.0  # standard deviations outside what others have shown that are usual anyway
LEAST_ROWS = 64  # of others; with fewer, nobody can be asked
FADING = 2048.0  # rows that the moments remember


@dataclass(frozen=True, slots=True)
class Testimony:
    """What others have said about events like one: the nearest first, NEIGHBOURS at most.

    Attributes:
        targets: (rows,) float64, class indices or values.
        slots: (rows,) int64, who said so.
        novel: whether as many sources as are needed have seen nothing as near as they usually have.
        needed: how many of them must say the same.
    """

    targets: Array
    slots: Array
    novel: bool
    needed: int

    def supports(self, label: float, answer: float, *, classes: bool, trusted: Collection[int]) -> bool:
        """Return whether this supports a label against the champion's answer.

        Args:
            label: class index or value.
            answer: of the champion.
            classes: whether these are classes; a value is said where it is nearer to the label than to the answer.
            trusted: slots of trusted sources, each of which is enough.
        """
        same = self.targets == label if classes else np.abs(self.targets - label) < np.abs(self.targets - answer)
        who = set(self.slots[same].tolist())
        return len(who) >= self.needed or not who.isdisjoint(trusted)


class Witnesses:
    """The last rows of each source, and the scale of each feature."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._start(0)

    def _start(self, features: int) -> None:
        self._rows = np.zeros((ROWS, features))
        self._target = np.zeros(ROWS)
        self._who = np.full(ROWS, -1, np.int64)
        self._age = np.zeros(ROWS, np.int64)
        self._distances = np.full((DISTANCES, 2), np.nan)  # to the rows of others; outside their range
        self._given = 0
        self._moments = np.zeros((3, features))  # count, mean, squared deviation

    def add(self, x: Array, target: float, slot: int) -> None:
        """Keep a labelled row.

        Args:
            x: (features,) float64, NaN for missing.
            target: class index or value.
            slot: number of the source.
        """
        if len(x) != self._rows.shape[1]:
            self._start(len(x))
        free = np.flatnonzero(self._who < 0)
        at = int(free[0]) if len(free) else self._oldest_of_the_most()
        self._given += 1
        self._rows[at], self._target[at], self._who[at], self._age[at] = x, target, slot, self._given
        self._scale(x)

    def _oldest_of_the_most(self) -> int:
        most = np.bincount(self._who).argmax()
        return int(np.where(self._who == most, self._age, np.iinfo(np.int64).max).argmin())

    def _scale(self, x: Array) -> None:
        """Take a row into the running moments (Welford 1962, the past fading)."""
        count, mean, m2 = self._moments
        present = ~np.isnan(x)
        n = np.minimum(count + present, FADING)
        delta = np.where(present, x - mean, 0.0)
        keep = np.where(count >= FADING, 1.0 - 1.0 / FADING, 1.0)
        following = mean + delta / np.maximum(n, 1.0)
        m2 = np.where(present, m2 * keep + delta * (np.where(present, x, 0.0) - following), m2)
        self._moments = np.stack([n, following, m2])

    def forget(self, slot: int) -> None:
        """Drop the rows of a source."""
        self._who[self._who == slot] = -1

    def ask(self, x: Array, slot: int, doubtful: Collection[int]) -> Testimony | None:
        """Return what others have said about events like this one; None if too few others have spoken.

        Args:
            x: (features,) float64, NaN for missing.
            slot: number of the source that asks.
            doubtful: numbers of sources that are not asked.
        """
        asked = (self._who >= 0) & (self._who != slot)
        if doubtful:
            asked &= ~np.isin(self._who, list(doubtful))
        others = np.flatnonzero(asked)
        if len(others) < LEAST_ROWS or len(x) != self._rows.shape[1]:
            return None
        count, _, m2 = self._moments
        deviation = np.sqrt(m2 / np.maximum(count, 1.0))
        scale = np.where(deviation > 0, 1.0 / np.maximum(deviation, 1e-300), 0.0)
        apart = np.nan_to_num((self._rows[others] - x) * scale, nan=1.0, posinf=1e6, neginf=-1e6)
        distance = np.abs(apart).max(1)
        order = np.argsort(distance, kind="stable")
        who = self._who[others[order]]
        _, first = np.unique(who, return_index=True)  # the nearest row of each source
        needed = min(MOST_NEEDED, max(1, math.ceil(CORRUPT * (len(first) + 1))))
        reach = float(distance[order[np.sort(first)[min(needed, len(first)) - 1]]])
        outside = _outside(apart, self._who[others], needed)
        known = self._distances[~np.isnan(self._distances).any(1)]
        near, within = np.quantile(known, USUAL, 0) if len(known) >= LEAST_ROWS else (math.inf, math.inf)
        self._distances[self._given % DISTANCES] = reach, outside
        novel = reach > near or outside > max(within, LEAST_OUTSIDE)
        order = order[:NEIGHBOURS]
        order = order[distance[order] <= near]
        return Testimony(self._target[others[order]], self._who[others[order]], bool(novel), needed)

    def tensors(self) -> dict[str, Array]:
        """Return the state as tensors."""
        return {
            "rows": self._rows, "target": self._target, "who": self._who, "age": self._age, "moments": self._moments,
            "distances": self._distances,
        }  # fmt: skip

    def restore(self, tensors: dict[str, Array]) -> None:
        """Take back what ``tensors`` returned."""
        self._rows, self._target, self._who = (np.array(tensors[name]) for name in ("rows", "target", "who"))
        self._age, self._moments = np.array(tensors["age"]), np.array(tensors["moments"])
        self._distances = np.array(tensors["distances"])
        self._given = int(self._age.max(initial=0))


def _outside(apart: Array, who: Array, needed: int) -> float:
    """Return how far an event is outside what others have shown, in the feature where it is furthest, 0 if nowhere.

    Args:
        apart: (rows, features) rows of others minus the event, in standard deviations.
        who: (rows,) whose they are.
        needed: how many sources must have shown as much.
    """
    order = np.argsort(who, kind="stable")
    _, starts = np.unique(who[order], return_index=True)
    at = min(needed, len(starts)) - 1
    highest = np.sort(np.maximum.reduceat(apart[order], starts), 0)[::-1][at]
    lowest = np.sort(np.minimum.reduceat(apart[order], starts), 0)[at]
    return max(0.0, float(np.maximum(lowest, -highest).max()))

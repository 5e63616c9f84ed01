"""How the inputs of a device are spread, as counts over bins that a bundle's schema has fixed; never a value.

Example:
    >>> bins = Bins({2: (0.0, 1.0)})
    >>> for value in range(40):
    ...     bins.add({2: value / 20})
    >>> bins.taken()
    (FeatureCounts(feature=2, counts=(1, 20, 19)),)
"""

import math
import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from acclimate_shared.messages.limits import MAX_FEATURES, MIN_COUNTED
from acclimate_shared.messages.up import FeatureCounts


class Bins:
    """Counts the values of features between rising edges; bin i holds edges[i - 1] < x <= edges[i]."""

    def __init__(self, edges: Mapping[int, Sequence[float]]) -> None:
        """Count from nothing.

        Args:
            edges: by the number of the feature in the schema; at least one edge each.
        """
        self._edges = {feature: tuple(found) for feature, found in edges.items()}
        self._lock = threading.Lock()
        self._counts = self._nothing()

    def _nothing(self) -> dict[int, list[int]]:
        return {feature: [0] * (len(edges) + 1) for feature, edges in self._edges.items()}

    def add(self, row: Mapping[int, float]) -> None:
        """Count a row; missing values (NaN) and features without edges are left out. Any thread may."""
        with self._lock:
            for feature, edges in self._edges.items():
                value = row.get(feature, math.nan)
                if not math.isnan(value):
                    self._counts[feature][bisect_left(edges, value)] += 1

    def taken(self) -> tuple[FeatureCounts, ...]:
        """Return and forget the counts that stand for enough events; those of too few go on growing."""
        with self._lock:
            ready = [feature for feature, counts in self._counts.items() if sum(counts) >= MIN_COUNTED][:MAX_FEATURES]
            found = tuple(FeatureCounts(feature=feature, counts=tuple(self._counts[feature])) for feature in ready)
            fresh = self._nothing()
            self._counts |= {feature: fresh[feature] for feature in ready}
            return found

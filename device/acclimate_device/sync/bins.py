"""How the inputs of a device are spread, as counts over bins that a release has declared; never a value.

The constraints of a base model that takes part here may give edges to numbers of the stream. Values of events are then
counted between them as the detectors of drift see them, and forgotten.
"""

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.agent import Agent
from acclimate_device.slots import Bases
from acclimate_shared.constraints import Constraints
from acclimate_shared.messages.limits import MIN_COUNTED
from acclimate_shared.messages.up import FeatureCounts

Array = npt.NDArray[Any]

Places = Mapping[int, int]  # from the number of a feature in its constraints to its column


class Bins:
    """Counts values between rising edges; bin i holds ``edges[i - 1] < x <= edges[i]``.

    Example:
        >>> from acclimate_shared.constraints import Feature, edges_of
        >>> loads = Feature(name="load", kind="number", edges=edges_of([0, 1]))
        >>> bins = Bins(Constraints(features=(loads,), memory_mib=1, agent="0.1.0"), {0: 2})
        >>> bins.add(np.array([[9.0, 9.0, value / 20] for value in range(40)]))
        >>> bins.taken()
        (FeatureCounts(feature=0, counts=(1, 20, 19)),)
    """

    def __init__(self, needs: Constraints, places: Places) -> None:
        """Count from nothing.

        Args:
            needs: that declare the edges.
            places: of the features that are counted.
        """
        self._places = dict(places)
        self._edges = {number: np.array(needs.features[number].bounds) for number in places}
        self._lock = threading.Lock()
        self._counts = {number: np.zeros(len(edges) + 1, np.int64) for number, edges in self._edges.items()}

    def add(self, rows: Array) -> None:
        """Count events, (rows, features) float64; missing values (NaN) are left out. Any thread may."""
        with self._lock:
            for number, place in self._places.items():
                values = rows[:, place]
                found = np.searchsorted(self._edges[number], values[~np.isnan(values)], side="left")
                self._counts[number] += np.bincount(found, minlength=len(self._counts[number]))

    def taken(self) -> tuple[FeatureCounts, ...]:
        """Return and forget the counts that stand for enough events; those of too few go on growing."""
        with self._lock:
            ready = [number for number, counts in self._counts.items() if counts.sum() >= MIN_COUNTED]
            found = tuple(FeatureCounts(feature=n, counts=tuple(self._counts[n].tolist())) for n in ready)
            for number in ready:
                self._counts[number] = np.zeros_like(self._counts[number])
            return found


class Spread:
    """Counts what an agent sees over the bins of its base model: the current one, or else the one on its way."""

    def __init__(self, agent: Agent, bases: Bases) -> None:
        """Begin with whatever base there is; a later one is found when the counts are taken."""
        self._agent, self._bases = agent, bases
        self._digest: str | None = None
        self._places: Places = {}
        self._bins: Bins | None = None
        self._renew()

    def taken(self) -> tuple[str | None, tuple[FeatureCounts, ...]]:
        """Return who declares the bins and the counts since the last time; None and nothing without a base."""
        digest, bins = self._digest, self._bins
        self._renew()
        found = bins.taken() if bins else ()
        return (digest, found) if found else (None, ())

    def _renew(self) -> None:
        """Count over other bins if another base declares them, or its columns are elsewhere now."""
        digest, needs = self._declared()
        places = self._found(needs) if needs else {}
        if (digest, places) == (self._digest, self._places):
            return
        self._digest, self._places = digest, places
        self._bins = Bins(needs, places) if needs and places else None
        self._agent.onlooker(self._bins.add if self._bins else None)

    def _declared(self) -> tuple[str | None, Constraints | None]:
        for slot in self._bases.read().usable:
            needs = self._bases.needs(slot.digest)
            if needs and any(feature.edges for feature in needs.features):
                return slot.digest, needs
        return None, None

    def _found(self, needs: Constraints) -> Places:
        """Return the columns of the stream that have edges; none as long as no event has told the columns."""
        place = self._agent.look(lambda _, inputs: inputs.encoder.place)
        counted = [(number, feature) for number, feature in enumerate(needs.features) if feature.edges]
        found = [(number, place(feature.name)) for number, feature in counted] if place else []
        return {number: column for number, column in found if column is not None}

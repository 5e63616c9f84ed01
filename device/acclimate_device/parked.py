"""Parked states: what was proven in a context that has gone, kept for the day it returns.

When an anchor gives up its place, it is parked if it has become clearly worse than it was when it was made, or if a
parked state has won: then its context has gone, while one that was merely overtaken is dropped. When what serves has
got worse, suddenly or not, or a long time has passed, the parked ones are asked about the latest labelled events; one
that is clearly better on them becomes a challenger as it is, and if it wins, everyone goes on from its states.

Bounded by number and bytes. Of two that answer alike the older leaves, otherwise the one that was used least recently.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.plans import CAP_ERRORS
from acclimate_device.roster import Frozen, Roster, States

Array = npt.NDArray[Any]

MOST_PARKED = 4
MOST_PARKED_BYTES = 16 << 20
HOME_ROWS = 512  # labels that tell how good a state was where it was made
GONE_ROWS = 128  # labels that tell whether that is over
CLEARLY = 3.0  # standard errors
ALIKE = 0.05  # mean difference of the losses of two states of one context
LEAST = 1 / 64  # of the cap: a spread that is taken for granted
RUN_ROWS = 32  # losses in a run hang together; means of runs hardly do


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parked:
    """A state on the shelf.

    Attributes:
        frozen: the state.
        version: of the model when it was parked.
        label: after which it was parked, or last lost a test.
    """

    frozen: Frozen
    version: str
    label: int

    @property
    def nbytes(self) -> int:
        """Size of its tensors."""
        return bytes_of(self.frozen.states)


def bytes_of(states: States) -> int:
    """Return the size of all tensors of a state in bytes."""
    return sum(array.nbytes for state in states.values() for array in state.values())


def risen(before: Array, now: Array) -> bool:
    """Return whether the losses ``now`` are clearly larger than those ``before``, by the spread of means of runs.

    Args:
        before: (n,) losses, at least 2 * RUN_ROWS; errors beyond 1 are cut at CAP_ERRORS usual ones.
        now: (m,) losses.
    """
    if len(before) < 2 * RUN_ROWS or len(now) < RUN_ROWS:
        return False
    usual = float(np.median(before)) or float(before.mean())
    cap = 1.0 if before.max() <= 1.0 else CAP_ERRORS * usual
    runs = len(before) // RUN_ROWS
    means = np.minimum(before[-runs * RUN_ROWS :], cap).reshape(runs, RUN_ROWS).mean(1)
    error = max(float(means.std(ddof=1)), LEAST * cap) / np.sqrt(len(now) / RUN_ROWS)
    return bool(np.minimum(now, cap).mean() - means.mean() > CLEARLY * error)


class Shelf:
    """Parked states, oldest use first."""

    def __init__(self, roster: Roster) -> None:
        """Start empty."""
        self._roster = roster
        self.entries: list[Parked] = []
        self.home: Array = np.empty(0)  # losses of the anchor where it was made

    def settle(self, home: Array) -> None:
        """Note how good the new anchor was where it was made: (n,) losses of before."""
        self.home = np.array(home[-HOME_ROWS:])

    def gone(self, recent: Array) -> bool:
        """Return whether the context of the anchor is over, from its losses (n,) since it was made.

        It is if it answers worse than where it was made, or worse than it did for a while afterwards.
        """
        now = recent[-GONE_ROWS:]
        return risen(self.home, now) or risen(recent[: len(recent) - len(now)], now)

    def park(self, entry: Parked, alike: Mapping[int, float]) -> list[Parked]:
        """Keep a state.

        Args:
            entry: the state.
            alike: how much it differs from parked ones on recent events, by their number.

        Returns:
            What had to leave for it.
        """
        if entry.nbytes > MOST_PARKED_BYTES:
            return [entry]
        left = [e for e in self.entries if alike.get(e.frozen.number, 1.0) <= ALIKE]
        self.entries = [e for e in self.entries if e not in left] + [entry]
        while len(self.entries) > MOST_PARKED or sum(e.nbytes for e in self.entries) > MOST_PARKED_BYTES:
            left.append(self.entries.pop(0))
        return left

    def rest(self, number: int, label: int) -> None:
        """Note that a parked state has lost a test."""
        self.entries = [replace(e, label=label) if e.frozen.number == number else e for e in self.entries]

    def remove(self, number: int) -> None:
        """Give up a parked state: it serves again."""
        self.entries = [e for e in self.entries if e.frozen.number != number]

    def grow(self, classes: int) -> None:
        """Make room for more classes."""
        grow = self._roster.committee.grow
        self.entries = [
            replace(e, frozen=replace(e.frozen, states=grow(e.frozen.states, classes))) for e in self.entries
        ]

    def result(self) -> list[dict[str, Any]]:
        """Return the parked states as results list them."""
        live = self._roster.live
        return [
            {"version": e.version, "candidate": live[e.frozen.column], "label": e.label, "bytes": e.nbytes}
            for e in self.entries
        ]

    def tensors(self) -> dict[str, Array]:
        """Return every tensor of the state as ``place/member/tensor``."""
        named = {f"{at}/{name}/{key}": array for at, e in enumerate(self.entries)
                 for name, state in e.frozen.states.items() for key, array in state.items()}  # fmt: skip
        return named | {"home/losses/": self.home}

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the rest of the state as JSON values."""
        return [[e.frozen.column, e.frozen.number, e.version, e.label] for e in self.entries]

    def restore(self, tensors: Mapping[str, Array], document: Any) -> None:  # noqa: ANN401
        """Take back what ``tensors`` and ``document`` returned."""
        places: dict[str, dict[str, dict[str, Array]]] = {}
        for path, array in tensors.items():
            place, name, key = path.split("/", 2)
            places.setdefault(place, {}).setdefault(name, {})[key] = array
        self.home = np.array(places["home"]["losses"][""])
        self.entries = [
            Parked(frozen=Frozen(places[str(at)], column, number), version=version, label=label)
            for at, (column, number, version, label) in enumerate(document)
        ]

"""Challengers where nothing that serves may move: frozen copies of live candidates, tested as they are.

The live candidate is the trainer: it goes on learning and supplies the next snapshot.
"""

from typing import Any

from acclimate_device.contest import Contest
from acclimate_device.roster import Roster


class Snapshots:
    """Which slot holds a snapshot of which live candidate."""

    def __init__(self, roster: Roster, contest: Contest, slots: int) -> None:
        """Start with no snapshot; the slot 0 is the champion's, the next ``slots`` are theirs."""
        self._roster, self._contest, self._slots = roster, contest, slots
        self._sources: dict[int, int] = {}  # judged column to the live one

    def start(self, column: int) -> None:
        """Put a snapshot of a live candidate to the test, if a slot is free and it has none in test."""
        roster = self._roster
        empty = [at for at, slot in enumerate(roster.slots[: 1 + self._slots]) if slot is None]
        if not empty or column in self._sources.values():
            return
        roster.freeze(empty[0], column)
        judged = roster.slot_column(empty[0])
        self._contest.forget(judged)
        self._sources[judged] = column
        self._contest.start(judged, seen=column, challenger=f"{roster.live[column]}@{self._contest.labels}")

    def free(self) -> None:
        """Give free the slots whose test has ended; their candidates rest before they supply another."""
        for judged in [column for column in self._sources if column not in self._contest.running]:
            self._contest.parked_at[self._sources.pop(judged)] = self._contest.labels
            slots = list(self._roster.slots)
            slots[judged - len(self._roster.live)] = None
            self._roster.occupy(slots)

    def clear(self) -> None:
        """Forget all of them: another champion serves."""
        self._sources.clear()

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the state as JSON values."""
        return [[judged, live] for judged, live in self._sources.items()]

    def restore(self, document: Any) -> None:  # noqa: ANN401
        """Take back what ``document`` returned."""
        self._sources = dict(document)

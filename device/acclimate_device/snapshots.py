"""Challengers where nothing that serves may move: frozen copies of live candidates, tested as they are.

The live candidate is the trainer: it goes on learning and supplies the next snapshot. Every test costs a level of the
account, so two candidates that answer alike are not both tested, and a snapshot that its trainer has left far behind is
withdrawn for a fresh one at most as often as what it had learned from has doubled.
"""

from typing import Any

from acclimate_device.contest import PROMISING, Contest
from acclimate_device.roster import Roster

MIN_AGE = 1024  # labels before a snapshot may be withdrawn
HALF_WAY = 0.5  # of the evidence that it needs; a test that has come so far is not withdrawn


class Snapshots:
    """Which slot holds a snapshot of which live candidate."""

    def __init__(self, roster: Roster, contest: Contest, slots: int) -> None:
        """Start with no snapshot; the slot 0 is the champion's, the next ``slots`` are theirs."""
        self._roster, self._contest, self._slots = roster, contest, slots
        self._sources: dict[int, tuple[int, int]] = {}  # judged column to the live one, and to the label of its birth

    def start(self, column: int) -> None:
        """Put a snapshot of a live candidate to the test, if a slot is free and none in test is much like it."""
        roster = self._roster
        empty = [at for at, slot in enumerate(roster.slots[: 1 + self._slots]) if slot is None]
        if not empty or any(self._alike(column, live) for live, _ in self._sources.values()):
            return
        roster.freeze(empty[0], column)
        judged = roster.slot_column(empty[0])
        self._contest.forget(judged)
        self._sources[judged] = column, self._contest.labels
        self._contest.start(judged, seen=column, challenger=f"{roster.live[column]}@{self._contest.labels}")

    def _alike(self, column: int, other: int) -> bool:
        """Return whether two live candidates' recent losses differ so seldom that one test answers for both."""
        pair = self._contest.recent(column, other)
        if column == other or not len(pair):
            return column == other
        return float((pair[:, 0] != pair[:, 1]).mean()) < self._contest.plan.mde

    def renew(self) -> None:
        """Withdraw the snapshots whose trainers have left them behind, and free the slots whose test has ended."""
        contest = self._contest
        for judged, (live, born) in list(self._sources.items()):
            if judged not in contest.running or contest.labels - born < max(MIN_AGE, born):
                continue
            lead, errors = contest.lead(live, over=judged)
            log_e, threshold = contest.standing()[contest.names[judged]]
            if lead >= contest.plan.mde and errors >= PROMISING and log_e < HALF_WAY * threshold:
                contest.withdraw(judged, "its trainer has left it behind", {"lead": lead, "log_e": log_e})
        self.free()

    def free(self) -> None:
        """Give free the slots whose test has ended; a beaten candidate rests before it supplies another."""
        for judged in [column for column in self._sources if column not in self._contest.running]:
            live, _ = self._sources.pop(judged)
            if self._contest.status.get(judged) in {"rejected", "equivalent"}:
                self._contest.cool_down.move(judged, live, self._contest.labels)
            slots = list(self._roster.slots)
            slots[judged - len(self._roster.live)] = None
            self._roster.occupy(slots)

    def clear(self) -> None:
        """Forget all of them: another champion serves."""
        self._sources.clear()

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the state as JSON values."""
        return [[judged, *source] for judged, source in self._sources.items()]

    def restore(self, document: Any) -> None:  # noqa: ANN401
        """Take back what ``document`` returned."""
        self._sources = {judged: (live, born) for judged, live, born in document}

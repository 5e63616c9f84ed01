"""What happens in a contest, as it is logged."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

COUNTED = {"promotion": "promote", "rollback": "rollback", "quarantine": "quarantined", "override": "override"}


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened in the contest.

    Attributes:
        row: label after which it happened.
        candidate: id.
        event: start, promote, reject, equivalent, restart, void, withdraw, gate, quarantined, quality, rollback,
            return, override, commission, parked, left out, surgery, forget, probation, incident.
        reason: for people.
        numbers: what it rests on.
    """

    row: int
    candidate: str
    event: str
    reason: str
    numbers: dict[str, float]

    def told(self) -> str:
        """Return it in one line."""
        return f"label {self.row:,}: {self.candidate}: {self.event}, {self.reason}"


@dataclass(frozen=True, slots=True)
class Promotion:
    """A challenger has won: its column is to serve."""

    column: int


def happened(log: Iterable[Transition]) -> dict[str, int]:
    """Return how often somebody was promoted, rolled back, quarantined or put in charge, as far as a log goes back."""
    events = [transition.event for transition in list(log)]  # a copy: who asks may be another thread
    return {name: events.count(event) for name, event in COUNTED.items()}

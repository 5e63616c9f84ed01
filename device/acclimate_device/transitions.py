"""What happens in a contest, as it is logged."""

from dataclasses import dataclass

import msgspec


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened in the contest.

    Attributes:
        row: label after which it happened.
        candidate: id.
        event: start, promote, reject, equivalent, restart, void, withdraw, gate, quarantined, quality, rollback,
            return, override, commission, parked, left out, surgery, probation, incident.
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

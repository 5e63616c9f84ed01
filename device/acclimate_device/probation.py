"""Who may go on: limits at every commit; from outside: a victory, a probation, being let in, the gates."""

from collections.abc import Callable, Sequence

from acclimate_device.contest import Contest
from acclimate_device.gatekeeper import Gatekeeper
from acclimate_device.outsider import Outsider
from acclimate_device.roster import Roster


class Probation:
    """Looks after the candidates at every commit."""

    def __init__(self, roster: Roster, contest: Contest, gatekeeper: Gatekeeper, probation: int) -> None:
        """Start.

        Args:
            roster: of all candidates.
            contest: that they take part in.
            gatekeeper: knows the limits.
            probation: commits without incident between a victory and being let in.
        """
        self._roster, self._contest, self._gatekeeper = roster, contest, gatekeeper
        self._probation = probation

    @property
    def remote(self) -> list[int]:
        """Columns of the candidates that have a process of their own."""
        return [column for column in range(self._roster.own, len(self._roster.live)) if self._roster.remote(column)]

    def within_limits(self, columns: Sequence[int]) -> list[int]:
        """Quarantine the candidates that break a limit; return the others."""
        broken = {column: [v.name for v in self._gatekeeper.limits(column) if not v.passed] for column in columns}
        for column in [column for column in columns if broken[column]]:
            self._contest.quarantine(column, f"it broke the limit {broken[column][0]}")
        return [column for column in columns if not broken[column]]

    def hold(self, column: int) -> bool:
        """Put a winner on probation if it has a process of its own; return whether it has."""
        if not self._roster.remote(column):
            return False
        self._outsider(column).probation = self._probation
        self._contest.hold(column, {"commits": float(self._probation)})
        return True

    def attend(self, promote: Callable[[int], None]) -> None:
        """Note incidents, let in who has served its probation, take over the states of the others.

        Args:
            promote: lets a column serve.
        """
        for column in self.remote:
            outsider = self._outsider(column)
            for reason in outsider.news():
                self._contest.incident(column, reason)
            if outsider.quarantined:
                self._contest.quarantine(column, outsider.quarantined)
            elif column in self._contest.held and outsider.probation == 0 and not outsider.stays_out:
                self._let_in(column, promote)
        self._roster.outside.commit(self._roster.moment.step)

    def _let_in(self, column: int, promote: Callable[[int], None]) -> None:
        if self._roster.let_in(column) and self._contest.release(column):
            promote(column)

    def _outsider(self, column: int) -> Outsider:
        return self._roster.outside.named(self._roster.live[column])

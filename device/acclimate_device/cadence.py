"""When a replay learns: a scheduler that is asked after every chunk, and the record of its firings.

Event time is counted in rows, and no processor time is measured: the same rows give the same firings.
"""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from acclimate_device.triggers import Firing, Moment, Policy, Scheduler

MOST_FIRINGS = 1000  # kept in the state; the count goes on


class Cadence:
    """A scheduler, and what it has decided so far.

    Attributes:
        judged: of the rows that wait to be learned, how many have been judged.
        dropped: rows that waited for so long that they were given up.
    """

    def __init__(self, policy: Policy) -> None:
        """Start with nothing fired."""
        self.policy = policy
        self.judged = self.dropped = 0
        self.firings: list[dict[str, Any]] = []
        self.fired = 0
        self._labelled = 0
        self._scheduler = Scheduler(policy)

    def ask(self, *, rows: int, losses: npt.NDArray[np.float64]) -> bool:
        """Return whether it is time to learn.

        Args:
            rows: number of the last row.
            losses: (labels,) of what served, those that have arrived since the last call.
        """
        firing: Firing | None = None
        for loss in losses.tolist():
            self._labelled += 1
            moment = Moment(rows=rows, labelled=self._labelled, time_s=float(rows), loss=loss)
            firing = self._scheduler.update(moment) or firing
        if firing is None:
            return False
        self.fired += 1
        self.firings.append({"row": rows, "trigger": firing.trigger, "cause": firing.cause})
        del self.firings[:-MOST_FIRINGS]
        return True

    def result(self) -> dict[str, Any]:
        """Return the firings as results list them."""
        return {"fired": self.fired, "dropped_rows": self.dropped, "firings": self.firings}

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the state as JSON values."""
        firings = msgspec.to_builtins(self.firings)
        counts = [self.judged, self.dropped, self.fired, self._labelled]
        return [counts, firings, self._scheduler.to_bytes().hex()]

    def restore(self, document: Any) -> None:  # noqa: ANN401
        """Take back what ``document`` returned."""
        (self.judged, self.dropped, self.fired, self._labelled), self.firings, state = document
        self._scheduler = Scheduler(self.policy, bytes.fromhex(state))

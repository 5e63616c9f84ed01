"""When to learn: a scheduler that is asked whenever labels have come, and the record of its firings.

A replay and a live agent share it. Labels are judged at once; those that wait to be learned are held by the caller, at
most ``most_held`` of them: older ones are given up, counted. In a replay event time is counted in rows and no
processor time is measured, so that the same rows give the same firings; an agent has a clock for them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from acclimate_device.arena import Arena
from acclimate_device.triggers import All, AnyOf, Drift, Firing, Moment, Policy, Scheduler, Trigger
from acclimate_device.worth import Worth

Array = npt.NDArray[Any]

MOST_FIRINGS = 1000  # kept in the state; the count goes on
MAX_HELD_ROWS = 20_000  # labelled rows that wait for a trigger, whatever the policy says


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """When the scheduler is asked; see ``acclimate_device.triggers.Moment``.

    Attributes:
        rows: ordinal of the last row that was answered.
        time_s: event time, seconds.
        local_hour: in [0, 24); None if there is no clock.
        cpu_s: processor seconds that learning has used.
    """

    rows: int
    time_s: float
    local_hour: float | None = None
    cpu_s: float = 0.0

    def told(self) -> list[float | None]:
        """Return the numbers, for ``Now.of``."""
        return [self.rows, self.time_s, self.local_hour, self.cpu_s]

    @classmethod
    def of(cls, told: Sequence[float | None]) -> "Now":
        """Return the moment that was told."""
        rows, time_s, local_hour, cpu_s = told
        return cls(rows=int(rows or 0), time_s=time_s or 0.0, local_hour=local_hour, cpu_s=cpu_s or 0.0)


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
        self._due = False  # a firing that has not been acted on yet
        self._scheduler = Scheduler(policy)
        self._worth = Worth(policy.back_off.min_gain) if policy.back_off else None

    @property
    def most_held(self) -> int:
        """Labelled rows that may wait to be learned."""
        return min(self.policy.most_rows, MAX_HELD_ROWS)

    @property
    def sees_inputs(self) -> bool:
        """Whether a trigger looks at the inputs."""
        return _sees_inputs(self.policy.trigger)

    def watch(self, features: Array, now: Now) -> None:
        """Take the inputs of rows that were answered, (rows, features) float64, for the triggers that look at them."""
        if self.sees_inputs:
            for row in features.tolist():
                self._update(now, drift=tuple(row))

    def see(self, arena: Arena, x: Array, y: Array, live: Array, rows: Array) -> None:
        """Take labelled rows that have been judged, to tell what learning brings; as ``Worth.see``."""
        gain = self._worth.see(arena, x, y, live, rows) if self._worth else None
        if gain is not None:
            self._scheduler.report(gain)
            if self.firings:
                self.firings[-1]["gain"] = gain

    def ask(self, arena: Arena, now: Now, losses: npt.NDArray[np.float64]) -> bool:
        """Return whether it is time to learn; the caller then learns all that it holds.

        Args:
            arena: that will learn.
            now: the moment.
            losses: (labels,) of what served, those that have arrived since the last call; empty if none has.
        """
        for loss in losses.tolist():
            self._labelled += 1
            self._update(now, loss=loss if math.isfinite(loss) else None)
        if not len(losses):
            self._update(now)
        due, self._due = self._due, False
        if due and self._worth:
            self._worth.fires(arena, now.rows)
        return due

    def _update(self, now: Now, *, loss: float | None = None, drift: tuple[float, ...] | None = None) -> None:
        """Ask the scheduler, and note a firing."""
        moment = Moment(
            rows=now.rows, labelled=self._labelled, time_s=now.time_s, local_hour=now.local_hour, loss=loss,
            drift=drift, cpu_s=now.cpu_s,
        )  # fmt: skip
        firing: Firing | None = self._scheduler.update(moment)
        if firing is None:
            return
        self._due = True
        self.fired += 1
        self.firings.append({"row": now.rows, "trigger": firing.trigger, "cause": firing.cause})
        del self.firings[:-MOST_FIRINGS]

    def result(self) -> dict[str, Any]:
        """Return the firings as results list them, and what holds learning back now."""
        held = self._scheduler.held
        told = None if held is None else {"trigger": held.trigger, "reason": held.reason, **held.detail}
        return told_of(self.document()) | {"held_back": told}

    def tensors(self) -> dict[str, Array]:
        """Return the tensors of the state."""
        return self._worth.tensors() if self._worth else {}

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the rest of the state as JSON values."""
        firings = msgspec.to_builtins(self.firings)
        counts = [self.judged, self.dropped, self.fired, self._labelled, self._due]
        return [counts, firings, self._scheduler.to_bytes().hex(), self._worth.document() if self._worth else None]

    def restore(self, tensors: Mapping[str, Array], document: Any) -> None:  # noqa: ANN401
        """Take back what ``tensors`` and ``document`` returned; the policy may have changed meanwhile."""
        counts, self.firings, state, worth = document
        self.judged, self.dropped, self.fired, self._labelled, self._due = counts
        self._scheduler = Scheduler(self.policy, bytes.fromhex(state))
        if self._worth and worth:
            self._worth.restore(tensors, worth)


def told_of(document: Any) -> dict[str, Any]:  # noqa: ANN401 (JSON)
    """Return the firings that a saved state holds, as results list them."""
    (_, dropped, fired, _, _), firings, _, _ = document
    return {"fired": fired, "dropped_rows": dropped, "firings": firings}


def _sees_inputs(trigger: Trigger) -> bool:
    """Return whether a trigger, or a part of it, looks at the inputs."""
    if isinstance(trigger, AnyOf | All):
        return any(_sees_inputs(part) for part in trigger.of)
    return isinstance(trigger, Drift) and trigger.on == "drift"

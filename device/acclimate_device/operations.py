"""What may be done to a model as a whole, while it lives: amend, add inputs, change who takes part, start over."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from acclimate_device.arena import Arena
from acclimate_device.checkpoint import Saved, restore_model
from acclimate_device.contest import QUARANTINED
from acclimate_device.core import CHUNK, Core
from acclimate_device.operate import operable, operate, put_back, said
from acclimate_device.outside import BASE, Base
from acclimate_device.schema import Column
from acclimate_device.shadows import complete
from acclimate_device.slots import Health
from acclimate_shared.errors import UsageError

Array = npt.NDArray[Any]


class Operations(Core):
    """A core and the operations on it; every one waits for the labels given so far, and ends with a checkpoint."""

    def amend(self, change: Callable[[Arena], None]) -> None:
        """Let a person change the contest, and commit; see ``acclimate_device.control``.

        Raises:
            UsageError: nothing has been predicted yet, or what ``change`` raises.
        """
        with self._learning:
            if self._arena is None:
                raise UsageError("nothing has been predicted yet", field="agent", remedy="let it see events first")
            self._complete(self._arena)
            change(self._arena)
            for version in (True, False):  # no journal repeats the change, so both checkpoints hold it
                self._save(version=version, forced=True)

    def add_inputs(self, columns: Sequence[Column], *, who: str = "", why: str = "") -> None:
        """Take up new columns: a new major version that answers as the old one; no other thread may use the agent.

        Raises:
            UsageError: one that there is already, nothing has been predicted yet, or labels are held in quarantine.
        """
        self.flush()
        with self._learning:
            inputs, arena = operable(self._inputs, self._arena, columns)
            if columns:
                self.desk.forget_rows()
                self._count(0, self._pace.settled(arena))
                self._save(forced=True)
                self._log.bring_back()
                saved = operate(inputs, arena, self._log, columns)
                self._start([*inputs.encoder.columns, *columns], fresh=False)
                arena = put_back(saved, *operable(self._inputs, self._arena, ()), self._log)
                arena.operated(said(columns, why), who)
                self._save(forced=True)
                self._save(version=False, forced=True)

    def start_over(self, saved: Saved | None, again: Callable[[Arena], int]) -> None:
        """Go back to earlier states, and learn again from there; what waits for labels goes on waiting.

        Args:
            saved: a checkpoint of this model with the same columns; None for the very beginning.
            again: teaches; returns how many labels.

        Raises:
            UsageError: nothing has been predicted yet.
            StateError: the disk refuses.
        """
        self.flush()
        with self._learning:
            inputs, old = operable(self._inputs, self._arena, ())
            self._complete(old)
            self._log.bring_back()
            self._pace.settled(old)
            known, major = inputs.document(), old.major
            inputs, arena = self._start(inputs.encoder.columns, fresh=False)
            if saved:
                restore_model(*saved, inputs, arena)
            inputs.restore(known)
            arena.grow(inputs.capacity)
            arena.major = major
            learned = again(arena)
            for logged in self._log.items():  # whoever is judged by them has to answer them
                logged.moment, logged.memo = arena.roster.moment, None
            arena.roster.stored = arena.roster.live
            complete(arena.roster, self._log.items(), CHUNK)
            self._count(0, learned)
            for version in (True, False):
                self._save(version=version, forced=True)

    def regroup(self, bases: Sequence[Base]) -> None:
        """Let exactly these released bases take part from now on; nothing else changes, no answer of others either.

        Raises:
            PackageError: one of them is not valid.
            UsageError: one does not fit the inputs, or the policy lets none take part.
            StateError: the disk refuses.
        """
        self.flush()
        with self._learning:
            inputs, arena = self._inputs, self._arena
            rules = replace(self._rules, visitors=replace(self._rules.visitors, bases=tuple(bases)))
            if inputs is None or arena is None:
                self._rules = rules
                return
            if [base.name for base in bases] == _bases(arena):
                return
            fresh = self._arena_by(inputs, rules)  # slow, so before the locks
            arena.roster.outside.settle(arena.roster.moment.step)
            with self._completing, self._lock:
                self._complete(arena)
                fresh.restore(arena.tensors(), arena.document())
                fresh.fit(inputs.layout())
                self._refit(fresh)
                self._arena, self._rules, self.unfit = fresh, rules, ""
            fresh.stands(arena.version)
            arena.close()
            for _ in range(2):  # no journal repeats the change, so both checkpoints hold it
                self._save(version=False, forced=True)

    def onlooker(self, look: Callable[[Array], None] | None) -> None:
        """Let somebody see the inputs of events when the detectors of drift do; None for nobody.

        Args:
            look: takes (rows, features) float64, in the thread that learns, and keeps none of it.
        """
        self._pace.onlooker = look

    def health(self) -> dict[str, Health]:
        """Return how the released bases fare, by the id of their candidates; empty before the first event."""
        with self._learning:
            arena = self._arena
            return {name: _health(arena, name) for name in _bases(arena)} if arena else {}

    @property
    def policy(self) -> str:
        """How the contest is run, see ``Rules``."""
        return self._rules.policy

    @property
    def asked(self) -> int:
        """How many predictions were made in the life of the state."""
        return self._log.sequence

    @property
    def commits(self) -> int:
        """How many micro-batches were committed in the life of the state."""
        return self._keeper.commits


def _bases(arena: Arena) -> list[str]:
    return [name for name in arena.roster.outside.names if name.startswith(BASE)]


def _health(arena: Arena, name: str) -> Health:
    words = [t for t in arena.contest.log if t.candidate == name]
    quarantined = arena.contest.status.get(arena.names.index(name)) == QUARANTINED
    shut = [(t.row, t.reason.split()[1]) for t in words if t.event == "gate" and t.reason.endswith("is shut")]
    return Health(
        inside=not arena.roster.outside.remote(name),
        quarantined=next((t.reason for t in reversed(words) if t.event == QUARANTINED), "") if quarantined else "",
        shut=tuple(shut),
    )

"""The lineage of a device's model as it is written: one record for every version, in the transaction of its commit.

In memory stays only what the next record needs: the newest record and the minors that were given. The whole chain is
read and checked when a state is opened, and whenever somebody asks for it.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.arena import Arena
from acclimate_device.inputs import Inputs
from acclimate_device.rules import Event
from acclimate_shared.learner import tensors_digest
from acclimate_shared.lineage import Change, Lineage, Window

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a commit stands.

    Attributes:
        first: ordinal of the first label that was learned since the commit before, ``last`` of the last one.
        labels: how many.
        cpu_s: processor seconds since the commit before.
        time_s: wall clock, seconds since 1970; in a replay the row, so that it is the same every time.
        seed: of the model.
    """

    first: int
    last: int
    labels: int
    cpu_s: float
    time_s: float
    seed: int


class LineageLog:
    """Writes the records of one model."""

    def __init__(self, stored: bytes) -> None:
        """Go on from what a store holds, nothing for a new model.

        Raises:
            CorruptStateError: a byte of it is not what it was.
            StateMismatchError: a newer version wrote it.
        """
        self._lineage = Lineage.loads(stored).tail()

    @property
    def newest(self) -> str:
        """The version of the newest record, empty for none."""
        return next((record.version for record in self._lineage), "")

    @property
    def graph(self) -> str:
        """What served at the newest record, empty for none."""
        return next((record.graph for record in self._lineage), "")

    def record(self, arena: Arena, inputs: Inputs, events: Sequence[Event], progress: Progress) -> list[bytes]:
        """Return the lines of what happened since the commit before, and of the commit itself.

        Args:
            arena: after its commit.
            inputs: of the model.
            events: from ``Arena.commit``, in order.
            progress: of this commit.
        """
        lines = []
        schema = inputs.digest()
        model = tensors_digest(_serving(arena))
        if not self._lineage:
            first = events[0].procedure if events else arena.procedure()
            start = Change(
                kind="start", model=model, graph=first, schema=schema, seed=progress.seed, time_s=progress.time_s
            )
            lines.append(self._append(start))
        for at, event in enumerate(events):
            newest = at == len(events) - 1
            window = Window(first=progress.first, last=progress.last, labels=progress.labels)
            change = Change(
                kind=event.kind,
                model=model,
                graph=event.procedure,
                schema=schema,
                parents=(self._lineage.head,),
                window=window if newest and progress.labels else None,
                plan=event.plan,
                evidence=event.proof,
                gates=event.gates,
                seed=progress.seed,
                cpu_s=max(progress.cpu_s, 0.0) if newest else 0.0,
                reason=event.reason,
                who=event.who,
                time_s=progress.time_s,
            )
            lines.append(self._append(change))
        return lines

    def _append(self, change: Change) -> bytes:
        record = self._lineage.append(change)
        line = self._lineage.line(record.version)
        self._lineage = self._lineage.tail()
        return line


def _serving(arena: Arena) -> Mapping[str, Array]:
    """Return the tensors of the states that serve."""
    states = arena.roster.serving_states
    return {f"{name}/{key}": np.asarray(array) for name, state in states.items() for key, array in state.items()}


class Recorder:
    """Knows what was learned, and at what cost, since the last record; one for an agent or a replay with a store."""

    def __init__(self, stored: bytes, learned: int, seed: int) -> None:
        """Go on from what a store holds.

        Args:
            stored: lines of the lineage.
            learned: labels learned so far.
            seed: of the model.

        Raises:
            CorruptStateError: a byte of the lineage is not what it was.
            StateMismatchError: a newer version wrote it.
        """
        self._log = LineageLog(stored)
        self._learned, self._seed, self._cpu_s = learned, seed, time.process_time()

    @property
    def newest(self) -> str:
        """The version of the newest record, empty for none."""
        return self._log.newest

    @property
    def graph(self) -> str:
        """What served at the newest record, empty for none."""
        return self._log.graph

    def lines(
        self, arena: Arena, inputs: Inputs, events: Sequence[Event], *, learned: int, time_s: float
    ) -> list[bytes]:
        """Return the lines of a commit; see ``LineageLog.record``."""
        now = time.process_time()
        progress = Progress(
            first=self._learned + 1,
            last=learned,
            labels=learned - self._learned,
            cpu_s=now - self._cpu_s,
            time_s=time_s,
            seed=self._seed,
        )
        self._learned, self._cpu_s = learned, now
        return self._log.record(arena, inputs, events, progress)

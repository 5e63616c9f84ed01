"""What an agent keeps on disk: one transaction a commit, and the way back from it."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from acclimate_device import checkpoint
from acclimate_device.admission.desk import Desk
from acclimate_device.arena import Arena
from acclimate_device.inputs import Inputs
from acclimate_device.join import PendingLog
from acclimate_device.lineage_log import Recorder
from acclimate_device.rules import Event
from acclimate_device.schema import Column
from acclimate_device.store import Store

Array = npt.NDArray[Any]
Saved = tuple[dict[str, Array], dict[str, Any]]  # tensors and documents of a checkpoint


class Keeper:
    """The counters of an agent's life, and the folder that outlives it, if there is one."""

    def __init__(self, folder: Path | None, facts: Mapping[str, Any], seed: int, desk: Desk) -> None:
        """Open the folder.

        Args:
            folder: None keeps nothing.
            facts: what a state is tied to.
            seed: goes into the lineage.
            desk: of the agent; what it knows is kept as well.

        Raises:
            StateError: the state cannot be used or belongs to another configuration.
        """
        self.learned = self.commits = self.since_commit = 0
        self._seed, self._desk = seed, desk
        self._recorder: Recorder | None = None
        self._store = Store(folder) if folder else None
        if self._store:
            self._store.bind(facts)

    def load(self) -> Saved | None:
        """Return the last checkpoint, None if there is none."""
        return self._store.load() if self._store else None

    def resume(self, saved: Saved, inputs: Inputs, arena: Arena, log: PendingLog) -> None:
        """Put a checkpoint into a fresh agent, and go on counting."""
        counters = checkpoint.unpack(*saved, inputs, arena, log, self._desk)
        self.learned, self.commits = counters["learned"], counters["commits"]
        if self._store:
            self._recorder = Recorder(self._store.lineage(), self.learned, self._seed)

    @staticmethod
    def columns(saved: Saved) -> tuple[Column, ...]:
        """Return the columns of a checkpoint."""
        return checkpoint.columns(saved[1])

    def count(self, labels: int, learned: int) -> None:
        """Note how many labels came, and how many of them were learned."""
        self.learned += learned
        self.since_commit += labels

    def pack(self, inputs: Inputs | None, arena: Arena | None, log: PendingLog) -> Saved | None:
        """Return a checkpoint of the moment, to be given to ``commit``; None if there is nothing to keep.

        Args:
            inputs: None before the first event.
            arena: likewise.
            log: every waiting prediction has its complete memo.
        """
        if self._store is None or inputs is None or arena is None:
            return None
        counters = {"learned": self.learned, "commits": self.commits + 1}
        return checkpoint.pack(inputs, arena, log, counters, self._desk)

    def commit(self, packed: Saved | None, inputs: Inputs | None, arena: Arena | None, events: list[Event]) -> None:
        """Make everything durable in one transaction.

        Args:
            packed: from ``pack``.
            inputs: as in ``pack``.
            arena: likewise.
            events: what made a version since the last commit.
        """
        self.commits += 1
        self.since_commit = 0
        if self._store is None or inputs is None or arena is None or packed is None:
            return
        if self._recorder is None:
            self._recorder = Recorder(self._store.lineage(), 0, self._seed)
        lines = self._recorder.lines(arena, inputs, events, learned=self.learned, time_s=time.time())
        self._store.commit(*packed, lines)

    @property
    def due(self) -> bool:
        """Whether closing must commit first: something was learned, or nothing was ever written."""
        return self._store is not None and (bool(self.since_commit) or not self.commits)

    def bytes(self) -> int:
        """Return the size of the state on disk in bytes."""
        return self._store.bytes() if self._store else 0

    def close(self) -> None:
        """Release the folder."""
        if self._store:
            self._store.close()
            self._store = None

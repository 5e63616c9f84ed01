"""What an agent keeps on disk: a journal of labels, a checkpoint now and then, and the way back from both.

Order of what happens to a label: it is accepted (its prediction is taken from the log, a record waits in the journal),
acknowledged (the record is durable), learned (a ``Step`` says with which others), and at some time part of a
checkpoint. Checkpoint and journal turn at the same moment, under the agent's lock; labels that were accepted but not
learned at that moment are part of the checkpoint. So every acknowledged label is learned once, whatever happens.

The way back: the last checkpoint that is whole, then the journal, step by step, by the same code that learned the first
time. Labels without a step are learned one by one.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from acclimate_device import checkpoint, records, relearning
from acclimate_device.arena import Arena
from acclimate_device.cadence import Now
from acclimate_device.checkpoint import Part, Saved
from acclimate_device.durability import Durability
from acclimate_device.expiry import Expired
from acclimate_device.inputs import Inputs
from acclimate_device.join import PendingLog
from acclimate_device.journal import Journal, Mark, Reader
from acclimate_device.lesson import Lesson
from acclimate_device.lineage_log import Recorder
from acclimate_device.logged import Early, Labelled, Logged
from acclimate_device.records import Came, Committed, Named, Record, Step, Ticked, given, predicted, taught
from acclimate_device.relearning import Ways
from acclimate_device.rules import Event
from acclimate_device.schema import Column
from acclimate_shared.errors import StateError

if TYPE_CHECKING:  # what seals takes memory: loaded where a state is kept
    from acclimate_device.store import Store

Array = npt.NDArray[Any]
logger = logging.getLogger(__name__)


class Keeper:
    """The counters of an agent's life, and the folder that outlives it, if there is one."""

    def __init__(
        self,
        folder: Path | None,
        facts: Mapping[str, Any],
        seed: int,
        durability: Durability | None = None,
        parts: Sequence[Part] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the folder.

        Args:
            folder: None keeps nothing.
            facts: what a state is tied to.
            seed: goes into the lineage.
            durability: None for the default.
            parts: what else has a state, beside inputs, arena and log.
            clock: seconds that never go back.

        Raises:
            StateError: the state cannot be used or belongs to another configuration.
        """
        self.learned = self.commits = self.since_commit = 0
        self._named = 0  # labels learned at the last commit
        self.durability = durability or Durability()
        self.trouble = ""  # why the last checkpoint failed, empty if it did not
        self._seed, self._clock, self._folder, self._parts = seed, clock, folder, parts
        self._recorder: Recorder | None = None
        self._journal: Journal | None = None
        self._mark = Mark.fresh(1)  # of the journal that belongs to the checkpoint to be written
        self._unlearned: dict[int, tuple[Labelled, str | float]] = {}  # accepted labels by sequence
        self._lines: list[bytes] = []  # of the lineage since the last checkpoint
        self._stored_lines = 0  # before them
        self._recorded: deque[list[bytes]] = deque()  # lines of commits that are being repeated
        self._unrecorded: list[list[bytes]] = []  # lines of repeated commits that the journal had lost
        self._repeating = self._dirty = False  # learning again; something was learned since the last checkpoint
        self._kept = 0  # journal of the last checkpoint
        self._cost = 0  # bytes of the last checkpoint
        self._events = self._worn = 0  # events of this state's life; bytes written before this start
        self._since = clock()
        self._store: Store | None = None
        if folder:
            from acclimate_device import store

            self._store = store.Store(folder)
            with self._or_close():
                self._store.bind(facts)

    @contextmanager
    def _or_close(self) -> Iterator[None]:
        """Let go of the folder if the start fails."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    # -- the way back -------------------------------------------------------------------------------------------

    def load(self) -> Saved | None:
        """Return the last checkpoint, None if there is none."""
        with self._or_close():
            return self._store.load() if self._store else None

    @staticmethod
    def columns(saved: Saved) -> tuple[Column, ...]:
        """Return the columns of a checkpoint."""
        return checkpoint.columns(saved[1])

    def resume(self, saved: Saved, inputs: Inputs, arena: Arena, log: PendingLog, ways: Ways) -> None:
        """Put a checkpoint into a fresh agent, repeat what the journal holds, and go on.

        Args:
            saved: from ``load``.
            inputs: fresh, of the columns of the checkpoint.
            arena: fresh.
            log: fresh.
            ways: how the agent learns and commits.

        Raises:
            StateError: the disk refuses.
        """
        with self._or_close():
            self._resume(saved, inputs, arena, log, ways)

    def _resume(self, saved: Saved, inputs: Inputs, arena: Arena, log: PendingLog, ways: Ways) -> None:
        if self._store is None or self._folder is None:
            return
        tensors, documents = saved
        counters = checkpoint.unpack(*saved, inputs, arena, log)
        for part in self._parts:
            part.restore(tensors, documents)
        self.learned, self.commits = counters["learned"], counters["commits"]
        self.since_commit, self._named = counters["since_commit"], counters["named"]
        self._stored_lines = documents.get("lines", self._store.lines())
        if "queued" in tensors:
            self._unlearned = relearning.queued(tensors["queued"].tobytes(), inputs)
        mark = Mark(documents["journal"][0], bytes.fromhex(documents["journal"][1])) if "journal" in documents else None
        reader = Reader(self._folder, self._store.vault)
        if mark:
            self._kept, self._repeating = mark.number, True
            self._recorded.extend(r.lines for r in reader.records(mark) if isinstance(r, Committed))
            count = relearning.relearn(reader.records(mark), self._unlearned, inputs, log, ways)
            if count:
                logger.info("%d records of the journal were repeated", count)
        self._repeating = False
        self._recorded.clear()
        self._mark = Mark.fresh(max(self._kept, reader.end.number) + 1)
        if mark and self.durability.journals and not reader.damaged:
            self._journal = Journal(self._folder, self._store.vault, reader.end)
            for lines in self._unrecorded:
                self._append(Committed(lines))
        else:
            self._write(self._packed(inputs, arena, log))
            self._store.trouble += reader.put_away()
        for item, _ in list(self._unlearned.values()):
            ways.learn([item], None)
        self._worn, self._events, self._cost = documents.get("wear", [0, 0, 0])

    def begin(self, inputs: Inputs, arena: Arena, log: PendingLog) -> None:
        """Write the first checkpoint of a fresh agent: a journal means nothing without it.

        Raises:
            StateError: the disk refuses.
        """
        if self._store:
            self._write(self._packed(inputs, arena, log))

    # -- what happens -------------------------------------------------------------------------------------------

    def _append(self, record: Record) -> int:
        return self._journal.append(record) if self._journal else 0

    @property
    def journals(self) -> bool:
        """Whether labels are acknowledged by a journal."""
        return self._journal is not None

    @property
    def plain(self) -> bool:
        """Whether only a commit may be kept, since what waits to be judged is rows of data."""
        return self.durability.retention == "none" and self.since_commit > 0

    @property
    def store(self) -> "Store | None":
        """What the folder holds, None if nothing is kept."""
        return self._store

    def predicted(self, complete: Iterable[Logged]) -> None:
        """Note predictions that everyone has answered; without a journal only a checkpoint keeps them."""
        for logged in complete:
            self._events += 1
            self._dirty |= not self._journal and self.durability.retention != "none"
            if self._journal:
                self._append(predicted(logged))

    def accept(self, item: Labelled, label: str | float) -> int:
        """Note a label whose prediction was taken from the log; return a ticket for ``acknowledge``."""
        if self._store is None:
            return 0
        logged = item.logged
        self._unlearned[logged.sequence] = item, label
        return self._append(given(item, label))

    def came(self, early: Early) -> int:
        """Note a label that waits for its prediction; return a ticket for ``acknowledge``."""
        return self._append(Came(*astuple(early)))

    def expired(self, items: Expired, newest_s: float, sequence: int) -> None:
        """Note that predictions have expired; ``items`` are those that got the negative label."""
        if self._store is None:
            return
        for item, label in items:
            self._unlearned[item.logged.sequence] = item, label
        self._append(records.Expired(newest_s, sequence))

    def acknowledge(self, ticket: int | None = None) -> None:
        """Wait until a label, or everything so far, is durable.

        Raises:
            StateError: the disk refuses.
        """
        if self._journal:
            self._journal.sync(ticket)

    def refuse(self, item: Labelled, label: str | float, ticket: int) -> None:
        """Take back a label that could not be acknowledged."""
        self._unlearned.pop(item.logged.sequence, None)
        if self._journal:
            self._journal.retract(ticket)
            if isinstance(label, str):
                self._append(Named(label))

    def step(self, items: Sequence[Labelled], now: Now | None) -> None:
        """Note which labels are being judged, and learned, together, and when, if that matters."""
        for item in items:
            self._unlearned.pop(item.logged.sequence, None)
        self._append(Step([item.logged.sequence for item in items], now.told() if now else None))

    def ticked(self, now: Now) -> None:
        """Note that what was held is being learned although no label came."""
        self._append(Ticked(now.told()))

    def taught(self, lesson: Lesson) -> None:
        """Note labelled events that are being learned together without a logged prediction."""
        self._events += len(lesson.keys)
        if self._journal:
            self._append(taught(lesson))

    def count(self, labels: int, learned: int) -> None:
        """Note that labels came and were judged, and that some, these or earlier ones, were learned."""
        self._dirty = True
        self.learned += learned
        self.since_commit += labels

    # -- commits ------------------------------------------------------------------------------------------------

    def name(self, inputs: Inputs, arena: Arena, events: list[Event], *, asked: bool) -> None:
        """Record the versions that a commit made; durable with the journal, or with the next checkpoint."""
        if self._store:
            known = bool(self._recorded)
            lines = self._recorded.popleft() if known else self._lines_of(inputs, arena, events)
            if self._repeating and not known:
                self._unrecorded.append(lines)  # of a commit that the count alone decided
            self._lines += lines
            self._append(Committed(lines, asked))
        self.commits, self.since_commit, self._named = self.commits + 1, 0, self.learned

    def _lines_of(self, inputs: Inputs, arena: Arena, events: list[Event]) -> list[bytes]:
        if self._repeating and self.recorder.graph not in {"", arena.procedure()}:
            return []  # a release with other learners, whose first version is that of ``Arena.stands``, later
        return self.recorder.lines(arena, inputs, events, learned=self.learned, time_s=time.time())

    @property
    def recorder(self) -> Recorder:
        """What writes the lineage of this life."""
        if self._recorder is None:
            stored = self._store.lineage(self._stored_lines) if self._store else b""
            self._recorder = Recorder(stored + b"".join(self._lines), self._named, self._seed)
        return self._recorder

    def pack(self, inputs: Inputs | None, arena: Arena | None, log: PendingLog, *, forced: bool) -> Saved | None:
        """Return a checkpoint of the moment, to be given to ``commit``; None if none is due.

        From this moment on, what is appended is part of the next journal.

        Args:
            inputs: None before the first event.
            arena: likewise.
            log: every waiting prediction has its complete memo.
            forced: whether it is due in any case.
        """
        if self._store is None or inputs is None or arena is None or self._repeating:
            return None
        written = self._journal.bytes if self._journal else 0
        due = self.durability.due(since_s=self._clock() - self._since, cost_bytes=self._cost, journal_bytes=written)
        return self._packed(inputs, arena, log) if forced or due else None

    def _packed(self, inputs: Inputs, arena: Arena, log: PendingLog) -> Saved:
        if self._journal:
            self._mark = self._journal.turn()
        counters = {"learned": self.learned, "commits": self.commits, "since_commit": self.since_commit}
        counters["named"] = self._named
        tensors, documents = checkpoint.pack(inputs, arena, log, counters)
        for part in self._parts:
            tensors, documents = part.into((tensors, documents), inputs)
        self._dirty = False
        if self.durability.retention == "none":
            for name in ("waiting/x", "waiting/memo", "pace/unseen"):
                tensors.pop(name, None)
            documents["waiting"] = []
        elif self._unlearned:
            tensors["queued"] = np.frombuffer(relearning.queue(self._unlearned.values()), np.uint8)
        documents["journal"] = [self._mark.number, self._mark.chain.hex()]
        documents["durability"] = asdict(self.durability)
        documents["wear"] = [self._written(), self._events, self._cost]
        documents["lines"] = self._stored_lines + len(self._lines)
        return tensors, documents

    def commit(self, packed: Saved | None, *, forced: bool) -> None:
        """Make a checkpoint durable, in one transaction.

        Args:
            packed: from ``pack``; None does nothing.
            forced: whether a person waits for it. If not, a disk that refuses is noted, and tried again later.

        Raises:
            StateError: the disk refuses, and it was forced.
        """
        if packed is None:
            return
        try:
            self._write(packed)
        except StateError as exc:
            self.trouble, self._dirty = str(exc), True
            logger.error("no checkpoint: %s", exc)  # noqa: TRY400 (a full disk is no bug)
            if forced:
                raise

    def _write(self, packed: Saved) -> None:
        if self._store is None or self._folder is None:
            return
        before, lines = self._store.written, packed[1]["lines"] - self._stored_lines
        if self._journal:
            self._journal.sync()
        self._store.commit(*packed, self._lines[:lines], after=self._stored_lines)
        self._lines, self._stored_lines = self._lines[lines:], self._stored_lines + lines
        self._cost, self._since, self.trouble = self._store.written - before, self._clock(), ""
        if self.durability.journals and self._journal is None:
            self._journal = Journal(self._folder, self._store.vault, self._mark)
        relearning.tidy(self._folder, self._journal, self._kept)
        self._kept = packed[1]["journal"][0]

    # -- the end ------------------------------------------------------------------------------------------------

    @property
    def due(self) -> bool:
        """Whether something was learned since the last checkpoint."""
        return self._store is not None and self._dirty

    def status(self) -> dict[str, Any]:
        """Return what the disk holds and has borne since the start, and what may be lost."""
        if self._store is None:
            return {"state_bytes_on_disk": 0}
        return {
            "state_bytes_on_disk": self._store.bytes(),
            **self.durability.told(self._written(), self._events, self._cost),
            "key_protects_against": self._store.ring.key.protects,
            "trouble": [*self._store.trouble, *([self.trouble] if self.trouble else [])],
        }

    def _written(self) -> int:
        journal = self._journal.written if self._journal else 0
        return self._worn + journal + (self._store.written if self._store else 0)

    def close(self) -> None:
        """Release the folder.

        Raises:
            StateError: the disk refuses the end of the journal.
        """
        journal, self._journal = self._journal, None
        store, self._store = self._store, None
        try:
            if journal:
                journal.close()
        finally:
            if store:
                store.close()

"""The agent: predict, join the label that comes later, learn on copies, serve the next state by reference.

``predict`` reads the serving state and nothing else; it logs what it saw and said. ``feedback`` joins a label to that
log and learns from it: at once, or in a worker thread (``background=True``), so that no answer waits for an update.
Learning makes a new immutable state and swaps it in; every ``micro_batch`` labels, and on ``commit`` or ``close``,
everything is made durable in one transaction.

Example:
    >>> agent = Agent(task="classification", learners=["softmax"])
    >>> for i in range(200):
    ...     answer = agent.predict({"load": float(i * i % 10)})
    ...     agent.feedback(answer.id, "high" if i * i % 10 > 4 else "low")
    >>> agent.predict({"load": 9.0}).label, agent.predict({"load": 1.0}).label
    ('high', 'low')
"""

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from acclimate_device.arena import NOTHING_SERVES, Arena
from acclimate_device.binding import facts_of
from acclimate_device.committee import Committee
from acclimate_device.durability import Durability
from acclimate_device.inputs import Inputs
from acclimate_device.join import Labelled, Logged, PendingLog
from acclimate_device.keeper import Keeper
from acclimate_device.procedures import Task, select
from acclimate_device.relearning import Ways
from acclimate_device.river_words import Prediction, RiverWords, prediction_of
from acclimate_device.rules import Rules
from acclimate_device.schema import Column, Parsed, infer_columns
from acclimate_device.shadows import complete, memo_of
from acclimate_device.store import Store
from acclimate_device.worker import Worker
from acclimate_shared.errors import InputError, StateError, UsageError

Array = npt.NDArray[Any]
Seen = TypeVar("Seen")

CHUNK = 32  # most labels that go through the learners at once
MOST_SHADOWS = 256  # predictions that only the champion has answered; more are completed by the next caller
QUEUE_LABELS = 10_000  # labels that may wait for the worker; more make ``feedback`` wait


class Agent(RiverWords, AbstractContextManager["Agent"]):
    """One model on one device."""

    def __init__(  # noqa: PLR0913 (all by keyword, all optional but one)
        self,
        *,
        task: Task,
        columns: Sequence[Column] | None = None,
        learners: Sequence[str] | None = None,
        key: str | None = None,
        seed: int = 0,
        micro_batch: int = 512,
        state: Path | None = None,
        background: bool = False,
        rules: Rules | None = None,
        durability: Durability | None = None,
    ) -> None:
        """Start, or go on from what ``state`` holds.

        Args:
            task: classification or regression.
            columns: the inputs; None decides them from the first event.
            learners: names of standard learners; None for the default committee.
            key: feature that groups the history (a device, a user); not an input.
            seed: of every generator.
            micro_batch: labels between two commits.
            state: folder to keep the state in; None keeps nothing.
            background: learn in a worker thread.
            rules: of the contest; None for the defaults.
            durability: what is kept, and how carefully; None for the defaults.

        Raises:
            UsageError: an unknown learner, or one that holds rows where none may be kept.
            StateError: the state cannot be used or belongs to another configuration.
        """
        self.task: Task = task
        self._learners = learners
        self._procedures = select(task, learners)
        self._rules = rules or Rules()
        self._key, self._seed, self._micro_batch = key, seed, micro_batch
        self._inputs: Inputs | None = None
        self._arena: Arena | None = None
        self._shadows: list[Logged] = []  # answered by what serves, not yet by the others
        self._log = PendingLog()
        self._boot = secrets.token_hex(4)
        self._lock = threading.RLock()  # inputs, log and counters; never held while a graph runs
        self._learning = threading.Lock()  # one step at a time
        self._completing = threading.RLock()  # one thread completes shadows; taken before ``_lock``
        (durability or Durability()).check(self._procedures, task)
        facts = facts_of(task, self._procedures, self._rules, key=key, seed=seed, micro_batch=micro_batch)
        self._keeper = Keeper(state, facts, seed, durability)
        self._resume()
        if columns and self._inputs is None:
            self._start(columns, fresh=True)
        self._worker = Worker(self._learn, most=CHUNK, waiting=QUEUE_LABELS) if background else None

    def _start(self, columns: Sequence[Column], *, fresh: bool) -> tuple[Inputs, Arena]:
        inputs = Inputs(self.task, columns)
        committee = Committee(self.task, self._procedures, inputs.layout())
        self._arena = Arena(committee, self._rules, self._seed)
        self._inputs = inputs
        if fresh:
            self._keeper.begin(inputs, self._arena, self._log)
        return inputs, self._arena

    def _ready(self, features: Mapping[str, object]) -> tuple[Inputs, Arena]:
        """Return inputs and arena, deciding the columns from the first event if need be."""
        with self._lock:
            if self._inputs is None or self._arena is None:
                names = [name for name in features if name != self._key]
                columns, _ = infer_columns(names, [[features[name] for name in names]])
                if not columns:
                    raise InputError("the event has no features", field="features", remedy="give at least one")
                return self._start(columns, fresh=True)
            return self._inputs, self._arena

    def _vector(self, inputs: Inputs, features: Mapping[str, object]) -> tuple[Array, list[str | None], str]:
        parsed = inputs.parse(features)
        key = str(features.get(self._key, "")) if self._key else ""
        with self._lock:
            return inputs.vector(parsed, key), parsed.texts, key

    # -- answers ------------------------------------------------------------------------------------------------

    def predict(self, features: Mapping[str, object]) -> Prediction:
        """Answer one event and wait for its label.

        Args:
            features: name to number or text; None or NaN is missing.

        Returns:
            The answer. Asking again changes nothing in it but the id.

        Raises:
            InputError: a feature that cannot be used.
        """
        inputs, arena = self._ready(features)
        x, texts, key = self._vector(inputs, features)
        version, moment = arena.version, arena.roster.moment
        out, members = arena.roster.serve(moment, x[None])
        memo = None if members is None else members[0]
        with self._lock:
            sequence = self._log.sequence
            name = f"{self._boot}-{sequence}"
            logged = Logged(id=name, sequence=sequence, texts=texts, key=key, x=x, moment=moment, memo=memo)
            self._log.add(logged)
            self._shadows.append(logged)
            full = len(self._shadows) >= MOST_SHADOWS
        if full:  # labels are long in coming
            self._complete(arena)
        return prediction_of(inputs, out[0], name=name, version=version)

    def _complete(self, arena: Arena) -> None:
        """Let everyone else answer what only the champion has."""
        with self._completing:
            with self._lock:
                waiting, self._shadows = self._shadows, []
            complete(arena.roster, waiting, CHUNK)
            self._keeper.predicted(waiting)

    @property
    def version(self) -> str:
        """``major.minor`` of what serves; a commit makes a new minor version, another learner a new major one."""
        return self._arena.version if self._arena else "1.0"

    # -- labels -------------------------------------------------------------------------------------------------

    def feedback(self, prediction_id: str, label: object, weight: float = 1.0) -> None:
        """Join a label to its prediction and learn from it.

        Args:
            prediction_id: from ``predict``.
            label: class or value.
            weight: importance; 0 is not learned from.

        Raises:
            UnknownPredictionError, DuplicateLabelError: see ``PendingLog``.
            InputError, StateError: it cannot be used, or not be made durable; the prediction goes on waiting.
        """
        inputs = self._inputs
        if self._keeper.journals and self._arena:
            self._complete(self._arena)
        if not 0.0 <= weight <= 1e6:  # noqa: PLR2004 (also refuses NaN)
            raise InputError("weight out of range", field="weight", value=weight, remedy="use 0 to 1e6")
        with self._lock:
            logged = self._log.take(prediction_id)
            if inputs is None:
                raise RuntimeError("a prediction was logged before the agent was started")
            try:
                given = inputs.label(label)
                target = inputs.index(given)
            except InputError:
                self._log.put_back(logged)
                raise
            labelled = Labelled(logged, target, weight, max(0, self._log.sequence - logged.sequence - 1))
            ticket = self._keeper.accept(labelled, given)
        try:
            self._keeper.acknowledge(ticket)
        except StateError:
            with self._lock:
                self._log.put_back(logged)
                self._keeper.refuse(labelled, given, ticket)
            raise
        if self._worker:
            self._worker.put(labelled)
        else:
            self._learn([labelled])

    def _learn(self, items: Sequence[Labelled]) -> None:
        """Learn labelled predictions in order from what was logged, then serve the next state."""
        inputs, arena = self._inputs, self._arena
        if inputs is None or arena is None:
            raise RuntimeError("nothing was predicted yet")
        with self._learning:
            self._complete(arena)
            with self._lock:
                arena.grow(inputs.capacity)
                memos = [memo_of(item.logged, inputs.capacity) for item in items]
                self._keeper.step(items)
            x = np.stack([item.logged.x for item in items])
            w = np.array([item.weight for item in items], np.float32)
            delay = float(np.mean([item.delay for item in items]))
            y, occupants = self._targets([i.target for i in items]), [i.logged.occupants for i in items]
            arena.learn(x, y, w, logged=np.stack(memos), occupants=occupants, delay=delay)
            with self._lock:
                for item in items:
                    inputs.learn(item.logged.parsed(), item.logged.key, item.logged.x, item.target)
            self._count(len(items))

    def _targets(self, targets: Sequence[float]) -> Array:
        return np.array(targets, np.int64 if self.task == "classification" else np.float64)

    def _count(self, labels: int) -> None:
        self._keeper.count(labels)
        if self._keeper.since_commit >= self._micro_batch:
            self._save()

    def learn_many(self, rows: Sequence[Mapping[str, object]], labels: Sequence[object]) -> None:
        """Learn labelled events that were not predicted here, in order, in chunks of at most CHUNK.

        Each is answered before it is learned, so the committee's weights stay honest.

        Raises:
            InputError: with the position of the first event that cannot be used; those before it in earlier chunks
                have been learned.
            ValueError: rows and labels differ in number.
        """
        if len(rows) != len(labels):
            raise ValueError("rows and labels must be as many")
        for begin in range(0, len(rows), CHUNK):
            chunk = list(enumerate(rows[begin : begin + CHUNK], begin + 1))
            inputs, _ = self._ready(chunk[0][1])
            parsed = [inputs.parse(row, row=at) for at, row in chunk]
            checked = [inputs.label(labels[at - 1], row=at) for at, _ in chunk]
            keys = [str(row.get(self._key, "")) if self._key else "" for _, row in chunk]
            self._teach(None, parsed, keys, checked)
            self._keeper.acknowledge()

    def _teach(self, x: Array | None, events: Sequence[Parsed], keys: list[str], labels: Sequence[str | float]) -> None:
        """Learn labelled events together; ``x`` as it was if they are learned again, else what they see now."""
        inputs, arena = self._inputs, self._arena
        if inputs is None or arena is None:
            raise RuntimeError("the agent was not started")
        vectors, targets = [], []
        with self._learning:
            self._complete(arena)
            with self._lock:
                for i, (event, key, label) in enumerate(zip(events, keys, labels, strict=True)):
                    vectors.append(inputs.vector(event, key) if x is None else x[i])
                    targets.append(inputs.index(label))
                    inputs.learn(event, key, vectors[-1], targets[-1])
                arena.grow(inputs.capacity)
                self._keeper.taught(np.stack(vectors), [event.texts for event in events], keys, labels)
            y, w = self._targets(targets), np.ones(len(keys), np.float32)
            arena.learn(np.stack(vectors), y, w, logged=None, occupants=None, delay=0.0)
            self._count(len(keys))

    def glance(self, x: Mapping[str, object]) -> Prediction:
        """Answer one event; logs nothing and waits for no label.

        Raises:
            InputError: a feature that cannot be used.
        """
        inputs, arena = self._ready(x)
        vector, _, _ = self._vector(inputs, x)
        version, moment = arena.version, arena.roster.moment
        out, _ = arena.roster.serve(moment, vector[None])
        return prediction_of(inputs, out[0], name="", version=version)

    def flush(self) -> None:
        """Wait until every label given so far has been learned."""
        if self._worker:
            self._worker.flush()

    # -- durability ---------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Learn what waits, make everything durable and name the next minor version."""
        self.flush()
        with self._learning:
            self._save(forced=True)

    def _save(self, *, version: bool = True, forced: bool = False) -> None:
        """Name a version, if there is to be one, and make a checkpoint, if one is due or ``forced``."""
        inputs, arena = self._inputs, self._arena
        if arena and inputs and version:
            self._complete(arena)
            self._keeper.name(inputs, arena, arena.commit(), asked=forced)
        with self._completing, self._lock:
            if arena:
                self._complete(arena)
            packed = self._keeper.pack(inputs, arena, self._log, forced=forced)
        self._keeper.commit(packed, forced=forced)

    def _resume(self) -> None:
        saved = self._keeper.load()
        if saved:
            inputs, arena = self._start(self._keeper.columns(saved), fresh=False)
            self._keeper.resume(saved, inputs, arena, self._log, Ways(self._learn, self._teach, self._save))

    def status(self) -> dict[str, Any]:
        """Return what the agent has done and holds, for people and programs."""
        return {
            "task": self.task,
            "version": self.version,
            "predictions": self._log.sequence,
            "learned": self._keeper.learned,
            "waiting": len(self._log),
            "forgotten": self._log.forgotten,
            "classes": list(self._inputs.classes) if self._inputs else [],
            "policy": self._rules.policy,
            **(self._arena.summary() if self._arena else NOTHING_SERVES),
            **self._keeper.status(),
        }

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

    def look(self, view: Callable[[Arena, Inputs], Seen]) -> Seen | None:
        """Return what ``view`` sees between two steps of learning, None before the first event; it changes nothing."""
        with self._learning:
            return view(self._arena, self._inputs) if self._arena and self._inputs else None

    @property
    def store(self) -> Store | None:
        """What the state is kept in, None if nothing is kept; its ``rows`` and ``lineage`` are for any thread."""
        return self._keeper.store

    def contest(self) -> dict[str, Any] | None:
        """Return the contest as results list it: transitions, tests, standing; None before the first event."""
        with self._learning:
            return self._arena.result() if self._arena else None

    def release(self) -> None:
        """Release the state as it is: nothing more is learned or written."""
        if self._worker:
            self._worker.close()
            self._worker = None
        self._keeper.close()

    def close(self) -> None:
        """Learn what waits, make it durable and release the state."""
        worker, self._worker = self._worker, None
        if worker:
            worker.close()
        if self._keeper.due:
            self._save(version=self._keeper.plain, forced=True)
        self._keeper.close()
        if worker:
            worker.check()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the agent."""
        self.close()

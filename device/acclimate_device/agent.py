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
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.admission.desk import Desk
from acclimate_device.admission.policy import Policy as Admitting
from acclimate_device.arena import NOTHING_SERVES, Arena
from acclimate_device.binding import facts_of
from acclimate_device.cadence import Now
from acclimate_device.committee import Committee
from acclimate_device.durability import Durability
from acclimate_device.inputs import Inputs
from acclimate_device.join import Labelled, Logged, PendingLog
from acclimate_device.keeper import Keeper
from acclimate_device.lesson import Lesson
from acclimate_device.operate import added, operable, operate, put_back, said
from acclimate_device.pace import Clock, Labels, Pace, Tick
from acclimate_device.procedures import Task, select
from acclimate_device.relearning import Ways
from acclimate_device.river_words import Prediction, RiverWords, prediction_of
from acclimate_device.rules import Rules
from acclimate_device.schema import Column, infer_columns
from acclimate_device.shadows import complete, memo_of
from acclimate_device.triggers import Policy as Triggers
from acclimate_device.worker import Worker
from acclimate_shared.errors import InputError, StateError, UsageError

Array = npt.NDArray[Any]

CHUNK = 32  # most labels that go through the learners at once
MOST_SHADOWS = 256  # predictions that only the champion has answered; then the others do, labels or not
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
        triggers: Triggers | None = None,
        clock: Clock | None = None,
        durability: Durability | None = None,
        admission: Admitting | None = None,
        outside: Sequence[Path] = (),
    ) -> None:
        """Start, or go on from what ``state`` holds.

        Args:
            task: classification or regression.
            columns: the inputs; None decides them from the first event. More than the state has are taken up.
            learners: names of standard learners; None for the default committee.
            key: feature that groups the history (a device, a user); not an input.
            seed: of every generator.
            micro_batch: labels between two commits.
            state: folder to keep the state in; None keeps nothing.
            background: learn in a worker thread.
            rules: of the contest; None for the defaults.
            triggers: when to learn; None for at once. They are no part of the state: another start may change them.
            clock: for the triggers, and limits per minute; None for this machine's.
            durability: what is kept, and how carefully; None for the defaults.
            admission: what sources of labels may do; None for what the state says, or the default.
            outside: folders of learner packages that take part, each in a process of its own.

        Raises:
            UsageError: an unknown learner, one that does not fit or holds rows where none may be kept, or columns that
                lack one of the state's.
            PackageError: a package from outside is not valid.
            StateError: the state cannot be used or belongs to another configuration.
        """
        self.task: Task = task
        self._learners = learners
        self._procedures = select(task, learners)
        rules, durability = rules or Rules(), durability or Durability()
        self._rules = durability.ruled(replace(rules, visitors=rules.visitors.joined_by(outside)))
        self._key, self._seed, self._micro_batch = key, seed, micro_batch
        self._inputs: Inputs | None = None
        self._arena: Arena | None = None
        self._shadows: list[Logged] = []  # answered by what serves, not yet by the others
        self._log = PendingLog()
        self._boot = secrets.token_hex(4)
        self._lock = threading.RLock()  # inputs, log and counters; never held while a graph runs
        self._learning = threading.Lock()  # one step at a time
        self._completing = threading.RLock()  # one thread completes shadows; taken before ``_lock``
        durability.check(self._procedures, task, waits=triggers is not None)
        self._pace = Pace(triggers, clock, CHUNK)
        self.desk = Desk(admission, self._pace.clock.time_s, keeps_rows=durability.retention != "none")
        facts = facts_of(task, self._procedures, self._rules, key=key, seed=seed, micro_batch=micro_batch)
        self._worker: Worker[Labelled | Tick] | None = None
        self._keeper = Keeper(state, facts, seed, durability, [self._pace, self.desk])
        self._resume()
        if columns and self._inputs is None:
            self._start(columns, fresh=True)
        elif columns and self._inputs:
            self.add_inputs(added(self._inputs.encoder.columns, columns))
        self._worker = Worker(self._work, most=CHUNK, waiting=QUEUE_LABELS) if background else None

    def _start(self, columns: Sequence[Column], *, fresh: bool) -> tuple[Inputs, Arena]:
        inputs = Inputs(self.task, columns)
        committee = Committee(self.task, self._procedures, inputs.layout())
        self._arena = Arena(committee, self._rules, self._seed, lockstep=False)
        self._arena.gatekeeper.clock = time.perf_counter
        self._inputs = self.desk.inputs = inputs
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
            full = len(self._shadows) % MOST_SHADOWS == 0
        if full and self._worker:  # labels are long in coming
            self._worker.offer(Tick())
        elif full:
            self._complete(arena)
        return prediction_of(inputs, out[0], name=name, version=version)

    def _complete(self, arena: Arena) -> None:
        """Let everyone else answer what only the champion has."""
        with self._completing:
            with self._lock:
                waiting, self._shadows = self._shadows, []
            complete(arena.roster, waiting, CHUNK)
            self._keeper.predicted(waiting)
            self._pace.note(waiting)

    @property
    def version(self) -> str:
        """``major.minor`` of what serves; a commit makes a new minor version, another learner a new major one."""
        return self._arena.version if self._arena else "1.0"

    # -- labels -------------------------------------------------------------------------------------------------

    def feedback(self, prediction_id: str, label: object, weight: float = 1.0, source: str = "") -> None:
        """Join a label to its prediction and learn from it.

        Args:
            prediction_id: from ``predict``.
            label: class or value.
            weight: importance; 0 is not learned from.
            source: who gives the label; see ``acclimate_device.admission`` for what sources may do.

        Raises:
            UnknownPredictionError, DuplicateLabelError: see ``PendingLog``.
            InputError, StateError: it cannot be used, or not be made durable; the prediction goes on waiting.
        """
        inputs = self._inputs
        if self._keeper.journals and self._arena:
            self._complete(self._arena)
        if not 0.0 <= weight <= 1e6:  # noqa: PLR2004 (also refuses NaN)
            raise InputError("weight out of range", field="weight", value=weight, remedy="use 0 to 1e6")
        source, time_s = self.desk.checked(source), self.desk.clock()
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
            delay = max(0, self._log.sequence - logged.sequence - 1)
            labelled = Labelled(logged, target, weight, delay, source, time_s)
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

    def _learn(self, items: Sequence[Labelled], now: Now | None = None) -> None:
        """Learn labelled predictions in order from what was logged, then serve the next state."""
        inputs, arena = self._inputs, self._arena
        if inputs is None or arena is None:
            raise RuntimeError("nothing was predicted yet")
        with self._learning:
            self._complete(arena)
            arena.roster.outside.catch_up()
            with self._completing, self._lock:
                arena.grow(inputs.capacity)
                memos = [memo_of(item.logged, inputs.capacity) for item in items]
                now = self._begun(now)
                self._keeper.step(items, now if self._pace.waits else None)
            y, live = self._targets([item.target for item in items]), np.stack(memos)
            chosen, w = self.desk.labelled(arena, items, y, live)
            kept = [items[i] for i in chosen]
            learned = self._pace.take(arena, Labels.of(kept, live[chosen], y[chosen], w), now) if kept else 0
            with self._lock:
                for item in kept:
                    inputs.learn(item.logged.parsed(), item.logged.key, item.logged.x, item.target)
            self._count(len(items), learned)

    def _begun(self, now: Now | None) -> Now:
        """Return the moment of a step, as it was if it is repeated; what follows is seen by the next one."""
        self._pace.gather()
        return now or self._pace.now(self._log.sequence)

    def _work(self, items: Sequence[Labelled | Tick]) -> None:
        """Learn labels in the worker, or ask whether it is time to learn what is held."""
        labelled = [item for item in items if isinstance(item, Labelled)]
        if labelled:
            self._learn(labelled)
        else:
            self._tick()

    def tick(self) -> None:
        """Learn what is held, if its trigger has become due while no label came; cheap, to be called now and then."""
        if self._worker:
            self._worker.put(Tick())
        else:
            self._tick()

    def _tick(self, now: Now | None = None) -> None:
        arena = self._arena
        with self._learning:
            if arena is None:
                return
            self._complete(arena)
            with self._completing, self._lock:
                now = self._begun(now)
                seen, due = self._pace.gathered, self._pace.due(arena, now)
                if seen or due:
                    self._keeper.ticked(now)
            if due:
                self._count(0, self._pace.learn(arena))

    def _targets(self, targets: Sequence[float]) -> Array:
        return np.array(targets, np.int64 if self.task == "classification" else np.float64)

    def _count(self, labels: int, learned: int) -> None:
        self._keeper.count(labels, learned)
        if self._keeper.since_commit >= self._micro_batch:
            self._save()

    def learn_many(self, rows: Sequence[Mapping[str, object]], labels: Sequence[object], *, source: str = "") -> None:
        """Learn labelled events that were not predicted here, in order, in chunks of at most CHUNK.

        Each is answered before it is learned, so the committee's weights stay honest. ``source`` is as in ``feedback``.

        Raises:
            InputError: with the position of the first event that cannot be used; those before it in earlier chunks
                have been learned.
            ValueError: rows and labels differ in number.
        """
        if len(rows) != len(labels):
            raise ValueError("rows and labels must be as many")
        who = self.desk.checked(source)
        for begin in range(0, len(rows), CHUNK):
            chunk = list(enumerate(rows[begin : begin + CHUNK], begin + 1))
            inputs, _ = self._ready(chunk[0][1])
            parsed = [inputs.parse(row, row=at) for at, row in chunk]
            checked = [inputs.label(labels[at - 1], row=at) for at, _ in chunk]
            keys = [str(row.get(self._key, "")) if self._key else "" for _, row in chunk]
            self._teach(Lesson(events=parsed, keys=keys, labels=checked, source=who, time_s=self.desk.clock()))
            self._keeper.acknowledge()

    def _teach(self, lesson: Lesson) -> None:
        """Learn labelled events together, each as the labels before it let it be seen."""
        inputs, arena = self._inputs, self._arena
        if inputs is None or arena is None:
            raise RuntimeError("the agent was not started")
        told = list(zip(lesson.events, lesson.keys, strict=True))
        with self._learning:
            self._complete(arena)
            with self._lock:
                y = self._targets([inputs.index(label) for label in lesson.labels])
                seen = np.stack([inputs.vector(*one) for one in told]) if lesson.seen is None else lesson.seen
                arena.grow(inputs.capacity)
            texts = [event.texts for event in lesson.events]
            chosen, w = self.desk.fresh(arena, seen, y, lesson.source, lesson.time_s, texts)
            x = seen.copy() if lesson.x is None else lesson.x
            with self._completing, self._lock:
                for i in chosen:
                    event, key = told[i]
                    x[i] = inputs.vector(event, key) if lesson.x is None else x[i]
                    inputs.learn(event, key, x[i], y[i].item())
                now = self._begun(lesson.now)
                self._keeper.taught(replace(lesson, x=x, seen=seen, now=now if self._pace.waits else None))
            learned = self._pace.take_unanswered(arena, x[chosen], y[chosen], w, now) if len(chosen) else 0
            self._count(len(told), learned)

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
        """Wait until every label given so far has been judged, and learned or held."""
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
            ways = Ways(self._learn, self._teach, self._tick, self._save, self._pace.note)
            self._keeper.resume(saved, inputs, arena, self._log, ways)
            self.desk.declare()

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
            "triggers": self._pace.status(),
            "admission": self.desk.admission.summary(),
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
                saved = operate(inputs, arena, self._log, columns)
                self._start([*inputs.encoder.columns, *columns], fresh=False)
                arena = put_back(saved, *operable(self._inputs, self._arena, ()), self._log)
                arena.operated(said(columns, why), who)
                self._save(forced=True)
                self._save(version=False, forced=True)

    def contest(self) -> dict[str, Any] | None:
        """Return contest, firings and drift marks as results list them; None before the first event."""
        with self._learning:
            if self._arena is None:
                return None
            extra = {"cadence": self._pace.result(), "drift": self._arena.drifts.result()}
            return {**self._arena.result(), **extra}

    def release(self) -> None:
        """Release the state as it is: nothing more is learned or written."""
        if self._worker:
            self._worker.close()
            self._worker = None
        self._leave()

    def _leave(self) -> None:
        if self._arena:
            self._arena.close()
        self._keeper.close()

    def close(self) -> None:
        """Learn what waits, make it durable and release the state."""
        worker, self._worker = self._worker, None
        if worker:
            worker.close()
        if self._keeper.due:
            self._save(version=self._keeper.plain, forced=True)
        self._leave()
        if worker:
            worker.check()

    def __exit__(self, *exc: object) -> None:
        """Close the agent."""
        self.close()

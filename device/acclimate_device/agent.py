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

import logging
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import numpy.typing as npt

from acclimate_device.admission.policy import Policy as Admitting
from acclimate_device.arena import NOTHING_SERVES, Arena
from acclimate_device.core import CHUNK, QUEUE_LABELS
from acclimate_device.durability import Durability
from acclimate_device.inputs import Inputs
from acclimate_device.join import Window
from acclimate_device.lesson import Lesson
from acclimate_device.logged import Early, Labelled, Logged
from acclimate_device.operate import added
from acclimate_device.operations import Operations
from acclimate_device.outside import Base
from acclimate_device.pace import Clock, Tick
from acclimate_device.precedence import ANSWERS
from acclimate_device.procedures import Task
from acclimate_device.river_words import Prediction, RiverWords, prediction_of
from acclimate_device.rules import Rules
from acclimate_device.schema import Column
from acclimate_device.triggers import Policy as Triggers
from acclimate_device.worker import Worker
from acclimate_shared.errors import InputError, RefusedError, StateError

if TYPE_CHECKING:  # what seals takes memory: loaded where a state is kept
    from acclimate_device.store import Store

Array = npt.NDArray[Any]
Seen = TypeVar("Seen")

logger = logging.getLogger(__name__)

LINGER_S = 0.02  # that a label waits for others to be learned with: a step costs about the same for one as for 32
MOST_ID = 256  # characters of an id that the caller gives
MOST_SPANS = 4096  # answers whose seconds are remembered until somebody asks
MOST_SHADOWS = 256  # predictions that only the champion has answered; then the others do, labels or not


class Agent(Operations, RiverWords, AbstractContextManager["Agent"]):
    """One model on one device.

    Attributes:
        spans: seconds that the latest answers took; who reads them takes them away.
    """

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
        bases: Sequence[Base] = (),
        window: Window | None = None,
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
            background: learn in a worker thread; labels that come within LINGER_S are learned together.
            rules: of the contest; None for the defaults.
            triggers: when to learn; None for at once. They are no part of the state: another start may change them.
            clock: for the triggers, and limits per minute; None for this machine's.
            durability: what is kept, and how carefully; None for the defaults.
            admission: what sources of labels may do; None for what the state says, or the default.
            outside: folders of learner packages that take part, each in a process of its own.
            bases: released ones that take part likewise; another start may have others, see ``slots``.
            window: which labels belong to a prediction; None for any, whenever it comes.

        Raises:
            UsageError: an unknown learner, one that does not fit or holds rows where none may be kept, or columns that
                lack one of the state's.
            PackageError: a package from outside is not valid.
            StateError: the state cannot be used or belongs to another configuration.
        """
        rules, durability = rules or Rules(), durability or Durability()
        self.spans: deque[float] = deque(maxlen=MOST_SPANS)
        super().__init__(
            task=task, learners=learners, key=key, seed=seed, micro_batch=micro_batch, state=state,
            rules=replace(rules, visitors=rules.visitors.joined_by(outside, bases)), triggers=triggers, clock=clock,
            durability=durability, admission=admission, window=window or Window(),
        )  # fmt: skip
        try:
            self._take_up(columns or ())
        except BaseException:
            self.release()
            raise
        self._worker = Worker(self._work, most=CHUNK, waiting=QUEUE_LABELS, linger_s=LINGER_S) if background else None

    def _take_up(self, columns: Sequence[Column]) -> None:
        """Begin with these columns, or take up those that are new."""
        if columns and self._inputs is None:
            self._start(columns, fresh=True)
        elif columns and self._inputs:
            self.add_inputs(added(self._inputs.encoder.columns, columns))

    def predict(
        self, features: Mapping[str, object], *, event_id: str | None = None, time_s: float | None = None
    ) -> Prediction:
        """Answer one event and wait for its label.

        Args:
            features: name to number or text; None or NaN is missing.
            event_id: by which its label will come; None makes one.
            time_s: event time in seconds; None for now.

        Returns:
            The answer. Asking again changes nothing in it but the id.

        Raises:
            InputError: a feature, id or time that cannot be used.
            DuplicateLabelError: the id is taken.
        """
        begun_s = perf_counter()
        at_s = self._time(time_s)
        if event_id is not None and not 0 < len(event_id) <= MOST_ID:
            remedy = f"give a text of 1 to {MOST_ID} characters"
            raise InputError("not an id", field="event_id", value=event_id, remedy=remedy)
        inputs, arena = self._ready(features)
        x, texts, key = self._vector(inputs, features)
        version, moment = arena.version, arena.roster.moment
        with ANSWERS:
            out, members = arena.roster.serve(moment, x[None])
        memo = None if members is None else members[0]
        with self._lock:
            sequence = self._log.sequence
            name = event_id or f"{self._boot}-{sequence}"
            logged = Logged(
                id=name, sequence=sequence, texts=texts, key=key, x=x, moment=moment, memo=memo, time_s=at_s
            )
            self._log.advance(at_s)
            early = self._log.add(logged)
            self._shadows.append(logged)
            full = len(self._shadows) % MOST_SHADOWS == 0  # labels are long in coming
            due = full or self._log.due
        if early:
            self._join_early(early)
        if due and self._worker:
            self._worker.offer(Tick())
        elif due:
            self._complete(arena)
            self._expire(arena)
        answer = prediction_of(inputs, out[0], name=name, version=version)
        self.spans.append(perf_counter() - begun_s)
        return answer

    @property
    def newest_s(self) -> float:
        """The newest event time that was seen, seconds; minus infinity before the first."""
        return self._log.newest_s

    def _time(self, time_s: float | None) -> float:
        """Return an event time, now if none is given."""
        if time_s is None:
            return self._pace.clock.time_s()
        if not math.isfinite(time_s):
            raise InputError("not a time", field="time_s", value=time_s, remedy="give seconds")
        return time_s

    def _join_early(self, early: Early) -> None:
        """Join a label that came before its prediction; what cannot be used is counted, for nobody waits to be told."""
        try:
            self.feedback(early.id, early.label, early.weight, early.source, time_s=early.time_s)
        except RefusedError as exc:
            self._log.refused["early"] += 1
            logger.warning("a label that came before its prediction was refused: %s", exc.message)

    def feedback(
        self,
        prediction_id: str,
        label: object,
        weight: float = 1.0,
        source: str = "",
        *,
        time_s: float | None = None,
    ) -> None:
        """Join a label to its prediction and learn from it.

        Args:
            prediction_id: from ``predict``.
            label: class or value.
            weight: importance; 0 is not learned from.
            source: who gives the label; see ``acclimate_device.admission`` for what sources may do.
            time_s: event time of the label in seconds; None for now.

        Raises:
            UnknownPredictionError, DuplicateLabelError, LateLabelError: see ``PendingLog``.
            InputError, StateError: it cannot be used, or not be made durable; the prediction goes on waiting.
        """
        inputs = self._inputs
        if self._keeper.journals and self._arena:
            self._complete(self._arena)
        if not 0.0 <= weight <= 1e6:  # noqa: PLR2004 (also refuses NaN)
            raise InputError("weight out of range", field="weight", value=weight, remedy="use 0 to 1e6")
        source, at_s = self.desk.checked(source), self._time(time_s)
        with self._lock:
            self._log.advance(at_s)
            given = inputs.label(label) if inputs else str(label)
            if not self._log.knows(prediction_id):
                early = Early(prediction_id, given, weight, source, at_s)
                if self._log.keep_early(early):
                    self._keeper.acknowledge(self._keeper.came(early))
                    return
            logged = self._log.take(prediction_id, given, at_s)
            if inputs is None:
                raise RuntimeError("a prediction was logged before the agent was started")
            try:
                target = inputs.index(given)
            except InputError:
                self._log.put_back(logged)
                raise
            delay = max(0, self._log.sequence - logged.sequence - 1)
            labelled = Labelled(logged, target, weight, delay, source, at_s)
            ticket = self._keeper.accept(labelled, given)
        self._settle(labelled, given, ticket)

    def _settle(self, labelled: Labelled, given: str | float, ticket: int) -> None:
        """Wait until a label is durable, then let it be learned."""
        try:
            self._keeper.acknowledge(ticket)
        except StateError:
            with self._lock:
                self._log.put_back(labelled.logged)
                self._keeper.refuse(labelled, given, ticket)
            raise
        if self._worker:
            self._worker.put(labelled)
        else:
            self._learn([labelled])

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

    def glance(self, x: Mapping[str, object]) -> Prediction:
        """Answer one event; logs nothing and waits for no label.

        Raises:
            InputError: a feature that cannot be used.
        """
        inputs, arena = self._ready(x)
        vector, _, _ = self._vector(inputs, x)
        version, moment = arena.version, arena.roster.moment
        with ANSWERS:
            out, _ = arena.roster.serve(moment, vector[None])
        return prediction_of(inputs, out[0], name="", version=version)

    def status(self) -> dict[str, Any]:
        """Return what the agent has done and holds, for people and programs."""
        return {
            "task": self.task,
            "version": self.version,
            "predictions": self._log.sequence,
            "learned": self._keeper.learned,
            "waiting": len(self._log),
            "waiting_on_disk": len(self._log.sequences_away()),
            "forgotten": self._log.forgotten,
            "labels_refused": dict(self._log.refused),
            "classes": list(self._inputs.classes) if self._inputs else [],
            "policy": self._rules.policy,
            **(self._arena.summary() if self._arena else NOTHING_SERVES),
            "triggers": self._pace.status(),
            "admission": self.desk.admission.summary(),
            **self._keeper.status(),
        }

    def contest(self) -> dict[str, Any] | None:
        """Return contest, firings and drift marks as results list them; None before the first event."""
        with self._learning:
            if self._arena is None:
                return None
            extra = {"cadence": self._pace.result(), "drift": self._arena.drifts.result()}
            return {**self._arena.result(), **extra}

    def look(self, view: Callable[[Arena, Inputs], Seen]) -> Seen | None:
        """Return what ``view`` sees between two steps of learning, None before the first event; it changes nothing."""
        with self._learning:
            return view(self._arena, self._inputs) if self._arena and self._inputs else None

    def waiting(self, column: str) -> list[tuple[str, str, float, float]]:
        """Return the predictions that wait for a label, oldest first: id, key, event time, and value of a column.

        The value is NaN where it is missing or the column holds no numbers.
        """
        with self._lock:
            self._log.bring_back()
            place = self._inputs.encoder.place(column) if self._inputs else None
            return [
                (item.id, item.key, item.time_s, math.nan if place is None else float(item.x[place]))
                for item in self._log.items()
            ]

    @property
    def store(self) -> "Store | None":
        """What the state is kept in, None if nothing is kept; its ``rows`` and ``lineage`` are for any thread."""
        return self._keeper.store

    def __exit__(self, *exc: object) -> None:
        """Close the agent."""
        self.close()

"""What an agent is made of, and how labels teach it; the words for people and programs are in ``agent``.

A label passes admission (may it teach?), becomes evidence (who answered best?), and teaches the learners, at once or
when a trigger fires; every ``micro_batch`` labels a commit names a version. All of it is deterministic: the journal
holds labels, their order and the moments that mattered, and repeating them gives the same bits.

Locks, in the order in which they are taken: ``_learning``, one step at a time; ``_completing``, one thread lets
everyone else answer what the champion has answered; ``_lock``, inputs, log and counters, never held while a graph runs.
"""

import logging
import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.admission.desk import Desk
from acclimate_device.admission.policy import Policy as Admitting
from acclimate_device.arena import Arena
from acclimate_device.binding import facts_of
from acclimate_device.cadence import Now
from acclimate_device.committee import Committee
from acclimate_device.durability import Durability
from acclimate_device.expiry import expired
from acclimate_device.inputs import Inputs
from acclimate_device.join import PendingLog, Window
from acclimate_device.keeper import Keeper
from acclimate_device.lesson import Lesson
from acclimate_device.logged import Labelled, Logged
from acclimate_device.memory import give_back
from acclimate_device.pace import Clock, Labels, Pace, Tick
from acclimate_device.procedures import Task, select
from acclimate_device.relearning import Ways
from acclimate_device.rules import Rules
from acclimate_device.schema import Column, infer_columns
from acclimate_device.shadows import complete, memo_of
from acclimate_device.spill import spill_of
from acclimate_device.triggers import Policy as Triggers
from acclimate_device.worker import Worker
from acclimate_shared.errors import InputError, PackageError, StateError, UsageError

Array = npt.NDArray[Any]
logger = logging.getLogger(__name__)

CHUNK = 32  # most labels that go through the learners at once
QUEUE_LABELS = 10_000  # labels that may wait for the worker; more make ``feedback`` wait


class Core:
    """One model, its state, and the way of a label through both."""

    def __init__(  # noqa: PLR0913 (see ``Agent``)
        self,
        *,
        task: Task,
        learners: Sequence[str] | None,
        key: str | None,
        seed: int,
        micro_batch: int,
        state: Path | None,
        rules: Rules,
        triggers: Triggers | None,
        clock: Clock | None,
        durability: Durability,
        admission: Admitting | None,
        window: Window,
    ) -> None:
        """Start, or go on from what ``state`` holds; as ``Agent``."""
        self.task: Task = task
        self._learners = learners
        self._procedures = (*select(task, learners), *rules.variants)
        self._rules = durability.ruled(rules)
        self._key, self._seed, self._micro_batch = key, seed, micro_batch
        self._inputs: Inputs | None = None
        self._arena: Arena | None = None
        self.unfit = ""  # why released bases could not take part
        self._shadows: list[Logged] = []  # answered by what serves, not yet by the others
        self._log = PendingLog(window=window)
        self._boot = secrets.token_hex(4)
        self._lock = threading.RLock()  # inputs, log and counters; never held while a graph runs
        self._learning = threading.Lock()  # one step at a time
        self._completing = threading.RLock()  # one thread completes shadows; taken before ``_lock``
        durability.check(self._procedures, task, waits=triggers is not None)
        self._pace = Pace(triggers, clock, CHUNK)
        self.desk = Desk(admission, self._pace.clock.time_s, keeps_rows=durability.retention != "none")
        facts = facts_of(task, self._procedures, self._rules, window, key=key, seed=seed, micro_batch=micro_batch)
        self._worker: Worker[Labelled | Tick] | None = None
        self._keeper = Keeper(state, facts, seed, durability, [self._pace, self.desk])
        self._spill = spill_of(self._keeper.store) if durability.retention != "none" else None
        self._log.elsewhere = self._spill
        self._resume()

    def _start(self, columns: Sequence[Column], *, fresh: bool) -> tuple[Inputs, Arena]:
        inputs = Inputs(self.task, columns)
        self._arena = self._arena_of(inputs)
        self._inputs = self.desk.inputs = inputs
        if fresh:
            self._keeper.begin(inputs, self._arena, self._log)
        return inputs, self._arena

    def _arena_of(self, inputs: Inputs) -> Arena:
        try:
            return self._arena_by(inputs, self._rules)
        except (PackageError, UsageError) as exc:
            if not self._rules.visitors.bases:
                raise
            self.unfit = str(exc)  # the agent must start, whatever was released to it
            logger.error("no released base takes part: %s", exc)  # noqa: TRY400 (no bug of ours)
            self._rules = replace(self._rules, visitors=replace(self._rules.visitors, bases=()))
            return self._arena_by(inputs, self._rules)

    def _arena_by(self, inputs: Inputs, rules: Rules) -> Arena:
        committee = Committee(self.task, self._procedures, inputs.layout())
        arena = Arena(committee, rules, self._seed, lockstep=False)
        arena.gatekeeper.clock, arena.gains.clock = time.perf_counter, time.thread_time
        return arena

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

    def _complete(self, arena: Arena) -> None:
        """Let everyone else answer what only the champion has."""
        with self._completing:
            with self._lock:
                waiting, self._shadows = self._shadows, []
            complete(arena.roster, waiting, CHUNK)
            self._keeper.predicted(waiting)
            self._note(waiting)

    def _note(self, complete: Sequence[Logged]) -> None:
        """Let everyone see predictions that are complete; if too many wait for their labels, let some leave memory."""
        self._pace.note(complete)
        with self._lock:
            surplus = self._log.surplus()
        if surplus:
            lost = not (self._spill and self._spill.put(surplus))
            with self._lock:
                self._log.move_away(surplus, lost=lost)

    @property
    def version(self) -> str:
        """``major.minor`` of what serves; a commit makes a new minor version, another learner a new major one."""
        return self._arena.version if self._arena else "1.0"

    def flush(self) -> None:
        """Wait until every label given so far has been judged, and learned or held."""
        if self._worker:
            self._worker.flush()

    def _learn(self, items: Sequence[Labelled], now: Now | None = None) -> None:
        """Learn labelled predictions in order from what was logged, then serve the next state."""
        inputs, arena = self._inputs, self._arena
        if inputs is None or arena is None:
            raise RuntimeError("nothing was predicted yet")
        with self._learning:
            self._complete(arena)
            self._meet(item.source for item in items)
            arena.roster.outside.catch_up()
            with self._completing, self._lock:
                arena.grow(inputs.capacity)
                fit = arena.roster.fit
                memos = [fit(memo_of(item.logged, inputs.capacity), item.logged.columns) for item in items]
                now = self._begun(now)
                self._keeper.step(items, now if self._pace.waits else None)
            y, live = self._targets([item.target for item in items]), np.stack(memos)
            chosen, w, told = self.desk.labelled(arena, items, y, live)
            kept = [items[i] for i in chosen]
            learned = self._pace.take(arena, Labels.of(kept, live[chosen], y[chosen], w), now) if kept else 0
            with self._lock:
                for item, known in zip(kept, told.tolist(), strict=True):
                    logged = item.logged
                    inputs.learn(logged.parsed(), logged.key, logged.x, item.target, told=known)
            self._count(len(items), learned)

    def _meet(self, sources: Iterable[str]) -> None:
        """Keep the state for long as it is before sources teach that have not done so yet; see ``forget``."""
        store = self._keeper.store
        if store and self.desk.provenance.newcomers(sources):
            try:
                self._save(version=False, forced=True)
                store.pin()
            except StateError as exc:
                logger.error("no state from before a new source is kept: %s", exc)  # noqa: TRY400 (a full disk is no bug)

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
        if arena is None:
            return
        with self._learning:
            self._complete(arena)
            with self._completing, self._lock:
                now = self._begun(now)
                seen, due = self._pace.gathered, self._pace.due(arena, now)
                if seen or due:
                    self._keeper.ticked(now)
            if due:
                self._count(0, self._pace.learn(arena))
        self._expire(arena)

    def _expire(self, arena: Arena) -> None:
        """Learn the negative label of predictions whose window has ended, and wait for them no longer."""
        inputs, log = self._inputs, self._log
        if inputs is None or not log.due:
            return
        with self._learning:
            self._complete(arena)
        with self._completing, self._lock:
            items = expired(log, inputs, log.sequence)
            self._keeper.expired(items, log.newest_s, log.sequence)
        for at in range(0, len(items), CHUNK):
            self._learn([item for item, _ in items[at : at + CHUNK]])

    def _targets(self, targets: Sequence[float]) -> Array:
        return np.array(targets, np.int64 if self.task == "classification" else np.float64)

    def _count(self, labels: int, learned: int) -> None:
        self._keeper.count(labels, learned)
        if self._keeper.since_commit >= self._micro_batch:
            self._save()

    def _teach(self, lesson: Lesson) -> None:
        """Learn labelled events together, each as the labels before it let it be seen."""
        inputs, arena = self._inputs, self._arena
        if inputs is None or arena is None:
            raise RuntimeError("the agent was not started")
        told = list(zip(lesson.events, lesson.keys, strict=True))
        with self._learning:
            self._complete(arena)
            self._meet([lesson.source])
            with self._lock:
                y = self._targets([inputs.index(label) for label in lesson.labels])
                seen = np.stack([inputs.vector(*one) for one in told]) if lesson.seen is None else lesson.seen
                arena.grow(inputs.capacity)
            chosen, w, heard = self.desk.fresh(arena, seen, y, lesson)
            x = seen.copy() if lesson.x is None else lesson.x
            with self._completing, self._lock:
                for i, known in zip(chosen.tolist(), heard.tolist(), strict=True):
                    event, key = told[i]
                    x[i] = inputs.vector(event, key) if lesson.x is None else x[i]
                    inputs.learn(event, key, x[i], y[i].item(), told=known)
                now = self._begun(lesson.now)
                self._keeper.taught(replace(lesson, x=x, seen=seen, now=now if self._pace.waits else None))
            learned = self._pace.take_unanswered(arena, x[chosen], y[chosen], w, now) if len(chosen) else 0
            self._count(len(told), learned)

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
            due = not forced and arena.rehearsal.due(self._micro_batch)
            self._keeper.name(inputs, arena, arena.commit(rehearse=due), asked=forced)
        with self._completing, self._lock:
            if arena:
                self._complete(arena)
            packed = self._keeper.pack(inputs, arena, self._log, forced=forced)
            mark = self._spill.mark if self._spill else 0
        self._keeper.commit(packed, forced=forced)
        if packed:
            give_back()
        if packed and self._spill and not self._keeper.trouble:
            self._spill.settle(mark)

    def _resume(self) -> None:
        saved = self._keeper.load()
        if saved:
            inputs, arena = self._start(self._keeper.columns(saved), fresh=False)
            ways = Ways(self._learn, self._teach, self._tick, partial(self._save, forced=True), self._note)
            self._keeper.resume(saved, inputs, arena, self._log, ways)
            if self._spill:
                self._spill.needed(self._log.sequences_away())
            self.desk.declare()
            regrouped = arena.roster.stored is not arena.roster.live
            self._refit(arena)
            recorder = self._keeper.recorder
            if arena.stands(recorder.newest, recorder.graph) or regrouped:
                self._save(version=False, forced=True)

    def _refit(self, arena: Arena) -> None:
        """Give every waiting prediction a column for each present candidate, and forget how columns have moved."""
        roster = arena.roster
        if roster.stored is not roster.live:
            self._log.bring_back()
            self._pace.refit(roster.fit)
        for logged in self._log.items():
            if logged.memo is not None and logged.moment is None:
                logged.memo, logged.columns = roster.fit(logged.memo, logged.columns), roster.live
        roster.stored = roster.live

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
        if self._arena:
            self._complete(self._arena)
        if self._keeper.due:
            self._save(version=self._keeper.plain, forced=True)
        self._leave()
        if worker:
            worker.check()

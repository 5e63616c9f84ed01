"""Test then train over a recorded stream, in lockstep: the same rows and options give the same bits.

Rows go through in chunks of at most ``inner``. With labels at once, a chunk is answered and learned in one call, and
the answer to each row is the one given before that row was learned (see the learners: the sequential ones are exact
row by row, the others answer with their state at the start of the chunk). With labels ``delay`` rows late, a chunk is
answered, its answers are logged, and then the rows whose labels have arrived are learned from what was logged.

Row t never knows a label of a row after t - 1 - delay: not as an input, not in a state, not in a weight.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from acclimate_device.arena import Arena
from acclimate_device.cadence import Cadence, Now
from acclimate_device.committee import Committee
from acclimate_device.inputs import Inputs
from acclimate_device.logged import widened
from acclimate_device.procedures import Task, select
from acclimate_device.rules import Event, Rules
from acclimate_device.schema import Parsed
from acclimate_device.scores import Baselines, Windows, scores_for
from acclimate_device.triggers import Policy as Triggers

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a replay's results depend on, beside the file.

    Attributes:
        task: of the stream.
        delay: rows between a row and its label, 0 if the label is known before the next row.
        micro_batch: labelled rows between two commits.
        inner: most rows that go through the learners at once.
        seed: of every generator.
        learners: names of standard learners; None for the default committee.
        rules: of the contest.
        triggers: when to learn; None for at once.
    """

    task: Task
    delay: int = 0
    micro_batch: int = 512
    inner: int = 32
    seed: int = 0
    learners: tuple[str, ...] | None = None
    rules: Rules = field(default_factory=Rules)
    triggers: Triggers | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row that was checked and may be predicted and learned from."""

    row: int
    parsed: Parsed
    label: str | float
    key: str


@dataclass(slots=True)
class _Waiting:
    """A predicted row whose label has not been learned yet."""

    row: int
    texts: list[str | None]
    key: str
    x: Array
    target: float
    memo: Array | None = None  # every column's answer
    occupants: tuple[int, ...] = ()  # of the slots when it was answered


class Replay:
    """The state of a replay between two chunks."""

    def __init__(self, inputs: Inputs, options: Options) -> None:
        """Start a committee of the chosen learners on empty inputs."""
        self.inputs = inputs
        self.options = options
        committee = Committee(
            options.task, (*select(options.task, options.learners), *options.rules.variants), inputs.layout()
        )
        self.arena = Arena(committee, options.rules, options.seed)
        self.scores = scores_for(options.task, len(self.arena.names))
        self.baselines = Baselines(options.task)
        base_names = ("last", "mean") if options.task == "regression" else ("no_change", "majority")
        self.windows = Windows(self.arena.names, base_names)
        self.rows = 0  # rows fed
        self.learned = 0
        self.commits = 0
        self._waiting: deque[_Waiting] = deque()
        self._arrived = 0  # of the waiting rows, how many labels are part of the history already
        self._since_commit = 0
        self._cadence = Cadence(options.triggers) if options.triggers else None

    @property
    def chunk_rows(self) -> int:
        """How many rows the next chunk takes: few at first, then ``inner``, but never far more than the delay."""
        limit = self.arena.hurried(self.options.inner)
        if self.options.delay:
            return min(limit, self.options.delay + 1)
        return min(limit, max(1, self.rows))

    def feed(self, chunk: Sequence[Row]) -> bool:
        """Answer, score and learn one chunk of at most ``chunk_rows`` rows, in order.

        Returns:
            Whether a micro-batch is complete and a commit is due.
        """
        begin = 0
        for at, row in enumerate(chunk) if self._learns_at_once else ():
            if self._surprises(row):  # nobody may know before it is answered that there is such a class
                if begin < at:
                    self._feed(chunk[begin:at], at_once=True)
                self._feed(chunk[at : at + 1], at_once=False)
                begin = at + 1
        if begin < len(chunk):
            self._feed(chunk[begin:], at_once=not (self.options.delay or self._cadence))
        return self._since_commit >= self.options.micro_batch

    @property
    def _learns_at_once(self) -> bool:
        """Whether a row's label may be of a class that nobody may know of when it is answered."""
        return not (self.options.delay or self._cadence or self.options.task == "regression")

    def _surprises(self, row: Row) -> bool:
        """Whether a row's label is of a class for which there is no room yet."""
        return self.inputs.index(row.label, arrived=False) >= self.inputs.capacity

    def _feed(self, chunk: Sequence[Row], *, at_once: bool) -> None:
        fresh, baselines = self._enter(chunk)
        x = np.stack([item.x for item in fresh])
        y = self._targets(fresh)
        features = x[:, : self.arena.committee.layout.features]
        self.arena.drifts.inputs(features)
        if not at_once:
            out, memo = self.arena.roster.answer(x)
            for item, logged in zip(fresh, memo, strict=True):
                item.memo, item.occupants = logged, self.arena.roster.moment.occupants
            self._score(chunk, y, out, memo, baselines)
            if self._cadence:
                last = chunk[-1].row
                self._cadence.watch(features, Now(rows=last, time_s=float(last)))
            self._learn_arrived(chunk[-1].row)
        else:
            w = np.ones(len(y), np.float32)
            out, memo = self.arena.learn(x, y, w, logged=None, occupants=None, delay=0.0)
            self._score(chunk, y, out, memo, baselines)
            self._take(len(fresh), chunk[-1].row)
        self.rows += len(chunk)

    def _enter(self, chunk: Sequence[Row]) -> tuple[list[_Waiting], Array]:
        """Build each row's vector from what had arrived before it; also return what the baselines answer."""
        inputs, late = self.inputs, 1 + self.options.delay
        fresh, answers = [], []
        for row in chunk:
            self._arrive(row.row - late)
            answers.append(self.baselines.answers())
            x = inputs.vector(row.parsed, row.key)
            item = _Waiting(row.row, row.parsed.texts, row.key, x, inputs.index(row.label, arrived=False))
            self._waiting.append(item)
            fresh.append(item)
        return fresh, np.array(answers)

    def _arrive(self, last_row: int) -> None:
        """Make the labels of the waiting rows up to ``last_row`` part of the history."""
        waiting = self._waiting
        while self._arrived < len(waiting) and (item := waiting[self._arrived]).row <= last_row:
            self.inputs.make_room(item.target)
            self.inputs.learn(Parsed([], item.texts), item.key, item.x, item.target)
            self.baselines.arrived(item.target)
            self._arrived += 1

    def _targets(self, items: Sequence[_Waiting]) -> Array:
        dtype = np.int64 if self.options.task == "classification" else np.float64
        return np.array([item.target for item in items], dtype)

    def _learn_arrived(self, last_row: int) -> None:
        """Learn, from what was logged, the rows whose labels arrive before the row after ``last_row``."""
        self._arrive(last_row - self.options.delay)
        self.arena.grow(self.inputs.capacity)
        if self._cadence and not self._due(self._cadence, last_row):
            return
        while self._arrived:
            count = min(self._arrived, self.options.inner)
            items = [self._waiting[i] for i in range(count)]
            x, y = np.stack([item.x for item in items]), self._targets(items)
            memo = np.stack([self._padded(item.memo) for item in items])
            delay = float(self.options.delay)
            w, occupants = np.ones(count, np.float32), [item.occupants for item in items]
            if self._cadence:
                self.arena.train(x, y, w, logged=memo, delay=delay)
            else:
                self.arena.learn(x, y, w, logged=memo, occupants=occupants, delay=delay)
            self._take(count, last_row)

    def _due(self, cadence: Cadence, last_row: int) -> bool:
        """Judge the labels that are new, drop rows that have waited for too long, ask whether it is time to learn."""
        items = [self._waiting[i] for i in range(cadence.judged, self._arrived)]
        losses = np.empty(0)
        if items:
            live = np.stack([self._padded(item.memo) for item in items])
            x, y, w = np.stack([i.x for i in items]), self._targets(items), np.ones(len(items), np.float32)
            losses = self.arena.losses(live, y)
            self.arena.judge(x, y, w, live=live, occupants=[item.occupants for item in items])
            cadence.see(self.arena, x, y, live, np.array([item.row for item in items], np.int64))
        cadence.judged = self._arrived
        while self._arrived > cadence.most_held:
            self._waiting.popleft()
            self._arrived -= 1
            cadence.judged -= 1
            cadence.dropped += 1
        fired = cadence.ask(self.arena, Now(rows=last_row, time_s=float(last_row)), losses)
        if fired:
            cadence.judged = 0
        self._since_commit += len(items)
        return fired

    def _padded(self, memo: Array | None) -> Array:
        if memo is None:
            raise RuntimeError("a row was learned before it was predicted")
        return widened(memo, self.inputs.capacity)

    def _take(self, count: int, last_row: int) -> None:
        """Forget ``count`` waiting rows, which have been learned."""
        self._arrive(last_row - self.options.delay)
        for _ in range(count):
            self._waiting.popleft()
        self._arrived -= count
        self.learned += count
        self._since_commit += 0 if self._cadence else count

    def _score(self, chunk: Sequence[Row], y: Array, out: Array, memo: Array, baselines: Array) -> None:
        rows, live = [row.row for row in chunk], memo[:, : len(self.arena.names)]
        scored = np.array(rows) > 1 + self.options.delay
        served, members, base = self.scores.add(y, out, live, baselines, scored)
        if scored.any():
            kept = [row for row, counts in zip(rows, scored, strict=True) if counts]
            self.windows.add(kept, served[scored], members[scored], base[scored], self.arena.roster.weights())

    def committed(self) -> list[Event]:
        """Note that a commit is made: new tests may start; return what made a version since the last one."""
        events = self.arena.commit()
        self.commits += 1
        self._since_commit = 0
        return events

    def checkpoint(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return everything the rest of the replay depends on, as tensors and JSON values."""
        waiting = list(self._waiting)
        tensors = {f"model/{name}": array for name, array in self.arena.tensors().items()}
        if waiting:
            tensors["waiting/x"] = np.stack([item.x for item in waiting])
            tensors["waiting/memo"] = np.stack([self._padded(item.memo) for item in waiting])
            tensors["waiting/target"] = np.array([item.target for item in waiting], np.float64)
            tensors["waiting/row"] = np.array([item.row for item in waiting], np.int64)
        if self._cadence:
            tensors |= {f"cadence/{name}": array for name, array in self._cadence.tensors().items()}
        progress = {"rows": self.rows, "learned": self.learned, "commits": self.commits, "arrived": self._arrived}
        documents = {
            "progress": progress,
            "arena": self.arena.document(),
            "inputs": self.inputs.document(),
            "scores": self.scores.document(),
            "baselines": self.baselines.document(),
            "windows": self.windows.document(),
            "cadence": self._cadence.document() if self._cadence else None,
            "waiting": [[item.texts, item.key, item.occupants] for item in waiting],
        }
        return tensors, documents

    def restore(self, tensors: Mapping[str, Array], documents: Mapping[str, Any]) -> None:
        """Take back what ``checkpoint`` returned."""
        prefix = "model/"
        own = {n.removeprefix(prefix): a for n, a in tensors.items() if n.startswith(prefix)}
        self.arena.restore(own, documents["arena"])
        self.inputs.restore(documents["inputs"])
        self.arena.fit(self.inputs.layout())
        self.scores.restore(documents["scores"])
        self.baselines.restore(documents["baselines"])
        self.windows.restore(documents["windows"])
        if self._cadence:
            own = {n.removeprefix("cadence/"): a for n, a in tensors.items() if n.startswith("cadence/")}
            self._cadence.restore(own, documents["cadence"])
        progress = documents["progress"]
        self.rows, self.learned = progress["rows"], progress["learned"]
        self.commits, self._arrived = progress["commits"], progress["arrived"]
        for i, (texts, key, occupants) in enumerate(documents["waiting"]):
            target = float(tensors["waiting/target"][i])
            target = int(target) if self.options.task == "classification" else target
            row, x, memo = int(tensors["waiting/row"][i]), tensors["waiting/x"][i], tensors["waiting/memo"][i]
            self._waiting.append(_Waiting(row, texts, key, x, target, memo, tuple(occupants)))

    def result(self) -> dict[str, Any]:
        """Return the scores as the JSON result lists them."""
        arena = self.arena
        learners = [*arena.committee.learners, *["pool"] * len(arena.committee.pools)]
        learners += ["outside"] * len(arena.roster.outside.names)
        candidates = [
            {"id": name, "learner": learner, "status": arena.status_of(column), **score}
            for column, (name, learner, score) in enumerate(
                zip(arena.names, learners, self.scores.of_members(), strict=True)
            )
        ]
        contest = arena.result()
        state_bytes = sum(array.nbytes for array in arena.tensors().values())
        return {
            "task": self.options.task,
            "classes": list(self.inputs.classes) if self.options.task == "classification" else None,
            "options": self._options(),
            "rows_scored": self.scores.rows,
            "rows_learned": self.learned,
            "commits": self.commits,
            "served": self.scores.served(),
            "baselines": self.scores.of_baselines(),
            "windows": self.windows.result(),
            "candidates": candidates,
            "promotions": [t for t in contest["transitions"] if t["event"] in {"promote", "rollback"}],
            "contest": contest,
            "cadence": self._cadence.result() if self._cadence else None,
            "drift": self.arena.drifts.result(),
            "state_bytes": state_bytes,
        }

    def _options(self) -> dict[str, Any]:
        """Return the options as JSON values; the plan by its digest."""
        options = asdict(self.options)
        rules = options.pop("rules")
        triggers = self.options.triggers
        options["triggers"] = msgspec.to_builtins(triggers) if triggers else None
        plan = self.arena.contest.plan.digest
        return {
            **options,
            "policy": rules["policy"],
            "challengers": rules["challengers"],
            "plan": plan,
            "scratch": rules["scratch"],
            "variants": rules["variants"],
        }

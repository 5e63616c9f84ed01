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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from acclimate_device import checkpoint
from acclimate_device.committee import Candidate, Committee
from acclimate_device.inputs import Inputs
from acclimate_device.join import Logged, PendingLog, widened
from acclimate_device.procedures import Task, select
from acclimate_device.schema import Column, infer_columns
from acclimate_device.store import Store
from acclimate_device.worker import Worker
from acclimate_shared.errors import InputError

Array = npt.NDArray[Any]

CHUNK = 32  # most labels that go through the learners at once
QUEUE_LABELS = 10_000  # labels that may wait for the worker; more make ``feedback`` wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """An answer.

    Attributes:
        id: to be given to ``feedback`` with the label.
        label: the most probable class; None for regression or before the first label.
        value: the predicted value; None for classification.
        probabilities: class to probability; empty for regression.
        version: of the model that served.
    """

    id: str
    label: str | None
    value: float | None
    probabilities: Mapping[str, float]
    version: str


@dataclass(frozen=True, slots=True)
class _Labelled:
    logged: Logged
    target: float
    weight: float
    delay: int


class Agent:
    """One model on one device."""

    def __init__(
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

        Raises:
            UsageError: an unknown learner.
            StateError: the state cannot be used or belongs to another configuration.
        """
        self.task: Task = task
        self._learners = learners
        self._procedures = select(task, learners)
        self._key, self._seed, self._micro_batch = key, seed, micro_batch
        self._inputs: Inputs | None = None
        self._candidate: Candidate | None = None
        self._log = PendingLog()
        self._boot = secrets.token_hex(4)
        self._lock = threading.RLock()  # inputs, log and counters; never held while a graph runs
        self._learning = threading.Lock()  # one step at a time
        self._learned = self._commits = self._since_commit = 0
        self._store = Store(state) if state else None
        if self._store:
            names = [p.name for p in self._procedures]
            self._store.bind({"task": task, "members": names, "key": key, "seed": seed, "micro_batch": micro_batch})
            self._resume(self._store)
        if columns and self._inputs is None:
            self._start(columns)
        self._worker = Worker(self._learn, most=CHUNK, waiting=QUEUE_LABELS) if background else None

    def _start(self, columns: Sequence[Column]) -> None:
        inputs = Inputs(self.task, columns)
        committee = Committee(self.task, self._procedures, inputs.layout())
        self._candidate = Candidate(committee, committee.start(self._seed))
        self._inputs = inputs

    def _ready(self, features: Mapping[str, object]) -> tuple[Inputs, Candidate]:
        """Return inputs and candidate, deciding the columns from the first event if need be."""
        with self._lock:
            if self._inputs is None or self._candidate is None:
                names = [name for name in features if name != self._key]
                columns, _ = infer_columns(names, [[features[name] for name in names]])
                if not columns:
                    raise InputError("the event has no features", field="features", remedy="give at least one")
                self._start(columns)
            if self._inputs is None or self._candidate is None:
                raise RuntimeError("the agent could not be started")
            return self._inputs, self._candidate

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
        inputs, candidate = self._ready(features)
        x, texts, key = self._vector(inputs, features)
        version = self.version
        out, memo = candidate.answer(x[None])
        with self._lock:
            sequence = self._log.sequence
            name = f"{self._boot}-{sequence}"
            self._log.add(Logged(id=name, sequence=sequence, texts=texts, key=key, x=x, memo=memo[0]))
        return self._prediction(name, inputs, out[0], version)

    def _prediction(self, name: str, inputs: Inputs, out: Array, version: str) -> Prediction:
        if self.task == "regression":
            return Prediction(id=name, label=None, value=float(out), probabilities={}, version=version)
        shares = {label: float(out[i]) for label, i in list(inputs.classes.items()) if i < len(out)}
        best = max(shares, key=lambda label: shares[label]) if shares else None
        return Prediction(id=name, label=best, value=None, probabilities=shares, version=version)

    @property
    def version(self) -> str:
        """``major.minor`` of what serves; a commit makes a new minor version."""
        return f"1.{self._commits}"

    # -- labels -------------------------------------------------------------------------------------------------

    def feedback(self, prediction_id: str, label: object, weight: float = 1.0) -> None:
        """Join a label to its prediction and learn from it.

        Args:
            prediction_id: from ``predict``.
            label: class or value.
            weight: importance; 0 is not learned from.

        Raises:
            UnknownPredictionError, DuplicateLabelError: see ``PendingLog``.
            InputError: a label or weight that cannot be used; the prediction goes on waiting.
        """
        inputs = self._inputs
        if not 0.0 <= weight <= 1e6:  # noqa: PLR2004 (also refuses NaN)
            raise InputError("weight out of range", field="weight", value=weight, remedy="use 0 to 1e6")
        with self._lock:
            logged = self._log.take(prediction_id)
            if inputs is None:
                raise RuntimeError("a prediction was logged before the agent was started")
            try:
                target = inputs.index(inputs.label(label))
            except InputError:
                self._log.put_back(logged)
                raise
            delay = max(0, self._log.sequence - logged.sequence - 1)
        labelled = _Labelled(logged, target, weight, delay)
        if self._worker:
            self._worker.put(labelled)
        else:
            self._learn([labelled])

    def _learn(self, items: Sequence[_Labelled]) -> None:
        """Learn labelled predictions in order from what was logged, then serve the next state."""
        inputs, candidate = self._inputs, self._candidate
        if inputs is None or candidate is None:
            raise RuntimeError("nothing was predicted yet")
        with self._learning:
            with self._lock:
                self._grow(inputs, candidate)
                memos = [widened(item.logged.memo, inputs.capacity) for item in items]
            x = np.stack([item.logged.x for item in items])
            w = np.array([item.weight for item in items], np.float32)
            delay = float(np.mean([item.delay for item in items]))
            candidate.learn(x, self._targets([i.target for i in items]), w, memo=np.stack(memos), delay=delay)
            with self._lock:
                for item in items:
                    inputs.learn(item.logged.parsed(), item.logged.key, item.logged.x, item.target)
            self._count(len(items))

    def _grow(self, inputs: Inputs, candidate: Candidate) -> None:
        if inputs.capacity > candidate.committee.layout.classes:
            candidate.grow(inputs.capacity)

    def _targets(self, targets: Sequence[float]) -> Array:
        return np.array(targets, np.int64 if self.task == "classification" else np.float64)

    def _count(self, labels: int) -> None:
        self._learned += labels
        self._since_commit += labels
        if self._since_commit >= self._micro_batch:
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
        for at in range(0, len(rows), CHUNK):
            self._learn_chunk(rows[at : at + CHUNK], labels[at : at + CHUNK], at)

    def _learn_chunk(self, rows: Sequence[Mapping[str, object]], labels: Sequence[object], at: int) -> None:
        inputs, candidate = self._ready(rows[0])
        parsed = [inputs.parse(row, row=at + i + 1) for i, row in enumerate(rows)]
        checked = [inputs.label(label, row=at + i + 1) for i, label in enumerate(labels)]
        with self._learning:
            vectors, targets = [], []
            with self._lock:
                for event, label, row in zip(parsed, checked, rows, strict=True):
                    key = str(row.get(self._key, "")) if self._key else ""
                    vectors.append(inputs.vector(event, key))
                    targets.append(inputs.index(label))
                    inputs.learn(event, key, vectors[-1], targets[-1])
                self._grow(inputs, candidate)
            w = np.ones(len(rows), np.float32)
            candidate.learn(np.stack(vectors), self._targets(targets), w, memo=None, delay=0.0)
            self._count(len(rows))

    # -- River's words ------------------------------------------------------------------------------------------

    def predict_proba_one(self, x: Mapping[str, object]) -> dict[str, float]:
        """Return class probabilities; logs nothing."""
        return dict(self._glance(x).probabilities)

    def predict_one(self, x: Mapping[str, object]) -> str | float | None:
        """Return the class or value; logs nothing."""
        answer = self._glance(x)
        return answer.value if self.task == "regression" else answer.label

    def learn_one(self, x: Mapping[str, object], y: object) -> None:
        """Learn one event."""
        self.learn_many([x], [y])

    def _glance(self, x: Mapping[str, object]) -> Prediction:
        inputs, candidate = self._ready(x)
        vector, _, _ = self._vector(inputs, x)
        out, _ = candidate.answer(vector[None])
        return self._prediction("", inputs, out[0], self.version)

    def flush(self) -> None:
        """Wait until every label given so far has been learned."""
        if self._worker:
            self._worker.flush()

    # -- durability ---------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Learn what waits, make everything durable and name the next minor version."""
        self.flush()
        with self._learning:
            self._save()

    def _save(self) -> None:
        self._commits += 1
        self._since_commit = 0
        if self._store and self._inputs and self._candidate:
            with self._lock:
                counters = {"learned": self._learned, "commits": self._commits}
                tensors, documents = checkpoint.pack(self._inputs, self._candidate, self._log, counters)
            self._store.commit(tensors, documents)

    def _resume(self, store: Store) -> None:
        saved = store.load()
        if saved is None:
            return
        tensors, documents = saved
        self._start(checkpoint.columns(documents))
        if self._inputs is None or self._candidate is None:
            raise RuntimeError("the agent could not be started")
        counters = checkpoint.unpack(tensors, documents, self._inputs, self._candidate, self._log)
        self._learned, self._commits = counters["learned"], counters["commits"]

    def status(self) -> dict[str, Any]:
        """Return what the agent has done and holds, for people and programs."""
        candidate = self._candidate
        weights = {}
        if candidate:
            committee = candidate.committee
            weights = dict(zip(committee.names, committee.weights(candidate.states).tolist(), strict=True))
        return {
            "task": self.task,
            "version": self.version,
            "predictions": self._log.sequence,
            "learned": self._learned,
            "waiting": len(self._log),
            "forgotten": self._log.forgotten,
            "classes": list(self._inputs.classes) if self._inputs else [],
            "weights": weights,
            "state_bytes_on_disk": self._store.bytes() if self._store else 0,
        }

    def close(self) -> None:
        """Learn what waits, commit and release the state."""
        worker, self._worker = self._worker, None
        if worker:
            worker.close()
        if self._store:
            if self._since_commit or not self._commits:
                self._save()
            self._store.close()
            self._store = None
        if worker:
            worker.check()

    def __enter__(self) -> Self:
        """Return the agent."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the agent."""
        self.close()

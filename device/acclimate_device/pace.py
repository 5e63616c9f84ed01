"""When an agent learns: at once, or when a trigger fires; until then labelled rows are held.

Labels are judged as they come, whatever the triggers say; learning alone waits. The clock is given, so that tests need
no sleep. A state with held rows goes on under changed triggers, or under none: then it learns what is held with the
next label.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from acclimate_device.arena import Arena
from acclimate_device.cadence import Cadence, Now, told_of
from acclimate_device.checkpoint import Saved
from acclimate_device.inputs import Inputs
from acclimate_device.logged import Labelled, Logged, widened
from acclimate_device.steady import Steady
from acclimate_device.triggers import Policy

Array = npt.NDArray[Any]
PREFIX = "pace/"
MOST_UNSEEN = 4_096  # inputs that no detector has seen; where no label comes the oldest are passed over


class Clock(Protocol):
    """The seam to time."""

    def time_s(self) -> float:
        """Return seconds from a fixed origin that outlives the process."""

    def not_before(self, time_s: float) -> None:
        """Let ``time_s`` go on from this time if it is later: an earlier life of the state has been there."""

    def local_hour(self) -> float:
        """Return the hour of the day where the device is, in [0, 24), minutes as fraction."""

    def cpu_s(self) -> float:
        """Return processor seconds of this process."""


class SystemClock:
    """The clock of this machine."""

    def __init__(self, steady: Steady | None = None) -> None:
        """Begin now; ``steady`` counts, None for one of this machine."""
        self._steady = steady or Steady()

    def time_s(self) -> float:
        """Return seconds since 1970, see ``steady``."""
        return self._steady()

    def not_before(self, time_s: float) -> None:
        """See ``Clock``."""
        self._steady.not_before(time_s)

    def local_hour(self) -> float:
        """Return the local hour."""
        now = time.localtime()
        return now.tm_hour + now.tm_min / 60

    def cpu_s(self) -> float:
        """Return processor seconds of all threads."""
        return time.process_time()


@dataclass(frozen=True, slots=True)
class Tick:
    """Asks whether it is time to learn although no label has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Labelled rows in the order in which their labels came.

    Attributes:
        x: (rows, width) float64, as logged.
        y: (rows,) int64 classes or float64 targets.
        w: (rows,) float32 weights.
        logged: (rows, columns, ...) answers as they were given.
        occupants: of the slots when the rows came.
        rows: (rows,) int64, ordinal of each prediction.
        delay: mean of events between a prediction and its label.
    """

    x: Array
    y: Array
    w: Array
    logged: Array
    occupants: Sequence[tuple[int, ...]]
    rows: Array
    delay: float

    @classmethod
    def of(cls, items: Sequence[Labelled], logged: Array, y: Array, w: Array) -> "Labels":
        """Return joined labels as arrays; ``logged``, ``y`` and ``w`` as above."""
        return cls(
            x=np.stack([item.logged.x for item in items]),
            y=y,
            w=w,
            logged=logged,
            occupants=[item.logged.occupants for item in items],
            rows=np.array([item.logged.sequence for item in items], np.int64),
            delay=float(np.mean([item.delay for item in items])),
        )


class Pace:
    """The held rows of an agent and the scheduler that they wait for."""

    def __init__(self, triggers: Policy | None, clock: Clock | None, most: int) -> None:
        """Start with nothing held.

        Args:
            triggers: when to learn; None for at once.
            clock: None for that of this machine.
            most: rows learned in one step.
        """
        self._cadence = Cadence(triggers) if triggers else None
        self.clock: Clock = clock or SystemClock()
        self.onlooker: Callable[[Array], None] | None = None  # sees inputs as the detectors do
        self._most = most
        self._cpu_s = 0.0  # that learning has used
        self._stored: tuple[dict[str, Array], Any] | None = None  # a scheduler's state that goes on under its triggers
        self._unseen: deque[Array] = deque(maxlen=MOST_UNSEEN)
        self._gathered: list[Array] = []
        self._held: list[tuple[Array, Array, float, float, Array]] = []  # x, target, weight, delay, answers

    @property
    def waits(self) -> bool:
        """Whether learning waits for a trigger."""
        return self._cadence is not None

    def now(self, last_row: int) -> Now:
        """Return the moment; ``last_row`` is the ordinal of the last prediction."""
        clock = self.clock
        return Now(rows=last_row, time_s=clock.time_s(), local_hour=clock.local_hour(), cpu_s=self._cpu_s)

    def take(self, arena: Arena, labels: Labels, now: Now) -> int:
        """Judge labels, and learn them now or later.

        Args:
            arena: that judges and learns.
            labels: those that have come.
            now: the moment, after ``gather``.

        Returns:
            How many labels were learned, earlier ones included.
        """
        cadence = self._cadence
        self._watch(arena, now)
        if cadence is None:
            self._stored = None
            learned = self.learn(arena)
            arena.learn(
                labels.x, labels.y, labels.w, logged=labels.logged, occupants=labels.occupants, delay=labels.delay
            )
            return learned + len(labels.y)
        losses = arena.losses(labels.logged, labels.y)
        arena.judge(labels.x, labels.y, labels.w, live=labels.logged, occupants=labels.occupants)
        cadence.see(arena, labels.x, labels.y, labels.logged, labels.rows)
        columns = zip(labels.x, labels.y, labels.w.tolist(), labels.logged, strict=True)
        self._held += [(x, y, w, labels.delay, answer) for x, y, w, answer in columns]
        over = max(0, len(self._held) - cadence.most_held)
        del self._held[:over]
        cadence.dropped += over
        counted = losses[labels.w > 0]
        return self.learn(arena) if cadence.ask(arena, now, counted) else 0

    def take_unanswered(self, arena: Arena, x: Array, y: Array, w: Array, now: Now) -> int:
        """Judge and learn labelled rows that nobody had answered: each is answered first; as ``take``."""
        if self._cadence is None and not self._held:
            arena.learn(x, y, w, logged=None, occupants=None, delay=0.0)
            return len(y)
        _, logged = arena.roster.answer(x)
        occupants = [arena.roster.moment.occupants] * len(y)
        rows = np.full(len(y), now.rows, np.int64)
        labels = Labels(x=x, y=y, w=w, logged=logged, occupants=occupants, rows=rows, delay=0.0)
        return self.take(arena, labels, now)

    def note(self, predictions: Sequence[Logged]) -> None:
        """Note complete predictions in their order; detectors see their inputs with the labels after them."""
        self._unseen.extend(logged.x for logged in predictions)

    def gather(self) -> None:
        """Let the next step show the detectors what has been noted so far, and nothing that comes later."""
        self._gathered += [self._unseen.popleft() for _ in range(len(self._unseen))]

    @property
    def gathered(self) -> bool:
        """Whether the next step will show the detectors something."""
        return bool(self._gathered)

    def _watch(self, arena: Arena, now: Now) -> None:
        """Show the detectors the inputs that were gathered."""
        if not self._gathered:
            return
        features = np.stack(self._gathered)[:, : arena.committee.layout.features]
        self._gathered.clear()
        arena.drifts.inputs(features)
        if self.onlooker:
            self.onlooker(features)
        if self._cadence:
            self._cadence.watch(features, now)

    def due(self, arena: Arena, now: Now) -> bool:
        """Return whether it is time to learn what is held although no label has come; after ``gather``."""
        self._watch(arena, now)
        return self._cadence is not None and bool(self._held) and self._cadence.ask(arena, now, np.empty(0))

    def learn(self, arena: Arena) -> int:
        """Learn all that is held, in order; return how many labels that were."""
        held, self._held, begun = self._held, [], self.clock.cpu_s()
        classes = arena.committee.layout.classes
        for at in range(0, len(held), self._most):
            part = held[at : at + self._most]
            x, y = np.stack([row[0] for row in part]), np.stack([row[1] for row in part])
            w, delay = np.array([row[2] for row in part], np.float32), float(np.mean([row[3] for row in part]))
            arena.train(x, y, w, logged=np.stack([widened(row[4], classes) for row in part]), delay=delay)
        self._cpu_s += max(0.0, self.clock.cpu_s() - begun)
        return len(held)

    def refit(self, fit: Callable[[Array], Array]) -> None:
        """Give the answers of held rows other columns, see ``Roster.fit``."""
        self._held = [(x, y, w, delay, fit(answer)) for x, y, w, delay, answer in self._held]

    def settled(self, arena: Arena) -> int:
        """Learn what is held, forget what inputs looked like (from now on there are more); return as ``learn``."""
        self._unseen.clear()
        self._gathered.clear()
        learned = self.learn(arena)
        if self._cadence and self._cadence.sees_inputs:
            self._cadence = Cadence(self._cadence.policy)
        arena.drifts.forget_inputs()
        return learned

    def status(self) -> dict[str, Any]:
        """Return when learning happened and why, and what waits for it."""
        found = self.result()
        if found is None:
            return {"learns": "at once", "held": len(self._held)}
        last = found["firings"][-1] if found["firings"] else None
        held = {"held": len(self._held), "held_back": found.get("held_back"), "dropped": found["dropped_rows"]}
        return {"learns": "when a trigger fires", "fired": found["fired"], "last_firing": last, **held}

    def result(self) -> dict[str, Any] | None:
        """Return the firings as results list them; None where learning does not wait."""
        if self._cadence:
            return self._cadence.result()
        return told_of(self._stored[1]) if self._stored else None

    # -- state --------------------------------------------------------------------------------------------------

    def into(self, packed: Saved, inputs: Inputs) -> Saved:
        """Add the state to that of the agent, see ``Keeper.pack``."""
        tensors, documents = packed
        return tensors | self._tensors(inputs.capacity), {**documents, "pace": self._document()}

    def _tensors(self, classes: int) -> dict[str, Array]:
        kept = self._cadence.tensors() if self._cadence else self._stored[0] if self._stored else {}
        out = {f"{PREFIX}cadence/{name}": array for name, array in kept.items()}
        if self._held:
            x, y, w, delay, answers = zip(*self._held, strict=True)
            out[f"{PREFIX}x"], out[f"{PREFIX}y"] = np.stack(x), np.stack(y)
            out[f"{PREFIX}weights"] = np.array([w, delay], np.float64)
            out[f"{PREFIX}answers"] = np.stack([widened(answer, classes) for answer in answers])
        if unseen := [*self._gathered, *self._unseen]:
            out[f"{PREFIX}unseen"] = np.stack(unseen)
        return out

    def _document(self) -> dict[str, Any]:
        stored = self._stored and self._stored[1]
        cadence = self._cadence.document() if self._cadence else stored
        return {"cadence": cadence, "cpu_s": self._cpu_s, "clock_s": self.clock.time_s()}

    def restore(self, tensors: Mapping[str, Array], documents: Mapping[str, Any]) -> None:
        """Take back what ``into`` added, if it did."""
        document = documents.get("pace")
        if document is None:
            return
        self._cpu_s = document["cpu_s"]
        self.clock.not_before(document.get("clock_s", 0.0))
        if f"{PREFIX}x" in tensors:
            w, delay = tensors[f"{PREFIX}weights"].tolist()
            x, y, answers = (np.array(tensors[PREFIX + name]) for name in ("x", "y", "answers"))
            self._held = list(zip(x, y, w, delay, answers, strict=True))
        self._unseen.extend(np.array(tensors.get(f"{PREFIX}unseen", ())))
        own = f"{PREFIX}cadence/"
        kept = {name.removeprefix(own): array for name, array in tensors.items() if name.startswith(own)}
        if self._cadence and document["cadence"]:
            self._cadence.restore(kept, document["cadence"])
        elif document["cadence"]:
            self._stored = kept, document["cadence"]

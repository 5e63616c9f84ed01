"""Log and wait: what a prediction saw and said is kept until its label comes, and is what is learned from.

Predictions and labels meet by id, in any order, in event time. The first label that comes in time is the one: a second
is refused, as a duplicate or as a contradiction; so is one that comes later than the window allows. The watermark is
the newest event time seen less what may be out of order; when it passes the end of a prediction's window, the
prediction expires: it gets the negative label if the task has one (nothing was clicked), and is forgotten otherwise.
So nothing is taken for a negative before it is one.

Bounded: beyond MOST_WAITING_BYTES of memory the oldest predictions move to the disk, or are forgotten where there is
none to move to; beyond MOST_AWAY_BYTES there, and beyond MAX_WAITING altogether, the oldest is forgotten. Who is
forgotten is counted, and its label refused later. Beyond MAX_EARLY labels without a prediction the oldest is dropped,
counted.
"""

import heapq
import math
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Protocol

from acclimate_device.answered import Answered
from acclimate_device.logged import Early, Logged
from acclimate_shared.errors import DuplicateLabelError, LateLabelError, UnknownPredictionError, UsageError

MAX_WAITING = 100_000  # predictions without a label, in memory and on the disk
MOST_WAITING_BYTES = 32 * 2**20  # of predictions in memory
MOST_AWAY_BYTES = 256 * 2**20  # of predictions on the disk
MAX_DONE = 65_536  # ids remembered, at most, to tell a second label from an unknown prediction; at least half
MAX_EARLY = 10_000  # labels without a prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which labels belong to a prediction.

    Attributes:
        most_s: seconds of event time after the prediction in which its label may come; infinite for ever.
        negative: label of a prediction whose window has ended without one; None if the task has none.
        out_of_order_s: how much later than a newer event an older one may still come.
        early_s: seconds of event time for which a label waits for its prediction; 0 refuses it.
    """

    most_s: float = math.inf
    negative: str | float | None = None
    out_of_order_s: float = 0.0
    early_s: float = 0.0

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values, for ``of``: null for ever."""
        most_s = self.most_s if math.isfinite(self.most_s) else None
        return {**asdict(self), "most_s": most_s}

    @classmethod
    def of(cls, facts: dict[str, Any]) -> "Window":
        """Return the window of these facts."""
        return cls(**{**facts, "most_s": math.inf if facts["most_s"] is None else facts["most_s"]})

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: a span that is none, or a negative label that would never be given.
        """
        for field in ("most_s", "out_of_order_s", "early_s"):
            if not getattr(self, field) >= 0.0:
                raise UsageError("not a span of time", field=field, value=getattr(self, field), remedy="use 0 or more")
        if self.negative is not None and math.isinf(self.most_s):
            remedy = "say after how many seconds"
            raise UsageError("a negative label needs a window", field="most_s", value=self.most_s, remedy=remedy)


class Elsewhere(Protocol):
    """Where predictions wait that are too many for the memory; see ``spill``."""

    def get(self, sequence: int) -> Logged | None:
        """Return one, None if it is damaged; it is not asked for again."""

    def drop(self, sequence: int) -> None:
        """Note that one is not needed any more."""


class PendingLog:
    """Predictions that wait for their label, and labels that wait for their prediction."""

    def __init__(
        self,
        *,
        max_waiting: int = MAX_WAITING,
        window: Window | None = None,
        most_bytes: int | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """Start empty.

        Args:
            max_waiting: predictions that may wait.
            window: of the labels.
            most_bytes: of the predictions in memory; None for MOST_WAITING_BYTES.
            elsewhere: for those beyond; None forgets them.
        """
        self.max_waiting, self.window = max_waiting, window or Window()
        self.most_bytes = MOST_WAITING_BYTES if most_bytes is None else most_bytes
        self.most_away_bytes = MOST_AWAY_BYTES
        self.elsewhere = elsewhere
        self.sequence = 0
        self.forgotten = 0
        self.newest_s = -math.inf  # event time
        self.refused: Counter[str] = Counter()  # labels that joined nothing, by reason
        self._waiting: OrderedDict[str, Logged] = OrderedDict()
        self._away: OrderedDict[str, tuple[int, float]] = OrderedDict()  # elsewhere: id to sequence and time
        self._done = Answered(MAX_DONE)
        self._early: OrderedDict[str, Early] = OrderedDict()
        self._ends: list[tuple[float, int, str]] = []  # heap: end of the window, sequence, id

    def __len__(self) -> int:
        """Return how many predictions wait."""
        return len(self._waiting) + len(self._away)

    def sequences_away(self) -> list[int]:
        """Return which of them wait elsewhere than in memory."""
        return [sequence for sequence, _ in self._away.values()]

    @property
    def watermark_s(self) -> float:
        """Event time before which nothing will come any more."""
        return self.newest_s - self.window.out_of_order_s

    def advance(self, time_s: float) -> None:
        """Note that an event of this time has come."""
        self.newest_s = max(self.newest_s, time_s)

    def add(self, logged: Logged) -> Early | None:
        """Keep a prediction, forgetting the oldest if there are too many; return its label, if it came before.

        Raises:
            DuplicateLabelError: a prediction of this id has been made.
        """
        if self.knows(logged.id):
            remedy = "give every event an id of its own"
            raise DuplicateLabelError("this id is taken", field="event_id", value=logged.id, remedy=remedy)
        self.sequence = logged.sequence + 1
        self._waiting[logged.id] = logged
        self._watch(logged.id, logged.sequence, logged.time_s)
        if len(self) > self.max_waiting:
            self._forget_oldest()
        early = self._early.pop(logged.id, None)
        if early is None:
            return None
        apart_s = early.time_s - logged.time_s
        if self._stale(early) or not -self.window.early_s <= apart_s <= self.window.most_s:
            self.refused["early"] += 1
            return None
        return early

    def _forget_oldest(self) -> None:
        self.forgotten += 1
        if not self._away:
            self._waiting.popitem(last=False)
            return
        _, (sequence, _) = self._away.popitem(last=False)
        if self.elsewhere:
            self.elsewhere.drop(sequence)

    def surplus(self) -> list[Logged]:
        """Return the oldest predictions, if they are too much for the memory, enough that it will be a while again."""
        first = next(iter(self._waiting.values()), None)
        if first is None or first.moment is not None or len(self._waiting) * first.bytes <= self.most_bytes:
            return []
        keep = self.most_bytes * 3 // 4 // first.bytes
        oldest = islice(self._waiting.values(), len(self._waiting) - keep)
        return [logged for logged in oldest if logged.moment is None]

    def move_away(self, items: Iterable[Logged], *, lost: bool = False) -> None:
        """Let go of predictions that were put elsewhere, or, if there is no such place, for ever."""
        for logged in items:
            if self._waiting.get(logged.id) is not logged:
                if self.elsewhere and not lost:  # its label came meanwhile
                    self.elsewhere.drop(logged.sequence)
                continue
            del self._waiting[logged.id]
            self.forgotten += lost
            if not lost:
                self._away[logged.id] = logged.sequence, logged.time_s
                while len(self._away) * logged.bytes > self.most_away_bytes:
                    self._forget_oldest()

    def _back(self, prediction_id: str) -> Logged | None:
        """Return a waiting prediction, into memory if it was elsewhere; None if it does not wait or is damaged."""
        if prediction_id in self._away:
            sequence, _ = self._away.pop(prediction_id)
            logged = self.elsewhere.get(sequence) if self.elsewhere else None
            if logged is None:
                self.forgotten += 1
                return None
            self._waiting[prediction_id] = logged
        return self._waiting.get(prediction_id)

    def bring_back(self) -> None:
        """Bring every prediction back into memory, for what must see them all."""
        for name in list(self._away):
            self._back(name)
        self._waiting = OrderedDict(sorted(self._waiting.items(), key=lambda item: item[1].sequence))

    def _stale(self, early: Early) -> bool:
        return early.time_s + self.window.early_s < self.watermark_s

    def _watch(self, name: str, sequence: int, time_s: float) -> None:
        if math.isfinite(self.window.most_s):
            heapq.heappush(self._ends, (time_s + self.window.most_s, sequence, name))

    def take(self, prediction_id: str, label: str | float, time_s: float) -> Logged:
        """Return a prediction and stop waiting for its label.

        Args:
            prediction_id: its id.
            label: class or value, to tell a duplicate from a contradiction later.
            time_s: event time of the label.

        Raises:
            DuplicateLabelError: it was labelled already.
            LateLabelError: its window has ended.
            UnknownPredictionError: it was never made, or is too old.
        """
        if prediction_id in self._done:
            raise self._refusal(prediction_id, label)
        logged = self._back(prediction_id)
        if logged is None:
            self.refused["unknown"] += 1
            raise UnknownPredictionError(
                "no such prediction waits for a label",
                field="prediction_id",
                value=prediction_id,
                remedy=f"use the id that predict returned; the last {self.max_waiting} are kept",
            )
        if time_s - logged.time_s > self.window.most_s:
            self.refused["late"] += 1
            raise self._late(prediction_id)
        del self._waiting[prediction_id]
        self._settle(prediction_id, label)
        return logged

    def _refusal(self, prediction_id: str, label: str | float) -> DuplicateLabelError | LateLabelError:
        """Return the error for a label of a prediction that has one, or has expired; it is counted."""
        first = self._done[prediction_id]
        if first is None:
            self.refused["late"] += 1
            return self._late(prediction_id)
        kind = "duplicate" if first == label else "contradiction"
        self.refused[kind] += 1
        message = "this prediction has a label already" + (", another one" if kind == "contradiction" else "")
        return DuplicateLabelError(message, field="prediction_id", value=prediction_id, remedy="send each once")

    def _late(self, prediction_id: str) -> LateLabelError:
        remedy = f"labels are taken for {self.window.most_s:g} s; widen the window, or send them sooner"
        return LateLabelError("the label has come too late", field="prediction_id", value=prediction_id, remedy=remedy)

    def _settle(self, prediction_id: str, label: str | float | None) -> None:
        self._done.add(prediction_id, label)

    def keep_early(self, early: Early) -> bool:
        """Keep a label whose prediction may still come; return whether it is kept."""
        if not self.window.early_s or self.knows(early.id):
            return False
        first = self._early.get(early.id)
        if first and not self._stale(first):
            self.refused["duplicate" if first.label == early.label else "contradiction"] += 1
            return True  # the first one stays
        if first:
            del self._early[early.id]
            self.refused["early"] += 1
        self._early[early.id] = early
        self._drop_early()
        return True

    def _drop_early(self) -> None:
        """Let go of labels whose prediction has not come in time, or of which there are too many."""
        while self._early:
            oldest = next(iter(self._early.values()))
            if len(self._early) <= MAX_EARLY and not self._stale(oldest):
                return
            del self._early[oldest.id]
            self.refused["early"] += 1

    @property
    def due(self) -> bool:
        """Whether a window has ended."""
        return bool(self._ends) and self._ends[0][0] < self.watermark_s

    def expired(self) -> list[Logged]:
        """Return the predictions whose window has ended without a label, oldest end first; they wait no longer."""
        self._drop_early()
        out, later = [], []
        while self.due:
            end_s, sequence, name = heapq.heappop(self._ends)
            if name in self._away and self.window.negative is None:
                self._drop_away(name)
                continue
            logged = self._back(name)
            if logged is None or logged.sequence != sequence:
                continue
            if logged.moment is not None:  # not everyone has answered it yet
                later.append((end_s, sequence, name))
                continue
            del self._waiting[name]
            self._settle(name, None)
            out.append(logged)
        for end in later:
            heapq.heappush(self._ends, end)
        if self.window.negative is None:
            self.forgotten += len(out)
        return out

    def _drop_away(self, name: str) -> None:
        """Let a prediction expire that gets no label: nobody needs to read it."""
        sequence, _ = self._away.pop(name)
        self.forgotten += 1
        self._settle(name, None)
        if self.elsewhere:
            self.elsewhere.drop(sequence)

    def knows(self, prediction_id: str) -> bool:
        """Return whether a prediction waits, or has had its label."""
        return any(prediction_id in known for known in (self._waiting, self._away, self._done))

    def put_back(self, logged: Logged) -> None:
        """Wait again for a prediction whose label was refused."""
        self._done.forget(logged.id)
        self._waiting[logged.id] = logged
        self._watch(logged.id, logged.sequence, logged.time_s)

    def items(self) -> list[Logged]:
        """Return the predictions that wait in memory, oldest first."""
        return list(self._waiting.values())

    # -- state --------------------------------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        """Return the state as JSON values, but for the waiting predictions."""
        return {
            "answered": self._done.document(),
            "away": [[name, *place] for name, place in self._away.items()],
            "sequence": self.sequence,
            "forgotten": self.forgotten,
            "newest_s": self.newest_s if math.isfinite(self.newest_s) else None,
            "refused": dict(self.refused),
            "early": [[e.id, e.label, e.weight, e.source, e.time_s] for e in self._early.values()],
        }

    def restore(self, items: Iterable[Logged], document: dict[str, Any]) -> None:
        """Take back what was saved: the waiting predictions, and ``document``."""
        self._waiting = OrderedDict((item.id, item) for item in items)
        self._done.restore(document["answered"] if "answered" in document else [document["done"], []])
        self._early = OrderedDict((early[0], Early(*early)) for early in document["early"])
        self.sequence, self.forgotten = document["sequence"], document["forgotten"]
        self.newest_s = -math.inf if document["newest_s"] is None else document["newest_s"]
        self.refused = Counter(document["refused"])
        self._ends = []
        self._away = OrderedDict((name, (sequence, time_s)) for name, sequence, time_s in document["away"])
        for item in self._waiting.values():
            self._watch(item.id, item.sequence, item.time_s)
        for name, place in self._away.items():
            self._watch(name, *place)

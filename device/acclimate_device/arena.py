"""Where candidates answer, learn and are judged: roster, contest and guard under one policy.

Order of a step, which is the law of the contest: answers are logged with the states of the moment; a label's losses are
those of logged answers; members and pools learn; the evidence takes the losses; only then may another candidate serve.

What serves, under which policy, is in ``serving``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from acclimate_device.gains import Way
from acclimate_device.jury import JUDGED_ROWS
from acclimate_device.losses import bounded
from acclimate_device.regroup import fitted
from acclimate_device.rules import Event
from acclimate_device.serving import Serving
from acclimate_device.transitions import happened
from acclimate_shared.errors import UsageError
from acclimate_shared.evidence import Plan

Array = npt.NDArray[Any]
STEP = 32  # rows rehearsed at once
NOTHING_SERVES: dict[str, Any] = {"champion": None, "weights": {}, "tests": {}, "promotions": 0, "drift": []}


class Arena(Serving):
    """A model: all its candidates learn and are judged, and the best may serve."""

    def learn(
        self,
        x: Array,
        y: Array,
        w: Array,
        *,
        logged: Array | None,
        occupants: Sequence[tuple[int, ...]] | None,
        delay: float,
    ) -> tuple[Array, Array]:
        """Learn labelled rows in order, judge, and let the winner serve.

        Args:
            x: (rows, width) float64, as logged.
            y: (rows,) int64 classes or float64 targets.
            w: (rows,) float32 weights.
            logged: every live column's answer when the rows came; None if they are answered only now.
            occupants: of the slots when the rows came, see ``Moment``; None with ``logged`` None.
            delay: events between a prediction and its label.

        Returns:
            What served, and every live column's answer; as ``Roster.answer``.
        """
        now = self.roster.moment.occupants
        served, live = self.train(x, y, w, logged=logged, delay=delay)
        self.judge(x, y, w, live=live, occupants=[now] * len(y) if occupants is None else occupants)
        return served, live

    def train(self, x: Array, y: Array, w: Array, *, logged: Array | None, delay: float) -> tuple[Array, Array]:
        """Learn labelled rows without judging them; as ``learn``."""
        self._learned += len(y)
        with self.gains.spent(self._shares()):
            self.rehearsal.note(x, y, w)
            return self.roster.learn(x, y, w, logged=logged, delay=delay)

    def _rehearse(self) -> None:
        """Let members learn again what has been absent, and some of them a little of the rest."""
        with self.gains.spent({"data": 1.0}):
            for chosen, everyone in ((self.rehearsal.absent(), True), (self.rehearsal.present(), False)):
                for at in range(0, len(chosen[1]) if chosen else 0, STEP):
                    x, y = (part[at : at + STEP] for part in chosen or ())
                    self.roster.rehearse(x, y, everyone=everyone)

    def _shares(self) -> dict[Way, float]:
        """Return which part of the learning serves what serves: a member's own part, or all that a pool weighs."""
        own = 1.0 if self.lineage >= len(self.committee.names) else 1 / len(self.committee.names)
        return {"data": own, "model": 1.0 - own}

    def judge(self, x: Array, y: Array, w: Array, *, live: Array, occupants: Sequence[tuple[int, ...]]) -> None:
        """Take what live candidates answered to labelled rows as evidence, without learning; as ``learn``."""
        losses = self.losses(live, y)[w > 0]
        if self.drifts.losses(losses):
            self.contest.cool_down.hope()
        if not self.contested:
            return
        self._check(x, live)
        self.gatekeeper.note(x, y, w)
        self._guests.hear(losses[np.isfinite(losses)])
        if self.jury.add(x, y, w, live, occupants, enough=self._guests.enough(JUDGED_ROWS)):
            self._judge()

    def hurried(self, rows: int) -> int:
        """Return how many of so many rows should at most be learned together, for the contest to be quick."""
        return min(rows, self._guests.enough(rows))

    def _check(self, x: Array, live: Array) -> None:
        """Quarantine live candidates whose answers are not numbers."""
        if np.isfinite(live).all():
            return
        finite = np.array(np.isfinite(live).reshape(len(live), len(self.names), -1).all((0, 2)))
        for column in [at for at in range(self.roster.own, len(self.names)) if not finite[at]]:
            # From outside it answers when it can, and may have been let in since: it is asked whether it can now.
            finite[column] = self.roster.remote(column) or np.isfinite(self.roster.ask_column(column, x[-1:])).all()
        for column in np.flatnonzero(~finite).tolist():
            if column == self.roster.serving and any(self.roster.slots):
                self.roll_back("an answer was not a number")
            self.contest.quarantine(column, "an answer was not a number")

    def losses(self, live: Array, y: Array) -> Array:
        """Return the losses of what serves, (rows,) float64; of the lineage where a frozen state serves."""
        kept: Array = self.jury.losses_of(live[:, self.lineage, None], y)[:, 0]
        return kept

    def _judge(self) -> None:
        with self.gains.spent({"model": 1.0}):
            raw = self.jury.take()
            if raw is not None and self.contested:  # some may wait from a time when there was a contest
                self._weigh(raw)

    def _weigh(self, raw: Array) -> None:
        """Take losses, (labels, columns) float64: the evidence first, then the guard."""
        anchor, lineage = raw[:, len(self.names)], raw[:, self._lineage]
        self.gains.note("data", anchor, raw[:, self.lineage])
        self.gains.note("model", raw[:, self._first], raw[:, self.lineage])
        for promotion in self.contest.observe(raw):
            self._promote(promotion.column)
            return
        self._snapshots.free()
        self._guests.free()
        self._guests.look(*self.jury.taken, raw[:, self.contest.champion])
        before, serves = self.succession.column, self.contest.champion if self.frozen else self._lineage
        if before is not None and self.succession.observe(*self._paired(raw[:, serves], raw[:, before])):
            self._step_back()
            return
        if self.frozen or self._cap is None:
            return
        both = np.stack(self._paired(lineage, anchor), 1)
        due = self.guard.observe(both[:, 0], both[:, 1]) if len(both) else None
        if due == "alarm" and not self.fallen:
            self.roll_back("the watch gave the alarm")
        elif due == "alarm":
            self._reset_guard()
        elif due == "proven":
            self._return()
            self._anchor()

    def _paired(self, one: Array, other: Array) -> tuple[Array, Array]:
        """Return the losses of two in [0, 1], (labels,) each, of labels that both have answered."""
        both = bounded(np.stack([one, other], 1), self.cap)
        both = both[~np.isnan(both).any(1)]
        return both[:, 0], both[:, 1]

    def _promote(self, column: int) -> None:
        """Let the winner of a test serve."""
        if self._probation.hold(column):
            return
        before, guest, served = self.champion, self._guests.holds(column), self._lineage
        block = self.contest.running[column][1].test.design.block
        self.succession.end()
        if guest:
            self._guests.wins(column)
        if self.frozen:
            winner = self.roster.slots[column - len(self.roster.live)]
            if winner is None:
                raise RuntimeError("an empty slot has won")
            self._enthrone(column - len(self.roster.live))
            self.contest.promoted(column, self.roster.slot_column(0))
            self._succeed(self.roster.slot_column(len(self.roster.slots) - 1), block)
            self._guests.shelf.settle(self.contest.recent(self.contest.champion)[:, 0])
            if guest:
                self._guests.won(column)
                self.roster.begin(winner.states)
        elif guest:
            self._lineage = self._guests.seat(column)
            self._anchor()
        else:
            self.roster.let_serve(column)
            self._lineage = column
            self.contest.promoted(column, column)
            self._anchor()
            if served != column:
                self._succeed(served, block)
        self._renamed(before)
        judged = self.contest.judged
        self._happened("promote", plan=judged[0], proof=judged[1], gates=judged[2], reason=f"better than {before}")

    def override(self, name: str, who: str, why: str) -> None:
        """Let a candidate serve because a person says so; recorded as such, and no evidence for anything.

        Where what serves is frozen, it is frozen as it is now.

        Raises:
            UsageError: no such candidate, or no reason.
        """
        if name not in self.names or self.roster.outside.remote(name):
            remedy = f"use one of {', '.join(self.names)}"
            raise UsageError("this candidate cannot be made champion", field="candidate", value=name, remedy=remedy)
        if not why.strip():
            raise UsageError("an override needs a reason", field="why", value=why, remedy="say why, for the record")
        self._judge()
        self._commission()
        column = self.names.index(name)
        before = self.champion
        if self.frozen:
            last = len(self.roster.slots) - 1
            self.roster.freeze(last, column)
            self.contest.forget(self.roster.slot_column(last))
            self._enthrone(last)
            column = self.roster.slot_column(0)
        self.roster.let_serve(column)
        self._lineage = self._lineage if self.frozen else column
        self.contest.crown(column, "override", f"{who}: {why}", {})
        if any(self.roster.slots) and not self.frozen:
            self._anchor()
        self.succession.end()
        self._renamed(before)
        self._happened("override", who=who, reason=why)

    def seat(self, name: str, who: str, why: str) -> bool:
        """Let a candidate serve as ``override`` does, one from outside too, if its process gives its state in time.

        Raises:
            UsageError: see ``override``.
        """
        column = self.names.index(name)
        if self.roster.remote(column) and not self.roster.let_in(column):
            return False
        self.override(name, who, why)
        return True

    def commit(self, *, rehearse: bool = True) -> list[Event]:
        """At the end of a micro-batch: judge, name the version, start the tests that promise something.

        Args:
            rehearse: whether old rows are learned again; not where somebody only wants a version.

        Returns:
            What made a version since the last commit, in order; the commit itself comes last, if what serves learns.
        """
        self._judge()
        if rehearse:
            self._rehearse()
        self._probation.attend(self._promote)
        if not (self.frozen and self.commissioned) and not self.fallen:
            self.minor += 1
            self._happened("commit")
        if not self.commissioned and self._learned >= self.rules.commission:
            self._commission()
        if self.contested and self.commissioned:
            if not self.frozen and self.roster.slots[0] is None and self.contest.labels:
                self._anchor()
            self._probation.within_limits(list(self.contest.running))
            if self.frozen:
                self._snapshots.renew()
            for column in self._probation.within_limits(self.contest.candidates()):
                if self.frozen:
                    self._snapshots.start(column)
                else:
                    self.contest.start(column)
            self.course.note(self.contest)
        self._guests.commit(self.names.index(self.champion))
        events, self._events = self._events, []
        return events

    def summary(self) -> dict[str, Any]:
        """Return who serves and who is tested, in short."""
        return {
            "champion": self.champion,
            "weights": dict(zip(self.names, self.roster.weights().tolist(), strict=True)),
            "tests": self.contest.standing(),
            "promotions": self.contest.account.promotions,
            "happened": happened(self.contest.log),
            "latest": [t.told() for t in self.contest.log[-3:]],
            "drift": self.drifts.result()[-1:],
            "gains": self.gains.result(),
        }

    def result(self) -> dict[str, Any]:
        """Return the contest as results and reports list it."""
        contest = self.contest
        return {
            "policy": self.rules.policy,
            "champion": self.champion,
            "version": self.version,
            "plan": contest.plan.digest,
            "tests_started": contest.account.started,
            "alpha": contest.plan.alpha,
            "running": contest.standing(),
            "standings": self.course.result(),
            "transitions": [msgspec.to_builtins(transition) for transition in contest.log],
            "transitions_total": contest.events,
            "parked": self._guests.shelf.result(),
            "gains": self.gains.result(),
        }

    def tensors(self) -> dict[str, Array]:
        """Return every tensor of the state by name."""
        judged = {f"contest/{name}": a for name, a in self.contest.tensors().items()}
        judged |= {f"parked/{name}": a for name, a in self._guests.tensors().items()}
        judged |= {f"rehearsal/{name}": a for name, a in self.rehearsal.tensors().items()}
        judged |= {f"quality/{name}": a for name, a in self.jury.tensors().items()}
        return self.roster.tensors() | judged | {f"sanity/{name}": a for name, a in self.gatekeeper.tensors().items()}

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the rest of the state as JSON values."""
        return {
            "roster": self.roster.document(),
            "contest": self.contest.document(),
            "guard": self.guard.document(),
            "succession": self.succession.document(),
            "version": [self.major, self.minor],
            "commissioned": [self.commissioned, self._learned],
            "lineage": self._lineage,
            "suspected": self.jury.document(),
            "sanity": self.gatekeeper.document(),
            "course": self.course.document(),
            "drifts": self.drifts.document(),
            "gains": self.gains.document(),
            "rehearsal": self.rehearsal.document(),
            "cap": self._cap and self._cap.canonical().decode(),
            "snapshots": self._snapshots.document(),
            "events": [msgspec.to_builtins(event) for event in self._events],
            "guests": self._guests.document(),
        }

    def restore(self, tensors: Mapping[str, Array], document: Mapping[str, Any]) -> None:
        """Take back what ``tensors`` and ``document`` returned, be it with other candidates from outside."""
        served = document["contest"]["champion"]
        tensors, document, moves = fitted(
            tensors, document, self.names, own=self.roster.own, home=self.committee_column, slots=len(self.roster.slots)
        )
        parts: dict[str, dict[str, Array]] = {"contest": {}, "quality": {}, "parked": {}, "sanity": {}, "rehearsal": {}}
        own: dict[str, Array] = {}
        for path, array in tensors.items():
            part, _, name = path.partition("/")
            if part in parts:
                parts[part][name] = array
            else:
                own[path] = array
        self.roster.restore(own, document["roster"])
        self.contest.restore(parts["contest"], document["contest"])
        self.jury.restore(parts["quality"], document["suspected"])
        self.gatekeeper.restore(parts["sanity"], document["sanity"])
        self.guard.restore(document["guard"])
        self.succession.restore(document.get("succession"))
        self.major, self.minor = document["version"]
        self.commissioned, self._learned = document["commissioned"]
        self._lineage = document["lineage"]
        self.course.restore(document["course"])
        self.drifts.restore(document["drifts"])
        self.gains.restore(document["gains"])
        self.rehearsal.restore(parts["rehearsal"], document["rehearsal"])
        self._cap = Plan.from_json(document["cap"].encode()) if document["cap"] else None
        self._snapshots.restore(document["snapshots"])
        self._events = msgspec.convert(document.get("events", []), list[Event])
        self._guests.restore(parts["parked"], document["guests"])
        if not moves.same:
            self.roster.stored = moves.before
            self._regrouped(moves, lost=moves.moved(served) != self.contest.champion)

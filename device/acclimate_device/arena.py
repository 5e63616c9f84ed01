"""Where candidates answer, learn and are judged: roster, contest and guard under one policy.

Order of a step, which is the law of the contest: answers are logged with the states of the moment; a label's losses are
those of logged answers; members and pools learn; the evidence takes the losses; only then may another candidate serve.

The two policies differ in what serves. ``continual``: live candidates compete as they learn; the serving one advances
with every step, guarded by its anchor (the slot 0). ``superiority``: what serves is frozen (slot 0); challengers are
snapshots of live candidates (the other slots); nothing moves without evidence.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from acclimate_device.committee import Committee
from acclimate_device.contest import Contest, bounded
from acclimate_device.course import Course
from acclimate_device.drift_watch import DriftWatch
from acclimate_device.gatekeeper import Gatekeeper
from acclimate_device.guard import Guard
from acclimate_device.guests import Guests
from acclimate_device.jury import JUDGED_ROWS, Jury
from acclimate_device.outside import Outside
from acclimate_device.plans import default_plan, with_backtest
from acclimate_device.probation import Probation
from acclimate_device.roster import Roster, States
from acclimate_device.rules import GUESTS, MADE, NONE, PARKED, Event, Rules
from acclimate_device.scratch import Scratch
from acclimate_device.snapshots import Snapshots
from acclimate_shared.errors import UsageError
from acclimate_shared.evidence import Plan

Array = npt.NDArray[Any]
ANCHOR, FROZEN = "anchor", "champion"


NOTHING_SERVES: dict[str, Any] = {"champion": None, "weights": {}, "tests": {}, "promotions": 0, "drift": []}


class Arena:
    """A model: all its candidates, and which of them serves."""

    def __init__(self, committee: Committee, rules: Rules, seed: int, *, lockstep: bool = True) -> None:
        """Start with the committee as champion.

        Args:
            committee: of the members.
            rules: of the contest.
            seed: of every generator.
            lockstep: candidates from outside are waited for, so that no result depends on time.

        Raises:
            UsageError: a challenger that does not exist, or one from outside that cannot take part.
            PackageError: a package from outside is not valid.
        """
        self.committee, self.rules = committee, rules
        plan = rules.plan or default_plan(committee.task)
        self.frozen = rules.policy == "superiority"
        outside = Outside(rules.visitors, committee.task, committee.layout, seed=seed, lockstep=lockstep)
        if self.frozen and outside.names:
            remedy = "use the policy continual: a process cannot be frozen"
            raise UsageError("no candidate from outside here", field="policy", value=rules.policy, remedy=remedy)
        several = len(committee.names) + len(outside.names) > 1
        rivals = several or any(kind in GUESTS for kind in rules.challengers or ())
        self.contested = rules.challengers != NONE and (self.frozen or rivals)
        if not self.contested:
            committee.pools = committee.pools[:1]  # the others would only be candidates
        snapshots = rules.at_once if self.frozen else 0
        slots = (1 + snapshots) if self.contested or self.frozen else 0
        guests = int(rules.admits(PARKED)) + (len(MADE) if rules.scratch else 0) if self.contested else 0
        self.roster = roster = Roster(committee, committee.start(seed), slots + guests, outside)
        names = [*roster.live, *([FROZEN if self.frozen else ANCHOR] * min(slots, 1))]
        names += [*(f"snapshot-{at + 1}" for at in range(snapshots)), *(f"guest-{at + 1}" for at in range(guests))]
        self.contest = Contest(
            plan, names, champion=roster.serving, challengers=rules.columns(roster.live), at_once=rules.at_once,
            declared=bool(rules.challengers),
        )  # fmt: skip
        self.gatekeeper = Gatekeeper(roster, rules.limits)
        self.contest.inspect = self.gatekeeper.verdicts
        self.guard = Guard(plan.alpha, plan.mde)
        self.jury = Jury(roster, plan.loss, self.contest.note)
        self.drifts = DriftWatch(regression=committee.task == "regression")
        self.major, self.minor = 1, 0
        self.course = Course()
        self._cap: Plan | None = None  # the plan with which the anchor's losses are bounded
        self._lineage = roster.serving  # live column whose states advance as the champion's
        self._events: list[Event] = []  # since the last commit
        self._snapshots = Snapshots(roster, self.contest, snapshots)
        scratch = Scratch(roster, every=rules.scratch, seed=seed)
        self._guests = Guests(roster, self.contest, scratch, first=slots, slots=guests, parks=rules.admits(PARKED))
        self._probation = Probation(roster, self.contest, self.gatekeeper, rules.visitors.probation)
        self._learned = 0
        self.commissioned = not self.frozen
        if not rules.commission:
            self._commission()

    def start_from(self, states: States) -> None:
        """Let everyone begin with states that were learned elsewhere; only before the first event."""
        self.roster.begin(states)
        self._commission()

    def _commission(self) -> None:
        """Freeze the first champion, where only evidence may change what serves."""
        if self.commissioned:
            return
        column = self.roster.slot_column(0)
        self.roster.freeze(0, self.committee_column)
        self.roster.let_serve(column)
        self.commissioned = True
        self.contest.crown(column, "commission", "frozen: from now on nothing changes without evidence", {})

    @property
    def committee_column(self) -> int:
        """Column of the default champion: the first pool, or the only member."""
        return len(self.committee.names) if self.committee.pools else 0

    @property
    def names(self) -> list[str]:
        """Ids of the live candidates, one for each of the first columns."""
        return self.roster.live

    @property
    def champion(self) -> str:
        """Id of the candidate that serves; of what a frozen champion was frozen from."""
        column = self.contest.champion
        frozen = self.roster.slots[column - len(self.roster.live)] if column >= len(self.roster.live) else None
        return self.roster.live[frozen.column if frozen else column]

    @property
    def lineage(self) -> int:
        """Live column of what learns on for the champion: its own, or the one that a frozen state was frozen from."""
        frozen = self._lineage - len(self.roster.live)
        occupant = self.roster.slots[frozen] if frozen >= 0 else None
        return occupant.column if occupant else self._lineage

    @property
    def fallen(self) -> bool:
        """Whether the anchor serves, because the lineage has become worse."""
        return not self.frozen and self.roster.serving >= len(self.roster.live)

    @property
    def version(self) -> str:
        """``major.minor`` of what serves."""
        return f"{self.major}.{self.minor}"

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
        return self.roster.learn(x, y, w, logged=logged, delay=delay)

    def judge(self, x: Array, y: Array, w: Array, *, live: Array, occupants: Sequence[tuple[int, ...]]) -> None:
        """Take what live candidates answered to labelled rows as evidence, without learning; as ``learn``."""
        if self.drifts.losses(self.losses(live, y)[w > 0]):
            self.contest.cool_down.hope()
        if not self.contested:
            return
        self._check(live)
        self.gatekeeper.note(x, y, w)
        if self.jury.add(x, y, w, live, occupants, enough=self._guests.enough(JUDGED_ROWS)):
            self._judge()

    def _check(self, live: Array) -> None:
        """Quarantine live candidates whose answers are not numbers."""
        if np.isfinite(live).all():
            return
        finite = np.array(np.isfinite(live).reshape(len(live), len(self.names), -1).all((0, 2)))
        finite[self._probation.remote] = True  # they answer when they can
        for column in np.flatnonzero(~finite).tolist():
            if column == self.roster.serving and any(self.roster.slots):
                self.roll_back("an answer was not a number")
            self.contest.quarantine(column, "an answer was not a number")

    def lineage_of(self, live: Array) -> Array:
        """Return, of every live column's answers, those of the lineage: (rows, classes) or (rows,) float64."""
        answers: Array = live[:, self._lineage]
        return answers

    def losses(self, live: Array, y: Array) -> Array:
        """Return the losses of what serves, (rows,) float64; of the lineage where a frozen state serves."""
        kept: Array = self.jury.losses_of(live[:, self.lineage, None], y)[:, 0]
        return kept

    def _judge(self) -> None:
        """Take the losses of labels: the evidence first, then the guard."""
        raw = self.jury.take()
        if raw is None:
            return
        anchor, lineage = raw[:, len(self.names)], raw[:, self._lineage]
        for promotion in self.contest.observe(raw):
            self._promote(promotion.column)
            return
        self._snapshots.free()
        self._guests.free()
        self._guests.look(*self.jury.taken, raw[:, self.contest.champion])
        if self.frozen or self._cap is None:
            return
        both = bounded(np.stack([lineage, anchor], 1), self._cap)
        both = both[~np.isnan(both).any(1)]
        due = self.guard.observe(both[:, 0], both[:, 1]) if len(both) else None
        if due == "alarm" and not self.fallen:
            self.roll_back("the watch gave the alarm")
        elif due == "alarm":
            self._reset_guard()
        elif due == "proven":
            self._return()
            self._anchor()

    def _return(self) -> None:
        """Let the fallen lineage serve again: that it is worse than the anchor has been refuted."""
        if self.fallen:
            self.roster.let_serve(self._lineage)
            reason = "no longer worse than the last proven state"
            self.contest.crown(self._lineage, "return", reason, self.guard.numbers())
            self.minor += 1
            self._happened("commit", reason=f"return: {reason}")

    def _promote(self, column: int) -> None:
        """Let the winner of a test serve."""
        if self._probation.hold(column):
            return
        before, guest = self.champion, self._guests.holds(column)
        if self.frozen:
            winner = self.roster.slots[column - len(self.roster.live)]
            if winner is None:
                raise RuntimeError("an empty slot has won")
            self._guests.replaced(self.version)
            self.roster.occupy([winner, *[None] * (len(self.roster.slots) - 1)])
            self._snapshots.clear()
            self.contest.promoted(column, self.roster.slot_column(0))
            self.contest.carry(column, self.roster.slot_column(0))
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
        same = self.champion == before
        self.major, self.minor = (self.major, self.minor + 1) if same else (self.major + 1, 0)
        judged = self.contest.judged
        self._happened("promote", plan=judged[0], proof=judged[1], gates=judged[2], reason=f"better than {before}")

    def procedure(self) -> str:
        """Return the digest of the procedure that serves, whatever it has learned."""
        return self.roster.outside.digest(self.champion) or self.committee.procedure(self.champion)

    def _happened(self, kind: Literal["commit", "promote", "rollback", "override", "surgery"], **facts: Any) -> None:  # noqa: ANN401
        self._events.append(Event(kind=kind, procedure=self.procedure(), **facts))

    def _anchor(self) -> None:
        """Make the present state of the lineage the anchor: it is proven, or the first."""
        self._guests.replaced(self.version)
        self.roster.freeze(0, self._lineage)
        recent = self.contest.recent(self._lineage)
        self._guests.shelf.settle(recent[:, 1])
        self.contest.forget(self.roster.slot_column(0))
        self._cap = with_backtest(self.contest.plan, recent)
        self._reset_guard()

    def _reset_guard(self) -> None:
        recent = self.contest.recent(self._lineage)
        self.guard.reset(bounded(recent, self._cap)[:, 1] if self._cap else recent[:, 1])

    def override(self, name: str, who: str, why: str) -> None:
        """Let a live candidate serve because a person says so; recorded as such, and no evidence for anything.

        Raises:
            UsageError: no such candidate, no reason, or a policy under which nothing live may serve.
        """
        if self.frozen or name not in self.names or self.roster.outside.remote(name):
            remedy = f"use one of {', '.join(self.names)}, under the policy continual"
            raise UsageError("this candidate cannot be made champion", field="candidate", value=name, remedy=remedy)
        if not why.strip():
            raise UsageError("an override needs a reason", field="why", value=why, remedy="say why, for the record")
        self._judge()
        column = self.names.index(name)
        same = name == self.champion
        self.roster.let_serve(column)
        self._lineage = column
        self.contest.crown(column, "override", f"{who}: {why}", {})
        if any(self.roster.slots):
            self._anchor()
        self.major, self.minor = (self.major, self.minor + 1) if same else (self.major + 1, 0)
        self._happened("override", who=who, reason=why)

    def roll_back(self, reason: str) -> None:
        """Let the anchor serve as it is. The fallen lineage learns on; it returns when it is proven no worse again.

        Raises:
            UsageError: there is no anchor, or it serves already.
        """
        if self.frozen or self.fallen or not any(self.roster.slots):
            raise UsageError("there is nothing to roll back to", field="policy", value=self.rules.policy)
        column, numbers = self.roster.slot_column(0), self.guard.numbers()
        self.roster.let_serve(column)
        self.contest.crown(column, "rollback", f"{reason}: the last proven state serves", numbers)
        self._reset_guard()
        self.minor += 1
        self._happened("rollback", reason=reason)

    def operated(self, reason: str, who: str = "") -> None:
        """Note that all states have just been given other inputs: a new major version, and evidence about it begins."""
        self.contest.crown(self.contest.champion, "surgery", reason, {})
        self._guests.free()
        self._reset_guard()
        self.major, self.minor = self.major + 1, 0
        self._happened("surgery", reason=reason, who=who)

    def commit(self) -> list[Event]:
        """At the end of a micro-batch: judge, name the version, start the tests that promise something.

        Returns:
            What made a version since the last commit, in order; the commit itself comes last, if what serves learns.
        """
        self._judge()
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

    def grow(self, classes: int) -> None:
        """Make room for so many classes, if there is less."""
        if classes > self.committee.layout.classes:
            self.roster.grow(classes)
            self._guests.grow(classes)

    def close(self) -> None:
        """End the processes of candidates from outside."""
        self.roster.outside.close()

    def summary(self) -> dict[str, Any]:
        """Return who serves and who is tested, in short."""
        return {
            "champion": self.champion,
            "weights": dict(zip(self.names, self.roster.weights().tolist(), strict=True)),
            "tests": self.contest.standing(),
            "promotions": self.contest.account.promotions,
            "happened": self.contest.happened(),
            "latest": [t.told() for t in self.contest.log[-3:]],
            "drift": self.drifts.result()[-1:],
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
        }

    def status_of(self, column: int) -> str:
        """Return what a live candidate is: champion, running, rejected, equivalent, quarantined, idle, member."""
        if self.names[column] == self.champion and (self.frozen or column == self.roster.serving):
            return "champion"
        return self.contest.status.get(column, "member") if self.contested else "member"

    # -- state --------------------------------------------------------------------------------------------------

    def tensors(self) -> dict[str, Array]:
        """Return every tensor of the state by name."""
        judged = {f"contest/{name}": a for name, a in self.contest.tensors().items()}
        judged |= {f"parked/{name}": a for name, a in self._guests.tensors().items()}
        judged |= {f"quality/{name}": a for name, a in self.jury.tensors().items()}
        return self.roster.tensors() | judged | {f"sanity/{name}": a for name, a in self.gatekeeper.tensors().items()}

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the rest of the state as JSON values."""
        return {
            "roster": self.roster.document(),
            "contest": self.contest.document(),
            "guard": self.guard.document(),
            "version": [self.major, self.minor],
            "commissioned": [self.commissioned, self._learned],
            "lineage": self._lineage,
            "suspected": self.jury.document(),
            "sanity": self.gatekeeper.document(),
            "course": self.course.document(),
            "drifts": self.drifts.document(),
            "cap": self._cap and self._cap.canonical().decode(),
            "snapshots": self._snapshots.document(),
            "events": [msgspec.to_builtins(event) for event in self._events],
            "guests": self._guests.document(),
        }

    def restore(self, tensors: Mapping[str, Array], document: Mapping[str, Any]) -> None:
        """Take back what ``tensors`` and ``document`` returned."""
        parts: dict[str, dict[str, Array]] = {"contest": {}, "quality": {}, "parked": {}, "sanity": {}}
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
        self.major, self.minor = document["version"]
        self.commissioned, self._learned = document["commissioned"]
        self._lineage = document["lineage"]
        self.course.restore(document["course"])
        self.drifts.restore(document["drifts"])
        self._cap = Plan.from_json(document["cap"].encode()) if document["cap"] else None
        self._snapshots.restore(document["snapshots"])
        self._events = msgspec.convert(document.get("events", []), list[Event])
        self._guests.restore(parts["parked"], document["guests"])

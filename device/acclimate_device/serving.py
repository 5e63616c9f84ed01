"""What serves: the champion and its lineage, the anchor behind it, the guard that watches it, and the version's name.

The two policies differ here. ``continual``: live candidates compete as they learn; the serving one advances with every
step, guarded by its anchor (the slot 0). ``superiority``: what serves is frozen (slot 0) once the first champion has
been commissioned; challengers are snapshots of live candidates (the next slots); nothing moves without evidence. What
served before is kept, frozen likewise (the last slot), for a rollback.
"""

from dataclasses import replace
from typing import Any, Literal

import numpy.typing as npt

from acclimate_device.committee import Committee, Layout
from acclimate_device.contest import Contest
from acclimate_device.course import Course
from acclimate_device.drift_watch import DriftWatch
from acclimate_device.gains import Gains
from acclimate_device.gatekeeper import Gatekeeper
from acclimate_device.guard import Guard
from acclimate_device.guests import Guests
from acclimate_device.jury import Jury
from acclimate_device.losses import bounded
from acclimate_device.outside import Outside
from acclimate_device.plans import default_plan, with_backtest
from acclimate_device.probation import Probation
from acclimate_device.regroup import Columns
from acclimate_device.rehearsal import Rehearsal
from acclimate_device.roster import Roster, States
from acclimate_device.rules import GUESTS, MADE, NONE, PARKED, Event, EventKind, Rules
from acclimate_device.scratch import Scratch
from acclimate_device.snapshots import Snapshots
from acclimate_device.succession import Succession
from acclimate_shared.errors import UsageError
from acclimate_shared.evidence import Plan

Array = npt.NDArray[Any]
ANCHOR, FROZEN, PREVIOUS = "anchor", "champion", "previous"


class Serving:
    """The parts of a model, and which of its candidates serves."""

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
        previous = int(self.frozen)
        self.roster = roster = Roster(committee, committee.start(seed), slots + guests + previous, outside)
        names = [*roster.live, *([FROZEN if self.frozen else ANCHOR] * min(slots, 1))]
        names += [*(f"snapshot-{at + 1}" for at in range(snapshots)), *(f"guest-{at + 1}" for at in range(guests))]
        names += [PREVIOUS] * previous
        self.contest = Contest(
            plan, names, champion=roster.serving, challengers=rules.columns(roster.live), at_once=rules.at_once,
            declared=bool(rules.challengers),
        )  # fmt: skip
        self.gatekeeper = Gatekeeper(roster, rules.limits)
        self.contest.inspect = self.gatekeeper.verdicts
        self.guard = Guard(plan.alpha, plan.mde)
        self.succession = Succession(plan.mde)
        self.jury = Jury(roster, plan.loss, self.contest.note)
        self.drifts = DriftWatch(regression=committee.task == "regression")
        self.major, self.minor = 1, 0
        self.course, self.gains = Course(), Gains()
        self.rehearsal = Rehearsal(rules.rehearse if committee.task == "classification" else 0, seed)
        self._first = roster.serving  # live column that served first
        self._cap: Plan | None = None  # the plan with which the anchor's losses are bounded
        self._lineage = roster.serving  # live column whose states advance as the champion's
        self._events: list[Event] = []  # since the last commit
        self._snapshots = Snapshots(roster, self.contest, snapshots)
        scratch = Scratch(roster, every=rules.scratch, seed=seed)
        self._guests = Guests(roster, self.contest, scratch, first=slots, slots=guests, parks=rules.admits(PARKED))
        self._probation = Probation(roster, self.contest, self.gatekeeper, rules.visitors.probation)
        self._learned = 0
        self._left: list[str] = []  # candidates from outside that are not there any more; until ``stands``
        self._lost = False  # whether one of them served
        self.commissioned = not self.frozen
        if not rules.commission:
            self._commission()

    def start_from(self, states: States) -> None:
        """Let everyone begin with states that were learned elsewhere; only before the first event."""
        self.roster.begin(states)
        if self.frozen and self.commissioned:
            self.roster.freeze(0, self.committee_column)
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

    def lineage_of(self, live: Array) -> Array:
        """Return, of every live column's answers, those of the lineage: (rows, classes) or (rows,) float64."""
        answers: Array = live[:, self._lineage]
        return answers

    def procedure(self) -> str:
        """Return the digest of the procedure that serves, whatever it has learned."""
        return self.roster.outside.digest(self.champion) or self.committee.procedure(self.champion)

    def _happened(self, kind: EventKind, **facts: Any) -> None:  # noqa: ANN401
        self._events.append(Event(kind=kind, procedure=self.procedure(), **facts))

    def _renamed(self, before: str) -> None:
        """Number the version of another champion: a major one, if it is not of the procedure that served before."""
        same = self.champion == before
        self.major, self.minor = (self.major, self.minor + 1) if same else (self.major + 1, 0)

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

    def roll_back(self, reason: str) -> None:
        """Let the anchor serve as it is. The fallen lineage learns on; it returns when it is proven no worse again.

        Where what serves is frozen, what served before serves again.

        Raises:
            UsageError: there is no anchor, it serves already, or nothing served before.
        """
        if self.frozen and self.roster.slots[-1] is not None:
            self._step_back(reason)
            return
        if self.frozen or self.fallen or not any(self.roster.slots):
            raise UsageError("there is nothing to roll back to", field="policy", value=self.rules.policy)
        column, numbers = self.roster.slot_column(0), self.guard.numbers()
        self.roster.let_serve(column)
        self.contest.crown(column, "rollback", f"{reason}: the last proven state serves", numbers)
        self._reset_guard()
        self.minor += 1
        self._happened("rollback", reason=reason)

    def _succeed(self, before: int, block: int) -> None:
        """Watch what a test of such blocks has just promoted, beside the column of what served before it."""
        recent = self.contest.recent(before)
        if self.frozen:
            self._cap = with_backtest(self.contest.plan, recent)
        self.succession.begin(before, bounded(recent, self.cap), block)

    @property
    def cap(self) -> Plan:
        """The plan by which losses are bounded."""
        return self._cap or self.contest.plan

    def _enthrone(self, slot: int) -> None:
        """Let what a slot holds be the frozen champion, and keep what was; snapshots and guests leave."""
        winner, *others = (self.roster.slots[at] for at in (slot, 0))
        if winner is None:
            raise RuntimeError("the slot is empty")
        self._guests.replaced(self.version)
        self.roster.occupy([winner, *[None] * (len(self.roster.slots) - 2), *others])
        self._snapshots.clear()
        first, last = self.roster.slot_column(0), self.roster.slot_column(len(self.roster.slots) - 1)
        self.contest.succeed(self.roster.slot_column(slot), first, last)

    def _step_back(self, why: str = "") -> None:
        """Let what served before serve again: what was promoted has become worse, or a person says so."""
        column, name, numbers = self.succession.column, self.champion, self.succession.numbers()
        reason = why or f"{name} has become worse than what it replaced, which serves again"
        fallen = self.names.index(name)
        if self.frozen:
            self._enthrone(len(self.roster.slots) - 1)
            column = self.roster.slot_column(0)
        elif column is None:
            raise RuntimeError("nothing served before")
        else:
            self.roster.let_serve(column)
            self._lineage = column
        self.contest.crown(column, "rollback", reason, numbers)
        self.contest.cool_down.fail(fallen, self.contest.labels)
        if not self.frozen:
            self._anchor()
        self.succession.end()
        self._renamed(name)
        self._happened("rollback", reason=reason)

    def _return(self) -> None:
        """Let the fallen lineage serve again: that it is worse than the anchor has been refuted."""
        if self.fallen:
            self.roster.let_serve(self._lineage)
            reason = "no longer worse than the last proven state"
            self.contest.crown(self._lineage, "return", reason, self.guard.numbers())
            self.minor += 1
            self._happened("commit", reason=f"return: {reason}")

    def _regrouped(self, moves: Columns, *, lost: bool) -> None:
        """Note that candidates from outside have come or left.

        Args:
            moves: who.
            lost: whether what served has left, so that the committee serves.
        """
        for name in moves.now:
            if name not in moves.before:
                self.contest.tell(name, "arrive", "it takes part from now on", {})
        for name in moves.left:
            self.contest.tell(name, "leave", "it takes part no longer", {})
        self._left = moves.left
        if lost:
            self._lost = True
            self.contest.crown(self.contest.champion, "rollback", self._why_left(), {})
        if moves.left:
            self._reset_guard()
        if lost:
            self.succession.end()

    def _why_left(self) -> str:
        return f"{' and '.join(self._left)} left while it served: the committee serves"

    def stands(self, newest: str, graph: str = "") -> bool:
        """Number the version of what serves where it is not what was recorded: somebody has left, or a release is new.

        Args:
            newest: version that the lineage recorded last.
            graph: what it was, as ``procedure`` says it; empty for nothing recorded.

        Returns:
            Whether it is a new version.
        """
        before = self.version
        if self._left and newest and (self._lost or newest != self.version):
            if not self._lost:  # it served after the checkpoint; what is repeated since then went another way
                self.contest.note("rollback", self._why_left())
            self.major, self.minor = int(newest.partition(".")[0]) + 1, 0
            self._happened("override", who="slots", reason=self._why_left())
        elif not self._left and graph and graph != self.procedure():
            self.operated("this release brings other learners", who="release", kind="override")
        self._left, self._lost = [], False
        return self.version != before

    def operated(self, reason: str, who: str = "", kind: Literal["surgery", "forget", "override"] = "surgery") -> None:
        """Note that all states, or what answers from them, are others now: a new major version, and new evidence."""
        self.contest.crown(self.contest.champion, kind, reason, {})
        self._guests.free()
        self._reset_guard()
        self.succession.end()
        self.major, self.minor = self.major + 1, 0
        self._happened(kind, reason=reason, who=who)

    def grow(self, classes: int) -> None:
        """Make room for so many classes, if there is less."""
        if classes > self.committee.layout.classes:
            self.roster.grow(classes)
            self._guests.grow(classes)

    def fit(self, layout: Layout) -> None:
        """Take the sizes of the inputs after states were restored, which may be older than a class just heard of."""
        known = self.committee.classes(self.roster.states)
        self.committee.layout = replace(layout, classes=known or layout.classes)
        self.grow(layout.classes)

    def close(self) -> None:
        """End the processes of candidates from outside."""
        self.roster.outside.close()

    def status_of(self, column: int) -> str:
        """Return what a live candidate is: champion, running, rejected, equivalent, quarantined, idle, member."""
        if self.names[column] == self.champion and (self.frozen or column == self.roster.serving):
            return "champion"
        return self.contest.status.get(column, "member") if self.contested else "member"

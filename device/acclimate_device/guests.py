"""Challengers that do not come from the live candidates: whole states in slots of their own, judged as they are.

A guest is a parked state whose context may have returned, or what ``scratch`` has made. It answers every event from the
moment it takes its slot, never learns there, and leaves when its test ends. If it wins, everyone goes on from its
states. Its test bets on what matters to the plan and on everything larger: a context that returns shows within a few
dozen labels. Until it is over labels are judged as soon as there are GUEST_ROWS of them, or QUICK_ROWS after a sudden
rise.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from acclimate_device.contest import UNCAPPED, Contest
from acclimate_device.gates import SANITY
from acclimate_device.losses import bounded, raw_losses
from acclimate_device.parked import GONE_ROWS, Parked, Shelf, risen
from acclimate_device.plans import with_backtest
from acclimate_device.roster import Frozen, Roster, States
from acclimate_device.rules import MADE, PARKED
from acclimate_device.scratch import Scratch
from acclimate_device.surge import Surge
from acclimate_shared.evidence import BlockRule, Gate, Plan, backtest_length

Array = npt.NDArray[Any]

GUEST_ROWS = 32  # labels judged together while a guest is tested
QUICK_ROWS = 8  # in the first QUICK_LABELS of a test that came of a sudden rise
QUICK_LABELS = 64
SUDDEN_ROWS = 4  # labels since a sudden rise that parked states are asked about, at least
PROBE_ROWS = 64  # latest labels that a parked state is asked about: the change may be that young
ALERT_ROWS = 256  # labels for which parked states are asked after what serves has got worse
PROMISING = 2.0  # standard errors of a lead on them that make a test worth its level
PROBE_EVERY = 8192  # labels without a probe after which one is due anyway
GUEST_LABELS = 4096  # after which an undecided guest leaves: what serves has moved on
REST_ROWS = 1024  # labels before a guest that has lost may come again
UNSETTLED_ROWS = 256  # latest labels that the change itself may be in: no length of blocks is told from them
DESIGN_ROWS, MIN_DESIGN_ROWS = 512, 256  # labels of what serves, before those, that it is told from
LATEST = ("latest/x/", "latest/y/", "latest/losses/")
BLOCK = 16  # where there are fewer


class Guests:
    """The slots of guests, and the shelf that parked ones come from."""

    def __init__(
        self, roster: Roster, contest: Contest, scratch: Scratch, *, first: int, slots: int, parks: bool
    ) -> None:
        """Start with nobody.

        Args:
            roster: its slots from ``first`` on are the guests'.
            contest: that judges them.
            scratch: that makes some of them.
            first: of the slots.
            slots: how many, 0 for none.
            parks: whether states are parked.
        """
        self._roster, self._contest, self._slots = roster, contest, range(first, first + slots)
        self.shelf, self._scratch = Shelf(roster), scratch
        self._here: dict[int, tuple[str, int]] = {}  # slot to kind, number on the shelf (0: none)
        self._parks = parks and slots > 0
        self._probed = self._alert = self._quick = 0  # labels
        self._returns = False  # whether a parked state is about to serve
        self._surge = Surge(regression=contest.plan.loss in UNCAPPED)
        self._latest: list[Array] = []  # x, y and losses of what served of the latest judged events, since the commit

    def enough(self, usual: int) -> int:
        """Return how many labels are to be judged together: fewer than usual while it matters to be quick."""
        if self._surge.since >= SUDDEN_ROWS or (self._returning and self._contest.labels < self._quick):
            return QUICK_ROWS
        return GUEST_ROWS if self._returning else usual

    @property
    def _returning(self) -> bool:
        return any(kind == PARKED for kind, _ in self._here.values())

    def hear(self, losses: Array) -> None:
        """Take the losses of what serves, (labels,) float64, of the lineage where that is frozen, as labels come.

        If they have risen suddenly there is no time to lose: ``look`` asks parked states about the labels since then.
        """
        if self._parks:
            self._surge.update(losses, armed=bool(self._rested()) and not self._returning)

    def _rested(self) -> list[Parked]:
        return [e for e in self.shelf.entries if self._contest.labels - e.label >= REST_ROWS]

    # -- parked ones --------------------------------------------------------------------------------------------

    def replaced(self, version: str) -> None:
        """Park what gives up the first slot (the anchor, or the frozen champion), if its context has gone.

        Args:
            version: of the model.
        """
        frozen, recent = self._roster.slots[0], self._contest.losses(self._roster.slot_column(0))
        gone, self._returns = self._returns or self.shelf.gone(recent), False
        if frozen is None or not self._parks or not gone:
            return
        entry = Parked(frozen=frozen, version=version, label=self._contest.labels)
        left = self.shelf.park(entry, self._alike(frozen))
        if entry not in left:
            before = self.shelf.home if len(self.shelf.home) else recent[:-GONE_ROWS]
            parts = {"loss": recent[-GONE_ROWS:], "before": before}
            numbers = {what: float(losses.mean()) for what, losses in parts.items() if len(losses)}
            name = self._roster.live[frozen.column]
            self._contest.tell(f"{PARKED} {version}", PARKED, f"the context of {name} has gone", numbers)

    def _alike(self, frozen: Frozen) -> dict[int, float]:
        if not self._latest or not len(self._latest[0]) or not self.shelf.entries:
            return {}
        own = self._losses(frozen)
        return {e.frozen.number: float(np.abs(self._losses(e.frozen) - own).mean()) for e in self.shelf.entries}

    def _losses(self, frozen: Frozen, rows: int = PROBE_ROWS) -> Array:
        """Return the losses of a frozen state on the latest judged events, (rows,) float64."""
        x, y = (part[-rows:] for part in self._latest[:2])
        answers = self._roster.ask(frozen, x)
        return raw_losses(self._contest.plan.loss, answers[:, None], y)[:, 0]

    def look(self, x: Array, y: Array, losses: Array) -> None:
        """Ask the parked states about events that were just judged, if it is time, and let the best one challenge.

        Args:
            x: (rows, width) float64.
            y: (rows,) targets.
            losses: (rows,) of what served, NaN where they are no evidence.
        """
        if not self._slots:
            return
        counts = ~np.isnan(losses)
        fresh = [x[counts], y[counts], losses[counts]]
        self._scratch.keep(fresh[0], fresh[1])
        both = [np.concatenate(pair) for pair in zip(self._latest, fresh, strict=True)] if self._latest else fresh
        self._latest = [part[-PROBE_ROWS:] for part in both]
        rested, room = self._rested(), [slot for slot in self._slots if slot not in self._here]
        if not rested or not room or self._returning:
            return
        due, rows = self._due(int(counts.sum())), min(self._surge.since, len(self._latest[0]))
        if rows >= SUDDEN_ROWS and counts.all():  # else there are others among the latest than those since the rise
            self._probe(rested, room[0], rows, sudden=True)
            self._surge.calm()
        elif due and len(self._latest[0]) >= PROBE_ROWS:
            self._probe(rested, room[0], PROBE_ROWS, sudden=False)

    def _due(self, fresh: int) -> bool:
        """Return whether parked states are to be asked: what serves has got worse, or it is long ago."""
        recent, labels = self._contest.losses(self._contest.champion), self._contest.labels
        if risen(recent[: len(recent) - fresh], recent[len(recent) - fresh :]):
            self._alert = labels + ALERT_ROWS
        return labels < self._alert or labels - self._probed >= PROBE_EVERY

    def _probe(self, rested: Sequence[Parked], slot: int, rows: int, *, sudden: bool) -> None:
        """Ask parked states about the latest rows, and let the best of them challenge if it leads clearly."""
        self._probed = self._contest.labels
        pairs = [np.stack([self._latest[2][-rows:], self._losses(entry.frozen, rows)], 1) for entry in rested]
        # Rows since a rise are those that what serves got wrong: on them anyone else leads, so more is asked for.
        leads = [self._lead(pair) if not sudden or self._surge.usual(pair[:, 1]) else 0.0 for pair in pairs]
        best = int(np.argmax(leads))
        if leads[best] > 0.0:
            entry = rested[best]
            self._quick = self._contest.labels + (QUICK_LABELS if sudden else 0)
            self._enter(slot, entry.frozen, f"{PARKED} {entry.version}", pairs[best], entry.frozen.number)

    def _lead(self, pair: Array) -> float:
        """Return by how much the second of two columns of losses is clearly the smaller, 0 if it is not."""
        losses = bounded(pair, with_backtest(self._contest.plan, pair))
        difference = losses[:, 0] - losses[:, 1]
        mean, rows = float(difference.mean()), len(difference)
        error = math.sqrt((float(difference.var()) + 1 / rows) / rows)  # of a few, even equal ones, something is chance
        return mean if mean > max(PROMISING * error, self._contest.plan.mde) else 0.0

    # -- slots --------------------------------------------------------------------------------------------------

    def invite(self, states: States, column: int, kind: str, pair: Array) -> bool:
        """Test states that were made for it; return whether a slot was free.

        Args:
            states: of all members and pools.
            column: the live candidate whose way of answering they keep.
            kind: what they are, for the log; one guest of a kind at a time.
            pair: (rows, 2) losses of what serves and of the guest, from before.
        """
        room = [slot for slot in self._slots if slot not in self._here]
        if not room or any(k == kind for k, _ in self._here.values()):
            return False
        self._enter(room[0], Frozen(states, column, 0), kind, pair, 0)
        return True

    def _enter(self, slot: int, frozen: Frozen, name: str, pair: Array, number: int) -> None:
        roster, contest = self._roster, self._contest
        roster.place(slot, frozen.states, frozen.column)
        column = roster.slot_column(slot)
        contest.forget(column)
        self._here[slot] = (PARKED if number else name, number)
        contest.names[column] = name
        contest.start(column, plan=self._plan(pair), challenger=f"{name}@{contest.labels}")

    def _plan(self, pair: Array) -> Plan:
        """Return the plan of a guest's test: blocks as long as the losses of what serves hang together."""
        plan = with_backtest(self._contest.plan, pair)
        recent = bounded(self._contest.recent(self._contest.champion)[:, 0], plan)
        before = recent[: max(0, len(recent) - UNSETTLED_ROWS)][-DESIGN_ROWS:]
        length = backtest_length(before) if len(before) >= MIN_DESIGN_ROWS else BLOCK
        length = min(length, max(1, min(plan.n_max, GUEST_LABELS) // 20))
        block = plan.block if plan.block.rule == "fixed" else BlockRule(rule="backtest", length=length)
        least = QUICK_ROWS if self._contest.labels < self._quick else GUEST_ROWS
        gates = tuple(msgspec.structs.replace(g, min_labels=min(g.min_labels, least)) for g in plan.gates)
        if not any(gate.name == SANITY for gate in gates):
            gates += (Gate(name=SANITY, worse_by=1.0),)  # the rows of the set may be of another context than this one
        return msgspec.structs.replace(plan, block=block, gates=gates, n_max=min(plan.n_max, GUEST_LABELS))

    def free(self) -> None:
        """Give free the slots whose test has ended."""
        for slot in [s for s in self._here if self._roster.slot_column(s) not in self._contest.running]:
            self._leave(slot)

    def _leave(self, slot: int) -> None:
        _, number = self._here.pop(slot)
        self.shelf.rest(number, self._contest.labels)
        slots = list(self._roster.slots)
        slots[slot] = None
        self._roster.occupy(slots)
        self._contest.forget(self._roster.slot_column(slot))

    def holds(self, column: int) -> bool:
        """Return whether a column is that of a guest."""
        return column - len(self._roster.live) in self._here

    def wins(self, column: int) -> None:
        """Note that a guest is about to serve: if it was parked, the context of what it replaces has gone."""
        self._returns = self._here[column - len(self._roster.live)][0] == PARKED

    def seat(self, column: int) -> int:
        """Let everyone go on from the states of a guest that has won; return the live column that serves."""
        self._roster.thaw(column - len(self._roster.live))
        serving = self._roster.serving
        self._contest.promoted(column, serving)
        for other in range(len(self._roster.live)):
            self._contest.forget(other)  # they were losses of states that nobody has any more
        self._contest.carry(column, serving)
        self.won(column)
        return serving

    def won(self, column: int) -> None:
        """Note that a guest serves from now on: it is no guest any more."""
        slot = column - len(self._roster.live)
        number = self._here[slot][1]
        self._leave(slot)
        self.shelf.remove(number)

    def commit(self, column: int) -> None:
        """Let go of the latest events, and begin anew if it is time.

        Args:
            column: live candidate that serves, or that what serves was frozen from.
        """
        self._latest = []
        if self._slots and self._scratch.due and not any(kind in MADE for kind, _ in self._here.values()):
            self._begin_anew(column)

    def _begin_anew(self, column: int) -> None:
        contest = self._contest
        anew, between, losses = self._scratch.make(column, contest.plan.loss)
        pair = contest.recent(contest.champion)[-len(losses) :]
        if len(pair) < PROBE_ROWS:
            return
        plan = with_backtest(contest.plan, pair)
        own, served = (float(bounded(part, plan).mean()) for part in (losses, pair[:, 0]))
        if own > served - plan.mde / 2:  # as of any candidate, a promise is asked for: a test costs a level
            contest.tell(MADE[0], "left out", "what began anew promises nothing", {"loss": own, "served": served})
            return
        for kind, states in zip(MADE, (anew, between), strict=True):
            self.invite(states, column, kind, pair)

    # -- state --------------------------------------------------------------------------------------------------

    def grow(self, classes: int) -> None:
        """Make room for more classes."""
        self.shelf.grow(classes)

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the state as JSON values, beside that of the shelf."""
        names = {slot: self._contest.names[self._roster.slot_column(slot)] for slot in self._here}
        here = [[slot, names[slot], *facts] for slot, facts in self._here.items()]
        own = {"here": here, "probed": [self._probed, self._alert, self._quick], "shelf": self.shelf.document()}
        return own | {"scratch": self._scratch.document(), "surge": self._surge.document()}

    def tensors(self) -> dict[str, Array]:
        """Return the tensors of the shelf and of the window."""
        latest = dict(zip(LATEST, self._latest, strict=False))
        return self.shelf.tensors() | self._scratch.tensors() | latest

    def restore(self, tensors: Mapping[str, Array], document: Mapping[str, Any]) -> None:
        """Take back what ``tensors`` and ``document`` returned."""
        self._scratch.restore(tensors, document["scratch"])
        self.shelf.restore(tensors, document["shelf"])
        self._probed, self._alert, *quick = document["probed"]
        self._quick = quick[0] if quick else 0
        self._surge.restore(document.get("surge"))
        self._latest = [np.array(tensors[name]) for name in LATEST if name in tensors]
        for slot, name, kind, number in document["here"]:
            self._here[slot] = (kind, number)
            self._contest.names[self._roster.slot_column(slot)] = name

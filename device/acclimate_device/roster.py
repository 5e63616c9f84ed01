"""Everyone who answers: the members, the pools that weigh them, and frozen copies; and who of them serves.

The live candidates' answers to an event stand in one array, a column each: first the members of the committee, then the
pools. Members and pools share the members' work, so a pool more, or a single member as a candidate, costs next to
nothing. The *slots* hold frozen states: the anchor, or the champion and its challengers where serving states must not
move. What a frozen state would have answered does not depend on when it is asked, so it is asked later, for many events
at once; its column comes after the live ones.

States are immutable; to freeze, to promote and to roll back replace one reference, the moment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.committee import Committee
from acclimate_device.executor import State
from acclimate_device.outside import Outside, Visitors
from acclimate_device.precedence import ANSWERS
from acclimate_device.regroup import Columns

Array = npt.NDArray[Any]
States = Mapping[str, State]  # member or pool to its tensors


@dataclass(frozen=True, slots=True)
class Frozen:
    """A state that no longer learns, and the column whose way of answering it keeps.

    Attributes:
        states: of all members and pools at that moment.
        column: of the live candidate it was.
        number: unlike that of any other frozen state of this roster.
    """

    states: States
    column: int
    number: int


@dataclass(frozen=True, slots=True)
class Moment:
    """Who answers, with which states: everything that an answer depends on; immutable, replaced by reference.

    Attributes:
        states: of members and pools.
        slots: frozen states.
        serving: column of what serves.
        step: how often has been learned so far.
    """

    states: States
    slots: tuple[Frozen | None, ...]
    serving: int
    step: int = 0

    @property
    def occupants(self) -> tuple[int, ...]:
        """Numbers of what the slots hold, 0 for nothing: logged with an answer, it tells whose answer it was."""
        return tuple(frozen.number if frozen else 0 for frozen in self.slots)


class Roster:
    """Live candidates and frozen slots over one committee."""

    def __init__(self, committee: Committee, states: States, slots: int, outside: Outside | None = None) -> None:
        """Start with nothing frozen; the first pool serves, or the only member."""
        self.committee = committee
        self.outside = outside or Outside(Visitors(), committee.task, committee.layout, seed=0, lockstep=True)
        members = len(committee.names)
        self.own = members + len(committee.pools)  # columns that are not from outside
        self.live = [*committee.names, *(pool.name for pool in committee.pools), *self.outside.names]
        self.moment = Moment(states, (None,) * slots, members if committee.pools else 0)
        self._numbers = 0  # given to frozen states so far
        self.stored: Sequence[str] = self.live  # who answered what was logged before this roster

    @property
    def states(self) -> States:
        """States of members and pools."""
        return self.moment.states

    @property
    def slots(self) -> tuple[Frozen | None, ...]:
        """Frozen states."""
        return self.moment.slots

    @property
    def serving(self) -> int:
        """Column of what serves."""
        return self.moment.serving

    @property
    def serving_states(self) -> States:
        """States that what serves answers from."""
        return self._serving(self.moment)[0]

    @property
    def columns(self) -> int:
        """How many answers an event gets."""
        return len(self.live) + len(self.slots)

    def fit(self, memo: Array, names: Sequence[str] | None = None) -> Array:
        """Return logged answers, (columns, ...), with a column for each present candidate, NaN for who is new.

        Args:
            memo: complete.
            names: of who answered; None for those that the state was saved with.
        """
        before = self.stored if names is None else names
        return memo if before is self.live or list(before) == self.live else Columns(before, self.live).fit(memo)

    def remote(self, column: int) -> bool:
        """Return whether a column is filled by a process of its own; see ``outside``."""
        return self.own <= column < len(self.live) and self.outside.remote(self.live[column])

    def slot_column(self, slot: int) -> int:
        """Return the column of a slot."""
        return len(self.live) + slot

    def serve(self, moment: Moment, x: Array) -> tuple[Array, Array | None]:
        """Answer rows at once: what serves, and nothing that it does not need.

        Args:
            moment: ``self.moment`` as the rows came.
            x: (rows, width) float64.

        Returns:
            What serves, (rows, classes) or (rows,) float64; the live members' answers, if they had to be asked.
        """
        states, column = self._serving(moment)
        if column < len(self.committee.names) or column >= self.own:
            return self._alone(states, column, x), None
        answers = self.committee.predict(states, x)
        return self._pooled(states, answers, column), answers if states is moment.states else None

    def complete(self, moment: Moment, x: Array, members: Array | None) -> Array:
        """Answer rows for all live candidates with the states of a moment, in the shadow of the answer that was given.

        Args:
            moment: when the rows came.
            x: (rows, width) float64.
            members: from ``serve``.

        Returns:
            Every live column's answer, to be logged: (rows, live, classes) or (rows, live) float64.
        """
        if members is None:
            members = self.committee.predict(moment.states, x)
        pooled = []
        for pool in self.committee.pools:
            ANSWERS.give_way()
            pooled.append(self.committee.pooled(moment.states, members, pool)[:, None])
        everyone = self.outside.widened(np.concatenate([members, *pooled], 1))
        self.outside.fill(everyone, moment.states, moment.step, x)
        return everyone

    def answer(self, x: Array) -> tuple[Array, Array]:
        """Answer rows with the states of the moment: what serves, and every live column's answer."""
        live = self.complete(self.moment, x, None)
        return self._served(x, live), live

    def _served(self, x: Array, live: Array) -> Array:
        served: Array = live[:, self.serving] if self.serving < len(self.live) else self.serve(self.moment, x)[0]
        return served

    def _serving(self, moment: Moment) -> tuple[States, int]:
        """Return the states that serve and the live column that they answer as."""
        return self._place(moment, moment.serving)

    def _place(self, moment: Moment, column: int) -> tuple[States, int]:
        """Return the states of a candidate, live or frozen, and the live column that they answer as."""
        if column < len(self.live):
            return moment.states, column
        frozen = moment.slots[column - len(self.live)]
        if frozen is None:
            raise RuntimeError("an empty slot cannot serve")
        return frozen.states, frozen.column

    def ask_column(self, column: int, x: Array) -> Array:
        """Return what one candidate, live or frozen, answers to rows now, (rows, classes) or (rows,)."""
        states, place = self._place(self.moment, column)
        return self.ask(Frozen(states, place, 0), x)

    def _alone(self, states: States, column: int, x: Array) -> Array:
        """Return what a live candidate that is no pool answers."""
        if column >= self.own:
            return self.outside.answer(states, x, self.live[column])
        return self.committee.member(states, x, column)

    def burden(self, column: int) -> tuple[list[Array], int, int]:
        """Return what a candidate, live or frozen, answers from: its numbers, their bytes; and its operations."""
        states, place = self._place(self.moment, column)
        if place >= self.own:
            return self.outside.burden(states, self.live[place])
        return self.committee.burden(states, place)

    def _pooled(self, states: States, members: Array, column: int) -> Array:
        return self.committee.pooled(states, members, self.committee.pools[column - len(self.committee.names)])

    def frozen(self, x: Array, like: Array) -> Array:
        """Return what the slots answer to rows, (rows, slots, ...) float64, NaN for an empty slot.

        Args:
            x: (rows, width) float64.
            like: any answers to these rows, (rows, columns, ...), for the shape.
        """
        known: dict[int, Array] = {}
        empty = np.full_like(like[:, 0], np.nan)
        out = [empty if frozen is None else self.ask(frozen, x, known) for frozen in self.slots]
        return np.stack(out, 1).astype(np.float64, copy=False)

    def ask(self, frozen: Frozen, x: Array, known: dict[int, Array] | None = None) -> Array:
        """Return what a frozen state answers to rows, (rows, classes) or (rows,) float64.

        Args:
            frozen: in a slot or not.
            x: (rows, width) float64.
            known: what the members answered to these rows, by the identity of their states; added to.
        """
        if frozen.column < len(self.committee.names) or frozen.column >= self.own:
            return self._alone(frozen.states, frozen.column, x)
        known = {} if known is None else known
        if id(frozen.states) not in known:
            known[id(frozen.states)] = self.committee.predict(frozen.states, x)
        return self._pooled(frozen.states, known[id(frozen.states)], frozen.column)

    def learn(self, x: Array, y: Array, w: Array, *, logged: Array | None, delay: float) -> tuple[Array, Array]:
        """Let members and pools learn rows; return what served and every live answer, as ``answer`` does.

        Args:
            x: (rows, width) float64, as logged.
            y: (rows,) int64 classes or float64 targets.
            w: (rows,) float32 weights.
            logged: from ``answer``; None if the rows are answered only now, each before it is learned.
            delay: events between a prediction and its label.
        """
        members = None if logged is None else logged[:, : len(self.committee.names)]
        states, answers = self.committee.learn(self.states, x, y, w, memo=members, delay=delay)
        live = self.outside.widened(answers) if logged is None else logged
        states = {
            **states,
            **self.outside.learn(self.states, self.moment.step, (x, y, w), live if logged is None else None),
        }
        served = self._served(x, live)
        self.moment = replace(self.moment, states=states, step=self.moment.step + 1)
        return served, live

    def rehearse(self, x: Array, y: Array, *, everyone: bool) -> None:
        """Let members learn rows again, at most 32, that were events long ago; as ``Committee.rehearse``."""
        self.moment = replace(self.moment, states=self.committee.rehearse(self.states, x, y, everyone=everyone))

    def freeze(self, slot: int, column: int) -> None:
        """Put the present state of a live candidate into a slot."""
        self.place(slot, self.states, column)

    def place(self, slot: int, states: States, column: int) -> None:
        """Put states into a slot, to answer as the live candidate of a column does."""
        slots = list(self.slots)
        self._numbers += 1
        slots[slot] = Frozen(states, column, self._numbers)
        self.occupy(slots)

    def begin(self, states: States) -> None:
        """Replace the live states."""
        self.moment = replace(self.moment, states=states)

    def occupy(self, slots: Sequence[Frozen | None]) -> None:
        """Replace what the slots hold."""
        self.moment = replace(self.moment, slots=tuple(slots))

    def let_serve(self, column: int) -> None:
        """Let the candidate of a column serve from now on."""
        self.moment = replace(self.moment, serving=column)

    def thaw(self, slot: int) -> None:
        """Let everyone go on from what a slot holds, and let that candidate serve; the slot keeps it.

        Raises:
            RuntimeError: the slot is empty.
        """
        frozen = self.slots[slot]
        if frozen is None:
            raise RuntimeError("the slot is empty")
        states = {**self.states, **frozen.states}  # who was let in since goes on
        self.moment = replace(self.moment, states=states, serving=frozen.column)

    def valid(self, occupants: Array) -> Array:
        """Return which events came when the present occupants were in their slots already, (rows, slots) bool.

        Args:
            occupants: (rows, slots) int64, ``Moment.occupants`` as each event came.
        """
        now = np.array(self.moment.occupants, np.int64)
        kept: Array = (occupants == now) & (now > 0)
        return kept

    def grow(self, classes: int) -> None:
        """Make room for more classes everywhere; no answer about known ones changes."""
        grown: dict[int, States] = {}
        for states in (self.states, *(f.states for f in self.slots if f)):
            if id(states) not in grown:
                grown[id(states)] = self.outside.grown(self.committee.grow(states, classes), classes)
        slots = tuple(f and replace(f, states=grown[id(f.states)]) for f in self.slots)
        self.moment = replace(self.moment, states=grown[id(self.states)], slots=slots)
        self.committee.layout = replace(self.committee.layout, classes=classes)
        self.outside.grow(self.moment.step, classes, self.committee.layout)

    def let_in(self, column: int) -> bool:
        """Move the state of a candidate from outside into the moment; return whether it could be had."""
        state = self.outside.let_in(self.live[column], self.moment.step)
        if state is not None:
            self.begin({**self.states, self.live[column]: state})
        return state is not None

    def weights(self) -> Array:
        """Return how much each live candidate counts in what serves, (live,) float64, summing to 1."""
        states, column = self._serving(self.moment)
        members, weights = len(self.committee.names), np.zeros(len(self.live))
        if column < members or column >= self.own:
            weights[column] = 1.0
        else:
            weights[:members] = self.committee.weights(states, self.committee.pools[column - members])
        return weights

    def tensors(self) -> dict[str, Array]:
        """Return every tensor as ``live/member/tensor`` or ``slot-0/member/tensor``."""
        outside = {f"outside/{name}": array for name, array in self.outside.tensors().items()}
        named = {"live": self.states, **{f"slot-{at}": f.states for at, f in enumerate(self.slots) if f}}
        return outside | {
            f"{place}/{name}/{key}": array
            for place, states in named.items()
            for name, state in states.items()
            for key, array in state.items()
        }

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the rest of the state as JSON values."""
        slots = [f and [f.column, f.number] for f in self.slots]
        return [self.serving, self._numbers, slots, self.moment.step, self.outside.document()]

    def restore(self, tensors: Mapping[str, Array], document: Any) -> None:  # noqa: ANN401
        """Take back what ``tensors`` and ``document`` returned."""
        places: dict[str, dict[str, dict[str, Array]]] = {}
        for path, array in tensors.items():
            place, name, key = path.split("/", 2)
            places.setdefault(place, {}).setdefault(name, {})[key] = array
        serving, self._numbers, slots, step, outside = document
        own = {
            f"{name}/{key}": array for name, state in places.pop("outside", {}).items() for key, array in state.items()
        }
        self.outside.restore(own, outside)
        frozen = [Frozen(places[f"slot-{at}"], kept[0], kept[1]) if kept else None for at, kept in enumerate(slots)]
        self.moment = Moment(places["live"], tuple(frozen), serving, step)
        self.outside.rebase({entry[0] for entry in outside}, self.states)

"""A candidate that answers: one learner, or a committee that weighs several.

The committee is composite: its state holds copies of its members' states and the state of the *pool*, itself a
learner, whose inputs are the members' answers. Those answers are logged when an event is predicted and come back with
its label, so members are weighed by what they said at the time, never by what they would say now; the pool learns the
more slowly the later labels come.

A state is immutable: ``learn`` returns the next one, and swapping a reference is all it takes to serve it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.executor import Learner, State
from acclimate_device.parallel import spread
from acclimate_device.procedures import DEFAULT_DIMS, Procedure, Task, standard_learner

Array = npt.NDArray[Any]

POOL = "pool"
LAST = "last"  # the member of a regression committee that repeats the last target


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Sizes of the input: ``features`` columns first, then the history up to ``width``."""

    features: int
    width: int
    classes: int = 0


@dataclass(frozen=True, slots=True)
class _Member:
    procedure: Procedure
    learner: Learner
    hyper: npt.NDArray[np.float32]
    place: int


class Committee:
    """Members and the pool that weighs them; pure but for loading the learners."""

    def __init__(self, task: Task, procedures: Sequence[Procedure], layout: Layout) -> None:
        """Load the learners.

        Args:
            task: classification or regression.
            procedures: at least one.
            layout: of the input vectors.
        """
        self.task = task
        self.layout = layout
        self._members = [self._member(p, place) for place, p in enumerate(procedures)]
        self._kinds = _kinds(self._members)
        self.names = [p.name for p in procedures] + ([LAST] if task == "regression" else [])
        self.learners = [p.learner for p in procedures] + ([LAST] if task == "regression" else [])
        self._pool = standard_learner(POOL, task)

    def _member(self, procedure: Procedure, place: int) -> _Member:
        learner = standard_learner(procedure.learner, self.task)
        return _Member(procedure, learner, learner.hyper(**procedure.hyper), place)

    def start(self, seed: int) -> Mapping[str, State]:
        """Return the first state: member or pool name to its tensors."""
        states: dict[str, State] = {}
        sizes = {"features": self.layout.width, "classes": self.layout.classes}
        for i, member in enumerate(self._members):
            dims = {**DEFAULT_DIMS, **member.procedure.dims, **sizes}
            dims["phi"] = 1 + self.layout.width + dims["fourier"]
            states[member.procedure.name] = member.learner.init_state(dims, seed * 1000 + i)
        states[POOL] = self._pool.init_state({"members": len(self.names)}, seed)
        return states

    def grow(self, states: Mapping[str, State], classes: int) -> Mapping[str, State]:
        """Return the state with room for ``classes`` classes; no answer about known ones changes."""
        grown = {m.procedure.name: m.learner.grow(states[m.procedure.name], "classes", classes) for m in self._members}
        return {**states, **grown}

    def predict(self, states: Mapping[str, State], x: Array) -> tuple[Array, Array]:
        """Answer rows.

        Args:
            states: from ``start`` or ``learn``.
            x: (rows, width) float64.

        Returns:
            The answers, (rows, classes) float32 or (rows,) float64, and the members' answers to be logged,
            (rows, members, classes) or (rows, members) float64.
        """

        def answer(member: _Member) -> Array:
            return self._answer(member, states, x)

        answers = spread(answer, self._members) if len(x) > 1 else [answer(member) for member in self._members]
        memo = self._memo(answers, x)
        if len(answers) == 1:
            return answers[0], memo
        return self._pool.predict(states[POOL], memo), memo

    def _answer(self, member: _Member, states: Mapping[str, State], x: Array) -> Array:
        out: Array = member.learner.predict(states[member.procedure.name], self._seen(member, x))
        if member.procedure.change:
            out = out + self._base(x)
        return out

    def _seen(self, member: _Member, x: Array) -> Array:
        """Return the inputs with what the member does not look at left out, (rows, width) float64."""
        if member.procedure.inputs == "history":
            return x
        x = x.copy()
        x[:, self.layout.features :] = np.nan
        return x

    def _base(self, x: Array) -> Array:
        """Return the last target that had arrived, 0 before the first, (rows,) float64."""
        base: Array = np.nan_to_num(x[:, self.layout.features])
        return base

    def _memo(self, answers: list[Array], x: Array) -> Array:
        if self.task == "regression":
            answers = [*answers, self._base(x)]
        return np.stack(answers, 1).astype(np.float64, copy=False)

    def learn(
        self, states: Mapping[str, State], x: Array, y: Array, w: Array, *, memo: Array | None, delay: float
    ) -> tuple[Mapping[str, State], Array, Array]:
        """Learn labelled rows in order.

        Args:
            states: the state to start from; it is not changed.
            x: (rows, width) float64, as logged when the rows were predicted.
            y: (rows,) int64 class indices or float64 targets.
            w: (rows,) float32 weights, 0 for none.
            memo: what ``predict`` logged for the rows; None if they are answered only now (test then train).
            delay: events that pass between a prediction and its label, 0 if labels come at once.

        Returns:
            The next state; the answers to the rows before they were learned; the members' answers.
        """
        base = self._base(x) if self.task == "regression" else None

        def step(kind: list[_Member]) -> tuple[list[State], Array]:
            inputs = np.stack([self._seen(member, x) for member in kind])
            targets = np.stack([y - base if member.procedure.change else y for member in kind])
            hyper = np.stack([member.hyper for member in kind])
            before_states = [states[member.procedure.name] for member in kind]
            after, before, _ = kind[0].learner.update_lanes(before_states, inputs, targets, w, hyper)
            for lane, member in enumerate(kind):
                if member.procedure.change:
                    before[lane] += base
            return after, before

        following, by_place = dict(states), dict[int, Array]()
        for kind, (after, before) in zip(self._kinds, spread(step, self._kinds), strict=True):
            for member, state, answer in zip(kind, after, before, strict=True):
                following[member.procedure.name], by_place[member.place] = state, answer
        answers = [by_place[member.place] for member in self._members]
        if memo is None:
            memo = self._memo(answers, x)
        hyper = self._pool.hyper(delay=delay)
        following[POOL], out, _ = self._pool.update(states[POOL], memo, y, w, hyper)
        return following, answers[0] if len(answers) == 1 else out, memo

    def weights(self, states: Mapping[str, State]) -> Array:
        """Return the weight of each of ``names`` (members,) float64, summing to 1."""
        if len(self._members) == 1:
            alone: Array = np.eye(len(self.names))[0]
            return alone
        log_weights = states[POOL]["log_weights"]
        weight: Array = np.exp(log_weights - log_weights.max())
        weight /= weight.sum()
        return weight


def _kinds(members: Sequence[_Member]) -> list[list[_Member]]:
    """Return the members grouped into those that can learn in one call, the longest work first."""
    kinds: dict[object, list[_Member]] = {}
    for member in members:
        laned = member.learner.manifest.lanes is True
        key = (member.procedure.learner, tuple(member.procedure.dims.items())) if laned else member.procedure.name
        kinds.setdefault(key, []).append(member)
    return sorted(kinds.values(), key=len, reverse=True)


class Candidate:
    """A committee and the immutable state it answers from."""

    def __init__(self, committee: Committee, states: Mapping[str, State]) -> None:
        """Serve ``states``."""
        self.committee = committee
        self.states = states
        self.version = 0

    def answer(self, x: Array) -> tuple[Array, Array]:
        """Answer rows with the state of the moment; see ``Committee.predict``."""
        return self.committee.predict(self.states, x)

    def learn(self, x: Array, y: Array, w: Array, *, memo: Array | None, delay: float) -> tuple[Array, Array]:
        """Learn rows and serve the state that follows; return the answers before, and the members'."""
        states, out, answers = self.committee.learn(self.states, x, y, w, memo=memo, delay=delay)
        self.states = states
        return out, answers

    def grow(self, classes: int) -> None:
        """Make room for more classes."""
        self.states = self.committee.grow(self.states, classes)
        self.committee.layout = replace(self.committee.layout, classes=classes)

    def tensors(self) -> dict[str, Array]:
        """Return every tensor as ``member/tensor``."""
        return {f"{name}/{key}": array for name, state in self.states.items() for key, array in state.items()}

    def restore(self, tensors: Mapping[str, Array]) -> None:
        """Take back what ``tensors`` returned."""
        states: dict[str, dict[str, Array]] = {}
        for path, array in tensors.items():
            name, _, key = path.partition("/")
            states.setdefault(name, {})[key] = array
        self.states = states

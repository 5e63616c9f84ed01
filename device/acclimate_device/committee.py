"""A committee: learners of many kinds, and pools that weigh them.

It is composite: its state holds copies of its members' states and those of the *pools*, themselves learners whose
inputs are the members' answers; several pools over the same members differ in how quickly they change their mind.
Those answers are logged when an event is predicted and come back with its label, so members are weighed by what they
said at the time, never by what they would say now; a pool learns the more slowly the later labels come.

A state is immutable: ``learn`` returns the next one, and swapping a reference is all it takes to serve it. Who of all
these serves is decided by ``acclimate_device.roster`` and what stands above it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.executor import Learner, State
from acclimate_device.merge import merged
from acclimate_device.parallel import spread
from acclimate_device.precedence import ANSWERS
from acclimate_device.procedures import DEFAULT_DIMS, FEATURES, HISTORY, POOLS, Pool, Procedure, Task, standard_learner
from acclimate_device.surgery import add_inputs

Array = npt.NDArray[Any]

POOL = "pool"
POOLS_TOGETHER = "pools"  # the learner that is several of them in one call, bit for bit
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


@dataclass(frozen=True, slots=True)
class _Kind:
    """Members that learn in one call.

    Attributes:
        members: of one learner, and of the same sizes.
        hyper: theirs, (members, H) float32.
    """

    members: tuple[_Member, ...]
    hyper: npt.NDArray[np.float32]

    @classmethod
    def of(cls, members: Sequence[_Member]) -> "_Kind":
        return cls(tuple(members), np.stack([member.hyper for member in members]))

    @property
    def learner(self) -> Learner:
        return self.members[0].learner

    def inputs(self, seen: Mapping[str, Array]) -> Array:
        """Return what the members see, (members, rows, width) float64."""
        each = [seen[member.procedure.inputs] for member in self.members]
        return np.array(each) if len(each) > 1 else each[0][None]

    def targets(self, y: Array, base: Array | None) -> Array:
        """Return what the members learn, (members, rows); ``base`` (rows,) is what changes are counted from."""
        if base is None:
            return _lanes(y, len(self.members))
        return np.array([y - base if member.procedure.change else y for member in self.members])


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
        self._rehearsing = _kinds([member for member in self._members if member.procedure.rehearses])
        self.names = [p.name for p in procedures] + ([LAST] if task == "regression" else [])
        self.learners = [p.learner for p in procedures] + ([LAST] if task == "regression" else [])
        self.pools: tuple[Pool, ...] = POOLS if len(procedures) > 1 else ()
        self._pool = standard_learner(POOL, task)
        self._together = standard_learner(POOLS_TOGETHER, task) if task == "classification" else None

    def _member(self, procedure: Procedure, place: int) -> _Member:
        learner = standard_learner(procedure.learner, self.task)
        return _Member(procedure, learner, learner.hyper(**procedure.hyper), place)

    @property
    def everyone(self) -> set[str]:
        """Names of all members and pools that have a state."""
        return {member.procedure.name for member in self._members} | {pool.name for pool in self.pools}

    def procedure(self, name: str) -> str:
        """Return the digest of what a candidate is, whatever it has learned: learners, hyper-parameters, inputs."""
        facts: list[Any] = [
            [m.procedure.name, m.learner.digest, dict(m.procedure.hyper), dict(m.procedure.dims), m.procedure.inputs]
            for m in self._members
            if name not in self.names or m.procedure.name == name
        ]
        facts += [[p.name, self._pool.digest, dict(p.hyper)] for p in self.pools if p.name == name]
        return hashlib.sha256(json.dumps([name, facts], sort_keys=True).encode()).hexdigest()

    def start(self, seed: int) -> Mapping[str, State]:
        """Return the first state: the tensors of each member and pool, by name."""
        states: dict[str, State] = {}
        sizes = {"features": self.layout.width, "classes": self.layout.classes}
        for i, member in enumerate(self._members):
            dims = {**DEFAULT_DIMS, **member.procedure.dims, **sizes}
            dims["phi"] = 1 + self.layout.width + dims["fourier"]
            states[member.procedure.name] = member.learner.init_state(dims, seed * 1000 + i)
        for pool in self.pools:
            states[pool.name] = self._pool.init_state({"members": len(self.names)}, seed)
        return states

    def classes(self, states: Mapping[str, State]) -> int:
        """Return for how many classes a state has room, 0 for a regression."""
        first = self._members[0]
        return first.learner.dims(states[first.procedure.name]).get("classes", 0)

    def grow(self, states: Mapping[str, State], classes: int) -> Mapping[str, State]:
        """Return the state with room for ``classes`` classes; no answer about known ones changes."""
        grown = {m.procedure.name: m.learner.grow(states[m.procedure.name], "classes", classes) for m in self._members}
        return {**states, **grown}

    def add_inputs(self, states: Mapping[str, State], at: Sequence[int]) -> Mapping[str, State]:
        """Return the state with more inputs, at the positions ``at`` of the longer vector; no answer changes."""
        wider = {m.procedure.name: add_inputs(m.learner.manifest, states[m.procedure.name], at) for m in self._members}
        return {**states, **wider}

    def merged(self, continued: Mapping[str, State], scratch: Mapping[str, State], share: float) -> Mapping[str, State]:
        """Return the states between two that started alike; see ``merge.merged``. Pools stay those of the first."""
        names = [(member.procedure.name, member.procedure.learner) for member in self._members]
        return {**continued, **{n: merged(learner, continued[n], scratch[n], share) for n, learner in names}}

    def predict(self, states: Mapping[str, State], x: Array) -> Array:
        """Answer rows.

        Args:
            states: from ``start`` or ``learn``.
            x: (rows, width) float64.

        Returns:
            What each member answers: (rows, members, classes) or (rows, members) float64.
        """
        seen = self._seen(x)

        def answer(member: _Member) -> Array:
            return self._answer(member, states, seen)

        answers = spread(answer, self._members) if len(x) > 1 else [answer(member) for member in self._members]
        return self._memo(answers, x)

    def member(self, states: Mapping[str, State], x: Array, place: int) -> Array:
        """Return what one member answers, (rows, classes) or (rows,)."""
        return (
            self._base(x) if place == len(self._members) else self._answer(self._members[place], states, self._seen(x))
        )

    def pooled(self, states: Mapping[str, State], members: Array, pool: Pool) -> Array:
        """Return what a pool makes of the members' answers, (rows, classes) or (rows,)."""
        return self._pool.predict(states[pool.name], members)

    def burden(self, states: Mapping[str, State], column: int) -> tuple[list[Array], int, int]:
        """Return what the candidate of a column, member or pool, answers from: numbers, bytes; and its operations."""
        members = self._members[column : column + 1] if column < len(self.names) else self._members
        parts = [(member.procedure.name, member.learner) for member in members]
        if column >= len(self.names):
            parts.append((self.pools[column - len(self.names)].name, self._pool))
        numbers = [array for name, learner in parts for array in learner.numbers(states[name])]
        held = sum(array.nbytes for name, _ in parts for array in states[name].values())
        return numbers, held, sum(learner.operations(states[name]) for name, learner in parts)

    def _answer(self, member: _Member, states: Mapping[str, State], seen: Mapping[str, Array]) -> Array:
        out: Array = member.learner.predict(states[member.procedure.name], seen[member.procedure.inputs])
        if member.procedure.change:
            out = out + self._base(seen[HISTORY])
        return out

    def _seen(self, x: Array) -> Mapping[str, Array]:
        """Return what members see of the inputs, by the ``inputs`` of a procedure, each (rows, width) float64."""
        without = x.copy()
        without[:, self.layout.features :] = np.nan
        return {HISTORY: x, FEATURES: without}

    def _base(self, x: Array) -> Array:
        """Return the last target that had arrived, 0 before the first, (rows,) float64."""
        base: Array = np.nan_to_num(x[:, self.layout.features])
        return base

    def _memo(self, answers: list[Array], x: Array) -> Array:
        if self.task == "regression":
            answers = [*answers, self._base(x)]
        return np.stack(answers, 1).astype(np.float64, copy=False)

    def learn(
        self,
        states: Mapping[str, State],
        x: Array,
        y: Array,
        w: Array,
        *,
        memo: Array | None,
        delay: float,
    ) -> tuple[Mapping[str, State], Array]:
        """Learn labelled rows in order.

        Args:
            states: the state to start from; it is not changed.
            x: (rows, width) float64, as logged when the rows were predicted.
            y: (rows,) int64 class indices or float64 targets.
            w: (rows,) float32 weights, 0 for none.
            memo: what ``predict`` said when the rows were logged; None if they are answered only now (test then train).
            delay: events that pass between a prediction and its label, 0 if labels come at once.

        Returns:
            The next state; what members, then pools would have answered to each row before it was learned, (rows,
            members + pools, classes) or (rows, members + pools) float64.
        """
        following, by_place = self._learned(self._kinds, states, x, y, w)
        answers = self._memo([by_place[member.place] for member in self._members], x)
        if self.pools:
            after, before = self._weighed(states, answers if memo is None else memo, y, w, delay)
            following |= zip((pool.name for pool in self.pools), after, strict=True)
            answers = np.concatenate([answers, before.swapaxes(0, 1)], 1)
        return following, answers

    def _weighed(
        self, states: Mapping[str, State], judged: Array, y: Array, w: Array, delay: float
    ) -> tuple[list[State], Array]:
        """Return the states of the pools after they have learned, and what each answered before, (pools, rows, ...)."""
        kept = [states[pool.name] for pool in self.pools]
        hyper = np.stack([self._pool.hyper(**pool.hyper, delay=delay) for pool in self.pools])
        ANSWERS.give_way()
        lanes = len(kept)
        if self._together:
            return self._together.update_lanes(kept, _lanes(judged, lanes), _lanes(y, lanes), w, hyper)[:2]
        steps = []
        for state, own in zip(kept, hyper, strict=True):
            ANSWERS.give_way()
            steps.append(self._pool.update(state, judged, y, w, own))
        return [step[0] for step in steps], np.stack([step[1] for step in steps])

    def rehearse(self, states: Mapping[str, State], x: Array, y: Array, *, everyone: bool) -> Mapping[str, State]:
        """Let members learn rows that were events long ago; no pool is weighed by them.

        Args:
            states: the state to start from; it is not changed.
            x: (rows, width) float64.
            y: (rows,) int64 class indices.
            everyone: also those that ought to follow the present.

        Returns:
            The next state.
        """
        w = np.ones(len(y), np.float32)
        return self._learned(self._kinds if everyone else self._rehearsing, states, x, y, w)[0]

    def _learned(
        self, kinds: Sequence[_Kind], states: Mapping[str, State], x: Array, y: Array, w: Array
    ) -> tuple[dict[str, State], dict[int, Array]]:
        """Return the states after some members have learned, and what each answered before, by place."""
        base = self._base(x) if self.task == "regression" else None
        seen = self._seen(x)

        def step(kind: _Kind) -> tuple[list[State], Array]:
            own = [states[member.procedure.name] for member in kind.members]
            after, before, _ = kind.learner.update_lanes(own, kind.inputs(seen), kind.targets(y, base), w, kind.hyper)
            for lane, member in enumerate(kind.members):
                if member.procedure.change:
                    before[lane] += base
            return after, before

        following, by_place = dict(states), dict[int, Array]()
        for kind, (after, before) in zip(kinds, spread(step, kinds), strict=True):
            for member, state, answer in zip(kind.members, after, before, strict=True):
                following[member.procedure.name], by_place[member.place] = state, answer
        return following, by_place

    def weights(self, states: Mapping[str, State], pool: Pool) -> Array:
        """Return the weight that a pool gives to each of ``names``, (members,) float64, summing to 1."""
        log_weights = states[pool.name]["log_weights"]
        weight: Array = np.exp(log_weights - log_weights.max())
        weight /= weight.sum()
        return weight


def _lanes(array: Array, lanes: int) -> Array:
    """Return the same array for each lane, (lanes, ...)."""
    return array[None].repeat(lanes, 0) if lanes > 1 else array[None]


def _kinds(members: Sequence[_Member]) -> list[_Kind]:
    """Return the members grouped into those that can learn in one call, the longest work first."""
    kinds: dict[object, list[_Member]] = {}
    for member in members:
        laned = member.learner.manifest.lanes is True
        key = (member.procedure.learner, tuple(member.procedure.dims.items())) if laned else member.procedure.name
        kinds.setdefault(key, []).append(member)
    return [_Kind.of(alike) for alike in sorted(kinds.values(), key=len, reverse=True)]

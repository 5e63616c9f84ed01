"""Attacks on the labels of real streams, and learners that face them.

Labels come in groups of STEP events. An attack begins when a quarter of the stream has passed, and lasts. Ten sources
give the labels, each event's by one of them at random; who is corrupt is fixed. The same seeds make the same attack for
every learner.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from acclimate_device.admission import Admission, Given, Policy
from acclimate_device.arena import Arena
from acclimate_device.committee import Committee
from acclimate_device.inputs import Inputs
from acclimate_device.procedures import select
from acclimate_device.rules import NONE, Rules
from acclimate_device.schema import Parsed
from acclimate_tools.bench.contest_runs import rows_of

Array = npt.NDArray[Any]
Spared = Literal["nothing", "wrong labels", "all but what is left"]

SOURCES = 10
STEP = 8  # events whose labels come together
BEGIN = 0.25  # of the stream, before the attack
MICRO_BATCH = 512
TRIGGER = np.array([4.0, -4.0, 4.0])  # where the trigger sets a few features, in standard deviations
VARIED = 20  # different values of a feature that can carry a trigger
PROBES = 400  # clean rows that are shown with the trigger at the end
FLOOD = 10  # wrong labels for each honest one


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """What is done to the labels.

    Attributes:
        name: of the attack.
        flip: share of the labels that are replaced by another class.
        backdoor: share of the events that carry the trigger and the attacker's label.
        corrupt: how many of the sources do it; all for SOURCES.
        flood: whether one more source sends FLOOD wrong labels for each honest one.
    """

    name: str
    flip: float = 0.0
    backdoor: float = 0.0
    corrupt: int = SOURCES
    flood: bool = False


ATTACKS = (
    Attack(name="none"),
    Attack(name="flip 10 %, all sources", flip=0.10),
    Attack(name="flip 20 %, all sources", flip=0.20),
    Attack(name="flip 10 %, one source of ten", flip=0.10, corrupt=1),
    Attack(name="flip 20 %, two sources of ten", flip=0.20, corrupt=2),
    Attack(name="backdoor 1 %, two sources", backdoor=0.01, corrupt=2),
    Attack(name="backdoor 5 %, two sources", backdoor=0.05, corrupt=2),
    Attack(name="flood, ten wrong labels for one", flood=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Rows of numbers and their classes."""

    name: str
    inputs: Inputs
    values: Array  # (rows, features) float64
    y: Array  # (rows,) int64
    target: int = 0  # what an attacker wants: the class that the trigger alone suggests least


def load(folder: Path, name: str, rows: int) -> Stream:
    """Return the first rows of a stream."""
    inputs, checked = rows_of(folder / f"{name}.csv.gz", "classification", rows)
    values = np.array([row.parsed.numbers for row in checked], np.float64)
    y = np.array([inputs.index(str(row.label)) for row in checked], np.int64)
    stream = Stream(name=name, inputs=inputs, values=values, y=y)
    return replace(stream, target=least_suggested(stream))


def least_suggested(stream: Stream) -> int:
    """Return the class that a learner without attack hardly ever answers where the trigger is set."""
    calm = Subject(stream, learners=["softmax", "rls", "knn"], policy=None, contest=False)
    face(calm, stream, ATTACKS[0])
    probes = np.random.default_rng(2).choice(len(stream.y), PROBES)
    answers = np.bincount(calm.answer(with_trigger(stream, stream.values[probes])), minlength=int(stream.y.max()) + 1)
    return int(answers.argmin())


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """An attack on one stream, event by event.

    Attributes:
        values: (rows, features) float64, with the trigger where it is set.
        labels: (rows,) int64, what the sources say.
        source: (rows,) int64, which of them says so.
        triggered: (rows,) bool.
        target: class that the attacker wants.
        begin: first row of the attack.
    """

    values: Array
    labels: Array
    source: Array
    triggered: Array
    target: int
    begin: int


def plot(stream: Stream, attack: Attack, seed: int) -> Plot:
    """Decide what the attacker does to each event."""
    rng = np.random.default_rng(seed)
    rows, begin = len(stream.y), int(BEGIN * len(stream.y))
    source = rng.integers(0, SOURCES, rows)
    open_to_attack = (np.arange(rows) >= begin) & (source < attack.corrupt)
    share = open_to_attack[begin:].mean()
    labels, values = stream.y.copy(), stream.values.copy()
    flipped = open_to_attack & (rng.random(rows) < attack.flip / share)
    labels[flipped] = another(labels[flipped], int(stream.y.max()) + 1, rng)
    target = stream.target
    triggered = open_to_attack & (rng.random(rows) < attack.backdoor / share) & (stream.y != target)
    values[triggered] = with_trigger(stream, values[triggered])
    labels[triggered] = target
    return Plot(values=values, labels=labels, source=source, triggered=triggered, target=target, begin=begin)


def another(labels: Array, classes: int, rng: np.random.Generator) -> Array:
    """Return another class for each label, all others alike."""
    return np.asarray((labels + rng.integers(1, classes, len(labels))) % classes)


def carriers(stream: Stream) -> list[int]:
    """Return the features that carry the trigger: the last that vary."""
    return [i for i, column in enumerate(stream.values.T) if len(np.unique(column)) > VARIED][-len(TRIGGER) :]


def with_trigger(stream: Stream, values: Array) -> Array:
    """Return rows that carry the trigger: a few features far from where they usually are."""
    marked, usual = values.copy(), stream.values[:, carriers(stream)]
    marked[:, carriers(stream)] = np.nanmean(usual, 0) + TRIGGER * np.nanstd(usual, 0)
    return marked


class Subject:
    """A learner under attack: an arena behind an admission, or a plain learner without both."""

    def __init__(
        self, stream: Stream, *, learners: Sequence[str] | None, policy: Policy | None, contest: bool, seed: int = 0
    ) -> None:
        """Start with nothing learned.

        Args:
            stream: that it will see.
            learners: as an agent takes them.
            policy: for labels; None for none.
            contest: whether challengers are tested, and the anchor guards what serves.
            seed: of every generator.
        """
        self.inputs = Inputs("classification", stream.inputs.encoder.columns)
        self.inputs.classes, self.inputs.capacity = dict(stream.inputs.classes), stream.inputs.capacity
        committee = Committee("classification", select("classification", learners), self.inputs.layout())
        self.arena = Arena(committee, Rules(challengers=None if contest else NONE), seed)
        self.admission = Admission(policy) if policy else None
        self.learned = 0

    def vectors(self, values: Array) -> Array:
        """Return what the learners see of rows now, (rows, width) float64."""
        return np.stack([self.inputs.vector(Parsed(list(row), []), "") for row in values])

    def answer(self, values: Array) -> Array:
        """Return the class that serves for each row, (rows,) int64."""
        return np.asarray(self.arena.roster.answer(self.vectors(values))[0].argmax(1))

    def live(self, values: Array, labels: Array, sources: Sequence[str], at: int, comes: Array | None = None) -> Array:
        """Answer events, then let their labels come, or some of them: return the classes that were answered.

        Args:
            values: (rows, features) float64.
            labels: (rows,) int64.
            sources: who gives each.
            at: place in the stream.
            comes: (rows,) bool, which labels come at all; None for all.

        Returns:
            (rows,) int64.
        """
        x = self.vectors(values)
        served, memo = self.arena.roster.answer(x)
        chosen = np.arange(len(x)) if comes is None else np.flatnonzero(comes)
        if len(chosen):
            self._label(
                x[chosen], labels[chosen], [sources[i] for i in chosen.tolist()], at, (served[chosen], memo[chosen])
            )
        self.learned += len(x)
        if self.learned % MICRO_BATCH < len(x):
            self.arena.commit(rehearse=self.arena.rehearsal.due(MICRO_BATCH))
        return np.asarray(served.argmax(1))

    def _label(self, x: Array, labels: Array, sources: Sequence[str], at: int, said: tuple[Array, Array]) -> None:
        """Let labels come: what is admitted of them is learned."""
        served, memo = said
        occupants = [self.arena.roster.moment.occupants] * len(x)
        w, kept, told = np.ones(len(x), np.float32), np.ones(len(x), bool), np.ones(len(x), bool)
        if self.admission:
            features, times = self.inputs.layout().features, [float(at)] * len(x)
            given = Given(
                x=x, y=labels, w=w, answers=served, features=features, sources=sources, times_s=times,
                texts=[[]] * len(x),
            )  # fmt: skip
            kept, w = self.admission.admit(given)
            told[kept] = self.admission.told(given, np.flatnonzero(kept).tolist(), [""] * len(x))
        if kept.any():
            who = [occupants[i] for i in np.flatnonzero(kept)]
            self.arena.learn(x[kept], labels[kept], w[kept], logged=memo[kept], occupants=who, delay=STEP / 2)
            for row, label, known in zip(x[kept], labels[kept], told[kept].tolist(), strict=True):
                self.inputs.learn(Parsed([], []), "", row, int(label), told=known)


def left_to_tell(flip: float, classes: int) -> float:
    """Return how much labels still tell of which a share is replaced by any other class: 1 is all, 0 nothing.

    It is the capacity of that channel over the logarithm of the classes (symmetric channel; Cover and Thomas, Elements
    of Information Theory, §7.2), so labels that are right and this share of them tell as much.
    """
    wrong = [flip / (classes - 1)] * (classes - 1) if flip else []
    entropy = -sum(p * math.log2(p) for p in (1 - flip, *wrong) if p > 0)
    return 1.0 - entropy / math.log2(classes)


def face(
    subject: Subject,
    stream: Stream,
    attack: Attack,
    seed: int = 0,
    *,
    spared: Spared = "nothing",
) -> dict[str, Any]:
    """Let a learner live through an attack; return how it did on what was not attacked, and what the trigger does.

    Args:
        subject: the learner, with nothing learned.
        stream: its rows.
        attack: on them.
        seed: of the attack.
        spared: which labels never come. Without the wrong ones it is what no defence can do better than. Where all are
            right, but so few come that they tell as much as those of the attack, it is how hard the attack is.
    """
    found, rng = plot(stream, attack, seed), np.random.default_rng(seed + 1)
    names = [f"source-{i}" for i in range(SOURCES)]
    right, labels = [], stream.y if spared == "all but what is left" else found.labels
    told = rng.random(len(stream.y)) < left_to_tell(attack.flip, int(stream.y.max()) + 1)
    for at in range(0, len(stream.y), STEP):
        part = slice(at, min(at + STEP, len(stream.y)))
        who, comes = [names[i] for i in found.source[part]], None
        if spared == "wrong labels":
            comes = (found.labels[part] == stream.y[part]) & ~found.triggered[part]
        elif spared == "all but what is left" and at >= found.begin:
            comes = told[part]
        said = subject.live(found.values[part], labels[part], who, at, comes)
        right.append(said == stream.y[part])
        if attack.flood and at >= found.begin:
            _flood(subject, stream, at, rng)
    hit = np.concatenate(right)
    counts = (np.arange(len(hit)) >= found.begin) & ~found.triggered
    probes = rng.choice(np.flatnonzero(stream.y != found.target), PROBES)
    shown = subject.answer(with_trigger(stream, stream.values[probes]))
    return {
        "clean_accuracy": float(hit[counts].mean()),
        "triggered_as_target": float((shown == found.target).mean()),
        "admission": subject.admission.summary() if subject.admission else None,
    }


def _flood(subject: Subject, stream: Stream, at: int, rng: np.random.Generator) -> None:
    """Let one source send wrong labels for events like those of late."""
    for _ in range(FLOOD):
        rows = rng.integers(max(0, at - MICRO_BATCH), at, STEP)
        wrong = another(stream.y[rows], int(stream.y.max()) + 1, rng)
        subject.live(stream.values[rows], wrong, ["flood"] * STEP, at)

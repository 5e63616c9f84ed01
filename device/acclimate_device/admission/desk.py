"""Between an agent and its admission: what is asked of a batch of labels, and what a person does about held ones."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from acclimate_device.admission.gate import Admission, Given
from acclimate_device.admission.policy import Policy, SourceRule
from acclimate_device.admission.provenance import Provenance
from acclimate_device.admission.quarantine import Held
from acclimate_device.admission.witnesses import Witnesses
from acclimate_device.arena import Arena
from acclimate_device.inputs import Inputs
from acclimate_device.lesson import Lesson
from acclimate_device.logged import Labelled
from acclimate_device.schema import Parsed
from acclimate_shared.errors import InputError, UsageError

Array = npt.NDArray[Any]
Decided = tuple[Array, Array, Array]  # see ``Desk.labelled``
Saved = tuple[dict[str, Array], dict[str, Any]]  # see ``Keeper``

PREFIX, TAUGHT = "admission/", "provenance/"  # of its tensors in a checkpoint
MOST_SOURCE_TEXT = 128  # characters of the name of a source


class Desk:
    """The admission of one agent."""

    def __init__(self, policy: Policy | None, clock: Callable[[], float], *, keeps_rows: bool = True) -> None:
        """Start with nothing given.

        Args:
            policy: None for what the state says, or the default.
            clock: event time in seconds.
            keeps_rows: whether rows of data may be kept; if not, nothing is held.
        """
        self._declared, self._keeps_rows = policy, keeps_rows
        self.admission = self._under(policy or Policy())
        self.provenance = Provenance(keeps_rows=keeps_rows)
        self.clock = clock
        self.inputs: Inputs | None = None  # of the model, once it has started

    @staticmethod
    def checked(source: str) -> str:
        """Return the name of a source.

        Raises:
            InputError: it is too long.
        """
        if len(source) > MOST_SOURCE_TEXT:
            remedy = f"give a text of at most {MOST_SOURCE_TEXT} characters"
            raise InputError("not the name of a source", field="source", value=source, remedy=remedy)
        return source

    def labelled(self, arena: Arena, items: Sequence[Labelled], y: Array, live: Array) -> Decided:
        """Decide about labelled predictions, in order.

        Args:
            arena: of the model.
            items: what was predicted, with its labels.
            y: (labels,) their targets.
            live: what live candidates answered to each.

        Returns:
            Positions of those to be learned, (learned,) int64; their weights, (learned,) float32; which of them later
            predictions may know of, (learned,) bool.
        """
        given = Given(
            x=np.stack([item.logged.x for item in items]),
            y=y,
            w=np.array([item.weight for item in items], np.float32),
            answers=arena.lineage_of(live),
            features=arena.committee.layout.features,
            sources=[item.source for item in items],
            times_s=[item.time_s for item in items],
            texts=[item.logged.texts for item in items],
        )
        return self._decided(given, [item.logged.key for item in items])

    def _under(self, policy: Policy) -> Admission:
        return Admission(policy if self._keeps_rows else msgspec.structs.replace(policy, hold=False))

    def fresh(self, arena: Arena, x: Array, y: Array, lesson: Lesson) -> Decided:
        """Decide about labelled events that were not predicted; as ``labelled``."""
        source, time_s = lesson.source, lesson.time_s
        given = Given(
            x=x,
            y=y,
            w=np.ones(len(y), np.float32),
            answers=None if self.admission.alone(source) else arena.roster.serve(arena.roster.moment, x)[0],
            features=arena.committee.layout.features,
            sources=[source] * len(y),
            times_s=[time_s] * len(y),
            texts=[event.texts for event in lesson.events],
        )
        return self._decided(given, lesson.keys)

    def _decided(self, given: Given, keys: Sequence[str]) -> Decided:
        admitted, w = self.admission.admit(given)
        chosen = np.flatnonzero(admitted)
        self.provenance.note(given.x[chosen], given.y[chosen], w[chosen], [given.sources[i] for i in chosen.tolist()])
        return chosen, w[chosen], self.admission.told(given, chosen.tolist(), keys)

    # -- what a person does -------------------------------------------------------------------------------------

    def settle(self, arena: Arena, items: Sequence[Held], *, learn: bool, note: str) -> None:
        """Hold some labels no longer: learn them after all, or give them up.

        What is released is learned as it was seen, without being taken as evidence, and with no place in the history,
        which has gone on without it.

        Args:
            arena: of the model.
            items: from ``chosen``.
            learn: whether to learn them.
            note: who decided and why, for the record of the contest.

        Raises:
            RuntimeError: the model has not started.
        """
        inputs = self.inputs
        if inputs is None:
            raise RuntimeError("nothing was predicted yet")
        for item in items if learn else ():
            x, w = item.x[None], np.array([item.weight * self.admission.policy.rule(item.source).weight], np.float32)
            y = np.array([item.target], np.int64 if inputs.task == "classification" else np.float64)
            self.provenance.note(x, y, w, [item.source])
            arena.train(x, y, w, logged=None, delay=0.0)
            inputs.encoder.learn(Parsed([], list(item.texts)))
        how = "released" if learn else "discarded"
        self.admission.quarantine.take(items, how)
        arena.contest.note(how, f"{len(items)} held labels, {note}")

    def chosen(self, numbers: Sequence[int], source: str | None) -> list[Held]:
        """Return the held labels with these numbers, or of this source.

        Raises:
            UsageError: a number that is not held, or nothing chosen.
        """
        quarantine = self.admission.quarantine
        held = {item.number: item for item in quarantine.items()}
        for number in numbers:
            if number not in held:
                remedy = "see `acclimate quarantine list`"
                raise UsageError("no such label is held", field="number", value=number, remedy=remedy)
        found = [item for item in held.values() if item.number in set(numbers) or item.source == source]
        if not found:
            raise UsageError("nothing is chosen", field="source", value=source, remedy="name a source or numbers")
        return found

    def listed(self) -> list[dict[str, Any]]:
        """Return the held labels for people and programs, oldest first; no feature is among it."""
        classes = list(self.inputs.classes) if self.inputs else []

        def tell(value: float) -> str | float:
            return classes[int(value)] if classes else value

        return [
            {
                "number": item.number,
                "source": item.source,
                "label": tell(item.target),
                "answer": tell(item.answer),
                "weight": item.weight,
                "time_s": item.time_s,
                "reason": item.reason,
            }
            for item in self.admission.quarantine.items()
        ]

    def forget_rows(self) -> None:
        """Forget what events looked like: from now on they have more inputs.

        Raises:
            UsageError: labels are held, which would have to be learned with inputs that nobody knows.
        """
        if len(self.admission.quarantine):
            remedy = "release or discard them first: `acclimate quarantine`"
            raise UsageError("labels are held", field="quarantine", value=len(self.admission.quarantine), remedy=remedy)
        self.admission.witnesses = Witnesses()
        self.provenance.forget_rows()

    def forget(self, source: str, *, revoke: bool) -> None:
        """Let go of everything that a source has said.

        Args:
            source: its name.
            revoke: whether what it says from now on is refused.
        """
        admission = self.admission
        held = [item for item in admission.quarantine.items() if item.source == source]
        admission.quarantine.take(held, "discarded")
        admission.witnesses = Witnesses()
        self.provenance.drop(source)
        if revoke:
            sources = {**admission.policy.sources, source: SourceRule(weight=0.0)}
            admission.policy = msgspec.structs.replace(admission.policy, sources=sources)

    # -- state --------------------------------------------------------------------------------------------------

    def into(self, packed: Saved, inputs: Inputs) -> Saved:  # noqa: ARG002 (a part of a state, see ``Keeper``)
        """Add the state to that of the agent."""
        tensors, documents = packed
        own = {PREFIX + name: array for name, array in self.admission.tensors().items()}
        own |= {TAUGHT + name: array for name, array in self.provenance.tensors().items()}
        told = {"admission": self.admission.document(), "provenance": self.provenance.document()}
        return tensors | own, {**documents, **told}

    def restore(self, tensors: Mapping[str, Array], documents: Mapping[str, Any]) -> None:
        """Take back what ``into`` added, under the policy of that time."""
        document = documents["admission"]
        self._take(msgspec.convert(document["policy"], Policy), tensors, document)
        own = {name.removeprefix(TAUGHT): array for name, array in tensors.items() if name.startswith(TAUGHT)}
        self.provenance.restore(own, documents["provenance"])

    def _take(self, policy: Policy, tensors: Mapping[str, Array], document: Any) -> None:  # noqa: ANN401 (JSON)
        self.admission = self._under(policy)
        own = {name.removeprefix(PREFIX): array for name, array in tensors.items() if name.startswith(PREFIX)}
        self.admission.restore(own, document)

    def declare(self) -> None:
        """Go on under the policy that was declared now, if one was: what is repeated was decided under the old one."""
        if self._declared:
            tensors = {PREFIX + name: array for name, array in self.admission.tensors().items()}
            self._take(self._declared, tensors, self.admission.document())

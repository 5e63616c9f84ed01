"""The one place that every label passes before it is learned.

In this order: a revoked source, or one that gives more labels a minute than it may, is *refused*; a contradiction that
no other source supports is *held*; what is left is *admitted*, with a weight that loss clipping and the source's share
may have made smaller, and refused if nothing of it is left. Every label is counted under exactly one of the three.

What needs several sources does nothing while there is only one: then stand against bad labels the clipping, the
anchor and the evidence of the contest. Pure: rows, labels, answers and times come in, weights come out.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from acclimate_device.admission.hearsay import Hearsay
from acclimate_device.admission.ledger import Ledger
from acclimate_device.admission.policy import Policy, SourceRule
from acclimate_device.admission.quarantine import Held, Quarantine
from acclimate_device.admission.standing import Standing
from acclimate_device.admission.surprise import Surprise, contradicts, losses_of
from acclimate_device.admission.witnesses import Witnesses

Array = npt.NDArray[Any]

REVOKED, RATE, SHARE = "revoked", "rate", "share"  # why labels are refused
OUTLYING = "the source contradicts most of the time, the others do not"
DOUBTFUL = "a contradiction that no others support, of a source that contradicts more often than they do"
NOVEL = "a contradiction that no others support, about an event unlike theirs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Labels that ask to be learned, in order.

    Attributes:
        x: (labels, width) float64, as predicted from.
        y: (labels,) int64 classes or float64 targets.
        w: (labels,) float32 weights, at least 0.
        answers: of what served, (labels, classes) or (labels,) float64; None if nothing depends on them, see
            ``Admission.alone``.
        features: how many columns of ``x`` are features; history follows.
        sources: who gave each.
        times_s: event time of each in seconds.
        texts: categories of each event.
    """

    x: Array
    y: Array
    w: Array
    answers: Array | None
    features: int
    sources: Sequence[str]
    times_s: Sequence[float]
    texts: Sequence[Sequence[str | None]]


class Admission:
    """What was given so far, by whom, and what became of it."""

    def __init__(self, policy: Policy | None = None) -> None:
        """Start with nothing given."""
        self.policy = policy or Policy()
        self.ledger, self.surprise = Ledger(), Surprise()
        self.standing, self.witnesses, self.quarantine = Standing(), Witnesses(), Quarantine()
        self.hearsay = Hearsay()
        self.given = self.admitted = 0
        self.refused: Counter[str] = Counter()

    def admit(self, given: Given) -> tuple[Array, Array]:
        """Decide about labels, in order.

        Returns:
            Which of them may be learned, (labels,) bool; and with which weight, (labels,) float32, finite and between
            0 and the weight given.
        """
        losses, contradicting, limit = (
            np.full(len(given.y), np.nan),
            np.zeros(len(given.y), bool),
            self.surprise.limit(),
        )
        if given.answers is not None:
            losses = losses_of(given.answers, given.y)
            contradicting = contradicts(given.answers, given.y, losses, self.surprise.far())
        admitted, weights = np.zeros(len(given.y), bool), np.zeros(len(given.y), np.float64)
        for i, source in enumerate(given.sources):
            rule = self.policy.rule(source)
            if not self._may_speak(source, rule, given.times_s[i]):
                continue
            slot = self._slot(source)
            why = self._held_for(given, i, slot, rule, contradicts=bool(contradicting[i]))
            self.surprise.note(float(losses[i]))
            if why and given.answers is not None:
                self._hold(given, i, _said(given.answers[i]), float(losses[i]), why)
                continue
            asked = float(given.w[i]) * rule.weight
            if not rule.trusted:
                share = self.surprise.share(float(losses[i]), limit) if self._clipped(slot) else 1.0
                asked = self.surprise.bounded(asked * share)
            weights[i] = self.ledger.capped(slot, rule, asked)
            admitted[i] = weights[i] > 0.0 or asked == 0.0
            if not admitted[i]:
                self.refused[SHARE] += 1
        self.given += len(given.y)
        self.admitted += int(admitted.sum())
        return admitted, np.minimum(weights.astype(np.float32), given.w)

    def told(self, given: Given, chosen: Sequence[int], keys: Sequence[str]) -> Array:
        """Decide, in order, which admitted labels later predictions may know of; see ``hearsay``.

        Args:
            given: as to ``admit``.
            chosen: which of them were admitted.
            keys: group of the history of every label given.

        Returns:
            (chosen,) bool.
        """
        answers = given.answers
        if answers is None or answers.ndim < 2 or not self.policy.hold or len(self.ledger) < 2:  # noqa: PLR2004
            return np.ones(len(chosen), bool)
        trusted = [self.policy.rule(given.sources[i]).trusted for i in chosen]
        pairs = zip(chosen, trusted, strict=True)
        return np.array([self.hearsay.tell(keys[i], int(given.y[i]), answers[i], trusted=sure) for i, sure in pairs])

    def alone(self, source: str) -> bool:
        """Return whether no other source is known, so that nothing depends on what was answered."""
        others = len(self.ledger) - (source in self.ledger)
        return not others and self.policy.clip != "all"

    def _clipped(self, slot: int) -> bool:
        clip = self.policy.clip
        return clip == "all" or (clip == "doubtful" and self.standing.doubtful(slot))

    def _may_speak(self, source: str, rule: SourceRule, now_s: float) -> bool:
        """Refuse the labels of revoked and of hasty sources."""
        if rule.weight <= 0.0:
            self.refused[REVOKED] += 1
            return False
        if not self.ledger.in_time(source, rule.per_minute, now_s):
            self.refused[RATE] += 1
            return False
        return True

    def _slot(self, source: str) -> int:
        new = source not in self.ledger
        slot = self.ledger.slot(source)
        if new:
            self.witnesses.forget(slot)  # of somebody who had this number before
            self.standing.forget(slot)
        return slot

    def _held_for(self, given: Given, i: int, slot: int, rule: SourceRule, *, contradicts: bool) -> str:
        """Return why a label is held, empty if it is not; the others hear it unless its source is outlying."""
        if not self.policy.hold or given.answers is None or len(self.ledger) < 2:  # noqa: PLR2004 (no others)
            return ""
        x, label = given.x[i, : given.features], float(given.y[i])
        doubtful = self.standing.all_doubtful()
        self.standing.note(slot, contradicts=contradicts)
        if not rule.trusted and self.standing.outlying(slot):
            return OUTLYING  # and no witness: a flood must not say how near to others an event usually is
        testimony = self.witnesses.ask(x, slot, doubtful)
        self.witnesses.add(x, label, slot)
        if rule.trusted:
            return ""
        if not contradicts or testimony is None:
            return ""
        classes, answer = given.answers.ndim > 1, _said(given.answers[i])
        if testimony.supports(label, answer, classes=classes, trusted=self._trusted()):
            return ""
        return DOUBTFUL if self.standing.doubtful(slot) else NOVEL if testimony.novel else ""

    def _trusted(self) -> set[int]:
        return {slot for source, slot in self.ledger.items() if self.policy.rule(source).trusted}

    def _hold(self, given: Given, i: int, answer: float, loss: float, why: str) -> None:
        self.quarantine.add(
            Held(
                number=self.quarantine.next_number,
                source=given.sources[i],
                target=float(given.y[i]),
                answer=answer,
                loss=loss,
                weight=float(given.w[i]),
                time_s=float(given.times_s[i]),
                reason=why,
                texts=list(given.texts[i]),
                x=given.x[i].copy(),
            )
        )

    def summary(self) -> dict[str, Any]:
        """Return what became of all labels given, for people and programs."""
        counts = self.quarantine.counts
        return {
            "given": self.given,
            "admitted": self.admitted,
            "refused": dict(sorted(self.refused.items())),
            **counts,
            "in_quarantine": len(self.quarantine),
            "kept_back": self.hearsay.kept_back,
            "influence": {source: round(share, 4) for source, share in sorted(self.ledger.shares().items())},
        }

    # -- state --------------------------------------------------------------------------------------------------

    def tensors(self) -> dict[str, Array]:
        """Return every tensor of the state by name."""
        parts = self._parts()
        return {f"{part}/{name}": array for part, of in parts.items() for name, array in of.tensors().items()}

    def _parts(self) -> dict[str, Any]:
        return {
            "ledger": self.ledger,
            "surprise": self.surprise,
            "witnesses": self.witnesses,
            "quarantine": self.quarantine,
        }

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the rest of the state as JSON values, the policy with it."""
        return {
            "policy": msgspec.to_builtins(self.policy),
            "counts": [self.given, self.admitted, dict(self.refused)],
            "ledger": self.ledger.document(),
            "standing": self.standing.document(),
            "hearsay": self.hearsay.document(),
            "quarantine": self.quarantine.document(),
        }

    def restore(self, tensors: Mapping[str, Array], document: Mapping[str, Any]) -> None:
        """Take back what ``tensors`` and ``document`` returned, but for the policy."""
        own: dict[str, dict[str, Array]] = {part: {} for part in self._parts()}
        for path, array in tensors.items():
            part, _, name = path.partition("/")
            own[part][name] = array
        self.given, self.admitted, refused = document["counts"]
        self.refused = Counter(refused)
        self.ledger.restore(own["ledger"], document["ledger"])
        self.standing.restore(document["standing"])
        if "hearsay" in document:  # states from before there was any have none
            self.hearsay.restore(document["hearsay"])
        self.surprise.restore(own["surprise"])
        self.witnesses.restore(own["witnesses"])
        self.quarantine.restore(own["quarantine"], document["quarantine"])


def _said(answer: Array) -> float:
    """Return the class index or the value of an answer."""
    return float(answer.argmax()) if answer.ndim else float(answer)

"""Labels that are neither learned nor lost: held for a person to look at, to release or to discard.

Bounded: beyond MOST_HELD labels, the source that has most of them loses its oldest, counted.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MOST_HELD = 1024  # labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A label in quarantine.

    Attributes:
        number: unlike that of any other held label of this model.
        source: who gave it.
        target: class index or value.
        answer: class index or value that was served.
        loss: of the label under that answer.
        weight: that it asked for.
        time_s: event time in seconds.
        reason: why it is held.
        texts: categories of the event.
        x: the vector that was predicted from, (width,) float64.
    """

    number: int
    source: str
    target: float
    answer: float
    loss: float
    weight: float
    time_s: float
    reason: str
    texts: Sequence[str | None]
    x: Array


class Quarantine:
    """Held labels, oldest first."""

    def __init__(self) -> None:
        """Start empty."""
        self._held: dict[int, Held] = {}
        self._per_source: Counter[str] = Counter()
        self.counts = {"held": 0, "released": 0, "discarded": 0, "crowded_out": 0}

    def __len__(self) -> int:
        """Return how many labels are held."""
        return len(self._held)

    @property
    def next_number(self) -> int:
        """Number of the label that is held next."""
        return self.counts["held"] + 1

    def add(self, item: Held) -> None:
        """Hold a label."""
        self._held[item.number] = item
        self._per_source[item.source] += 1
        self.counts["held"] += 1
        if len(self._held) > MOST_HELD:
            most = self._per_source.most_common(1)[0][0]
            self._drop(next(held for held in self._held.values() if held.source == most))
            self.counts["crowded_out"] += 1

    def _drop(self, item: Held) -> None:
        del self._held[item.number]
        self._per_source[item.source] -= 1
        if not self._per_source[item.source]:
            del self._per_source[item.source]

    def items(self, choose: Callable[[Held], bool] = lambda _: True) -> list[Held]:
        """Return the held labels that ``choose`` picks, oldest first."""
        return [item for item in self._held.values() if choose(item)]

    def take(self, items: Sequence[Held], how: str) -> None:
        """Hold some labels no longer.

        Args:
            items: from ``items``.
            how: ``released`` or ``discarded``.
        """
        for item in items:
            self._drop(item)
            self.counts[how] += 1

    def tensors(self) -> dict[str, Array]:
        """Return the vectors."""
        return {"x": np.stack([item.x for item in self._held.values()])} if self._held else {}

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the rest of the state as JSON values."""
        rows = [
            [h.number, h.source, h.target, h.answer, h.loss, h.weight, h.time_s, h.reason, list(h.texts)]
            for h in self._held.values()
        ]
        return {"counts": self.counts, "held": rows}

    def restore(self, tensors: Mapping[str, Array], document: Mapping[str, Any]) -> None:
        """Take back what ``tensors`` and ``document`` returned."""
        self.counts = dict(document["counts"])
        names = ("number", "source", "target", "answer", "loss", "weight", "time_s", "reason", "texts")
        rows = [dict(zip(names, row, strict=True)) for row in document["held"]]
        items = [Held(**row, x=np.array(tensors["x"][at])) for at, row in enumerate(rows)]
        self._held = {item.number: item for item in items}
        self._per_source = Counter(item.source for item in items)

"""What learning and choosing have brought, and what they cost: the ledger of gain per CPU-second.

Two ways to get better are kept apart. *Data iteration*: the champion's lineage learns on; it is compared with its last
proven state, which stays as it was. *Model iteration*: another candidate serves; what serves is compared with the
candidate that served first and has gone on learning. Both are differences of losses on the same labels, as they came,
in the units of the contest's loss; they need no level of the account, for nothing is decided by them.

Costs are CPU-seconds of the thread that learns. Where one of several members serves, the learning of the others is a
cost of model iteration, as is all judging; a pool needs all of them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Way = Literal["data", "model"]
WAYS: tuple[Way, ...] = ("data", "model")


class Gains:
    """Sums of what either way has brought and cost."""

    def __init__(self) -> None:
        """Start with nothing; no time is measured until there is a ``clock``."""
        self.clock: Callable[[], float] | None = None  # CPU-seconds of the calling thread
        self._gain = dict.fromkeys(WAYS, 0.0)
        self._labels = dict.fromkeys(WAYS, 0)
        self._cpu_s = dict.fromkeys(WAYS, 0.0)

    def note(self, way: Way, before: Array, after: Array) -> None:
        """Take losses of the same labels, (labels,) float64: as it would be, as it is; NaN where one is no evidence."""
        both = ~(np.isnan(before) | np.isnan(after))
        self._gain[way] += float((before[both] - after[both]).sum())
        self._labels[way] += int(both.sum())

    @contextmanager
    def spent(self, shares: dict[Way, float]) -> Iterator[None]:
        """Measure what the block costs, and share it out."""
        begun = self.clock() if self.clock else 0.0
        yield
        if self.clock:
            cost = self.clock() - begun
            for way, share in shares.items():
                self._cpu_s[way] += cost * share

    def result(self) -> dict[str, dict[str, float | None]]:
        """Return for each way: labels, mean gain a label, CPU-seconds, summed gain a CPU-second; None if not known."""
        out: dict[str, dict[str, float | None]] = {}
        for way in WAYS:
            labels, gain, cpu_s = self._labels[way], self._gain[way], self._cpu_s[way]
            out[way] = {
                "labels": labels,
                "gain_per_label": gain / labels if labels else None,
                "cpu_s": cpu_s or None,
                "gain_per_cpu_s": gain / cpu_s if labels and cpu_s else None,
            }
        return out

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the state as JSON values."""
        return [[self._gain[way], self._labels[way], self._cpu_s[way]] for way in WAYS]

    def restore(self, document: Any) -> None:  # noqa: ANN401
        """Take back what ``document`` returned."""
        for way, (gain, labels, cpu_s) in zip(WAYS, document, strict=True):
            self._gain[way], self._labels[way], self._cpu_s[way] = gain, labels, cpu_s

"""Who asks the gates: looks into the states of a candidate, measures it, and keeps the sanity set.

The sanity set is frozen from the first labelled rows and never learned from again by itself; when it has been consulted
as often as it may, a fresh one is frozen from the rows that come next. It holds rows: ``Limits.sanity_rows = 0`` keeps
none.
"""

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device import gates
from acclimate_device.gates import Ladder, Limits, Verdict
from acclimate_device.losses import raw_losses
from acclimate_device.roster import Roster
from acclimate_shared.evidence import Gate, Plan

Array = npt.NDArray[Any]

TIMED_ANSWERS = 15  # of which the median is the latency


class Gatekeeper:
    """The gates of one model."""

    def __init__(self, roster: Roster, limits: Limits) -> None:
        """Start with no sanity set.

        Args:
            roster: of the candidates.
            limits: that they must keep.
        """
        self._roster, self._limits = roster, limits
        self.clock: Callable[[], float] | None = None  # seconds; None: no verdict may depend on measured time
        self._x, self._y = np.empty((0, 0)), np.empty(0)
        self._ladder: Ladder | None = None  # while rows are still gathered

    def note(self, x: Array, y: Array, w: Array) -> None:
        """Take labelled rows for the sanity set while it has room.

        Args:
            x: (rows, width) float64, as logged.
            y: (rows,) int64 classes or float64 targets.
            w: (rows,) float32 weights; a row of weight 0 is left out.
        """
        room = min(self._limits.sanity_rows, self._limits.sanity_bytes // (8 * x.shape[1] + 8)) - len(self._y)
        if self._ladder is not None or room <= 0:
            return
        taken = np.flatnonzero(w > 0)[:room]
        self._x = np.concatenate([self._x, x[taken]]) if len(self._y) else x[taken].copy()
        self._y = np.concatenate([self._y, y[taken]]) if len(self._y) else y[taken].copy()
        if len(taken) == room:
            self._ladder = Ladder(len(self._y), self._limits.consultations)

    def limits(self, column: int) -> list[Verdict]:
        """Return what the limits say about a candidate; nothing measured by a clock.

        Args:
            column: of the candidate, live or frozen.
        """
        if self._roster.remote(column):
            return []  # its process is limited; it is asked when it is let in
        numbers, held, operations = self._roster.burden(column)
        return [gates.finite(numbers), gates.size(held, self._limits), gates.cost(operations, self._limits)]

    def verdicts(self, column: int, plan: Plan) -> list[Verdict]:
        """Return what all gates say that need more than losses, up to the first that is shut.

        Args:
            column: of the candidate that is to serve.
            plan: of its test.
        """
        if self._roster.remote(column):
            return []
        said = self.limits(column)
        if self.clock is not None:
            said.append(gates.latency(self._median_s(column, self.clock), self._limits))
        if all(verdict.passed for verdict in said):
            said.append(self._sanity(column, plan))
        return said

    def _median_s(self, column: int, clock: Callable[[], float]) -> float:
        x = np.zeros((1, self._roster.committee.layout.width))
        times = []
        for _ in range(TIMED_ANSWERS):
            begun = clock()
            self._roster.ask_column(column, x)
            times.append(clock() - begun)
        return median(times)

    def _sanity(self, column: int, plan: Plan) -> Verdict:
        """Consult the sanity set; where there is none (yet), the plan says whether the gate is open."""
        gate = next((gate for gate in plan.gates if gate.name == gates.SANITY), None)
        gate = gate or Gate(name=gates.SANITY, worse_by=gates.WORSE_BY)
        if gate.worse_by >= 1.0:  # a loss cannot be that much worse: the set need not be consulted
            return Verdict(name=gates.SANITY, passed=True, numbers={"rows": float(len(self._y))})
        ladder = self._ladder
        if ladder is None:
            return Verdict(name=gates.SANITY, passed=not gate.min_labels, numbers={"rows": float(len(self._y))})
        candidate, serving = (self._loss(of, plan) for of in (column, self._roster.serving))
        passed = ladder.consult(candidate, serving, gate.worse_by) and ladder.rows >= gate.min_labels
        if ladder.worn:
            self._ladder, self._x, self._y = None, np.empty((0, 0)), np.empty(0)
        return ladder.verdict(passed=passed)

    def _loss(self, column: int, plan: Plan) -> float:
        """Return the mean loss in [0, 1] on the sanity set; an answer that is no number counts as 1."""
        raw = raw_losses(plan.loss, self._roster.ask_column(column, self._x)[:, None].astype(np.float64), self._y)[:, 0]
        share = raw if plan.cap is None else np.minimum(raw, plan.cap) / plan.cap
        share = share * share if plan.loss == "squared" else share
        return float(np.nan_to_num(share, nan=1.0).mean())

    def tensors(self) -> dict[str, Array]:
        """Return the sanity set."""
        return {"x": self._x, "y": self._y} if len(self._y) else {}

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the rest of the state as JSON values."""
        return self._ladder and self._ladder.document()

    def restore(self, tensors: Mapping[str, Array], document: Any) -> None:  # noqa: ANN401
        """Take back what ``tensors`` and ``document`` returned."""
        if "y" in tensors:
            self._x, self._y = np.array(tensors["x"]), np.array(tensors["y"])
        self._ladder = Ladder.restored(document) if document else None

"""Marks of drift: two detectors that look on while a model serves. They change nothing that serves or learns.

One sees the losses of the champion's answers (ADWIN, our defaults), as soon as they are evidence; only a loss that has
risen is marked. One sees the inputs and needs no label (PSI over sketches): every INPUTS_EVERY-th row, for neighbouring
rows resemble each other, and at most MOST_FEATURES columns; only a shift beyond LEAST_PSI is marked, by the usual
reading of the index a major one. On a stream without drift either gives at most one mark in 100,000 rows.

A mark says that the stream is not what it was, not that the model is worse: learning may have kept up with it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.drift import DETECTORS, Adwin, FeatureDrift

Array = npt.NDArray[Any]

MOST_MARKS = 200  # kept in the state; the count goes on
INPUTS_EVERY = 4  # rows
TOGETHER = 4  # losses whose mean is one sample: neighbouring ones tell little more than one
MOST_FEATURES = 8  # columns, evenly chosen
LEAST_PSI = 0.25
SCALE_LOSSES = 256  # errors whose median is the unit of a regression's losses


class DriftWatch:
    """Two detectors and what they have found.

    Attributes:
        total: marks so far, those that are no longer kept included.
    """

    def __init__(self, *, regression: bool) -> None:
        """Start with nothing seen; errors of a regression are brought into [0, 1) first."""
        self.total = 0
        self._regression = regression
        self._loss = _adwin()
        self._inputs = FeatureDrift(least=LEAST_PSI)
        self._rows = self._labels = 0
        self._first: list[float] = []  # errors, until there are SCALE_LOSSES of them
        self._scale = 0.0
        self._waiting: list[float] = []  # losses, until there are TOGETHER of them
        self._marks: list[dict[str, Any]] = []
        self._chosen = np.empty(0, np.int64)  # columns that are looked at
        self._width = 0  # of the inputs that they were chosen from

    def inputs(self, features: Array) -> bool:
        """Take the inputs of rows as they come, (rows, features) float64; return whether they have shifted."""
        if features.shape[1] != self._width:
            self._width = features.shape[1]
            self._chosen = np.unique(np.linspace(0, self._width - 1, min(MOST_FEATURES, self._width)).astype(int))
        before, found = self._rows, False
        first = INPUTS_EVERY - 1 - before % INPUTS_EVERY
        for at, row in enumerate(features[first::INPUTS_EVERY, self._chosen].tolist()):
            self._rows = before + first + 1 + at * INPUTS_EVERY
            self._inputs.update(row)
            if self._inputs.drift_detected:
                detail = self._inputs.detail()
                detail["feature"] = int(self._chosen[int(detail["feature"])])
                self._mark("features", "inputs", detail)
                found = True
        self._rows = before + len(features)
        return found

    def forget_inputs(self) -> None:
        """Begin anew with the inputs: from now on there are more."""
        self._inputs = FeatureDrift(least=LEAST_PSI)

    def losses(self, losses: Array) -> bool:
        """Take the champion's losses, (labels,) float64, NaN for one that does not count; return whether they rose."""
        found = False
        self._waiting += self._bounded(losses[~np.isnan(losses)])
        whole = len(self._waiting) // TOGETHER * TOGETHER
        if not whole:
            return False
        means = np.array(self._waiting[:whole]).reshape(-1, TOGETHER).mean(1).tolist()
        del self._waiting[:whole]
        for loss in means:
            self._labels += TOGETHER
            self._loss.update(loss)
            if self._loss.drift_detected:
                detail = self._loss.detail()
                if detail["change"] > 0:
                    self._mark("adwin", "loss", {name: detail[name] for name in ("before", "after")})
                    found = True
        return found

    def _bounded(self, losses: Array) -> list[float]:
        """Return losses in [0, 1]; errors of a regression as a share of themselves and the first ones' median."""
        known: list[float] = losses.tolist()
        if not self._regression:
            return known
        if not self._scale:
            self._first += known
            if len(self._first) < SCALE_LOSSES:
                return []
            known, self._first = self._first, []
            self._scale = float(np.median(known)) or 1.0
        return [loss / (loss + self._scale) for loss in known]

    def _mark(self, detector: str, on: str, detail: dict[str, float]) -> None:
        self.total += 1
        place = {"row": self._rows, "label": self._labels}
        self._marks.append({**place, "detector": detector, "on": on, "detail": detail})
        del self._marks[:-MOST_MARKS]

    @property
    def seen(self) -> tuple[int, int]:
        """Rows and labels seen so far."""
        return self._rows, self._labels

    def since(self, rows: int, labels: int) -> list[tuple[str, str, int, int]]:
        """Return what detectors did since so many rows and labels: detector, what it looks at, looks, marks."""
        found = []
        for detector, on, looks in (
            ("adwin", "loss", (self._labels - labels) // TOGETHER),
            ("features", "inputs", self._rows // INPUTS_EVERY - rows // INPUTS_EVERY),
        ):
            place, before = ("label", labels) if on == "loss" else ("row", rows)
            marks = sum(mark["on"] == on and mark[place] > before for mark in self.result())
            found.append((detector, on, max(0, looks), marks))
        return [told for told in found if told[2] > 0]

    def result(self) -> list[dict[str, Any]]:
        """Return the last marks: rows and labels seen, detector, what it looked at, its numbers."""
        return [dict(mark) for mark in list(self._marks)]  # a copy: who asks may be another thread

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the state as JSON values."""
        detectors = [self._loss.to_bytes().hex(), self._inputs.to_bytes().hex()]
        counts = [self.total, self._rows, self._labels, self._scale]
        return [detectors, counts, list(self._first), self.result(), list(self._waiting)]

    def restore(self, document: Any) -> None:  # noqa: ANN401
        """Take back what ``document`` returned."""
        detectors, counts, self._first, self._marks, self._waiting = document
        self._loss = Adwin.from_bytes(bytes.fromhex(detectors[0]))
        self._inputs = FeatureDrift.from_bytes(bytes.fromhex(detectors[1]))
        self.total, self._rows, self._labels, self._scale = counts


def _adwin() -> Adwin:
    """Return the detector of the losses, with our defaults."""
    found = DETECTORS["adwin"]()
    if not isinstance(found, Adwin):
        raise TypeError("the detector of losses is another one")
    return found

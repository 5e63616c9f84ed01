"""Drift of the inputs, without labels: recent values of each feature beside a reference.

The first ``reference`` rows fill one KLL sketch a feature; its quantiles are the edges of the bins, unless edges are
declared. Each further ``window`` rows fill a second sketch, and the population stability index of the two is

    PSI = Σ over bins (q - p) · ln(q / p),   p, q: share of the bin then and now, half a count added to each bin.

Missing values (NaN) have a bin of their own. Without drift PSI / (1/reference + 1/window) is close to χ² with bins - 1
degrees of freedom (Yurdakul and Naranjo 2020, "Statistical properties of the population stability index"). A window
is a drift if the PSI of some feature is beyond ``least`` and beyond the χ² quantile that a stream without drift passes
in one row of 1 / ``rate``, shared out over windows and features (Bonferroni). Two things widen that threshold:
``dependence``, for neighbouring rows that resemble each other, and the error of the sketches. After a drift the next
row starts a new reference.

What it cannot see: a change of how features go together that leaves each one as it was, and a change that is slow
enough to be spread over the rows of the reference.

Example:
    >>> detector = FeatureDrift(reference=200, window=100)
    >>> for i in range(1000):
    ...     detector.update([float(i % 7), float(i % 5 + (i >= 500))])
    ...     if detector.drift_detected:
    ...         break
    >>> i, detector.detail()["feature"]
    (599, 1)
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist

import msgspec
import numpy as np
import numpy.typing as npt

from acclimate_device.drift.base import Exact, require
from acclimate_device.drift.sketch import Sketch
from acclimate_shared.errors import InputError, ShapeError

Floats = npt.NDArray[np.float64]

SKETCH_ERROR = 0.0165  # of the share of a bin at k = 200 and 99 % confidence; it falls as 1/k
NORMAL_99 = 2.576


class Column(msgspec.Struct, kw_only=True, array_like=True):
    """One feature: what was, what is.

    Attributes:
        edges: (bins - 1,) rising; bin i holds edges[i - 1] < x <= edges[i]. Empty before the reference is complete.
        was: Counts of the reference by bin, the last for missing values.
        missing: Missing values since the last comparison.
        sketch: Values since the last comparison.
    """

    edges: list[float] = []
    was: list[float] = []
    missing: int = 0
    sketch: Sketch


class FeatureDrift(Exact, kw_only=True, tag="features/1"):
    """Finds a change of the distribution of some feature.

    Attributes:
        reference: Rows that show what is usual.
        window: Rows compared with them at a time.
        bins: Bins of equal share in the reference, for features without declared edges.
        edges: Rising edges by feature, [] for one without; no entry means that none are declared.
        k: Size of the sketches.
        rate: False alarms a row, at most, while ``dependence`` is right.
        dependence: Variance of the counts of a bin over that of independent rows; 1 if they are.
        least: PSI that is too small to matter.
        drift_detected: Whether the last row completed the proof of a drift.
        seen: Rows since the last start.
        psi: PSI of each feature at the last comparison, empty before it.
        threshold: Threshold of each feature, likewise.
        columns: What is kept of each feature.
    """

    reference: int = 2000
    window: int = 500
    bins: int = 10
    edges: list[list[float]] = msgspec.field(default_factory=list)
    k: int = 200
    rate: float = 1e-6
    dependence: float = 2.0
    least: float = 0.1
    drift_detected: bool = False
    seen: int = 0
    psi: list[float] = msgspec.field(default_factory=list)
    threshold: list[float] = msgspec.field(default_factory=list)
    columns: list[Column] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ValueError: If one is out of its range.
        """
        for name, least in (("reference", 50), ("window", 50), ("bins", 2), ("k", 8), ("dependence", 1)):
            value = getattr(self, name)
            require(name, value, right=value >= least, remedy=f"give at least {least}")
        require("rate", self.rate, right=0 < self.rate < 1 / self.window, remedy="give a number in (0, 1/window)")
        require("least", self.least, right=self.least >= 0, remedy="give at least 0")
        for i, edges in enumerate(self.edges):
            rising = all(low < high for low, high in pairwise(edges))
            require(f"edges of feature {i}", len(edges), right=rising, remedy="give rising numbers")

    def update(self, x: float | Sequence[float] | Floats) -> None:
        """Take the next row.

        Args:
            x: (features,) numbers, or one number; NaN = missing.

        Raises:
            ShapeError: If the row has not as many features as the first one, or as edges are declared.
            InputError: If a value is infinite.
        """
        row = self._checked(x)
        if self.drift_detected:
            self.reset()
        for column, value in zip(self._columns(len(row)), row, strict=True):
            if value == value:  # noqa: PLR0124 - not NaN
                column.sketch.update(value)
            else:
                column.missing += 1
        self.seen += 1
        since = self.seen - self.reference
        if since == 0:
            self._learn_reference()
        elif since > 0 and since % self.window == 0:
            self._compare()

    def reset(self) -> None:
        """Forget all rows, and how many features they had; keep the options."""
        self.drift_detected, self.seen = False, 0
        self.psi, self.threshold, self.columns = [], [], []

    def detail(self) -> dict[str, float]:
        """Return the feature (from 0) that is furthest beyond its threshold, its PSI and its threshold."""
        if not self.psi:
            return {"seen": self.seen}
        worst = int(np.argmax(np.asarray(self.psi) / np.asarray(self.threshold)))
        return {"seen": self.seen, "feature": worst, "psi": self.psi[worst], "threshold": self.threshold[worst]}

    def _checked(self, x: float | Sequence[float] | Floats) -> list[float]:
        """Return the row as Python floats, or refuse it before anything has changed."""
        row = [float(v) for v in x] if isinstance(x, list) else np.atleast_1d(np.asarray(x, dtype=np.float64)).tolist()
        expected = len(self.columns) or len(self.edges) or len(row)
        if len(row) != expected:
            raise ShapeError("wrong number of features", field="x", value=len(row), remedy=f"give {expected}")
        for i, value in enumerate(row):
            if math.isinf(value):
                raise InputError("infinite value", field=f"feature {i}", value=value, remedy="leave the value out")
        return row

    def _columns(self, features: int) -> list[Column]:
        """Return the columns, made at the first row."""
        if not self.columns:
            self.columns = [Column(sketch=Sketch(k=self.k)) for _ in range(features)]
        return self.columns

    def _learn_reference(self) -> None:
        """Fix edges and counts of each feature and start the first window."""
        for i, column in enumerate(self.columns):
            declared = self.edges[i] if self.edges else []
            column.edges = declared or self._quantile_edges(column.sketch)
            column.was = _counts(column)
            column.missing, column.sketch = 0, Sketch(k=self.k)

    def _quantile_edges(self, sketch: Sketch) -> list[float]:
        """Return edges between bins of equal share; fewer where values repeat."""
        if not sketch.count:
            return []
        inner = sketch.quantiles(np.arange(1, self.bins) / self.bins)
        edges: list[float] = np.unique(inner).tolist()
        # All that was seen lies in one bin if it is constant: a bin on each side then shows what is new.
        if sketch.least == sketch.most:
            return [math.nextafter(sketch.least, -math.inf), sketch.most]
        return [edge for edge in edges if edge < sketch.most]

    def _compare(self) -> None:
        """Set PSI and threshold of each feature and start the next window."""
        self.psi, self.threshold = [], []
        for column in self.columns:
            was, now = np.asarray(column.was), np.asarray(_counts(column))
            used = int(np.count_nonzero(was + now))
            half = 0.5 * (was + now > 0)
            p = (was + half) / (was + half).sum()
            q = (now + half) / (now + half).sum()
            at = was + now > 0
            self.psi.append(float(np.sum((q[at] - p[at]) * np.log(q[at] / p[at]))))
            self.threshold.append(max(self.least, self._beyond_chance(used)))
            column.missing, column.sketch = 0, Sketch(k=self.k)
        self.drift_detected = any(psi > most for psi, most in zip(self.psi, self.threshold, strict=True))

    def _beyond_chance(self, used: int) -> float:
        """Return the PSI that chance passes in one row of 1 / rate, for a feature with ``used`` bins."""
        if used <= 1:
            return 0.0
        tail = self.rate * self.window / len(self.columns)
        free = used - 1
        # Wilson and Hilferty (1931): the cube root of χ² is close to normal.
        shrink = 2.0 / (9.0 * free)
        chi2 = free * (1.0 - shrink + NormalDist().inv_cdf(1.0 - tail) * math.sqrt(shrink)) ** 3
        sampling = self.dependence * (1.0 / self.reference + 1.0 / self.window)
        sketching = (SKETCH_ERROR * 200.0 / self.k / NORMAL_99) ** 2 * used
        return chi2 * (sampling + 2.0 * sketching)


def _counts(column: Column) -> list[float]:
    """Return (bins + 1,) counts of the values in the sketch, the last for missing ones."""
    below = column.sketch.ranks(column.edges)
    inside = np.diff(below, prepend=0.0, append=float(column.sketch.count))
    return [*inside.tolist(), float(column.missing)]

"""The numpy twin of the normaliser that every learner carries in its state and its graph.

Three numbers a feature, ``norm_count``, ``norm_mean`` and ``norm_m2`` (the sum of squared deviations), advanced step by
step after Welford and merged after Chan, Golub and LeVeque (1983): states of several learners merge into what one
learner would have had. A missing value (NaN) counts for nothing, nor does a row of weight 0; weights are no more than
that mask here. Values beyond 1e30 are refused as bad input: below it, squares of differences stay under 1e61 a row,
far from the largest float64.

Example:
    >>> import numpy as np
    >>> both = NormaliserState.zeros(1).advance(np.array([[1.0], [2.0], [6.0]]))
    >>> part = NormaliserState.zeros(1).advance(np.array([[1.0]]))
    >>> rest = NormaliserState.zeros(1).advance(np.array([[2.0], [6.0]]))
    >>> merge(part, rest).mean == both.mean, both.m2
    (array([ True]), array([14.]))
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acclimate_shared.errors import InputError

MAX_ABS = 1e30  # larger values are bad input
COUNT, MEAN, M2 = "norm_count", "norm_mean", "norm_m2"

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class NormaliserState:
    """Running moments of each feature.

    Attributes:
        count: (features,) float64, rows seen, discounted when old rows are forgotten.
        mean: (features,) float64.
        m2: (features,) float64, sum of squared deviations from the mean; variance = m2 / count.
    """

    count: Floats
    mean: Floats
    m2: Floats

    @classmethod
    def zeros(cls, features: int) -> "NormaliserState":
        """Return the state before the first row."""
        return cls(count=np.zeros(features), mean=np.zeros(features), m2=np.zeros(features))

    @classmethod
    def of(cls, state: Mapping[str, NDArray[Any]]) -> "NormaliserState":
        """Take the normaliser out of the state of a learner.

        Raises:
            KeyError: If the learner has none.
        """
        return cls(count=state[COUNT], mean=state[MEAN], m2=state[M2])

    def tensors(self) -> dict[str, Floats]:
        """Return the three tensors by the names they have in the state of a learner."""
        return {COUNT: self.count, MEAN: self.mean, M2: self.m2}

    def advance(self, x: Floats, w: NDArray[Any] | None = None, *, forgetting: float = 1.0) -> "NormaliserState":
        """Return the state after one step of rows.

        Args:
            x: (rows, features) float64, NaN = missing.
            w: (rows,) weights; a row of weight 0 is left out. All rows count when None.
            forgetting: Factor on what was known before, per row and feature that counts, in (0, 1]; 1 forgets nothing.

        Returns:
            The new state; this one is left as it is.

        Raises:
            InputError: If a value is larger than 1e30 or infinite.
        """
        check_rows(x)
        step = _of_rows(x if w is None else x[np.asarray(w) != 0])
        fade = forgetting**step.count
        return merge(NormaliserState(count=self.count * fade, mean=self.mean, m2=self.m2 * fade), step)


def merge(*states: NormaliserState) -> NormaliserState:
    """Merge the states of learners that saw different rows; the order changes nothing but the last bits.

    Args:
        states: At least one, all with the same features.

    Returns:
        The state of one learner that saw all the rows.

    Raises:
        ValueError: If there is no state.
    """
    if not states:
        raise ValueError("merge needs at least one state")
    count = np.stack([state.count for state in states])  # (states, features)
    mean = np.stack([state.mean for state in states])
    total = count.sum(axis=0)
    share = count / np.where(total > 0, total, 1.0)
    # Differences from the largest state, so that merging with an empty one changes no bit.
    base = np.take_along_axis(mean, count.argmax(axis=0)[None], axis=0)[0]
    merged = base + (share * (mean - base)).sum(axis=0)
    m2 = np.stack([state.m2 for state in states]).sum(axis=0) + (count * np.square(mean - merged)).sum(axis=0)
    return NormaliserState(count=total, mean=merged, m2=m2)


def check_rows(x: Floats) -> None:
    """Refuse values that would overflow.

    Args:
        x: (rows, features) float64, NaN = missing.

    Raises:
        InputError: Naming row (from 1) and feature (from 0) of the first |value| > 1e30.
    """
    bad = np.abs(x) > MAX_ABS
    if bad.any():
        row, feature = np.argwhere(bad)[0]
        remedy = f"give a number within ±{MAX_ABS:g}, or leave the value out"
        value = float(x[row, feature])
        raise InputError("value too large", row=int(row) + 1, field=f"feature {feature}", value=value, remedy=remedy)


def _of_rows(x: Floats) -> NormaliserState:
    """Return the moments of (rows, features) alone, in two passes with the correction for a rounded mean."""
    there = ~np.isnan(x)
    count = there.sum(axis=0).astype(np.float64)
    rows = np.where(count > 0, count, 1.0)
    rough = np.where(there, x, 0.0).sum(axis=0) / rows
    difference = np.where(there, x - rough, 0.0)
    residue = difference.sum(axis=0)
    m2 = np.maximum(np.square(difference).sum(axis=0) - np.square(residue) / rows, 0.0)
    return NormaliserState(count=count, mean=rough + residue / rows, m2=m2)

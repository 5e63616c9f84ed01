"""Whether the inputs of a block of events look like this stream's own past; if not, the block is no evidence.

Three things are looked at for each feature, over blocks of labelled events: *gone* (most values missing), *stuck* (one
value only, though it used to vary), *far* (the median more than FAR standard deviations from the running mean: another
unit, a sensor gone wild). Any of them counts against a block only if it was rare in the past of this very feature, so
a sensor that is constant every night is not suspected. What goes on without a break is suspected for longer than an
accident (PATIENCE, the longer the more past there is), and is then taken for a change that stays. What is suspected is
still predicted and learned; it is left out of evidence and of backtests, so that nobody wins or loses by accident in a
corrupted hour. Wrong labels are not seen here: against them stands the evidence itself.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

KINDS = ("gone", "stuck", "far")
FAR = 10.0  # standard deviations
MOSTLY = 0.5  # share of missing values
RARE = 0.05  # of past blocks; so nothing is suspected in the first 20
MIN_ROWS = 32  # of a block that can be told from chance
PATIENCE = (8, 32)  # blocks: at least, at most, RARE of the past between
FORGETTING = 0.999  # of the moments, a block


class Quality:
    """Running moments of the features, and how often each kind of oddity has occurred."""

    def __init__(self) -> None:
        """Start with no past."""
        self._start(0)

    def _start(self, features: int) -> None:
        self._blocks = 0
        self._odd = np.zeros((len(KINDS), features))
        self._streak = np.zeros((len(KINDS), features))  # blocks for which the oddity has gone on
        self._moments = np.zeros((3, features))  # count, mean, squared deviation

    def suspects(self, x: Array) -> list[tuple[int, str]]:
        """Take a block of events, and return what is odd about it: (feature, kind), empty if it is fit for evidence.

        Args:
            x: (rows, features) float64, NaN for missing.
        """
        if len(x) < MIN_ROWS:
            return []
        if x.shape[1] != self._odd.shape[1]:
            self._start(x.shape[1])
        odd = self._oddities(x)
        before = np.maximum(self._blocks - self._streak, 0.0)  # blocks, without those of what goes on now
        rare = (self._odd - self._streak + 1.0) / (before + 1.0) < RARE
        self._odd += odd
        self._blocks += 1
        self._streak = (self._streak + 1.0) * odd
        suspected = odd & rare & (self._streak <= np.clip(RARE * before, *PATIENCE))
        if not suspected.any():
            self._learn(x)
        return [(int(feature), KINDS[kind]) for kind, feature in np.argwhere(suspected)]

    def _oddities(self, x: Array) -> Array:
        """Return which kinds hold for which features, (kinds, features) bool."""
        count, mean, m2 = self._moments
        missing = np.isnan(x)
        filled = np.where(missing, mean, x)
        deviation = np.sqrt(m2 / np.maximum(count, 1.0))
        varied = deviation > 0
        gone = missing.mean(0) > MOSTLY
        constant = np.where(missing, np.inf, x).min(0) == np.where(missing, -np.inf, x).max(0)
        far = np.abs(np.median(filled, 0) - mean) > FAR * deviation
        return np.stack([gone, varied & constant, varied & far])

    def _learn(self, x: Array) -> None:
        """Merge the moments of a block (Chan et al. 1983), the past fading."""
        present = ~np.isnan(x)
        n = present.sum(0).astype(float)
        filled = np.where(present, x, 0.0)
        mean = filled.sum(0) / np.maximum(n, 1.0)
        m2 = (np.where(present, x - mean, 0.0) ** 2).sum(0)
        old = self._moments * np.array([FORGETTING, 1.0, FORGETTING])[:, None]
        total = old[0] + n
        delta = np.where(n > 0, mean - old[1], 0.0)
        share = n / np.maximum(total, 1.0)
        self._moments = np.stack([total, old[1] + delta * share, old[2] + m2 + delta**2 * old[0] * share])

    def tensors(self) -> dict[str, Array]:
        """Return the state as tensors."""
        return {
            "odd": self._odd,
            "streak": self._streak,
            "moments": self._moments,
            "blocks": np.array([float(self._blocks)]),
        }

    def restore(self, tensors: dict[str, Array]) -> None:
        """Take back what ``tensors`` returned."""
        self._odd, self._moments = np.array(tensors["odd"]), np.array(tensors["moments"])
        self._streak = np.array(tensors["streak"])
        self._blocks = int(tensors["blocks"][0])


def said(suspects: Sequence[tuple[int, str]]) -> str:
    """Return suspects as a person reads them, without names of columns."""
    shown = ", ".join(f"feature {feature + 1} {kind}" for feature, kind in suspects[:3])
    return shown + (f" and {len(suspects) - 3} more" if len(suspects) > 3 else "")  # noqa: PLR2004 (three are shown)

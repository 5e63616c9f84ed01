"""How surprising labels are, and when a surprise or a weight counts less.

The loss of a label is taken under what served when the event was predicted: minus the log of its probability, or the
absolute error. Clipped, a loss beyond the quantile CLIP of the last RECENT ones weighs ``quantile / loss`` (Huber
1964). That costs accuracy where surprises are news: up to 0.8 points on a stream that drifts. So by default only the
labels of doubtful sources are clipped; under drift everybody is surprised, and nobody is doubtful.

No label weighs more than HEAVY times what labels have weighed of late, unless its source is trusted.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

RECENT = 512  # losses that the quantile is taken of
LEAST_LOSSES = 64  # before them nothing is clipped
CLIP = 0.95  # quantile of the losses
FAR = 5.0  # medians of the losses: about 3.4 standard deviations; unmoved by a minority that lies
LEAST = 0.25  # share of its weight that every label keeps
SMALLEST_PROBABILITY = 1e-3
HEAVY = 32.0  # times the mean of the last weights, or 1 if that is more
FADING = 1.0 / 256  # of the mean weight, a label


class Surprise:
    """The last losses of the stream, and what its labels have weighed."""

    def __init__(self) -> None:
        """Start with none."""
        self._losses = np.full(RECENT, np.nan)
        self._at = 0
        self._usual_weight = 1.0

    def note(self, loss: float) -> None:
        """Take the loss of a label into the past."""
        self._losses[self._at] = loss
        self._at = (self._at + 1) % RECENT

    def limit(self) -> float | None:
        """Return the quantile of the recent losses, None while too few are known."""
        known = self._losses[~np.isnan(self._losses)]
        return float(np.quantile(known, CLIP)) if len(known) >= LEAST_LOSSES else None

    def far(self) -> float | None:
        """Return the loss from which a value contradicts the answer, None while too few are known."""
        known = self._losses[~np.isnan(self._losses)]
        return FAR * float(np.median(known)) if len(known) >= LEAST_LOSSES else None

    @staticmethod
    def share(loss: float, limit: float | None) -> float:
        """Return which share of its weight a label keeps when its loss is clipped, LEAST to 1."""
        return max(limit / loss, LEAST) if limit is not None and loss > limit else 1.0

    def bounded(self, weight: float) -> float:
        """Return a weight, at most HEAVY times the usual one or 1, and take it into the past."""
        weight = min(weight, HEAVY * max(1.0, self._usual_weight))
        if weight > 0.0:
            self._usual_weight += FADING * (weight - self._usual_weight)
        return weight

    def tensors(self) -> dict[str, Array]:
        """Return the state as tensors."""
        return {"losses": self._losses, "past": np.array([self._at, self._usual_weight])}

    def restore(self, tensors: dict[str, Array]) -> None:
        """Take back what ``tensors`` returned."""
        self._losses = np.array(tensors["losses"])
        self._at, self._usual_weight = int(tensors["past"][0]), float(tensors["past"][1])


def losses_of(answers: Array, y: Array) -> Array:
    """Return the losses of labels, (labels,) float64, at least 0.

    Args:
        answers: (labels, classes) probabilities or (labels,) values.
        y: (labels,) int64 classes or float64 targets.
    """
    if answers.ndim < 2:  # noqa: PLR2004 (values have no classes)
        return np.asarray(np.abs(answers - y), np.float64)
    at = np.minimum(y, answers.shape[1] - 1)
    hit = np.where(y < answers.shape[1], answers[np.arange(len(y)), at], 0.0)
    return np.asarray(-np.log(np.clip(hit, SMALLEST_PROBABILITY, 1.0)), np.float64)


def contradicts(answers: Array, y: Array, losses: Array, limit: float | None) -> Array:
    """Return which labels contradict the answers, (labels,) bool: another class, or an error beyond ``limit``."""
    if answers.ndim > 1:
        return np.asarray(answers.argmax(1) != y)
    return np.asarray(losses > limit) if limit is not None else np.zeros(len(y), bool)

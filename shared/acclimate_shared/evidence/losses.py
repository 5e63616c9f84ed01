"""Bounded losses of predictions, each in [0, 1], and the paired difference that a contest is about.

A contest needs a bound on what one prediction can cost, declared before the test; where the usual loss has none, the
loss itself is changed, and the target of the contest is then the changed loss: probabilities are smoothed before the
logarithm, regression errors are capped at ``cap``, in units of the target. Champion and challenger are judged on the
same event, both predictions made before the label.

Example:
    >>> better, worse = np.array([[0.1, 0.9]]), np.array([[0.5, 0.5]])
    >>> brier = LOSSES["brier"]
    >>> paired_difference(brier(worse, np.array([1])), brier(better, np.array([1]))).round(6)
    array([0.24])
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from acclimate_shared.errors import InputError

Floats = NDArray[np.float64]

EPSILON = 0.01  # of smoothing
SUM_SLACK = 1e-3  # float32 probabilities of many classes do not add up to 1 exactly


def brier(probabilities: NDArray[Any], labels: NDArray[Any]) -> Floats:
    """Return half the squared distance between probabilities and the class that came true.

    Args:
        probabilities: (n, k), rows with sum 1.
        labels: (n,) classes from 0.

    Returns:
        (n,) float64 in [0, 1].

    Raises:
        InputError: If a row is no distribution or a label no class.
    """
    p, at = _checked(probabilities, labels)
    hit = p[np.arange(len(p)), at]
    return np.asarray(np.minimum((np.square(p).sum(axis=1) - np.square(hit) + np.square(1 - hit)) / 2, 1.0))


def zero_one(probabilities: NDArray[Any], labels: NDArray[Any]) -> Floats:
    """Return 1 where the most probable class, the first of equals, is not the label.

    Args:
        probabilities: (n, k), rows with sum 1.
        labels: (n,) classes from 0.

    Returns:
        (n,) float64, 0 or 1.

    Raises:
        InputError: If a row is no distribution or a label no class.
    """
    p, at = _checked(probabilities, labels)
    return np.asarray(p.argmax(axis=1) != at, np.float64)


def log_loss(probabilities: NDArray[Any], labels: NDArray[Any]) -> Floats:
    """Return -ln of the smoothed probability (1 - eps) p + eps / k of the label, over its bound ln(k / eps).

    Args:
        probabilities: (n, k), rows with sum 1.
        labels: (n,) classes from 0.

    Returns:
        (n,) float64 in [0, 1].

    Raises:
        InputError: If a row is no distribution or a label no class.
    """
    p, at = _checked(probabilities, labels)
    classes = p.shape[1]
    smooth = (1 - EPSILON) * p[np.arange(len(p)), at] + EPSILON / classes
    return np.asarray(np.clip(-np.log(smooth) / math.log(classes / EPSILON), 0.0, 1.0), np.float64)


def absolute(predictions: NDArray[Any], targets: NDArray[Any], cap: float) -> Floats:
    """Return min(|error|, cap) / cap.

    Args:
        predictions: (n,) in units of the target.
        targets: (n,).
        cap: The largest error that counts, in units of the target, > 0.

    Returns:
        (n,) float64 in [0, 1].

    Raises:
        InputError: If a prediction or target is not finite.
    """
    p, y = np.asarray(predictions, np.float64), np.asarray(targets, np.float64)
    _refuse(~(np.isfinite(p) & np.isfinite(y)), p, "prediction or target is not finite", "give finite numbers")
    return np.minimum(np.abs(p - y), cap) / cap


def squared(predictions: NDArray[Any], targets: NDArray[Any], cap: float) -> Floats:
    """Return the square of `absolute`: min(error², cap²) / cap².

    Args:
        predictions: (n,) in units of the target.
        targets: (n,).
        cap: The largest error that counts, in units of the target (not squared), > 0.

    Returns:
        (n,) float64 in [0, 1].

    Raises:
        InputError: If a prediction or target is not finite.
    """
    return np.asarray(np.square(absolute(predictions, targets, cap)), np.float64)


def paired_difference(loss_champion: Floats, loss_challenger: Floats, margin: float = 0.0) -> Floats:
    """Return champion's loss - challenger's loss - margin: positive where the challenger is better.

    Args:
        loss_champion: (n,) in [0, 1], in order of the arrival of labels.
        loss_challenger: (n,) in [0, 1], of the same events.
        margin: What the challenger must be better by; negative: may be worse by.

    Returns:
        (n,) float64 in [-1 - margin, 1 - margin].
    """
    return np.asarray(loss_champion, np.float64) - np.asarray(loss_challenger, np.float64) - margin


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss by name; call it with predictions (n, k) or (n,), targets (n,) and, for regression, the declared cap."""

    name: str
    task: Literal["classification", "regression"]
    function: Callable[..., Floats]

    def __call__(self, predictions: NDArray[Any], targets: NDArray[Any], cap: float | None = None) -> Floats:
        """Return the loss of each event, (n,) float64 in [0, 1].

        Raises:
            InputError: If a row cannot be judged.
            ValueError: If a loss of regression has no cap > 0.
        """
        if self.task == "classification":
            return self.function(predictions, targets)
        if cap is None or not 0 < cap < math.inf:
            raise ValueError(f"{self.name} needs a cap > 0, not {cap}")
        return self.function(predictions, targets, cap)


LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        "absolute": Loss("absolute", "regression", absolute),
        "brier": Loss("brier", "classification", brier),
        "log_loss": Loss("log_loss", "classification", log_loss),
        "squared": Loss("squared", "regression", squared),
        "zero_one": Loss("zero_one", "classification", zero_one),
    }
)


def _checked(probabilities: NDArray[Any], labels: NDArray[Any]) -> tuple[Floats, NDArray[np.int64]]:
    """Return probabilities (n, k) and labels (n,) after refusing what is neither."""
    p, at = np.asarray(probabilities, np.float64), np.asarray(labels, np.int64)
    bad = ~((p >= 0) & (p <= 1)).all(axis=1) | ~(np.abs(p.sum(axis=1) - 1) <= SUM_SLACK)
    _refuse(bad, p, "not a distribution", "give probabilities in [0, 1] with sum 1")
    _refuse((at < 0) | (at >= p.shape[1]), at, "no such class", f"give a class from 0 to {p.shape[1] - 1}")
    return p, at


def _refuse(bad: NDArray[np.bool_], values: NDArray[Any], message: str, remedy: str) -> None:
    """Raise InputError for the first bad row."""
    if bad.any():
        row = int(bad.argmax())
        raise InputError(message, row=row + 1, value=values[row].tolist(), remedy=remedy)

"""Losses of many candidates at once, before a plan caps them and after."""

from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_shared.evidence import Plan

Array = npt.NDArray[Any]

SMOOTHING = 0.01  # of probabilities before a logarithm


def raw_losses(loss: str, answers: Array, y: Array) -> Array:
    """Return each column's loss in [0, 1], or absolute error, (rows, columns) float64.

    Args:
        loss: name of a loss of ``acclimate_shared.evidence``; this is its form for columns, not yet capped.
        answers: (rows, columns, classes) probabilities or (rows, columns) values.
        y: (rows,) int64 classes or float64 targets.
    """
    if answers.ndim < 3:  # noqa: PLR2004 (values have no classes)
        return np.asarray(np.abs(answers - y[:, None]))
    if loss == "zero_one":
        return np.asarray(answers.argmax(2) != y[:, None], np.float64)
    at = np.broadcast_to(y[:, None, None], (*answers.shape[:2], 1))
    hit = np.take_along_axis(answers, at, 2)[:, :, 0]
    if loss == "brier":
        distance = np.square(answers).sum(2) - np.square(hit) + np.square(1.0 - hit)
        return np.asarray(np.minimum(distance / 2.0, 1.0))
    classes = answers.shape[2]
    smooth = (1.0 - SMOOTHING) * hit + SMOOTHING / classes
    return np.asarray(np.clip(-np.log(smooth) / np.log(classes / SMOOTHING), 0.0, 1.0))


def widened_rows(answers: Array, classes: int) -> Array:
    """Return (rows, columns, classes) answers with room for classes that have appeared since; values as they are."""
    missing = classes - answers.shape[-1] if answers.ndim > 2 else 0  # noqa: PLR2004 (rows, columns, classes)
    return np.pad(answers, ((0, 0), (0, 0), (0, missing))) if missing > 0 else answers


def bounded(raw: Array, plan: Plan) -> Array:
    """Return losses in [0, 1] for raw ones: errors are cut at the plan's cap and divided by it."""
    if plan.cap is None:
        return raw
    share = np.minimum(raw, plan.cap) / plan.cap
    return share if plan.loss == "absolute" else share * share

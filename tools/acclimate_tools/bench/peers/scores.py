"""One judge for all peers: answers and labels become scores, over as many rows as a comparison has.

As in ``acclimate replay``, rows count from the first arrived label on. Where a peer gave no answer, the most common
label that had arrived (or the mean) stands in for it: the kindest reading.
"""

from collections.abc import Mapping

import numpy as np

from acclimate_device.scores import Baselines
from acclimate_tools.bench.peers.recording import Array, Task

Scores = Mapping[str, float | None]


class Judge:
    """The labels of a stream, and what its baselines answered to each row."""

    def __init__(self, task: Task, targets: Array, delay: int) -> None:
        """Take (rows,) class indices or values, and how many rows later a label arrives."""
        self.task, self.targets, self.delay = task, targets, delay
        baselines, rows = Baselines(task), []
        for at in range(len(targets)):
            if at - 1 - delay >= 0:
                baselines.arrived(float(targets[at - 1 - delay]))
            rows.append(baselines.answers())
        self.last, self.usual = np.array(rows).T

    def __call__(self, answers: Array, rows: int) -> Scores:
        """Return the scores over the first ``rows`` rows; None where a number is not defined.

        Args:
            answers: (at least rows,) class indices or values, NaN for no answer.
            rows: of the comparison.
        """
        part = slice(1 + self.delay, rows)
        y, last = self.targets[part], self.last[part]
        said = np.where(np.isfinite(answers[part]), answers[part], self.usual[part])
        if not len(y):
            return {"mae": None} if self.task == "regression" else dict.fromkeys(CLASS_SCORES)
        if self.task == "regression":
            return {"mae": float(np.abs(said - y).mean()), "mae_last": float(np.abs(last - y).mean())}
        accuracy = float((said == y).mean())
        return {
            "accuracy": accuracy,
            "kappa_temporal": kappa_temporal(accuracy, float((last == y).mean())),
            "balanced_accuracy": balanced_accuracy(y, said),
        }


CLASS_SCORES = ("accuracy", "kappa_temporal", "balanced_accuracy")


def kappa_temporal(accuracy: float, no_change: float) -> float | None:
    """Return how much of the way from repeating the last label to perfection was gone (Bifet et al. 2015)."""
    return None if no_change >= 1.0 else (accuracy - no_change) / (1.0 - no_change)


def balanced_accuracy(y: Array, said: Array) -> float:
    """Return the mean over the classes that occur of the share of their rows that were told right."""
    classes, index = np.unique(y, return_inverse=True)
    right = np.bincount(index, weights=said == y, minlength=len(classes))
    return float((right / np.bincount(index)).mean())

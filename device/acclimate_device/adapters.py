"""The agent in the words of other libraries. River's are methods of the agent itself; scikit-learn's are here."""

from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from acclimate_device.agent import Agent

Array = npt.NDArray[Any]


class SklearnAdapter:
    """``partial_fit`` and ``predict`` over arrays, for harnesses that speak scikit-learn."""

    def __init__(self, agent: Agent) -> None:
        """Drive ``agent``."""
        self.agent = agent

    def partial_fit(self, X: Iterable[Sequence[object]], y: Iterable[object], classes: object = None) -> Self:  # noqa: ARG002
        """Learn rows (n, features) with labels (n,); ``classes`` is accepted and not needed."""
        rows = [{f"x{i}": value for i, value in enumerate(row)} for row in X]
        self.agent.learn_many(rows, [_plain(label) for label in y])
        return self

    def predict(self, X: Iterable[Sequence[object]]) -> Array:
        """Return labels (n,) as text, or values (n,) float64."""
        rows = [{f"x{i}": value for i, value in enumerate(row)} for row in X]
        return np.array([self.agent.predict_one(row) for row in rows])


def _plain(label: object) -> object:
    return label.item() if isinstance(label, np.generic) else label

"""What an agent answers, and River's words for asking it, so that a harness written for River can drive it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from acclimate_device.inputs import Inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """An answer.

    Attributes:
        id: to be given to ``feedback`` with the label.
        label: the most probable class; None for regression or before the first label.
        value: the predicted value; None for classification.
        probabilities: class to probability; empty for regression.
        version: of the model that served.
    """

    id: str
    label: str | None
    value: float | None
    probabilities: Mapping[str, float]
    version: str


def prediction_of(inputs: Inputs, out: npt.NDArray[Any], *, name: str, version: str) -> Prediction:
    """Return an answer in the words of the caller.

    Args:
        inputs: of the model, for its classes.
        out: (classes,) probabilities or () a value.
        name: id of the prediction.
        version: of the model that served.
    """
    if inputs.task == "regression":
        return Prediction(id=name, label=None, value=float(out), probabilities={}, version=version)
    shares = {label: float(out[i]) for label, i in list(inputs.classes.items()) if i < len(out)}
    best = max(shares, key=lambda label: shares[label]) if shares else None
    return Prediction(id=name, label=best, value=None, probabilities=shares, version=version)


class RiverWords(ABC):
    """``predict_one``, ``predict_proba_one`` and ``learn_one``."""

    @abstractmethod
    def glance(self, x: Mapping[str, object]) -> Prediction:
        """Answer without logging."""

    @abstractmethod
    def learn_many(self, rows: Sequence[Mapping[str, object]], labels: Sequence[object]) -> None:
        """Learn labelled events in order."""

    def predict_proba_one(self, x: Mapping[str, object]) -> dict[str, float]:
        """Return class probabilities; logs nothing."""
        return dict(self.glance(x).probabilities)

    def predict_one(self, x: Mapping[str, object]) -> str | float | None:
        """Return the class or value; logs nothing."""
        answer = self.glance(x)
        return answer.label if answer.value is None else answer.value

    def learn_one(self, x: Mapping[str, object], y: object) -> None:
        """Learn one event."""
        self.learn_many([x], [y])

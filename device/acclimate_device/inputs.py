"""From an event to the vector that learners see, and from a label to what they learn.

Inputs belong to the stream, not to a learner: the columns, the categories met so far, the classes in the order in
which their labels arrived, and the history of arrived labels per key. All of it moves only in ``learn``; ``vector``
reads. The vector that a prediction saw is kept with it and is the one that is learned from.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from acclimate_device.committee import Layout
from acclimate_device.procedures import Task
from acclimate_device.schema import MISSING, Column, Encoder, Parsed, parse_number
from acclimate_device.temporal import ClassHistory, History, ValueHistory
from acclimate_shared.errors import InputError

Vector = npt.NDArray[np.float64]

MAX_CLASSES = 4096
START_CLASSES = 2


class Inputs:
    """Encoder, classes and history of one stream."""

    def __init__(self, task: Task, columns: Sequence[Column]) -> None:
        """Start with nothing learned."""
        self.task = task
        self.encoder = Encoder(columns)
        self.history: History = ClassHistory() if task == "classification" else ValueHistory(self.encoder.numbers)
        self.classes: dict[str, int] = {}
        self.capacity = START_CLASSES if task == "classification" else 0

    def layout(self) -> Layout:
        """Return the sizes that the learners are started with."""
        features = self.encoder.width
        return Layout(features=features, width=features + self.history.width, classes=self.capacity)

    def digest(self) -> str:
        """Return the SHA-256 of what the inputs are: task, columns, history; not of what they have seen."""
        columns = [msgspec.to_builtins(column) for column in self.encoder.columns]
        facts = [self.task, columns, type(self.history).__name__]
        return hashlib.sha256(msgspec.json.encode(facts, order="sorted")).hexdigest()

    def parse(self, values: Mapping[str, object], *, row: int | None = None) -> Parsed:
        """Check the features of one event.

        Raises:
            InputError: a value that cannot be used.
        """
        return self.encoder.parse(values, row=row)

    def label(self, value: object, *, row: int | None = None) -> str | float:
        """Check one label: a number for regression, any non-empty value for classification.

        Raises:
            InputError: it is missing or no finite number.
        """
        if value is None or (isinstance(value, str) and value.strip() in MISSING):
            raise InputError("no label", field="label", value=value, row=row, remedy="leave the row out, or label it")
        if self.task == "classification":
            return value.strip() if isinstance(value, str) else str(value)
        return parse_number(value, field="label", row=row)

    def vector(self, parsed: Parsed, key: str) -> Vector:
        """Return what a learner sees now, (width,) float64. Pure."""
        features = self.encoder.width
        x = self.encoder.encode(parsed, np.zeros(features + self.history.width))
        self.history.features(key, x[:features], x[features:])
        return x

    def index(self, label: str | float, *, arrived: bool = True) -> int | float:
        """Return the class index of a label, a new one for a new class; a target as it is.

        Args:
            label: from ``label``.
            arrived: whether learners may know of it; if not yet, see ``make_room``.

        Raises:
            InputError: more than MAX_CLASSES classes.
        """
        if self.task == "regression":
            return float(label)
        text = str(label)
        found = self.classes.get(text)
        if found is None:
            if len(self.classes) >= MAX_CLASSES:
                remedy = f"is this a regression? at most {MAX_CLASSES} classes are possible"
                raise InputError("too many classes", field="label", value=label, remedy=remedy)
            found = self.classes[text] = len(self.classes)
        if arrived:
            self.make_room(found)
        return found

    def make_room(self, target: float) -> None:
        """Let the learners' capacity hold a class whose label has arrived."""
        while self.task == "classification" and self.capacity <= target:
            self.capacity *= 2

    def learn(self, parsed: Parsed, key: str, vector: Vector, target: float, *, told: bool = True) -> None:
        """Note that the label of an event has arrived.

        Args:
            parsed: the event.
            key: group of the history.
            vector: what its prediction saw, (width,) float64.
            target: class index or value.
            told: whether the history may know of it.
        """
        self.encoder.learn(parsed)
        if told:
            self.history.learn(key, vector, target)

    def document(self) -> dict[str, Any]:
        """Return the state as plain JSON values."""
        return {
            "seen": self.encoder.document(),
            "classes": list(self.classes),
            "capacity": self.capacity,
            "history": self.history.document(),
        }

    def restore(self, document: Mapping[str, Any]) -> None:
        """Take back what ``document`` returned."""
        self.encoder.restore(document["seen"])
        self.classes = {text: i for i, text in enumerate(document["classes"])}
        self.capacity = document["capacity"]
        self.history.restore(document["history"])

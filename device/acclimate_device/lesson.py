"""Labelled events that were not predicted here and are learned together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from acclimate_device.cadence import Now
from acclimate_device.schema import Parsed

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """Events with their labels; what is None is known once they have been learned, and repeated from a journal.

    Attributes:
        events: parsed, in order.
        keys: whose history each belongs to.
        labels: checked.
        source: who gave the labels, "" if that was not said.
        time_s: event time in seconds at which they came.
        seen: (events, width) float64, before any of the labels was learned; admission decides by it.
        x: (events, width) float64, what was learned from.
        now: the moment, where learning waits for a trigger.
    """

    events: Sequence[Parsed]
    keys: Sequence[str]
    labels: Sequence[str | float]
    source: str = ""
    time_s: float = 0.0
    seen: Array | None = None
    x: Array | None = None
    now: Now | None = None

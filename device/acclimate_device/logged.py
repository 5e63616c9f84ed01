"""What is kept of a prediction until its label comes, and of a label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from acclimate_device.roster import Moment
from acclimate_device.schema import Parsed

ROW_BYTES = 900  # of a prediction in memory, beside its arrays


@dataclass(slots=True, kw_only=True)
class Logged:
    """A prediction as it was made.

    Attributes:
        id: given to the caller, or by it.
        sequence: how many predictions were logged before it.
        texts: the categories it saw.
        key: group of its history.
        x: the vector it saw, (width,) float64.
        moment: who could answer, with which states; None once ``memo`` is complete.
        memo: every candidate's answer, (columns, classes) or (columns,) float64; until then what serving left of it.
        occupants: of the slots, see ``Moment``.
        columns: names of who answered, for a complete ``memo``; None for those that the state was saved with.
        time_s: event time in seconds.
    """

    id: str
    sequence: int
    texts: list[str | None]
    key: str
    x: npt.NDArray[np.float64]
    moment: Moment | None
    memo: npt.NDArray[np.float64] | None
    occupants: tuple[int, ...] = ()
    columns: Sequence[str] | None = None
    time_s: float = 0.0

    def parsed(self) -> Parsed:
        """Return the event as far as learning its categories needs it."""
        return Parsed([], self.texts)

    @property
    def bytes(self) -> int:
        """Return about how much memory it takes."""
        return ROW_BYTES + self.x.nbytes + (0 if self.memo is None else self.memo.nbytes)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A prediction with its label.

    Attributes:
        logged: the prediction.
        target: class index or value.
        weight: importance.
        delay: events that passed between the two.
        source: who gave the label, "" if that was not said.
        time_s: event time in seconds at which it came.
    """

    logged: Logged
    target: float
    weight: float
    delay: int
    source: str = ""
    time_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Early:
    """A label that came before its prediction; see ``Labelled``."""

    id: str
    label: str | float
    weight: float
    source: str
    time_s: float


def widened(memo: npt.NDArray[np.float64], classes: int) -> npt.NDArray[np.float64]:
    """Return logged answers with room for ``classes`` classes: those that have appeared since had no probability."""
    missing = classes - memo.shape[-1] if memo.ndim > 1 else 0
    return np.pad(memo, ((0, 0), (0, missing))) if missing > 0 else memo

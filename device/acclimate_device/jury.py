"""What may count as evidence: the losses of logged answers, in order, without those that are no evidence.

Labels wait here until enough of them are judged together. No evidence are: rows of weight 0, blocks whose inputs do not
look like the stream's own past (see ``quality``), answers that are not numbers, and answers of a frozen state that was
not in its slot when the event came.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.losses import raw_losses, widened_rows
from acclimate_device.quality import Quality, said
from acclimate_device.roster import Roster

Array = npt.NDArray[Any]

WAITING = "waiting-"  # begins the names of tensors of labelled answers that are not judged yet
JUDGED_ROWS = 128  # labels whose losses are judged together; a commit does not wait for them


class Jury:
    """Labelled answers that wait to be judged; none right after a commit."""

    def __init__(self, roster: Roster, loss: str, tell: Callable[[str, str], None]) -> None:
        """Start empty.

        Args:
            roster: whose answers are judged.
            loss: name of the plan's loss.
            tell: takes (event, reason) when the quality of the inputs changes.
        """
        self._roster, self._loss, self._tell = roster, loss, tell
        self.quality = Quality()
        self._suspected = False
        self._waiting: list[tuple[Array, Array, Array, Array]] = []  # x, y, answers, occupants
        self.taken: tuple[Array, Array] = (np.empty((0, 0)), np.empty(0))  # x and y of the labels taken last

    def add(
        self,
        x: Array,
        y: Array,
        w: Array,
        live: Array,
        occupants: Sequence[tuple[int, ...]],
        *,
        enough: int = JUDGED_ROWS,
    ) -> bool:
        """Keep labelled answers; return whether there are ``enough`` to judge. As ``Arena.judge``."""
        slots = len(self._roster.slots)
        kinds = {held: at for at, held in enumerate(dict.fromkeys(occupants))}  # mostly one
        rows = [(*held, *(0,) * slots)[:slots] for held in kinds]  # there may have been fewer, or more
        occupied, counts = np.array(rows, np.int64).reshape(len(rows), slots)[[kinds[o] for o in occupants]], w > 0
        self._waiting.append((x[counts], y[counts], live[counts], occupied[counts]))
        return sum(len(part[1]) for part in self._waiting) >= enough

    def losses_of(self, answers: Array, y: Array) -> Array:
        """Return the losses of answers, (rows, columns) float64."""
        return raw_losses(self._loss, answers, y)

    def take(self) -> Array | None:
        """Return the losses of the labels that wait, (labels, columns) float64, NaN where an answer does not count."""
        if not self._waiting:
            return None
        roster = self._roster
        classes = max(part[2].shape[-1] for part in self._waiting)
        x, y, occupied = (np.concatenate([part[i] for part in self._waiting]) for i in (0, 1, 3))
        live = np.concatenate([widened_rows(part[2], classes) for part in self._waiting])
        self._waiting.clear()
        self.taken = x, y
        raw = self.losses_of(live, y)
        self._look(raw, x[:, : roster.committee.layout.features])
        raw[~np.isfinite(live).reshape(*live.shape[:2], -1).all(2)] = np.nan
        if not roster.slots:
            return raw
        frozen = self.losses_of(roster.frozen(x, live), y)
        frozen[~roster.valid(occupied)] = np.nan
        frozen[np.isnan(raw).all(1)] = np.nan
        return np.concatenate([raw, frozen], 1)

    def _look(self, raw: Array, features: Array) -> None:
        """Take the losses of a suspected block for no evidence."""
        suspects = self.quality.suspects(features)
        if suspects:
            raw[:] = np.nan
        if bool(suspects) != self._suspected:
            self._suspected = bool(suspects)
            reason = f"left out of evidence: {said(suspects)}" if suspects else "the inputs look as usual again"
            self._tell("quality", reason)

    def tensors(self) -> dict[str, Array]:
        """Return the tensors of the state."""
        if not self._waiting:
            return self.quality.tensors()
        classes = max(part[2].shape[-1] for part in self._waiting)
        parts = [(x, y, widened_rows(live, classes), occupied) for x, y, live, occupied in self._waiting]
        names = ("x", "y", "live", "occupied")
        waiting = {f"{WAITING}{name}": np.concatenate([part[i] for part in parts]) for i, name in enumerate(names)}
        return self.quality.tensors() | waiting

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the rest of the state as JSON values."""
        return self._suspected

    def restore(self, tensors: Mapping[str, Array], document: Any) -> None:  # noqa: ANN401
        """Take back what ``tensors`` and ``document`` returned."""
        self.quality.restore({name: array for name, array in tensors.items() if not name.startswith(WAITING)})
        if WAITING + "x" in tensors:
            x, y, live, occupied = (tensors[WAITING + name] for name in ("x", "y", "live", "occupied"))
            self._waiting = [(x, y, live, occupied)]
        self._suspected = document

"""Training from scratch: a committee that begins anew on the latest labelled rows, and one between it and the old one.

What went on learning for long may be held back by what it has learned (Ash and Adams 2020); what begins anew has seen
little. Which of the two is better, and whether half of each is, evidence decides: both enter the contest as guests.

Declared by the owner (``every``), for it costs: the window keeps the latest judged rows, at most WINDOW_ROWS and
WINDOW_BYTES, in the state; every so many commits a whole committee learns them, as long as learning them took, and
two states more are held while they are tested.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.losses import raw_losses
from acclimate_device.roster import Roster, States

Array = npt.NDArray[Any]

WINDOW_ROWS = 4096
WINDOW_BYTES = 16 << 20  # of the rows
MIN_WINDOW_ROWS = 1024
BACKTEST_ROWS = 512  # of the window, the latest, which tell whether a test is worth its level
SHARE = 0.5  # of what began anew in what is between
STEP = 32  # rows learned at once


class Scratch:
    """The window of latest rows, and what is made of it."""

    def __init__(self, roster: Roster, *, every: int, seed: int) -> None:
        """Start with an empty window.

        Args:
            roster: whose committee begins anew.
            every: commits between two beginnings, 0 for never.
            seed: of the committee: it starts as the old one did.
        """
        self._roster, self.every, self._seed = roster, every, seed
        self._parts: list[tuple[Array, Array]] = []
        self._rows = self._commits = 0

    def keep(self, x: Array, y: Array) -> None:
        """Keep judged rows: (rows, width) float64 and their targets."""
        if not self.every or not len(y):
            return
        self._parts.append((x, y))
        self._rows += len(y)
        most = max(1, min(WINDOW_ROWS, WINDOW_BYTES // (8 * x.shape[1])))
        while self._rows - len(self._parts[0][1]) >= most:
            self._rows -= len(self._parts.pop(0)[1])

    @property
    def due(self) -> bool:
        """Whether it is time to begin anew; asked once a commit."""
        self._commits += 1
        return bool(self.every) and self._commits % self.every == 0 and self._rows >= MIN_WINDOW_ROWS

    def make(self, column: int, loss: str) -> tuple[States, States, Array]:
        """Begin anew.

        Args:
            column: live candidate whose answers are of interest.
            loss: name of the loss.

        Returns:
            The states that began anew; those between; the losses (BACKTEST_ROWS,) of the first as it learned.
        """
        committee = self._roster.committee
        states = committee.start(self._seed)
        x, y = (np.concatenate([part[i] for part in self._parts]) for i in (0, 1))
        losses: list[Array] = []
        for at in range(0, len(y), STEP):
            rows = slice(at, at + STEP)
            w = np.ones(len(y[rows]), np.float32)
            states, answers = committee.learn(states, x[rows], y[rows], w, memo=None, delay=0.0)
            losses.append(raw_losses(loss, answers[:, column, None], y[rows])[:, 0])
        between = committee.merged(self._roster.states, states, SHARE)
        return states, between, np.concatenate(losses)[-BACKTEST_ROWS:]

    def tensors(self) -> dict[str, Array]:
        """Return the window as tensors."""
        if not self._parts:
            return {}
        return {f"window/{name}/": np.concatenate([part[i] for part in self._parts]) for i, name in enumerate("xy")}

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the rest of the state as JSON values."""
        return [self._commits, [len(part[1]) for part in self._parts]]

    def restore(self, tensors: Mapping[str, Array], document: Any) -> None:  # noqa: ANN401
        """Take back what ``tensors`` and ``document`` returned."""
        self._commits, sizes = document
        self._rows, ends = sum(sizes), np.cumsum(sizes)[:-1]
        if sizes:
            parts = (np.split(tensors[f"window/{name}/"], ends) for name in "xy")
            self._parts = list(zip(*parts, strict=True))

"""Predictions that wait on the disk because they are too many for the memory: sealed rows beside the checkpoints.

A row is written once and read once. It is deleted two checkpoints after it was last needed: until then one of the
checkpoints that are kept may still count on it. A row that no checkpoint knows, since power failed between the two,
is deleted in the same way.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from acclimate_device import records
from acclimate_device.logged import Logged
from acclimate_device.records import Predicted
from acclimate_device.store_tables import place_of
from acclimate_shared.errors import CorruptStateError, StateError

if TYPE_CHECKING:  # what seals takes memory: loaded where a state is kept
    from acclimate_device.vault import Vault

Execute = Callable[..., Any]
logger = logging.getLogger(__name__)


class Home(Protocol):
    """What rows live in: a ``Store``."""

    @property
    def vault(self) -> "Vault":
        """What seals."""

    def rows(self) -> AbstractContextManager[Execute]:
        """Make a transaction."""


def spill_of(home: Home | None) -> "Spill | None":
    """Return the rows of a state, None if there is none."""
    return Spill(home) if home else None


class Spill:
    """Reads and writes the rows; any thread may."""

    def __init__(self, home: Home) -> None:
        """Use the rows of a state."""
        self._home = home
        self._unneeded: list[int] = []  # sequences, since the last checkpoint
        self._before: list[int] = []  # between that and the one before it

    def put(self, items: Sequence[Logged]) -> bool:
        """Keep complete predictions, in one transaction; return whether the disk has taken them."""
        seal = self._home.vault.seal
        sealed = [
            [item.sequence, seal(place_of(item.sequence), records.encode([records.predicted(item)]))] for item in items
        ]
        try:
            with self._home.rows() as execute:
                for row in sealed:
                    execute("INSERT OR REPLACE INTO waiting VALUES (?, ?)", row)
        except StateError as exc:
            logger.error("%d predictions are forgotten: %s", len(items), exc)  # noqa: TRY400 (a full disk is no bug)
            return False
        return True

    def get(self, sequence: int) -> Logged | None:
        """Return a prediction, None if it cannot be read; its row is not needed any more."""
        self.drop(sequence)
        try:
            with self._home.rows() as execute:
                found = execute("SELECT body FROM waiting WHERE sequence = ?", [sequence]).fetchone()
            if found is None:
                raise CorruptStateError("a waiting prediction is missing", field=place_of(sequence), remedy="none")
            (record,) = records.decode(self._home.vault.open(place_of(sequence), found[0]))
        except StateError as exc:
            logger.error("a waiting prediction is lost: %s", exc)  # noqa: TRY400 (no bug of ours)
            return None
        return records.logged_of(record) if isinstance(record, Predicted) else None

    def drop(self, sequence: int) -> None:
        """Note that a row is not needed any more."""
        self._unneeded.append(sequence)

    def needed(self, sequences: Iterable[int]) -> None:
        """Say which rows a state that was opened counts on; the others are dropped.

        Raises:
            StateError: the disk refuses.
        """
        with self._home.rows() as execute:
            there = {int(row[0]) for row in execute("SELECT sequence FROM waiting").fetchall()}
        self._unneeded += sorted(there - set(sequences))

    @property
    def mark(self) -> int:
        """How many rows are not needed by a checkpoint that is made now; to be given to ``settle``."""
        return len(self._unneeded)

    def settle(self, mark: int) -> None:
        """Delete what no checkpoint counts on any more, after one is durable; a disk that refuses is asked again."""
        if self._before:
            try:
                with self._home.rows() as execute:
                    for sequence in self._before:
                        execute("DELETE FROM waiting WHERE sequence = ?", [sequence])
            except StateError as exc:
                logger.warning("rows of old predictions stay for now: %s", exc)
                return
        self._before, self._unneeded = self._unneeded[:mark], self._unneeded[mark:]

"""One transaction at a time, on a connection that several threads use: the agent commits, and the link keeps its rows.

The WAL is moved into the file after every checkpoint, and after every few of the small transactions between them.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from acclimate_shared.errors import CorruptStateError, StateError

PAGE, FRAME = 4096, 4120  # bytes that SQLite writes for a page, and for one in its WAL
LOOSE = 16  # small transactions between two moves of the WAL into the file


class Transactions:
    """Gives the threads of a process their turns."""

    def __init__(self, execute: Callable[..., Any]) -> None:
        """Use the ``execute`` of a connection that begins no transactions by itself."""
        self._execute, self._loose = execute, 0
        self.guard = threading.RLock()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Make a transaction; whatever is raised inside rolls it back."""
        with self.guard:
            self._execute("BEGIN IMMEDIATE")
            try:
                yield
                self._execute("COMMIT")
            except BaseException:
                with suppress(Exception):  # a full disk has rolled back by itself
                    self._execute("ROLLBACK")
                raise

    def settle(self, *, lazily: bool = False) -> int:
        """Move the WAL into the file; return the bytes that were written.

        Args:
            lazily: only if enough has gathered since the last time.
        """
        with self.guard:
            self._loose += 1
            if lazily and self._loose < LOOSE:
                return 0
            self._loose = 0
            _, frames, moved = self._execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return int(frames) * FRAME + int(moved) * PAGE


def translated(exc: Exception, path: Path) -> StateError:
    """Return what an error of the disk or of SQLite means for a person."""
    text, kind, remedy = str(exc), StateError, "check disk and rights"
    message = f"the state cannot be used: {text}"
    if "locked" in text:
        message, remedy = "another process uses this state", "stop it first"
    elif "full" in text or "No space" in text:
        remedy = "make room on the disk"
    elif "malformed" in text or "not a database" in text:
        message, kind, remedy = f"the state is damaged: {text}", CorruptStateError, "restore a copy"
    return kind(message, field="state", value=str(path), remedy=remedy)

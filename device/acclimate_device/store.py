"""The one file that touches SQLite: checkpoints of an agent, each a single transaction.

A checkpoint is a set of named tensors and named JSON documents. Tensors are stored by the digest of their content, so
one that did not change is not written again, and those that nothing names any more leave in the same transaction.
WAL mode, one writer, full sync: after a crash the last committed checkpoint is there whole.
"""

import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlite_utils import Database
from sqlite_utils.db import Table

from acclimate_shared.errors import CorruptStateError, StateError, StateMismatchError

Array = npt.NDArray[Any]

FORMAT = 2
FILE = "acclimate.db"
BUSY_S = 5.0  # how long to wait for another process that holds the file


class Store:
    """The state folder of one agent or replay."""

    def __init__(self, folder: Path) -> None:
        """Open or create the state in ``folder``.

        Raises:
            StateError: the folder cannot be used, or another process has it open.
            CorruptStateError: the file is damaged.
            StateMismatchError: a newer version wrote it.
        """
        self.path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._migrate()
        except (OSError, sqlite3.Error) as exc:
            raise _translated(exc, self.path) from exc

    def _migrate(self) -> None:
        database = Database(self._connection)
        if "meta" not in database.table_names():
            with self._transaction():
                _table(database, "meta").create({"name": str, "value": str}, pk="name")
                _table(database, "document").create({"name": str, "value": str}, pk="name")
                columns = {"digest": str, "dtype": str, "shape": str, "data": bytes}
                _table(database, "tensor").create(columns, pk="digest")
                _table(database, "checkpoint").create({"name": str, "digest": str}, pk="name")
                _table(database, "lineage").create({"place": int, "line": bytes}, pk="place")
                self._connection.execute("INSERT INTO meta VALUES ('format', ?)", [str(FORMAT)])
        found = self._meta("format")
        if found != str(FORMAT):
            remedy = "update acclimate, or use another folder"
            raise StateMismatchError("the state has another format", field="format", value=found, remedy=remedy)

    def _meta(self, name: str) -> str | None:
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", [name]).fetchone()
        return None if row is None else str(row[0])

    def bind(self, facts: Mapping[str, Any]) -> None:
        """Tie a new state to what its results depend on, or check that an old one is tied to the same.

        Raises:
            StateMismatchError: naming the first fact that differs.
        """
        text = self._meta("binding")
        if text is None:
            self._connection.execute("INSERT INTO meta VALUES ('binding', ?)", [json.dumps(facts, sort_keys=True)])
            return
        bound = self.binding()
        for name in sorted(bound.keys() | facts.keys()):
            if bound.get(name) != facts.get(name):
                message = f"the state in {self.path.parent} belongs to another run: {name} was {bound.get(name)!r}"
                remedy = "repeat the first command, or use another --state folder"
                raise StateMismatchError(message, field=name, value=facts.get(name), remedy=remedy)

    def binding(self) -> dict[str, Any]:
        """Return the facts that the state is tied to, empty if none."""
        text = self._meta("binding")
        return {} if text is None else dict(json.loads(text))

    def commit(self, tensors: Mapping[str, Array], documents: Mapping[str, Any], lineage: Sequence[bytes] = ()) -> None:
        """Replace the checkpoint in one transaction.

        Args:
            tensors: every tensor of the new checkpoint by name.
            documents: JSON values by name; those not named stay.
            lineage: lines to be added to those that are there.

        Raises:
            StateError: the disk refuses; the last checkpoint is still there.
        """
        try:
            with self._transaction():
                for name, value in documents.items():
                    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
                    self._connection.execute("INSERT OR REPLACE INTO document VALUES (?, ?)", [name, text])
                for line in lineage:
                    self._connection.execute("INSERT INTO lineage (line) VALUES (?)", [line])
                self._connection.execute("DELETE FROM checkpoint")
                for name, array in tensors.items():
                    self._connection.execute("INSERT INTO checkpoint VALUES (?, ?)", [name, self._put(array)])
                self._connection.execute("DELETE FROM tensor WHERE digest NOT IN (SELECT digest FROM checkpoint)")
        except sqlite3.Error as exc:
            raise _translated(exc, self.path) from exc

    def lineage(self) -> bytes:
        """Return all lines of the lineage, oldest first."""
        rows = self._connection.execute("SELECT line FROM lineage ORDER BY place").fetchall()
        return b"".join(bytes(row[0]) for row in rows)

    def _put(self, array: Array) -> str:
        array = np.ascontiguousarray(array)
        data = array.tobytes()
        head = f"{array.dtype.str}{array.shape}"
        digest = hashlib.sha256(head.encode() + data).hexdigest()
        shape = json.dumps(array.shape)
        self._connection.execute(
            "INSERT OR IGNORE INTO tensor VALUES (?, ?, ?, ?)", [digest, array.dtype.str, shape, data]
        )
        return digest

    def load(self) -> tuple[dict[str, Array], dict[str, Any]] | None:
        """Return tensors and documents of the last checkpoint, None if there is none.

        Raises:
            CorruptStateError: a tensor does not match its digest, or something is missing.
        """
        try:
            documents = {
                name: json.loads(value) for name, value in self._connection.execute("SELECT name, value FROM document")
            }
            query = (
                "SELECT c.name, c.digest, t.dtype, t.shape, t.data FROM checkpoint c LEFT JOIN tensor t USING (digest)"
            )
            rows = self._connection.execute(query).fetchall()
        except (sqlite3.Error, ValueError) as exc:
            raise _translated(exc, self.path) from exc
        if not documents:
            return None
        return {name: self._array(name, *rest) for name, *rest in rows}, documents

    def _array(self, name: str, digest: str, dtype: str | None, shape: str, data: bytes) -> Array:
        if dtype is None:
            raise CorruptStateError("a tensor is missing", field=name, remedy="restore the folder from a copy")
        array = np.frombuffer(data, np.dtype(dtype)).reshape(json.loads(shape))
        if hashlib.sha256(f"{array.dtype.str}{array.shape}".encode() + data).hexdigest() != digest:
            raise CorruptStateError("a tensor is damaged", field=name, remedy="restore the folder from a copy")
        return array  # read-only, as frombuffer makes it

    def bytes(self) -> int:
        """Return the size of the state on disk in bytes."""
        return sum(path.stat().st_size for path in self.path.parent.glob(FILE + "*"))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._connection)


class _Transaction:
    """BEGIN IMMEDIATE, then COMMIT or ROLLBACK."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")


def _table(database: Database, name: str) -> Table:
    return Table(database, name)


def _translated(exc: Exception, path: Path) -> StateError:
    text = str(exc)
    if "locked" in text:
        return StateError("another process uses this state", field="state", value=str(path), remedy="stop it first")
    if isinstance(exc, sqlite3.DatabaseError) and ("malformed" in text or "not a database" in text):
        return CorruptStateError(
            f"the state is damaged: {text}", field="state", value=str(path), remedy="restore a copy"
        )
    return StateError(
        f"the state cannot be used: {text}", field="state", value=str(path), remedy="check disk and rights"
    )

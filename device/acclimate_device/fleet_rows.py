"""What a state keeps for the hub: messages that it has not acknowledged yet, and a few sealed facts.

The rows are part of the state's file, beside the lineage, so that a message and the fact that it was made move in one
transaction. Facts (the key of the device, what the hub wants) are sealed. Messages are not: they are what leaves the
device anyway. ``store`` gives the transactions; this file knows rows alone.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from acclimate_device.vault import Vault

Execute = Callable[..., Any]

_TABLES = (
    "CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, body BLOB NOT NULL)",
    """CREATE TABLE IF NOT EXISTS outbox (place INTEGER PRIMARY KEY, boot TEXT NOT NULL, sequence INTEGER NOT NULL,
    kind TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (boot, sequence))""",
)
STARTS = "starts"
CURSOR = "lineage"


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The last record of the lineage that has become a message: its place and its digest."""

    place: int = 0
    digest: str = ""


class Home(Protocol):
    """What rows live in: a ``Store``."""

    @property
    def vault(self) -> Vault:
        """What seals."""

    def rows(self) -> AbstractContextManager[Execute]:
        """Make a transaction."""


@dataclass(frozen=True, slots=True)
class Row:
    """A message: who counts it (boot, sequence), what it is, its bytes; places rise in the order of sending."""

    boot: str
    sequence: int
    kind: str
    body: bytes
    place: int = 0


class FleetRows:
    """Reads and writes the rows; every method is one transaction and may be called by any thread."""

    def __init__(self, home: Home) -> None:
        """Use the rows of a state.

        Raises:
            StateError: as in all methods, the disk refuses.
        """
        self._home = home
        with home.rows() as execute:
            for statement in _TABLES:
                execute(statement)

    def fact(self, name: str) -> bytes | None:
        """Return what was kept under a name, None if nothing was.

        Raises:
            CorruptStateError: it is damaged.
        """
        with self._home.rows() as execute:
            found = execute("SELECT body FROM fact WHERE name = ?", [name]).fetchone()
        return None if found is None else self._home.vault.open(_place(name), found[0])

    def keep(self, name: str, body: bytes) -> None:
        """Keep something under a name, in place of what is there."""
        with self._home.rows() as execute:
            self._keep(execute, name, body)

    def _keep(self, execute: Execute, name: str, body: bytes) -> None:
        execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", [name, self._home.vault.seal(_place(name), body)])

    def start(self) -> int:
        """Count a start of the device's link; return which it is, from 1, each larger than all before."""
        before = self.fact(STARTS)
        number = 1 + (int(before) if before else 0)
        self.keep(STARTS, str(number).encode())
        return number

    def change(self, new: Iterable[Row], *, gone: Sequence[int] = (), fact: tuple[str, bytes] | None = None) -> None:
        """Take rows away and add others behind the last one, all at once.

        Args:
            new: in order; their places are given here.
            gone: places of those that leave.
            fact: name and content of what is kept in the same transaction.
        """
        with self._home.rows() as execute:
            for place in gone:
                execute("DELETE FROM outbox WHERE place = ?", [place])
            for row in new:
                values = [row.boot, row.sequence, row.kind, row.body]
                execute("INSERT INTO outbox (boot, sequence, kind, body) VALUES (?, ?, ?, ?)", values)
            if fact:
                self._keep(execute, *fact)

    def first(self, most: int) -> list[Row]:
        """Return the rows that are sent next, at most so many."""
        with self._home.rows() as execute:
            found = execute("SELECT * FROM outbox ORDER BY place LIMIT ?", [most]).fetchall()
        return [Row(boot, sequence, kind, bytes(body), place) for place, boot, sequence, kind, body in found]

    def behind(self, skip: int, kind: str, most: int) -> list[Row]:
        """Return the oldest rows of a kind that are not among the first ``skip`` of all."""
        with self._home.rows() as execute:
            last = execute("SELECT max(place) FROM (SELECT place FROM outbox ORDER BY place LIMIT ?)", [skip])
            query = "SELECT * FROM outbox WHERE kind = ? AND place > ? ORDER BY place LIMIT ?"
            found = execute(query, [kind, last.fetchone()[0] or 0, most]).fetchall()
        return [Row(boot, sequence, kind, bytes(body), place) for place, boot, sequence, kind, body in found]

    def forget(self, boot: str, ranges: Iterable[tuple[int, int]]) -> int:
        """Remove the rows of a boot whose sequence is in one of the ranges (ends included); return how many."""
        with self._home.rows() as execute:
            query = "DELETE FROM outbox WHERE boot = ? AND sequence BETWEEN ? AND ?"
            return sum(execute(query, [boot, first, last]).rowcount for first, last in ranges)

    def size(self) -> tuple[int, int]:
        """Return how many rows there are, and their bytes."""
        with self._home.rows() as execute:
            count, total = execute("SELECT count(*), coalesce(sum(length(body)), 0) FROM outbox").fetchone()
        return int(count), int(total)


def reseal(execute: Execute, old: Vault, new: Vault) -> None:
    """Seal all facts anew, inside the transaction of a change of keys."""
    for statement in _TABLES:
        execute(statement)
    for name, body in execute("SELECT name, body FROM fact").fetchall():
        fresh = new.seal(_place(name), old.open(_place(name), body))
        execute("UPDATE fact SET body = ? WHERE name = ?", [fresh, name])


def heard(execute: Execute, vault: Vault) -> int | None:
    """Return the place up to which the lineage has become messages, None where no hub has ever been told of it."""
    for statement in _TABLES:
        execute(statement)
    found = execute("SELECT body FROM fact WHERE name = ?", [CURSOR]).fetchone()
    return None if found is None else msgspec.msgpack.decode(vault.open(_place(CURSOR), found[0]), type=Cursor).place


def _place(name: str) -> str:
    return f"fact/{name}"

"""The tables of a state: columns by name, and the primary key of each; see ``store``."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acclimate_device.vault import Vault

FORMAT = 4
FILE = "acclimate.db"

TABLES: dict[str, tuple[dict[str, type], str | tuple[str, ...]]] = {
    "meta": ({"name": str, "value": str}, "name"),
    "tensor": ({"digest": str, "data": bytes}, "digest"),
    "checkpoint": ({"generation": int, "body": bytes}, "generation"),
    "pin": ({"generation": int}, "generation"),
    "part": ({"generation": int, "digest": str}, ("generation", "digest")),
    "waiting": ({"sequence": int, "body": bytes}, "sequence"),
    "lineage": ({"place": int, "line": bytes}, "place"),
}


def create(connection: Any) -> None:  # noqa: ANN401 (of SQLite, which only the store touches)
    """Make the tables in an empty file."""
    from sqlite_utils import Database  # takes 11 MiB, and is needed once in the life of a state
    from sqlite_utils.db import Table

    database = Database(connection)
    for name, (columns, key) in TABLES.items():
        Table(database, name).create(columns, pk=key)


def place_of(sequence: int) -> str:
    """Return the place to which a waiting prediction is sealed, see ``spill``."""
    return f"waiting/{sequence}"


def waiting(execute: Callable[..., Any], vault: "Vault") -> list[tuple[int, bytes]]:
    """Return all waiting predictions, opened, with their sequences."""
    rows = execute("SELECT sequence, body FROM waiting ORDER BY sequence").fetchall()
    return [(sequence, vault.open(place_of(sequence), body)) for sequence, body in rows]


def put_waiting(execute: Callable[..., Any], vault: "Vault", rows: Iterable[tuple[int, bytes]]) -> None:
    """Keep waiting predictions as ``waiting`` returned them."""
    for sequence, body in rows:
        execute("INSERT OR REPLACE INTO waiting VALUES (?, ?)", [sequence, vault.seal(place_of(sequence), body)])


def reseal_waiting(execute: Callable[..., Any], old: "Vault", new: "Vault") -> None:
    """Seal all waiting predictions anew, inside the transaction of a change of keys."""
    put_waiting(execute, new, waiting(execute, old))

"""The tables of a state: columns by name, and the primary key of each; see ``store``."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acclimate_device.vault import Vault

FORMAT = 3
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


def reseal_waiting(execute: Callable[..., Any], old: "Vault", new: "Vault") -> None:
    """Seal all waiting predictions anew, inside the transaction of a change of keys."""
    for sequence, body in execute("SELECT sequence, body FROM waiting").fetchall():
        place = place_of(sequence)
        execute("UPDATE waiting SET body = ? WHERE sequence = ?", [new.seal(place, old.open(place, body)), sequence])

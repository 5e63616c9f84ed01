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
    "part": ({"generation": int, "digest": str}, ("generation", "digest")),
    "waiting": ({"sequence": int, "body": bytes}, "sequence"),
    "lineage": ({"place": int, "line": bytes}, "place"),
}


def place_of(sequence: int) -> str:
    """Return the place to which a waiting prediction is sealed, see ``spill``."""
    return f"waiting/{sequence}"


def reseal_waiting(execute: Callable[..., Any], old: "Vault", new: "Vault") -> None:
    """Seal all waiting predictions anew, inside the transaction of a change of keys."""
    for sequence, body in execute("SELECT sequence, body FROM waiting").fetchall():
        place = place_of(sequence)
        execute("UPDATE waiting SET body = ? WHERE sequence = ?", [new.seal(place, old.open(place, body)), sequence])

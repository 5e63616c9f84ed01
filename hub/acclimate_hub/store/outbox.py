"""Messages of the hub that have been decided but not yet sent: written with the decision, sent after its commit."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from acclimate_hub.store import tables

_T = tables.outbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A payload for a topic; it is void after ``expires_s``."""

    tenant: str
    topic: str
    payload: bytes
    retained: bool
    expires_s: float


def put(connection: Connection, message: Outgoing, now_s: float) -> None:
    """Add a message."""
    connection.execute(_T.insert().values(**asdict(message), created_s=now_s))


def due(connection: Connection, tenant: str, now_s: float, limit: int) -> list[Row[Any]]:
    """Return messages that are to be sent, oldest first."""
    waiting = (_T.c.tenant == tenant) & _T.c.sent_s.is_(None) & (_T.c.expires_s > now_s)
    return list(connection.execute(select(_T).where(waiting).order_by(_T.c.place).limit(limit)))


def sent(connection: Connection, places: Collection[int], now_s: float) -> None:
    """Note that messages were handed to the broker."""
    connection.execute(update(_T).where(_T.c.place.in_(places)).values(sent_s=now_s))


def forget(connection: Connection, before_s: float) -> int:
    """Delete messages that were sent or void before a time; return how many."""
    old = (_T.c.sent_s < before_s) | (_T.c.expires_s < before_s)
    return connection.execute(delete(_T).where(old)).rowcount

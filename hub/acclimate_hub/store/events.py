"""Events as they came: each (device, boot, sequence) once, for as long as a device may send it again."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, tuple_

from acclimate_hub.store import tables
from acclimate_hub.store.database import insert_new, upsert

_T, _FLOORS = tables.events, tables.event_floors

Key = tuple[str, str, int]  # device, boot, sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A message that is to be committed."""

    device: str
    boot: str
    sequence: int
    tenant: str
    message: str
    kind: str
    time_s: float
    received_s: float
    payload: bytes

    @property
    def key(self) -> Key:
        """What makes it one of a kind."""
        return self.device, self.boot, self.sequence


def insert(connection: Connection, events: Sequence[Event]) -> set[Key]:
    """Insert events; return the keys of those that are new.

    Args:
        connection: of a ``write``.
        events: no two with the same key.
    """
    boots = sorted({(event.device, event.boot) for event in events})
    query = select(_FLOORS).where(tuple_(_FLOORS.c.device, _FLOORS.c.boot).in_(boots))
    floors = {(row.device, row.boot): row.sequence for row in connection.execute(query)} if boots else {}
    fresh = [event for event in events if event.sequence > floors.get((event.device, event.boot), 0)]
    rows = [{name: getattr(event, name) for name in Event.__slots__} for event in fresh]
    return insert_new(connection, _T, rows, ("device", "boot", "sequence"))


def forget(connection: Connection, before_s: float) -> int:
    """Delete events received before a time; a floor of each boot keeps them from being applied again."""
    newest = func.max(_T.c.sequence).label("sequence")
    query = select(_T.c.device, _T.c.boot, newest).where(_T.c.received_s < before_s).group_by(_T.c.device, _T.c.boot)
    floors = [dict(row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - its public name
    upsert(connection, _FLOORS, floors, ("device", "boot"))
    return connection.execute(delete(_T).where(_T.c.received_s < before_s)).rowcount

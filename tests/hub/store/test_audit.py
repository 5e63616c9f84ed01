from typing import Any

import pytest
from sqlalchemy import delete, update

from acclimate_hub.store import audit, tables
from acclimate_hub.store.database import Database
from acclimate_shared.errors import ConflictError, CorruptStateError, MissingError
from tests.hub.conftest import NOW


def fill(database: Database, count: int = 5) -> list[str]:
    heads = []
    for at in range(count):
        with database.write() as connection:
            act = audit.Act(actor="cli", action="device.revoke", object=f"gw-{at}", detail={"at": at, "why": "lost"})
            heads.append(audit.record(connection, "main", act, NOW + at))
    return heads


def verify(database: Database, head: str = "") -> int:
    with database.read() as connection:
        return audit.verify(connection, "main", head)


def test_a_whole_log_is_verified_and_read(database: Database) -> None:
    assert verify(database) == 0
    heads = fill(database)
    assert verify(database) == 5
    assert all(verify(database, head) == 5 for head in heads)
    with database.read() as connection:
        found = audit.entries(connection, "main", after=2, limit=2)
        assert [entry.object for entry in found] == ["gw-2", "gw-3"]
        assert audit.head(connection, "main") == heads[-1]
        assert audit.verify(connection, "other") == 0
    with pytest.raises(MissingError), database.write() as connection:
        audit.record(connection, "nobody", audit.Act(actor="cli", action="a", object="", detail={}), NOW)


CHANGES: list[dict[str, Any]] = [
    {"actor": "eve"}, {"time_s": NOW}, {"action": "x"}, {"object": "x"}, {"detail": "{}"}, {"previous": "0" * 64},
    {"digest": "0" * 64}, {"place": 9}, {"tenant": "other"},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_any_column_is_seen(database: Database, change: dict[str, Any]) -> None:
    fill(database)
    with database.write() as connection:
        connection.execute(update(tables.audit).where(tables.audit.c.place == 3).values(**change))
    with pytest.raises(CorruptStateError) as caught:
        verify(database)
    assert caught.value.row is not None
    assert 3 <= caught.value.row <= 5


def test_deleting_inside_at_the_end_or_everything_is_seen(database: Database) -> None:
    heads = fill(database)
    for place in (2, 4, 5, None):
        with pytest.raises(CorruptStateError), database.write() as connection:  # noqa: PT012 - and rolled back
            gone = delete(tables.audit)
            connection.execute(gone if place is None else gone.where(tables.audit.c.place == place))
            audit.verify(connection, "main")
    with database.write() as connection:  # a tail cut cleanly is seen by who kept the head
        connection.execute(delete(tables.audit).where(tables.audit.c.place > 3))
        connection.execute(update(tables.audit_heads).values(place=3, digest=heads[2]))
    assert verify(database) == verify(database, heads[1]) == 3
    with pytest.raises(ConflictError, match="never had this head"):
        verify(database, heads[4])

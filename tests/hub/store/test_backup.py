import gzip
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import select

from acclimate_hub.store import audit, devices, outbox, tables, tenants
from acclimate_hub.store.backup import backup, restore
from acclimate_hub.store.database import Database
from acclimate_shared.errors import ConflictError, CorruptStateError, SourceError, StateMismatchError
from tests.hub.conftest import NOW


def message(at: int) -> outbox.Outgoing:
    return outbox.Outgoing(
        tenant="main", topic=f"t/{at}", payload=bytes([0, 255, at % 256]), retained=False, expires_s=NOW + 9
    )


def fill(database: Database) -> None:
    with database.write() as connection:
        devices.create(connection, "main", "gw-1", "default", NOW)
        devices.report(
            connection,
            "gw-1",
            devices.Report(online=True, boot="b", sequence=1, payload=b"\x00", running="", head=""),
            NOW,
        )
        audit.record(connection, "main", audit.Act(actor="cli", action="a", object="é\n", detail={"x": None}), NOW)
        for at in range(1100):
            outbox.put(connection, message(at), NOW)


def content(database: Database) -> dict[str, list[object]]:
    with database.read() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
            for table in tables.metadata.sorted_tables
        }


NewDatabase = Callable[[bool], Database]


@pytest.mark.parametrize("migrated", [False, True])
def test_a_copy_is_restored_row_by_row(
    database: Database, new_database: NewDatabase, tmp_path: Path, migrated: bool
) -> None:
    fill(database)
    path = tmp_path / "copy.gz"
    rows = backup(database, path, NOW)
    assert path.stat().st_mode & 0o777 == 0o600
    again = new_database(migrated)
    assert restore(again, path) == rows > 1200
    assert content(again) == content(database)
    with again.write() as connection:
        assert audit.verify(connection, "main") == 1
        outbox.put(connection, message(0), NOW)  # numbered behind the others
    with pytest.raises(ConflictError, match="not empty"):
        restore(again, path)
    with pytest.raises(SourceError, match="there already"):
        backup(database, path, NOW)


def test_a_copy_goes_from_one_kind_of_database_to_the_other(
    sqlite: Database, new_database: NewDatabase, tmp_path: Path
) -> None:
    with sqlite.write() as connection:
        tenants.create(connection, tenants.Tenant(tenant="main", ca_certificate="", ca_key=""), NOW)
    fill(sqlite)
    backup(sqlite, tmp_path / "copy.gz", NOW)
    other = new_database(False)  # noqa: FBT003
    restore(other, tmp_path / "copy.gz")
    assert content(other) == content(sqlite)


def test_a_copy_taken_while_others_write_is_of_one_moment(
    database: Database, new_database: NewDatabase, tmp_path: Path
) -> None:
    stop, started = threading.Event(), threading.Event()

    def work() -> None:
        at = 0
        while not stop.is_set():
            with database.write() as connection:  # a message and its entry move together
                outbox.put(connection, message(at), NOW)
                audit.record(connection, "main", audit.Act(actor="cli", action="a", object="", detail={}), NOW)
            at += 1
            started.set()

    thread = threading.Thread(target=work)
    thread.start()
    started.wait(10)
    try:
        for at in range(3):
            backup(database, tmp_path / f"{at}.gz", NOW)
    finally:
        stop.set()
        thread.join()
    for at in range(3):
        again = new_database(False)  # noqa: FBT003
        restore(again, tmp_path / f"{at}.gz")
        with again.read() as connection:
            count = connection.execute(select(sqlalchemy.func.count()).select_from(tables.outbox)).scalar_one()
            assert audit.verify(connection, "main") == count > 0


def test_a_damaged_cut_or_newer_copy_is_refused_and_leaves_nothing(sqlite: Database, tmp_path: Path) -> None:
    with sqlite.write() as connection:
        tenants.create(connection, tenants.Tenant(tenant="main", ca_certificate="", ca_key=""), NOW)
    good = tmp_path / "good.gz"
    backup(sqlite, good, NOW)
    lines = gzip.decompress(good.read_bytes()).splitlines(keepends=True)
    changed = [line.replace(b'"main"', b'"evil"') for line in lines]
    cases: list[tuple[bytes, type[Exception]]] = [
        (gzip.compress(b"".join(changed)), CorruptStateError),
        (gzip.compress(b"".join(lines[:-1])), CorruptStateError),
        (gzip.compress(b"".join(lines[:3] + lines[4:])), CorruptStateError),
        (gzip.compress(b""), CorruptStateError),
        (good.read_bytes()[:-30], SourceError),
        (b"nonsense", SourceError),
    ]
    path, target = tmp_path / "bad.gz", Database.open(f"sqlite:///{tmp_path}/target.db")
    for data, error in cases:
        path.write_bytes(data)
        with pytest.raises(error):
            restore(target, path)
    with pytest.raises(SourceError):
        restore(target, tmp_path / "missing.gz")
    assert target.revision() == ""
    with sqlite.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    backup(sqlite, tmp_path / "newer.gz", NOW)
    with pytest.raises(StateMismatchError):
        restore(target, tmp_path / "newer.gz")
    target.close()

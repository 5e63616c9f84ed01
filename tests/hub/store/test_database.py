import threading
from collections.abc import Callable

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select

from acclimate_hub.store import tables, tenants
from acclimate_hub.store.database import Database, insert_new, newest_revision, upsert
from acclimate_shared.errors import ConflictError, StateError, StateMismatchError, UsageError
from tests.hub.conftest import NOW


def test_the_migrations_make_exactly_the_tables(empty: Database) -> None:
    with empty.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
    assert empty.revision() == newest_revision() == "0011"


def test_a_database_goes_step_by_step_and_a_newer_one_is_refused(new_database: Callable[[bool], Database]) -> None:
    database = new_database(False)  # noqa: FBT003
    assert database.revision() == ""
    for revision in ("0001", "0002", "0003", "0010", "0011", "head"):
        database.migrate(revision)
    assert database.revision() == newest_revision()
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StateMismatchError, match="another format"):
        database.migrate()


def test_a_transaction_leaves_all_or_nothing(database: Database) -> None:
    with pytest.raises(KeyError), database.write() as connection:  # noqa: PT012 - and rolled back
        tenants.create_cohort(connection, "main", "half", 0, NOW)
        raise KeyError
    with database.read() as connection:
        assert not tenants.has_cohort(connection, "main", "half")


def test_a_read_sees_one_moment(database: Database) -> None:
    with database.read() as connection:
        assert tenants.names(connection) == ["main", "other"]
        with database.write() as other:
            tenants.create(other, tenants.Tenant(tenant="third", ca_certificate="", ca_key=""), NOW)
        assert tenants.names(connection) == ["main", "other"]
    with database.read() as connection:
        assert len(tenants.names(connection)) == 3


def test_writers_wait_for_each_other(database: Database) -> None:
    def grow() -> None:
        for _ in range(10):
            with database.write() as connection:
                tenants.next_crl(connection, "main")

    threads = [threading.Thread(target=grow) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.write() as connection:
        assert tenants.next_crl(connection, "main") == 41


def test_errors_of_the_database_are_ours_and_show_no_values(database: Database) -> None:
    table = tables.event_floors
    with pytest.raises(ConflictError) as caught, database.write() as connection:
        connection.execute(table.insert().values(device="secret-device", boot="b", sequence=1))
    assert "secret-device" not in str(caught.value)
    with pytest.raises(StateError), database.read() as connection:
        connection.exec_driver_sql("SELECT * FROM nowhere")
    with pytest.raises(ConflictError), database.write() as connection:
        tenants.create(connection, tenants.Tenant(tenant="main", ca_certificate="", ca_key=""), NOW)


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://root:secret@h/db", "sqlite://", "sqlite:///:memory:", "sqlite+x:///a"]
)
def test_other_urls_are_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Database.open(url)
    assert "secret" not in str(caught.value)


def test_insert_new_tells_what_was_new_and_upsert_adds(database: Database) -> None:
    key = ("tenant", "digest", "base")
    rows = [{"tenant": "main", "digest": f"d{at}", "base": "b"} for at in range(2500)]
    with database.write() as connection:
        assert len(insert_new(connection, tables.lineage_bases, rows[:1500], key)) == 1500
        assert insert_new(connection, tables.lineage_bases, rows, key) == {
            ("main", f"d{at}", "b") for at in range(1500, 2500)
        }
        assert insert_new(connection, tables.lineage_bases, [], key) == set()
    cohort = {"tenant": "main", "cohort": "c", "created_s": 1.0, "criticality": 3}
    for _ in range(2):
        with database.write() as connection:
            upsert(connection, tables.cohorts, [cohort], ("tenant", "cohort"), added=("criticality",))
    with database.read() as connection:
        found = connection.execute(select(tables.cohorts.c.criticality).where(tables.cohorts.c.cohort == "c"))
        assert found.scalar_one() == 6


def test_sqlite_is_durable_and_checks_keys(sqlite: Database) -> None:
    with sqlite.read() as connection:
        pragmas = [connection.execute(sqlalchemy.text(f"PRAGMA {name}")).scalar_one() for name in
                   ("journal_mode", "synchronous", "foreign_keys")]  # fmt: skip
    assert pragmas == ["wal", 2, 1]

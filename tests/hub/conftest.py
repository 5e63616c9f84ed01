"""Databases for the tests of the hub: every test that asks for one runs on SQLite and on PostgreSQL."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy

from acclimate_hub.store import tenants
from acclimate_hub.store.database import Database
from tests.hub.servers import postgresql

NOW = 1_700_000_000.0
MakeDatabase = Callable[[], Database]


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables and nothing in them."""
    path = tmp_path_factory.mktemp("template") / "hub.db"
    database = Database.open(f"sqlite:///{path}")
    database.migrate()
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The URL of a private PostgreSQL with a migrated database named ``template_hub``."""
    with postgresql() as url:
        _create(url, "template_hub")
        database = Database.open(url.format("template_hub"))
        database.migrate()
        database.close()
        yield url


def _create(url: str, name: str, template: str = "template1") -> None:
    engine = sqlalchemy.create_engine(url.format("postgres").replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which database."""
    return str(request.param)


@pytest.fixture
def new_database(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[bool], Database]]:
    """A function that opens a new database, with the tables or without."""
    opened: list[Database] = []

    def make(migrated: bool) -> Database:
        name = f"hub_{abs(hash(tmp_path))}_{len(opened)}"
        if kind == "sqlite":
            path = tmp_path / f"{name}.db"
            if migrated:
                shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
            opened.append(Database.open(f"sqlite:///{path}"))
        else:
            url = request.getfixturevalue("cluster")
            _create(url, name, "template_hub" if migrated else "template1")
            opened.append(Database.open(url.format(name)))
        return opened[-1]

    yield make
    for database in opened:
        database.close()


@pytest.fixture
def empty(new_database: Callable[[bool], Database]) -> Database:
    """A database with all tables and nothing in them."""
    return new_database(True)  # noqa: FBT003


@pytest.fixture
def database(empty: Database) -> Database:
    """A database with the tenants ``main`` and ``other``."""
    with empty.write() as connection:
        for name in ("main", "other"):
            tenants.create(connection, tenants.Tenant(tenant=name, ca_certificate="", ca_key=""), NOW)
    return empty


@pytest.fixture
def sqlite(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Database]:
    """A migrated SQLite database, for tests that need no second kind."""
    path = tmp_path / "hub.db"
    shutil.copy(migrated_sqlite, path)
    database = Database.open(f"sqlite:///{path}")
    yield database
    database.close()

"""The database of the hub: SQLite in WAL mode by default, PostgreSQL by URL; the same code on both.

``read`` is a transaction that sees one moment and writes nothing; ``write`` one that no other writer comes between. On
SQLite there is one writer at a time, which ``BEGIN IMMEDIATE`` says at once; on PostgreSQL rows are locked where it
matters. Errors of the driver are translated here and nowhere else.

Example:
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> database = Database.open(f"sqlite:///{folder.name}/hub.db")
    >>> database.migrate()
    >>> with database.read() as connection:
    ...     connection.execute(sqlalchemy.text("SELECT count(*) FROM devices")).scalar_one()
    0
    >>> database.close(); folder.cleanup()
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from acclimate_hub import limits
from acclimate_shared.errors import ConflictError, LinkError, StateError, StateMismatchError, UsageError

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x61_63_63_6C  # names the lock of the migrations among others of a PostgreSQL server
_BEGIN = "acclimate_begin"  # an execution option: which BEGIN SQLite gets


class Database:
    """A pool of connections to one database."""

    def __init__(self, engine: Engine) -> None:
        """Use an engine that ``open`` has made."""
        self.engine = engine

    @classmethod
    def open(cls, url: str) -> "Database":
        """Open a database.

        Args:
            url: such as ``sqlite:////var/lib/acclimate/hub.db`` or ``postgresql://user@host/name``.

        Raises:
            UsageError: the URL is not one of these.
        """
        remedy = "use sqlite:///FILE or postgresql://USER@HOST/NAME"
        try:
            parsed = sqlalchemy.make_url(url)
        except ArgumentError as exc:
            raise UsageError("the database's URL cannot be read", field="database", remedy=remedy) from exc
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        shown = parsed.render_as_string(hide_password=True)
        if parsed.drivername not in {"sqlite", "postgresql+psycopg"}:
            raise UsageError("there is no such kind of database", field="database", value=shown, remedy=remedy)
        if parsed.drivername == "sqlite" and parsed.database in {None, "", ":memory:"}:
            raise UsageError("the database is a file", field="database", value=shown, remedy=remedy)
        try:
            engine = sqlalchemy.create_engine(
                parsed, pool_size=8, max_overflow=8, pool_pre_ping=True, hide_parameters=True
            )
        except (SQLAlchemyError, NoSuchModuleError, ImportError) as exc:
            raise UsageError("the driver of the database is missing", field="database", value=shown) from exc
        if engine.dialect.name == "sqlite":
            _prepare_sqlite(engine)
        return cls(engine)

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.engine.dialect.name

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a transaction that sees one moment.

        Raises:
            LinkError: the database does not answer.
            StateError: it refuses.
        """
        options: dict[str, Any] = {_BEGIN: "BEGIN"}
        if self.kind == "postgresql":
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self._translated(), self.engine.connect().execution_options(**options) as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a transaction that is committed at the end, or leaves nothing if an error is raised.

        Raises:
            LinkError: the database does not answer, or others kept it for too long.
            ConflictError: a row of this key is there already.
            StateError: it refuses.
        """
        options = {_BEGIN: "BEGIN IMMEDIATE"} if self.kind == "sqlite" else {}
        with self._translated(), self.engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as exc:
            raise translated(exc) from exc

    def migrate(self, revision: str = "head") -> None:
        """Bring the tables to what this version needs, or up to an older revision.

        Raises:
            StateMismatchError: a newer version wrote the database.
            LinkError: the database does not answer.
        """
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        try:
            with self.write() as connection:
                if self.kind == "postgresql":  # several hubs may start at once
                    connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(_LOCK)))
                config.attributes["connection"] = connection
                command.upgrade(config, revision)
        except CommandError as exc:
            raise StateMismatchError(
                "the database has another format", field="database", remedy="update acclimate"
            ) from exc

    def revision(self) -> str:
        """Return the revision of the tables, empty before the first migration."""
        with self.read() as connection:
            return MigrationContext.configure(connection).get_current_revision() or ""

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def newest_revision() -> str:
    """Return the revision that this version writes."""
    return ScriptDirectory(str(_MIGRATIONS)).get_current_head() or ""


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:  # noqa: ANN401 - the driver's own class
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={limits.BUSY_S * 1000:.0f}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


def translated(exc: SQLAlchemyError) -> LinkError | ConflictError | StateError:
    """Return our error for one of the database's; the values of a statement are never in it."""
    text = str(exc.orig).partition("\n")[0] if isinstance(exc, DBAPIError) else type(exc).__name__
    if isinstance(exc, sqlalchemy.exc.IntegrityError):
        return ConflictError("a row of this key is there, or one that it needs is not", field="database")
    away = sqlalchemy.exc.OperationalError | sqlalchemy.exc.TimeoutError | sqlalchemy.exc.InterfaceError
    if isinstance(exc, away) and not any(word in text for word in ("no such", "malformed", "readonly", "full")):
        return LinkError(f"the database does not answer: {text}", field="database", remedy="try again")
    return StateError(f"the database refuses: {text}", field="database", remedy="check disk, rights and migrations")


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], key: Sequence[str]) -> set[Any]:
    """Insert the rows whose key is not there yet.

    Args:
        connection: of a ``write``.
        table: the table.
        rows: no two with the same key.
        key: names of the columns of the key.

    Returns:
        The keys that are new, as tuples.
    """
    if not rows:
        return set()
    returned = [table.c[name] for name in key]
    statement = _insert(connection, table).on_conflict_do_nothing(index_elements=list(key)).returning(*returned)
    return {tuple(row) for row in connection.execute(statement, list(rows))}


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    key: Sequence[str],
    added: Sequence[str] = (),
) -> None:
    """Insert rows, or write over those whose key is there.

    Args:
        connection: of a ``write``.
        table: the table.
        rows: all with the same columns, no two with the same key.
        key: names of the columns of the key.
        added: columns whose value is added to what is there; ``least`` and ``most`` keep the smaller and larger.
    """
    if not rows:
        return
    statement = _insert(connection, table)
    new, smaller = statement.excluded, connection.dialect.name == "sqlite"
    low, high = (
        (sqlalchemy.func.min, sqlalchemy.func.max) if smaller else (sqlalchemy.func.least, sqlalchemy.func.greatest)
    )
    changes: dict[str, Any] = {}
    for name in rows[0]:
        column = table.c[name]
        if name in added:
            changes[name] = (
                {"least": low, "most": high}[name](column, new[name])
                if name in {"least", "most"}
                else column + new[name]
            )
        elif name not in key:
            changes[name] = new[name]
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changes), list(rows))


def _insert(connection: Connection, table: Table) -> Any:  # noqa: ANN401 - two classes of the same shape
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)

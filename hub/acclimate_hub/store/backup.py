"""A copy of the database while it is used, and back: one compressed file, the same for SQLite and PostgreSQL.

The file has a line of JSON for its head, for every table and for every row, all of one moment, and ends with the
SHA-256 of the lines before. ``restore`` checks the whole file before it writes a row, in one transaction, into a
database that is still empty; an older copy is brought up to date. It holds the authorities' keys, encrypted: the secret
of the hub is not in it and has to be kept beside it.
"""

import base64
import gzip
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy
from sqlalchemy import BindParameter, Connection, LargeBinary, MetaData, Table, func, select, text

from acclimate_hub import limits
from acclimate_hub.store import tables
from acclimate_hub.store.database import Database
from acclimate_shared.errors import ConflictError, CorruptStateError, SourceError, StateMismatchError

FORMAT = 1
MAX_LINE_BYTES = 1 << 24


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    acclimate_backup: int
    revision: str
    time_s: float


class _Name(msgspec.Struct, forbid_unknown_fields=True):
    table: str
    columns: list[str]


class _End(msgspec.Struct, forbid_unknown_fields=True):
    end: str
    rows: int


def backup(database: Database, path: Path, now_s: float) -> int:
    """Write a copy to a file that only its owner may read; return the number of rows.

    Raises:
        SourceError: the file cannot be written, or is there already.
    """
    revision = database.revision()
    digest, count = hashlib.sha256(), 0
    part = path.with_name(path.name + ".part")
    try:
        if path.exists():
            raise SourceError("the file is there already", field="file", value=str(path), remedy="choose another name")
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as raw, database.read() as connection:
            with gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as out:
                for line, is_row in _lines(connection, _Head(FORMAT, revision, now_s)):
                    digest.update(line)
                    count += is_row
                    out.write(line)
                out.write(_line(_End(digest.hexdigest(), count)))
            raw.flush()
            os.fsync(raw.fileno())
        part.rename(path)
    except OSError as exc:
        raise SourceError(f"the copy cannot be written: {exc}", field="file", value=str(path)) from exc
    return count


def _lines(connection: Connection, head: _Head) -> Iterator[tuple[bytes, bool]]:
    yield _line(head), False
    for table in tables.metadata.sorted_tables:
        names = [str(name) for name in table.columns.keys()]  # noqa: SIM118 - they are columns, not a dict
        yield _line(_Name(str(table.name), names)), False
        with connection.execute(select(table).execution_options(yield_per=limits.BACKUP_ROWS)) as rows:
            for row in rows:
                yield _line(list(row)), True


def _line(value: Any) -> bytes:  # noqa: ANN401 - a struct or a row
    return msgspec.json.encode(value) + b"\n"


def restore(database: Database, path: Path) -> int:
    """Fill an empty database from a copy; return the number of rows.

    Raises:
        SourceError: the file cannot be read.
        CorruptStateError: a byte of it is not what it was.
        StateMismatchError: a newer version wrote it.
        ConflictError: the database is not empty.
    """
    head, rows = _checked(path)
    found = database.revision()
    if found not in {"", head.revision}:
        raise ConflictError("the database is in use", field="database", value=found, remedy="restore into a new one")
    database.migrate(head.revision)
    with database.write() as connection:
        if connection.execute(select(tables.tenants.c.tenant)).first():
            raise ConflictError("the database is not empty", field="database", remedy="restore into a new one")
        for table, batch in _batches(connection, path):
            connection.execute(table.insert(), batch)
        _count_on(connection)
    database.migrate()
    return rows


def _read(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") as file:
            while line := file.readline(MAX_LINE_BYTES):
                yield line
    except (OSError, EOFError, gzip.zlib.error) as exc:  # type: ignore[attr-defined]  # its own import of zlib
        raise SourceError(f"the copy cannot be read: {exc}", field="file", value=str(path)) from exc


def _checked(path: Path) -> tuple[_Head, int]:
    """Go through the whole file; return its head and number of rows."""
    digest, rows, last, head = hashlib.sha256(), 0, b"", b""
    for line in _read(path):
        digest.update(last)
        head, rows, last = head or line, rows + line.startswith(b"["), line
    remedy = "use another copy"
    try:
        end = msgspec.json.decode(last, type=_End)
        first = msgspec.json.decode(head, type=_Head)
    except msgspec.MsgspecError as exc:
        raise CorruptStateError("the copy is not complete", field="file", value=str(path), remedy=remedy) from exc
    if (end.end, end.rows) != (digest.hexdigest(), rows):
        raise CorruptStateError("the copy does not match its digest", field="file", value=str(path), remedy=remedy)
    if first.acclimate_backup != FORMAT:
        raise StateMismatchError("the copy has another format", field="format", value=first.acclimate_backup)
    return first, rows


def _batches(connection: Connection, path: Path) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    """Yield rows by table; the tables are those of the copy's revision, as the database has them."""
    table, names, binary, batch = None, [""], [False], []
    for line in _read(path):
        if line.startswith(b"[") and table is not None:
            values = msgspec.json.decode(line, type=list[Any])
            cells = [base64.b64decode(v) if b and v is not None else v for v, b in zip(values, binary, strict=True)]
            batch.append(dict(zip(names, cells, strict=True)))
        if table is not None and batch and (len(batch) == limits.BACKUP_ROWS or not line.startswith(b"[")):
            yield table, batch
            batch = []
        if line.startswith(b'{"table"'):
            found = msgspec.json.decode(line, type=_Name)
            table, names = Table(found.table, MetaData(), autoload_with=connection), found.columns
            binary = [isinstance(table.c[name].type, LargeBinary) for name in names]


def _count_on(connection: Connection) -> None:
    """Let PostgreSQL number new rows of the outbox behind those that were copied."""
    if connection.dialect.name == "postgresql":
        newest = connection.execute(select(func.max(tables.outbox.c.place))).scalar_one() or 0
        name: BindParameter[int] = sqlalchemy.bindparam("newest", newest + 1)
        connection.execute(
            text("SELECT setval(pg_get_serial_sequence('outbox', 'place'), :newest, false)").bindparams(name)
        )

"""The audit log: who did what, each entry with the digest of the one before it.

The digest is SHA-256 over the canonical JSON of an entry. A chain shows any change, deletion or insertion inside it;
who keeps the ``head`` elsewhere also sees a tail that was cut. Details never hold a secret.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, select, update

from acclimate_hub.store import tables
from acclimate_shared.errors import ConflictError, CorruptStateError, MissingError

_T = tables.audit
_REMEDY = "compare with a backup; somebody has changed the database by hand"

Detail = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry; ``detail`` is JSON."""

    tenant: str
    place: int
    time_s: float
    actor: str
    action: str
    object: str
    detail: str
    previous: str

    @property
    def digest(self) -> str:
        """SHA-256 of everything in it."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What somebody does: ``actor`` is ``api:TOKEN``, ``cli`` or ``device:ID``."""

    actor: str
    action: str
    object: str
    detail: Detail


def start(connection: Connection, tenant: str) -> None:
    """Begin the log of a new tenant."""
    connection.execute(tables.audit_heads.insert().values(tenant=tenant, place=0, digest=""))


def record(connection: Connection, tenant: str, act: Act, now_s: float) -> str:
    """Add an entry in the transaction of what it reports; return the new head.

    Raises:
        MissingError: there is no such tenant.
    """
    heads = tables.audit_heads
    row = connection.execute(select(heads).where(heads.c.tenant == tenant).with_for_update()).one_or_none()
    if row is None:
        raise MissingError("there is no such tenant", field="tenant", value=tenant)
    detail = msgspec.json.encode(dict(act.detail), order="sorted").decode()
    entry = Entry(
        tenant=tenant,
        place=row.place + 1,
        time_s=now_s,
        actor=act.actor,
        action=act.action,
        object=act.object,
        detail=detail,
        previous=row.digest,
    )
    connection.execute(_T.insert().values(**_columns(entry), digest=entry.digest))
    connection.execute(update(heads).where(heads.c.tenant == tenant).values(place=entry.place, digest=entry.digest))
    return entry.digest


def entries(connection: Connection, tenant: str, after: int, limit: int) -> list[Entry]:
    """Return entries from the place after ``after`` on, oldest first."""
    query = select(_T).where(_T.c.tenant == tenant, _T.c.place > after).order_by(_T.c.place).limit(limit)
    return [_entry(row) for row in connection.execute(query)]


def head(connection: Connection, tenant: str) -> str:
    """Return the digest of the newest entry, empty if there is none."""
    heads = tables.audit_heads
    return connection.execute(select(heads.c.digest).where(heads.c.tenant == tenant)).scalar_one_or_none() or ""


def verify(connection: Connection, tenant: str, expected: str = "") -> int:
    """Check the whole chain; return how many entries it has.

    Args:
        connection: of a ``read``.
        tenant: whose log.
        expected: a head that was kept elsewhere; it must be one of the chain's digests.

    Raises:
        CorruptStateError: the entry in ``row`` is not what it was, or the tail is missing.
        ConflictError: the log never had the head that was expected.
    """
    previous, count, seen = "", 0, not expected
    query = select(_T).where(_T.c.tenant == tenant).order_by(_T.c.place).execution_options(yield_per=1000)
    with connection.execute(query) as rows:
        for count, row in enumerate(rows, 1):
            entry = _entry(row)
            if entry.place != count or entry.previous != previous or entry.digest != row.digest:
                raise CorruptStateError("the audit log was changed", field="audit", remedy=_REMEDY, row=count)
            previous, seen = row.digest, seen or row.digest == expected
    heads = tables.audit_heads
    end = connection.execute(select(heads).where(heads.c.tenant == tenant)).one_or_none()
    if (end.place, end.digest) != (count, previous) if end else count:
        raise CorruptStateError("the end of the audit log is missing", field="audit", remedy=_REMEDY, row=count)
    if not seen:
        raise ConflictError("the audit log never had this head", field="head", value=expected, remedy=_REMEDY)
    return count


def _entry(row: object) -> Entry:
    return Entry(**{name: getattr(row, name) for name in Entry.__slots__})


def _columns(entry: Entry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in Entry.__slots__}

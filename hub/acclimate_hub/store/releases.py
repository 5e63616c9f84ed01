"""Releases, and what aliases mean and have meant: the rows; what they mean is decided elsewhere.

Aliases are written by compare-and-set: who has read an old row is refused.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from acclimate_hub.store import tables
from acclimate_hub.store.database import insert_new
from acclimate_shared.errors import ConflictError, MissingError

_RELEASES, _BLOBS, _PARTS, _ALIASES = tables.releases, tables.blobs, tables.release_blobs, tables.aliases
_CHANGED = "read it again and decide anew"


def add(
    connection: Connection, tenant: str, columns: Mapping[str, Any], blobs: Mapping[str, tuple[str, int]], now_s: float
) -> None:
    """Add a release with its blobs.

    Args:
        connection: of a ``write``.
        tenant: whose release.
        columns: ``digest``, ``name``, ``version``, ``manifest``.
        blobs: digest and bytes by path.
        now_s: seconds since 1970.

    Raises:
        ConflictError: the digest, or the name with this version, is there already.
    """
    name, version = columns["name"], columns["version"]
    taken = (_RELEASES.c.digest == columns["digest"]) | ((_RELEASES.c.name == name) & (_RELEASES.c.version == version))
    if connection.execute(select(_RELEASES.c.digest).where(_RELEASES.c.tenant == tenant, taken)).first():
        raise ConflictError("the release is there already", field="release", value=f"{name} {version}")
    rows = [{"digest": digest, "bytes": size, "created_s": now_s} for digest, size in dict(blobs.values()).items()]
    insert_new(connection, _BLOBS, rows, ("digest",))
    connection.execute(_RELEASES.insert().values(tenant=tenant, created_s=now_s, **columns))
    parts = [
        {"tenant": tenant, "release": columns["digest"], "path": path, "blob": digest}
        for path, (digest, _) in sorted(blobs.items())
    ]
    if parts:
        connection.execute(_PARTS.insert(), parts)


def withdraw(connection: Connection, tenant: str, digest: str, when_s: float | None) -> None:
    """Say since when a release is withdrawn, in seconds since 1970; None for one that is not."""
    where = (_RELEASES.c.tenant == tenant) & (_RELEASES.c.digest == digest)
    connection.execute(_RELEASES.update().where(where).values(withdrawn_s=when_s))


def listed(tenant: str) -> Select[Any]:
    """Return the query of a tenant's releases, without an order."""
    return select(_RELEASES).where(_RELEASES.c.tenant == tenant)


def newest_aliases(tenant: str) -> Select[Any]:
    """Return the query of what a tenant's aliases mean now, without an order."""
    other = _ALIASES.alias()
    newest = select(func.max(other.c.row_version)).where(other.c.tenant == tenant, other.c.name == _ALIASES.c.name)
    return select(_ALIASES).where(_ALIASES.c.tenant == tenant, _ALIASES.c.row_version == newest.scalar_subquery())


def alias_history(connection: Connection, tenant: str, name: str) -> list[Row[Any]]:
    """Return what an alias has meant, newest first; its first row is what it means."""
    query = select(_ALIASES).where(_ALIASES.c.tenant == tenant, _ALIASES.c.name == name)
    return list(connection.execute(query.order_by(_ALIASES.c.row_version.desc())))


def point_alias(
    connection: Connection, tenant: str, name: str, release: str, *, seen: int, actor: str, now_s: float
) -> int:
    """Let an alias mean another release; return its new row version.

    Args:
        connection: of a ``write``.
        tenant: whose alias.
        name: of the alias.
        release: digest.
        seen: row version that the decision rests on, 0 for a new alias.
        actor: who decides.
        now_s: seconds since 1970.

    Raises:
        ConflictError: it has changed since.
        MissingError: there is no such release.
    """
    if not connection.execute(listed(tenant).where(_RELEASES.c.digest == release)).first():
        raise MissingError("there is no such release", field="release", value=release)
    history = alias_history(connection, tenant, name)
    row = {"tenant": tenant, "name": name, "row_version": seen + 1, "release": release}
    new = (history[0].row_version if history else 0) == seen and insert_new(
        connection, _ALIASES, [row | {"time_s": now_s, "actor": actor}], ("tenant", "name", "row_version")
    )
    if not new:
        raise ConflictError("the alias has changed meanwhile", field="alias", value=name, remedy=_CHANGED)
    return seen + 1

"""Releases, what aliases mean and have meant, and rollouts: the rows; what they mean is decided elsewhere.

Aliases and rollouts are written by compare-and-set: who has read an old row is refused.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, Select, select, update

from acclimate_hub.store import tables
from acclimate_hub.store.database import insert_new
from acclimate_shared.errors import ConflictError, MissingError

_RELEASES, _BLOBS, _PARTS, _ALIASES, _ROLLOUTS = (
    tables.releases,
    tables.blobs,
    tables.release_blobs,
    tables.aliases,
    tables.rollouts,
)
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


def listed(tenant: str) -> Select[Any]:
    """Return the query of a tenant's releases, without an order."""
    return select(_RELEASES).where(_RELEASES.c.tenant == tenant)


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


def add_rollout(connection: Connection, tenant: str, columns: Mapping[str, Any], now_s: float) -> None:
    """Add a rollout.

    Args:
        connection: of a ``write``.
        tenant: whose rollout.
        columns: ``rollout``, ``state``, ``release``, ``document``.
        now_s: seconds since 1970.

    Raises:
        ConflictError: there is one of this name.
    """
    row = {"tenant": tenant, "row_version": 1, "created_s": now_s, "changed_s": now_s, **columns}
    if not insert_new(connection, _ROLLOUTS, [row], ("tenant", "rollout")):
        raise ConflictError("the rollout is there already", field="rollout", value=columns["rollout"])


def rollout(connection: Connection, tenant: str, name: str) -> Row[Any]:
    """Return the row of a rollout.

    Raises:
        MissingError: there is none of this name.
    """
    query = select(_ROLLOUTS).where(_ROLLOUTS.c.tenant == tenant, _ROLLOUTS.c.rollout == name)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise MissingError("there is no such rollout", field="rollout", value=name)
    return row


def swap_rollout(
    connection: Connection, tenant: str, name: str, *, seen: int, state: str, document: bytes, now_s: float
) -> int:
    """Write a rollout if its row version is still ``seen``; return the new one.

    Raises:
        ConflictError: it has changed since.
        MissingError: there is none of this name.
    """
    where = (_ROLLOUTS.c.tenant == tenant) & (_ROLLOUTS.c.rollout == name) & (_ROLLOUTS.c.row_version == seen)
    values = {"row_version": seen + 1, "state": state, "document": document, "changed_s": now_s}
    if not connection.execute(update(_ROLLOUTS).where(where).values(**values)).rowcount:
        rollout(connection, tenant, name)
        raise ConflictError("the rollout has changed meanwhile", field="rollout", value=name, remedy=_CHANGED)
    return seen + 1

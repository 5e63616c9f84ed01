"""The lineage of the whole fleet: a graph of releases and of the versions of every device.

A node is a release or a record of a device's lineage, named by its digest; an edge goes from a parent to what came of
it. Which releases a node descends from is kept beside it, so that "which devices run a descendant of base v7?" reads an
index instead of walking the versions of all devices. Records may come in any order: a parent that comes late hands its
releases on to what is there already.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Select, literal, select

from acclimate_hub.store import tables
from acclimate_hub.store.database import insert_new

_V, _E, _B = tables.lineage_versions, tables.lineage_edges, tables.lineage_bases
_BATCH = 500  # digests in one query: SQLite has a limit of variables


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A version of a device, or a release (``device`` is empty, ``kind`` is ``release``)."""

    tenant: str
    digest: str
    device: str
    kind: str
    version: str
    model: str
    time_s: float
    labels: int = 0
    cpu_s: float = 0.0
    gain: float | None = None


def add(connection: Connection, tenant: str, nodes: Sequence[tuple[Node, Sequence[str]]]) -> None:
    """Add nodes with the digests that they came from: parents, and the release that an import brought.

    Args:
        connection: of a ``write``.
        tenant: whose they are.
        nodes: those that are there already change nothing.
    """
    unique = {node.digest: (node, parents) for node, parents in nodes}
    rows = [asdict(node) for node, _ in unique.values()]
    edges = [
        {"tenant": tenant, "child": digest, "parent": parent}
        for digest, (_, parents) in unique.items()
        for parent in sorted(set(parents) - {digest})
    ]
    insert_new(connection, _V, rows, ("tenant", "digest"))
    insert_new(connection, _E, edges, ("tenant", "child", "parent"))
    releases = [node.digest for node, _ in unique.values() if node.kind == "release"]
    found = {(digest, digest) for digest in releases}
    parents = {edge["parent"] for edge in edges}
    known = _bases(connection, tenant, parents)
    for edge in edges:
        found |= {(edge["child"], base) for base in known.get(edge["parent"], ())}
    _spread(connection, tenant, found)


def _spread(connection: Connection, tenant: str, found: set[tuple[str, str]]) -> None:
    """Write (digest, base) pairs, and hand those that are new on to the children until none is."""
    while found:
        rows = [{"tenant": tenant, "digest": digest, "base": base} for digest, base in sorted(found)]
        new = insert_new(connection, _B, rows, ("tenant", "digest", "base"))
        grown: dict[str, set[str]] = {}
        for _, digest, base in new:
            grown.setdefault(digest, set()).add(base)
        found = set()
        for batch in _batches(grown):
            query = select(_E.c.child, _E.c.parent).where(_E.c.tenant == tenant, _E.c.parent.in_(batch))
            for row in connection.execute(query):
                found |= {(row.child, base) for base in grown[row.parent]}


def _bases(connection: Connection, tenant: str, digests: Iterable[str]) -> dict[str, set[str]]:
    bases: dict[str, set[str]] = {}
    for batch in _batches(digests):
        query = select(_B.c.digest, _B.c.base).where(_B.c.tenant == tenant, _B.c.digest.in_(batch))
        for row in connection.execute(query):
            bases.setdefault(row.digest, set()).add(row.base)
    return bases


def _batches(digests: Iterable[str]) -> Iterable[list[str]]:
    ordered = sorted(digests)
    return (ordered[at : at + _BATCH] for at in range(0, len(ordered), _BATCH))


def running(tenant: str, base: str) -> Select[Any]:
    """Return the query of the devices whose serving version descends from a release, or is it; without an order."""
    devices = tables.devices
    below = select(_B.c.digest).where(_B.c.tenant == tenant, _B.c.base == base)
    return select(devices).where(devices.c.tenant == tenant, devices.c.head.in_(below) | devices.c.running.in_(below))


def ancestors(connection: Connection, tenant: str, digest: str, limit: int) -> list[str]:
    """Return digests of everything that a node came from, itself first, at most ``limit``."""
    return _walk(connection, tenant, digest, limit, up=True)


def descendants(connection: Connection, tenant: str, digest: str, limit: int) -> list[str]:
    """Return digests of everything that came from a node, itself first, at most ``limit``."""
    return _walk(connection, tenant, digest, limit, up=False)


def _walk(connection: Connection, tenant: str, digest: str, limit: int, *, up: bool) -> list[str]:
    here, there = (_E.c.child, _E.c.parent) if up else (_E.c.parent, _E.c.child)
    walk = select(literal(digest).label("digest")).cte("walk", recursive=True)
    step = select(there).join(walk, (here == walk.c.digest) & (_E.c.tenant == tenant))
    walk = walk.union(step)
    return list(connection.execute(select(walk.c.digest).limit(limit)).scalars())


def nodes(tenant: str, device: str | None = None) -> Select[Any]:
    """Return the query of the nodes of a tenant, of one device or of releases (``""``), without an order."""
    query = select(_V).where(_V.c.tenant == tenant)
    return query if device is None else query.where(_V.c.device == device)

"""What the pages ask of the whole fleet: sums and newest rows, each by one statement."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, case, func, select, union

from acclimate_hub.store import tables

_D, _V, _E, _B = tables.devices, tables.lineage_versions, tables.lineage_edges, tables.lineage_bases


def standings(connection: Connection, tenant: str, silent_before_s: float) -> Row[Any]:
    """Return counts that add up to ``total``: ``revoked``, ``online``, ``never`` seen, ``silent``, ``away``."""
    return connection.execute(select(*_standings(silent_before_s)).where(_D.c.tenant == tenant)).one()


def _standings(silent_before_s: float) -> list[ColumnElement[Any]]:
    standing = case(
        (_D.c.revoked_s.is_not(None), "revoked"),
        (_D.c.online, "online"),
        (_D.c.seen_s.is_(None), "never"),
        (_D.c.seen_s < silent_before_s, "silent"),
        else_="away",
    )
    names = ("revoked", "online", "never", "silent", "away")
    return [func.count().label("total"), *(func.count().filter(standing == name).label(name) for name in names)]


def cohorts(connection: Connection, tenant: str, silent_before_s: float, limit: int) -> list[Row[Any]]:
    """Return cohorts, least critical first, with the counts of ``standings``."""
    inside = (_D.c.tenant == tables.cohorts.c.tenant) & (_D.c.cohort == tables.cohorts.c.cohort)
    counts = [func.count(_D.c.device).label("total"), func.count().filter(_D.c.online).label("online")]
    counts += [func.count().filter(_D.c.revoked_s.is_(None) & (_D.c.seen_s < silent_before_s)).label("silent")]
    c = tables.cohorts.c
    query = select(c.cohort, c.criticality, *counts).join(_D, inside, isouter=True).where(c.tenant == tenant)
    query = query.group_by(c.cohort, c.criticality).order_by(c.criticality, c.cohort)
    return list(connection.execute(query.limit(limit)))


def busiest_measure(connection: Connection, tenant: str, start_s: float, width_s: int) -> Row[Any] | None:
    """Return measure and subject of the score that most devices have reported since, None if there is none."""
    m, scores = tables.metrics.c, ("accuracy", "kappa", "log-loss", "absolute-error", "squared-error", "bounded-loss")
    query: Select[Any] = select(m.measure, m.subject).where(m.tenant == tenant, m.measure.in_(scores))
    query = query.where(m.width_s == width_s, m.start_s >= start_s).group_by(m.measure, m.subject)
    count = func.count(m.device.distinct())
    return connection.execute(query.order_by(count.desc(), m.measure, m.subject).limit(1)).one_or_none()


def notable(connection: Connection, tenant: str, limit: int) -> list[Row[Any]]:
    """Return the newest versions of all devices that are no mere commits."""
    query = select(_V).where(_V.c.tenant == tenant, tables.NOTABLE)
    return list(connection.execute(query.order_by(_V.c.time_s.desc()).limit(limit)))


def history(connection: Connection, tenant: str, device: str, limit: int) -> list[Row[Any]]:
    """Return the newest versions of a device, or of releases (``""``), newest first."""
    query = select(_V).where(_V.c.tenant == tenant, _V.c.device == device)
    return list(connection.execute(query.order_by(_V.c.time_s.desc(), _V.c.digest).limit(limit)))


def edges(connection: Connection, tenant: str, digests: Sequence[str]) -> list[tuple[str, str]]:
    """Return (child, parent) of every edge into one of these children."""
    query = select(_E.c.child, _E.c.parent).where(_E.c.tenant == tenant, _E.c.child.in_(digests))
    return [(row.child, row.parent) for row in connection.execute(query.order_by(_E.c.child, _E.c.parent))]


def newest_event(connection: Connection, tenant: str, device: str, kind: str) -> Row[Any] | None:
    """Return the event of a kind that came last from a device."""
    return connection.execute(_events(tenant, device, kind).limit(1)).one_or_none()


def newest_events(connection: Connection, tenant: str, device: str, kind: str, limit: int) -> list[Row[Any]]:
    """Return the events of a kind that came last from a device, newest first."""
    return list(connection.execute(_events(tenant, device, kind).limit(limit)))


def _events(tenant: str, device: str, kind: str) -> Select[Any]:
    e = tables.events
    query = select(e).where(e.c.tenant == tenant, e.c.device == device, e.c.kind == kind)
    return query.order_by(e.c.received_s.desc(), e.c.time_s.desc(), e.c.sequence.desc())


def carriers(connection: Connection, tenant: str) -> dict[str, int]:
    """Return, by release, how many devices serve it or a version that descends from it."""
    pairs = union(
        *(
            select(_D.c.device, _B.c.base)
            .join(_B, (_B.c.tenant == _D.c.tenant) & (_B.c.digest == column))
            .where(_D.c.tenant == tenant)
            for column in (_D.c.head, _D.c.running)
        )
    ).subquery()
    query = select(pairs.c.base, func.count().label("devices")).group_by(pairs.c.base)
    return {row.base: int(row.devices) for row in connection.execute(query)}


def running(connection: Connection, tenant: str, limit: int) -> list[Row[Any]]:
    """Return the digests that devices report as running, with how many do, most first."""
    count = func.count().label("devices")
    query = select(_D.c.running, count).where(_D.c.tenant == tenant, _D.c.running != "", _D.c.revoked_s.is_(None))
    return list(connection.execute(query.group_by(_D.c.running).order_by(count.desc(), _D.c.running).limit(limit)))


def releases(connection: Connection, tenant: str, limit: int) -> list[Row[Any]]:
    """Return the newest releases."""
    query = select(tables.releases).where(tables.releases.c.tenant == tenant)
    return list(connection.execute(query.order_by(tables.releases.c.created_s.desc()).limit(limit)))


def release(connection: Connection, tenant: str, digest: str) -> Row[Any] | None:
    """Return a release, None if it is not known here."""
    r = tables.releases
    return connection.execute(select(r).where(r.c.tenant == tenant, r.c.digest == digest)).one_or_none()


def aliases(connection: Connection, tenant: str, limit: int) -> list[Row[Any]]:
    """Return the newest moves of all aliases, newest first."""
    query = select(tables.aliases).where(tables.aliases.c.tenant == tenant)
    return list(connection.execute(query.order_by(tables.aliases.c.time_s.desc()).limit(limit)))


def token_names(connection: Connection, tenant: str) -> dict[str, str]:
    """Return the names of a tenant's API tokens, by how the audit log calls them."""
    t = tables.api_tokens.c
    return {
        f"api:{row.token}": row.name for row in connection.execute(select(t.token, t.name).where(t.tenant == tenant))
    }


def audit_end(connection: Connection, tenant: str, before: int | None, limit: int) -> list[Row[Any]]:
    """Return entries of the audit log, newest first, from below a place on."""
    query = select(tables.audit).where(tables.audit.c.tenant == tenant)
    query = query if before is None else query.where(tables.audit.c.place < before)
    return list(connection.execute(query.order_by(tables.audit.c.place.desc()).limit(limit)))

"""Devices: who they are, whether they may speak, what they last reported."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, func, or_, select, update

from acclimate_hub.store import tables
from acclimate_hub.store.tenants import has_cohort
from acclimate_shared.errors import MissingError
from acclimate_shared.messages.topics import shard_of

_T = tables.devices


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether a device may speak, and for which tenant."""

    device: str
    tenant: str
    revoked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The newest state of a device; ``payload`` as it came."""

    online: bool
    boot: str
    sequence: int
    payload: bytes
    running: str
    head: str


def create(connection: Connection, tenant: str, device: str, cohort: str, now_s: float) -> None:
    """Add a device.

    Raises:
        MissingError: there is no such cohort.
    """
    if not has_cohort(connection, tenant, cohort):
        raise MissingError("there is no such cohort", field="cohort", value=cohort)
    values = {"tenant": tenant, "cohort": cohort, "shard": shard_of(device), "enrolled_s": now_s}
    connection.execute(_T.insert().values(device=device, online=False, running="", head="", **values))


def standings(connection: Connection, devices: Collection[str]) -> Mapping[str, Standing]:
    """Return what is known of devices; unknown ones are left out."""
    query = select(_T.c.device, _T.c.tenant, _T.c.revoked_s).where(_T.c.device.in_(devices))
    rows = connection.execute(query)
    return {
        row.device: Standing(device=row.device, tenant=row.tenant, revoked=row.revoked_s is not None) for row in rows
    }


def cohorts(connection: Connection, tenant: str, devices: Collection[str]) -> dict[str, str]:
    """Return the cohorts of a tenant's devices; unknown and revoked ones are left out."""
    query = select(_T.c.device, _T.c.cohort).where(_T.c.tenant == tenant, _T.c.device.in_(devices))
    return {row.device: row.cohort for row in connection.execute(query.where(_T.c.revoked_s.is_(None)))}


def get(connection: Connection, tenant: str, device: str) -> Row[Any]:
    """Return the row of a device.

    Raises:
        MissingError: the tenant has none of this name.
    """
    row = connection.execute(listed(tenant).where(_T.c.device == device)).one_or_none()
    if row is None:
        raise MissingError("there is no such device", field="device", value=device)
    return row


def listed(tenant: str, cohort: str | None = None) -> Select[Any]:
    """Return the query of a tenant's devices, without an order."""
    query = select(_T).where(_T.c.tenant == tenant)
    return query if cohort is None else query.where(_T.c.cohort == cohort)


def move(connection: Connection, tenant: str, device: str, cohort: str) -> None:
    """Put a device into another cohort.

    Raises:
        MissingError: there is no such device or cohort.
    """
    if not has_cohort(connection, tenant, cohort):
        raise MissingError("there is no such cohort", field="cohort", value=cohort)
    get(connection, tenant, device)
    connection.execute(update(_T).where(_T.c.device == device).values(cohort=cohort))


def set_revoked(connection: Connection, tenant: str, device: str, revoked_s: float | None) -> None:
    """Forbid a device to speak, or allow it to enrol again.

    Raises:
        MissingError: there is no such device.
    """
    get(connection, tenant, device)
    online = {"online": False} if revoked_s is not None else {}
    connection.execute(update(_T).where(_T.c.device == device).values(revoked_s=revoked_s, **online))


def report(connection: Connection, device: str, state: Report, now_s: float) -> bool:
    """Keep a state unless a newer one is known; return whether it was kept.

    Clocks may be wrong, so order is that of the sequence inside a boot, and of arrival between boots. A last will
    counts only for the boot that left it: it may come after the birth of the next one.
    """
    same = _T.c.reported_boot == state.boot
    statement = update(_T).where(_T.c.device == device)
    if not state.online:
        return connection.execute(statement.where(same).values(online=False, seen_s=now_s)).rowcount > 0
    newer = or_(_T.c.reported_boot.is_(None), ~same, _T.c.reported_sequence <= state.sequence)
    values: dict[str, Any] = {"online": True, "seen_s": now_s, "running": state.running, "head": state.head}
    values |= {"reported_boot": state.boot, "reported_sequence": state.sequence, "reported": state.payload}
    return connection.execute(statement.where(newer).values(**values)).rowcount > 0


def seen(connection: Connection, devices: Collection[str], now_s: float) -> None:
    """Note that devices have spoken."""
    connection.execute(update(_T).where(_T.c.device.in_(devices)).values(seen_s=now_s))


def counts(connection: Connection, tenant: str) -> Mapping[str, int]:
    """Return how many devices there are: ``all``, ``online``, ``revoked``."""
    query = select(func.count(), func.count().filter(_T.c.online), func.count(_T.c.revoked_s))
    row = connection.execute(query.where(_T.c.tenant == tenant)).one()
    return dict(zip(("all", "online", "revoked"), map(int, row), strict=True))

"""Tenants, each with its own authority, and their cohorts."""

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from acclimate_hub.store import audit, tables
from acclimate_shared.errors import ConflictError, MissingError
from acclimate_shared.messages.limits import SHARDS

DEFAULT_COHORT = "default"
_T = tables.tenants


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A tenant; ``ca_key`` is encrypted."""

    tenant: str
    ca_certificate: str
    ca_key: str


def create(connection: Connection, tenant: Tenant, now_s: float) -> None:
    """Add a tenant with an empty audit log, the default cohort and its free shards.

    Raises:
        ConflictError: it is there already.
    """
    if connection.execute(select(_T.c.tenant).where(_T.c.tenant == tenant.tenant)).first():
        raise ConflictError("the tenant is there already", field="tenant", value=tenant.tenant)
    values = {"ca_certificate": tenant.ca_certificate, "ca_key": tenant.ca_key, "crl_number": 0}
    connection.execute(_T.insert().values(tenant=tenant.tenant, created_s=now_s, **values))
    audit.start(connection, tenant.tenant)
    create_cohort(connection, tenant.tenant, DEFAULT_COHORT, 0, now_s)
    free = [{"tenant": tenant.tenant, "shard": shard, "worker": "", "expires_s": 0.0} for shard in range(SHARDS)]
    connection.execute(tables.leases.insert(), free)


def get(connection: Connection, tenant: str) -> Tenant:
    """Return a tenant.

    Raises:
        MissingError: there is none of this name.
    """
    row = connection.execute(select(_T).where(_T.c.tenant == tenant)).one_or_none()
    if row is None:
        remedy = "acclimate-hub init makes one"
        raise MissingError("there is no such tenant", field="tenant", value=tenant, remedy=remedy)
    return Tenant(tenant=row.tenant, ca_certificate=row.ca_certificate, ca_key=row.ca_key)


def names(connection: Connection) -> list[str]:
    """Return all tenants."""
    return list(connection.execute(select(_T.c.tenant).order_by(_T.c.tenant)).scalars())


def next_crl(connection: Connection, tenant: str) -> int:
    """Return a number that no revocation list of the tenant has had."""
    statement = update(_T).where(_T.c.tenant == tenant).values(crl_number=_T.c.crl_number + 1)
    return int(connection.execute(statement.returning(_T.c.crl_number)).scalar_one())


def create_cohort(connection: Connection, tenant: str, cohort: str, criticality: int, now_s: float) -> None:
    """Add a cohort; less critical ones come first in a rollout.

    Raises:
        ConflictError: it is there already.
    """
    values = {"tenant": tenant, "cohort": cohort, "criticality": criticality, "created_s": now_s}
    if has_cohort(connection, tenant, cohort):
        raise ConflictError("the cohort is there already", field="cohort", value=cohort)
    connection.execute(tables.cohorts.insert().values(**values))


def has_cohort(connection: Connection, tenant: str, cohort: str) -> bool:
    """Whether there is such a cohort."""
    found = select(tables.cohorts.c.cohort).where(tables.cohorts.c.tenant == tenant, tables.cohorts.c.cohort == cohort)
    return connection.execute(found).first() is not None

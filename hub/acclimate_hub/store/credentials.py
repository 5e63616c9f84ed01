"""Claim tokens, certificates and API tokens as rows; secrets only as their SHA-256."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, func, select, update

from acclimate_hub.store import tables
from acclimate_hub.store.tenants import has_cohort
from acclimate_shared.errors import MissingError

_CLAIMS, _CERTS, _TOKENS = tables.claims, tables.certificates, tables.api_tokens


def add_claim(connection: Connection, *, cohort: str, tenant: str, allowed: Sequence[str], **columns: Any) -> None:  # noqa: ANN401 - columns
    """Add a claim token.

    Raises:
        MissingError: there is no such cohort.
    """
    if not has_cohort(connection, tenant, cohort):
        raise MissingError("there is no such cohort", field="cohort", value=cohort)
    names = msgspec.json.encode(sorted(allowed)).decode()
    connection.execute(_CLAIMS.insert().values(tenant=tenant, cohort=cohort, allowed=names, uses=0, **columns))


def claim(connection: Connection, claim_id: str, *, lock: bool = False) -> Row[Any] | None:
    """Return a claim token; ``lock`` keeps others from counting at the same time."""
    query = select(_CLAIMS).where(_CLAIMS.c.claim == claim_id)
    return connection.execute(query.with_for_update() if lock else query).one_or_none()


def count_claim(connection: Connection, claim_id: str) -> None:
    """Count one use."""
    connection.execute(update(_CLAIMS).where(_CLAIMS.c.claim == claim_id).values(uses=_CLAIMS.c.uses + 1))


def claims(tenant: str) -> Select[Any]:
    """Return the query of a tenant's claim tokens, without an order."""
    return select(_CLAIMS).where(_CLAIMS.c.tenant == tenant)


def revoke_claim(connection: Connection, tenant: str, claim_id: str, now_s: float) -> None:
    """Let a claim token enrol no more.

    Raises:
        MissingError: there is none of this id.
    """
    where = (_CLAIMS.c.tenant == tenant) & (_CLAIMS.c.claim == claim_id)
    if not connection.execute(update(_CLAIMS).where(where).values(revoked_s=now_s)).rowcount:
        raise MissingError("there is no such claim token", field="claim", value=claim_id)


def add_certificate(connection: Connection, **columns: Any) -> None:  # noqa: ANN401 - columns
    """Keep a certificate that was issued."""
    connection.execute(_CERTS.insert().values(**columns))


def live_certificates(connection: Connection, tenant: str, name: str, now_s: float) -> list[Row[Any]]:
    """Return the certificates of a name that are neither expired nor revoked, newest first."""
    query = select(_CERTS).where(_CERTS.c.tenant == tenant, _CERTS.c.name == name)
    live = query.where(_CERTS.c.expires_s > now_s, _CERTS.c.revoked_s.is_(None))
    return list(connection.execute(live.order_by(_CERTS.c.issued_s.desc(), _CERTS.c.serial)))


def certificates(tenant: str, name: str | None = None) -> Select[Any]:
    """Return the query of a tenant's certificates, without an order."""
    query = select(_CERTS).where(_CERTS.c.tenant == tenant)
    return query if name is None else query.where(_CERTS.c.name == name)


def revoke_certificates(connection: Connection, tenant: str, name: str, now_s: float) -> int:
    """Revoke every certificate of a name; return how many."""
    where = (_CERTS.c.tenant == tenant) & (_CERTS.c.name == name) & _CERTS.c.revoked_s.is_(None)
    return connection.execute(update(_CERTS).where(where).values(revoked_s=now_s)).rowcount


def revoked(connection: Connection, tenant: str, now_s: float) -> list[tuple[int, float]]:
    """Return serial number and time of every revoked certificate that has not expired."""
    query = select(_CERTS.c.serial, _CERTS.c.revoked_s).where(_CERTS.c.tenant == tenant, _CERTS.c.expires_s > now_s)
    rows = connection.execute(query.where(_CERTS.c.revoked_s.is_not(None)).order_by(_CERTS.c.serial))
    return [(int(row.serial, 16), row.revoked_s) for row in rows]


def revoked_since(connection: Connection, tenant: str, since_s: float) -> dict[str, float]:
    """Return who had a certificate revoked at or after a time, and when last; who has another one is left out."""
    mine = _CERTS.c.tenant == tenant
    live = select(_CERTS.c.name).where(mine, _CERTS.c.revoked_s.is_(None))
    last = func.max(_CERTS.c.revoked_s).label("last")
    query = select(_CERTS.c.name, last).where(mine, _CERTS.c.revoked_s >= since_s, _CERTS.c.name.not_in(live))
    return {row.name: row.last for row in connection.execute(query.group_by(_CERTS.c.name))}


def add_api_token(connection: Connection, **columns: Any) -> None:  # noqa: ANN401 - columns
    """Keep an API token."""
    connection.execute(_TOKENS.insert().values(**columns))


def api_token(connection: Connection, token: str) -> Row[Any] | None:
    """Return an API token."""
    return connection.execute(select(_TOKENS).where(_TOKENS.c.token == token)).one_or_none()


def api_tokens(tenant: str) -> Select[Any]:
    """Return the query of a tenant's API tokens, without an order."""
    return select(_TOKENS).where(_TOKENS.c.tenant == tenant)


def revoke_api_token(connection: Connection, tenant: str, token: str, now_s: float) -> None:
    """Let an API token open nothing more.

    Raises:
        MissingError: there is none of this id.
    """
    where = (_TOKENS.c.tenant == tenant) & (_TOKENS.c.token == token)
    if not connection.execute(update(_TOKENS).where(where).values(revoked_s=now_s)).rowcount:
        raise MissingError("there is no such API token", field="token", value=token)

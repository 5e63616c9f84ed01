"""How a device becomes known, stays known and is shut out; each step in one transaction with its audit entry.

Enrol: claim token → allowed? → request → certificate. The same request again gives the same certificate and costs no
second use, since answers get lost. A device that has a live certificate cannot be enrolled by another key: whoever
holds a claim token cannot take over a device that is there. Renew: over the connection of the present certificate, from
half of its life. Revoke: the device's messages are discarded from the next transaction on, its certificates go on the
list.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row

from acclimate_hub import limits
from acclimate_hub.identity import tokens
from acclimate_hub.identity.authority import Authority, Issued, Request, read_request
from acclimate_hub.store import audit, credentials, devices, tenants
from acclimate_shared.errors import AccessError, UsageError

MAX_LIVE = 3  # certificates of one device at a time: the present, the next, and one whose answer got lost
_DEVICE = re.compile(r"[a-z0-9][a-z0-9\-]{0,62}\Z")  # as in the topics; safe in rules of access too


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRules:
    """Who may enrol with a claim token: how many devices, until when, into which cohort, and which (none: all)."""

    cohort: str
    max_uses: int
    expires_s: float
    allowed: Sequence[str] = ()


def renew_s(issued: Issued) -> float:
    """Return when a device asks for its next certificate: at half of the life of this one."""
    return (issued.issued_s + issued.expires_s) / 2


def create_claim(connection: Connection, tenant: str, rules: ClaimRules, actor: str, now_s: float) -> tokens.New:
    """Make a claim token.

    Raises:
        UsageError: the rules allow nothing, or too much.
        MissingError: there is no such cohort.
    """
    if not 1 <= rules.max_uses <= limits.MAX_CLAIM_USES:
        remedy = f"1 to {limits.MAX_CLAIM_USES}"
        raise UsageError("a claim token enrols a number of devices", field="uses", value=rules.max_uses, remedy=remedy)
    if rules.expires_s <= now_s:
        raise UsageError("the claim token has expired already", field="expires", value=rules.expires_s)
    for device in rules.allowed:
        check_device(device)
    made = tokens.new("claim")
    credentials.add_claim(
        connection,
        tenant=tenant,
        claim=made.id,
        secret_hash=made.secret_hash,
        created_s=now_s,
        **asdict(rules),
    )
    detail: audit.Detail = {"cohort": rules.cohort, "uses": rules.max_uses, "expires_s": rules.expires_s}
    audit.record(
        connection, tenant, audit.Act(actor=actor, action="claim.create", object=made.id, detail=detail), now_s
    )
    return made


def check_device(device: str) -> None:
    """Refuse what cannot be the id of a device.

    Raises:
        UsageError: that is so.
    """
    if not _DEVICE.match(device):
        remedy = "use up to 63 of a-z, 0-9 and -, not - first"
        raise UsageError("this cannot be the id of a device", field="device", value=device, remedy=remedy)


def enrol(connection: Connection, authority: Authority, device: str, shown: tuple[str, str], now_s: float) -> Issued:
    """Give a device its first certificate.

    Args:
        connection: of a ``write``.
        authority: of the tenant.
        device: the id that it asks for.
        shown: claim token and certificate signing request (PEM).
        now_s: seconds since 1970.

    Raises:
        AccessError: it may not; ``field`` is the reason in a word, such as ``claim-spent``.
    """
    request = _request(shown[1], device)
    row = _claim(connection, authority.tenant, shown[0])
    standing = devices.standings(connection, [device]).get(device)
    if standing and (standing.revoked or standing.tenant != authority.tenant):
        raise AccessError("the device may not enrol", field="device-refused")
    live = credentials.live_certificates(connection, authority.tenant, device, now_s)
    for certificate in live:
        if certificate.key_digest == request.key_digest and certificate.claim == row.claim:
            return _issued(certificate)  # the answer got lost
    if live:
        raise AccessError("the device is enrolled with another key", field="device-known")
    _usable(row, device, now_s)
    credentials.count_claim(connection, row.claim)
    if standing is None:
        devices.create(connection, authority.tenant, device, row.cohort, now_s)
    issued = _keep(connection, authority, request, row.claim, now_s)
    detail = {"claim": row.claim, "serial": issued.serial, "cohort": row.cohort}
    _audit(connection, authority, f"device:{device}", "device.enrol", device, detail, now_s)
    return issued


def renew(connection: Connection, authority: Authority, device: str, pem: str, now_s: float) -> Issued:
    """Give a device its next certificate; the present one stays valid until it expires, so that nothing is lost.

    Raises:
        AccessError: it may not; ``field`` is the reason in a word.
    """
    request = _request(pem, device)
    standing = devices.standings(connection, [device]).get(device)
    if standing is None or standing.revoked or standing.tenant != authority.tenant:
        raise AccessError("the device may not renew", field="device-refused")
    live = credentials.live_certificates(connection, authority.tenant, device, now_s)
    for certificate in live:
        if certificate.key_digest == request.key_digest and now_s < renew_s(_issued(certificate)):
            return _issued(certificate)
    if len(live) >= MAX_LIVE:
        raise AccessError("the device has renewed too often", field="renewed-too-often")
    issued = _keep(connection, authority, request, "", now_s)
    detail = {"serial": issued.serial}
    _audit(connection, authority, f"device:{device}", "device.renew", device, detail, now_s)
    return issued


def revoke(connection: Connection, tenant: str, device: str, actor: str, now_s: float) -> int:
    """Shut a device out; return how many certificates were revoked.

    Raises:
        MissingError: there is no such device.
    """
    devices.set_revoked(connection, tenant, device, now_s)
    count = credentials.revoke_certificates(connection, tenant, device, now_s)
    act = audit.Act(actor=actor, action="device.revoke", object=device, detail={"certificates": count})
    audit.record(connection, tenant, act, now_s)
    return count


def readmit(connection: Connection, tenant: str, device: str, actor: str, now_s: float) -> None:
    """Let a revoked device, or one that lost its key, enrol again with a claim token; its certificates stay revoked.

    Raises:
        MissingError: there is no such device.
    """
    devices.set_revoked(connection, tenant, device, None)
    count = credentials.revoke_certificates(connection, tenant, device, now_s)
    act = audit.Act(actor=actor, action="device.readmit", object=device, detail={"certificates": count})
    audit.record(connection, tenant, act, now_s)


def revocation_list(connection: Connection, authority: Authority, now_s: float) -> str:
    """Return the list of revoked certificates as PEM, with a number of its own."""
    revoked = credentials.revoked(connection, authority.tenant, now_s)
    return authority.revocation_list(revoked, tenants.next_crl(connection, authority.tenant), now_s)


def _request(pem: str, device: str) -> Request:
    request = read_request(pem)
    if request.name != device or not _DEVICE.match(device):
        raise AccessError("the request is for another name", field="name-refused")
    return request


def _claim(connection: Connection, tenant: str, text: str) -> Row[Any]:
    parsed = tokens.parse(text)
    row = credentials.claim(connection, parsed.id, lock=True) if parsed.kind == "claim" else None
    if row is None or not tokens.matches(parsed, row.secret_hash) or row.tenant != tenant:
        raise AccessError("there is no such claim token", field="claim-unknown")
    return row


def _usable(row: Row[Any], device: str, now_s: float) -> None:
    allowed = msgspec.json.decode(row.allowed, type=list[str])
    if row.revoked_s is not None:
        raise AccessError("the claim token was revoked", field="claim-revoked")
    if now_s >= row.expires_s:
        raise AccessError("the claim token has expired", field="claim-expired")
    if row.uses >= row.max_uses:
        raise AccessError("the claim token is spent", field="claim-spent")
    if allowed and device not in allowed:
        raise AccessError("the claim token is for other devices", field="device-not-listed")


def _keep(connection: Connection, authority: Authority, request: Request, claim: str, now_s: float) -> Issued:
    issued = authority.sign_device(request, now_s)
    credentials.add_certificate(connection, tenant=authority.tenant, claim=claim, **asdict(issued))
    return issued


def _issued(row: Row[Any]) -> Issued:
    return Issued(**{name: getattr(row, name) for name in Issued.__slots__})


def _audit(
    connection: Connection, authority: Authority, actor: str, action: str, name: str, detail: audit.Detail, now_s: float
) -> None:
    act = audit.Act(actor=actor, action=action, object=name, detail=detail)
    audit.record(connection, authority.tenant, act, now_s)

"""How a device joins a fleet: a key is made here, a claim token is shown, the hub answers with a certificate.

The key is kept, sealed, before anything is asked, and the same request is sent again until an answer comes: whatever
is interrupted is repeated with the same key, and the hub answers with the same certificate without counting the claim
again. What is shown to the broker meanwhile is the hub's credential for claims, which may do nothing else.
"""

import re
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from acclimate_device.fleet_rows import FleetRows
from acclimate_device.sync import identity
from acclimate_device.sync.identity import Identity
from acclimate_device.sync.limits import ENROL_AGAIN_S, ENROL_S
from acclimate_device.sync.wire import Arrived, Connected, Link
from acclimate_shared.errors import AccessError, LinkError, MessageError, UsageError
from acclimate_shared.messages.down import EnrolResponse
from acclimate_shared.messages.envelope import Envelope, decode, encode, message_id
from acclimate_shared.messages.topics import Kind, build
from acclimate_shared.messages.up import EnrolRequest

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)
_KEY = re.compile(r"-----BEGIN (?:EC )?PRIVATE KEY-----.+?-----END (?:EC )?PRIVATE KEY-----\n?", re.DOTALL)
_TOKEN = re.compile(r"acc_claim_[0-9a-f]{16}_[A-Za-z0-9_\-]{43}")
_WORDS = {
    "claim-unknown": "ask for a claim token of this hub",
    "claim-expired": "ask for a new claim token",
    "claim-spent": "ask for a new claim token",
    "claim-revoked": "ask for a new claim token",
    "device-known": "choose another --device, or let the hub readmit this one",
    "device-not-listed": "choose a --device that the claim token is for",
    "device-refused": "let the hub readmit this device",
    "too-often": "try again in a minute",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a new device was given: token, and certificate and key that open the door to ask; PEM."""

    token: str
    ca: str
    certificate: str
    key: str


def claim_of(token: str, ca: str, credential: str) -> Claim:
    """Take texts of files apart; each may hold more than its own part, so one file may be all three.

    Raises:
        UsageError: something is missing.
    """
    tokens, keys = _TOKEN.findall(token), _KEY.findall(credential)
    own = [one for one in _CERTIFICATE.findall(credential) if keys and identity.belongs(one, keys[0])]
    authorities = "".join(one for one in _CERTIFICATE.findall(ca) if one not in own)
    for field, found in (("token-file", tokens), ("ca", authorities), ("credential", own)):
        if not found:
            remedy = "acclimate-hub claim create makes tokens; broker-config writes ca.crt, claim.crt and claim.key"
            raise UsageError("the file has not what is needed", field=field, remedy=remedy)
    return Claim(token=tokens[0], ca=authorities, certificate=own[0], key=keys[0])


def name_of_machine() -> str:
    """Return an id for this device: the name of the machine, as far as it can be one."""
    name = re.sub(r"[^a-z0-9]+", "-", socket.gethostname().lower()).strip("-")[:50]
    return name or f"device-{secrets.token_hex(4)}"


def begin(rows: FleetRows, claim: Claim, host: str, port: int, device: str, now_s: float) -> Identity:
    """Make and keep the key, or find the one of an enrolment that was interrupted.

    Args:
        rows: of the state.
        claim: what the device was given.
        host: of the broker, with its ``port``.
        port: see there.
        device: the id that is asked for.
        now_s: seconds since 1970; a device whose certificate has expired enrols again.

    Raises:
        UsageError: the device is enrolled, or its id cannot be one.
    """
    known = identity.load(rows)
    if known and known.enrolled and identity.expires_s(known.certificate) > now_s:
        remedy = "use another --state folder"
        raise UsageError("this state is enrolled already", field="device", value=known.device, remedy=remedy)
    tenant = identity.tenant_of(claim.certificate)
    build(tenant, Kind.ACK, device=device)
    begun = known is not None and not known.enrolled and known.device == device
    key = known.key if known and begun else identity.new_key()
    fresh = Identity(host=host, port=port, tenant=tenant, device=device, cohort="default", ca=claim.ca, key=key)
    identity.save(rows, fresh)
    return fresh


def enrol(
    rows: FleetRows,
    fresh: Identity,
    claim: Claim,
    link: Link,
    *,
    now: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> Identity:
    """Ask until there is an answer, and keep the certificate.

    Args:
        rows: of the state.
        fresh: from ``begin``.
        claim: what is shown.
        link: with the credential for claims.
        now: seconds since 1970.
        clock: monotonic seconds.

    Raises:
        AccessError: the hub refuses, or its answer is not for us.
        LinkError: there is no answer in time; try again.
        StateError: the disk refuses.
    """
    nonce, end_s, again_s = secrets.token_hex(16), clock() + ENROL_S, 0.0
    body = EnrolRequest(claim=claim.token, request=identity.request(fresh.key, fresh.device))
    boot = secrets.token_hex(8)
    envelope = Envelope(id=message_id(), time_s=now(), sender=fresh.device, boot=boot, sequence=1, body=body)
    payload = encode(envelope, Kind.ENROL_REQUEST)
    answers = build(fresh.tenant, Kind.ENROL_RESPONSE, nonce=nonce)
    asks = build(fresh.tenant, Kind.ENROL_REQUEST, nonce=nonce)
    while clock() < end_s:
        link.tend()
        happening = link.receive(min(1.0, ENROL_AGAIN_S))
        if isinstance(happening, Connected):
            link.subscribe([answers])
            again_s = 0.0
        elif isinstance(happening, Arrived) and happening.topic == answers:
            return _kept(rows, fresh, happening.payload)
        if link.connected and clock() >= again_s:
            link.publish(asks, payload)
            again_s = clock() + ENROL_AGAIN_S
    remedy = "see that the hub is served, and try again"
    raise LinkError("the hub does not answer", field="hub", value=f"{fresh.host}:{fresh.port}", remedy=remedy)


def _kept(rows: FleetRows, fresh: Identity, payload: bytes) -> Identity:
    try:
        answer: EnrolResponse = decode(payload, Kind.ENROL_RESPONSE).body
    except MessageError as exc:
        raise AccessError(f"the answer cannot be read: {exc}", field="hub") from exc
    if answer.refused:
        remedy = _WORDS.get(answer.refused, "ask who runs the hub")
        raise AccessError("the hub does not enrol this device", field=answer.refused, remedy=remedy)
    identity.check(answer.certificate, fresh.key, fresh.device, fresh.ca)
    done = msgspec.structs.replace(
        fresh, certificate=answer.certificate, cohort=answer.cohort or fresh.cohort, renew_s=answer.renew_s
    )
    identity.save(rows, done)
    return done

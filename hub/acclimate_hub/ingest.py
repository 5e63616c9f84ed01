"""What comes from devices becomes rows: read → may it speak? → insert once → project → commit → acknowledge.

``read`` is pure. ``Ingest.commit`` takes a group of messages through one transaction and returns the acknowledgements,
which are only sent after it. A message that is sent again is acknowledged again and changes nothing. What one message
breaks must not hold up the others: a group that the database refuses is taken one by one.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from acclimate_hub.hub import Hub
from acclimate_hub.identity import enrolment
from acclimate_hub.limits import DAY_S, Retention
from acclimate_hub.outgoing import Outgoing, Sender
from acclimate_hub.projections import lineage_links, metric_points
from acclimate_hub.store import devices, events, lineage, metrics, outbox
from acclimate_shared.errors import AccessError, ConflictError, MessageError, StateError
from acclimate_shared.messages.down import Ack, Certificate, Range
from acclimate_shared.messages.envelope import Envelope, decode
from acclimate_shared.messages.limits import MAX_RANGES
from acclimate_shared.messages.topics import Kind, parse
from acclimate_shared.messages.up import Renew

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message that is what its topic may carry, and whose sender is the topic's device."""

    tenant: str
    device: str
    kind: Kind
    envelope: Envelope[Any]
    payload: bytes

    @property
    def key(self) -> events.Key:
        """Device, boot, sequence."""
        return self.device, self.envelope.boot, self.envelope.sequence


#: Takes what was committed and may speak, new or not, before it is acknowledged: so it must bear to hear it twice.
Listener = Callable[[Sequence[Arrived]], None]


def read(topic: str, payload: bytes, *, debug: bool = False) -> Arrived:
    """Read a state or an event.

    Args:
        topic: that it came on.
        payload: any bytes.
        debug: whether it is JSON.

    Raises:
        MessageError: it is neither, or it speaks for another device.
    """
    place = parse(topic)
    if place.kind not in {Kind.STATE, Kind.UP}:
        raise MessageError("devices do not speak here", field="topic", value=place.kind.name)
    envelope = decode(payload, place.kind, debug=debug)
    device = place.values["device"]
    if envelope.sender != device:
        raise MessageError("the sender is not the device of the topic", field="sender", value=envelope.sender)
    return Arrived(place.tenant, device, place.kind, envelope, payload)


def acknowledgements(keys: Iterable[events.Key]) -> list[tuple[str, Ack]]:
    """Return the acknowledgements of committed events, each with its device."""
    boots: dict[tuple[str, str], list[int]] = {}
    for device, boot, sequence in keys:
        boots.setdefault((device, boot), []).append(sequence)
    found = []
    for (device, boot), sequences in boots.items():
        ranges = _ranges(sorted(set(sequences)))
        parts = (ranges[at : at + MAX_RANGES] for at in range(0, len(ranges), MAX_RANGES))
        found += [(device, Ack(acked=boot, ranges=tuple(part))) for part in parts]
    return found


def _ranges(sequences: Sequence[int]) -> list[Range]:
    ranges: list[list[int]] = []
    for sequence in sequences:
        if ranges and sequence == ranges[-1][1] + 1:
            ranges[-1][1] = sequence
        else:
            ranges.append([sequence, sequence])
    return [Range(first, last) for first, last in ranges]


class Ingest:
    """Commits groups; ``counts`` says how many messages were ``committed``, ``repeated`` or ``refused``."""

    def __init__(self, hub: Hub, retention: Retention, listeners: Sequence[Listener] = ()) -> None:
        """Commit into the database of a hub."""
        self._hub, self._retention, self._listeners = hub, retention, tuple(listeners)
        self._sender = Sender(hub.now)
        self.counts: Counter[str] = Counter()

    def commit(self, group: Sequence[Arrived]) -> list[Outgoing]:
        """Commit a group in one transaction and return what is to be sent now.

        Raises:
            LinkError: the database does not answer; the same group may come again.
        """
        try:
            with self._hub.database.write() as connection:
                allowed, counts = self._apply(connection, group)
        except (ConflictError, StateError) as exc:
            if len(group) == 1:
                logger.exception("an event of %s is refused", group[0].device)
                self.counts["refused"] += 1
                return []
            logger.warning("a group is taken one by one: %s", exc)
            return [out for one in group for out in self.commit([one])]
        for listener in self._listeners:
            listener(allowed)
        self.counts += counts
        done = [one.key for one in allowed if one.kind is Kind.UP]
        tenant_of = {one.device: one.tenant for one in group}
        return [
            self._sender.pack(tenant_of[device], Kind.ACK, device, ack, device=device)
            for device, ack in acknowledgements(done)
        ]

    def _apply(self, connection: Connection, group: Sequence[Arrived]) -> tuple[list[Arrived], Counter[str]]:
        now_s = self._hub.now()
        known = devices.standings(connection, {one.device for one in group})
        allowed = [one for one in group if _may_speak(one, known)]
        states = [one for one in allowed if one.kind is Kind.STATE]
        for one in states:
            devices.report(connection, one.device, _report(one), now_s)
        ups = list({one.key: one for one in allowed if one.kind is Kind.UP}.values())
        new = events.insert(connection, [_event(one, now_s) for one in ups])
        fresh = [one for one in ups if one.key in new]
        for tenant in sorted({one.tenant for one in fresh}):
            self._project(connection, tenant, [one for one in fresh if one.tenant == tenant])
        devices.seen(connection, {one.device for one in ups}, now_s)
        repeated = len(allowed) - len(states) - len(fresh)
        counts = {"committed": len(states) + len(fresh), "repeated": repeated, "refused": len(group) - len(allowed)}
        return allowed, Counter(counts)

    def _project(self, connection: Connection, tenant: str, fresh: Sequence[Arrived]) -> None:
        points = [point for one in fresh for point in metric_points(tenant, one.device, one.envelope.body)]
        metrics.add(connection, points, self._retention)
        lineage.add(connection, tenant, lineage_links(tenant, [(one.device, one.envelope.body) for one in fresh]))
        for one in fresh:
            if isinstance(one.envelope.body, Renew):
                self._renew(connection, one, one.envelope.body)

    def _renew(self, connection: Connection, one: Arrived, body: Renew) -> None:
        """Answer with the next certificate, through the outbox, since it must not get lost."""
        authority, now_s = self._hub.authority(one.tenant), self._hub.now()
        try:
            issued = enrolment.renew(connection, authority, one.device, body.request, now_s)
        except AccessError as exc:
            logger.warning("%s gets no certificate: %s", one.device, exc)
            return
        answer = Certificate(certificate=issued.pem, chain=authority.certificate, renew_s=enrolment.renew_s(issued))
        out = self._sender.pack(one.tenant, Kind.COMMAND, one.device, answer, device=one.device)
        message = outbox.Outgoing(
            tenant=one.tenant, topic=out.topic, payload=out.payload, retained=False, expires_s=now_s + DAY_S
        )
        outbox.put(connection, message, now_s)

    def forget(self) -> int:
        """Delete what the policy keeps no longer; return how many rows."""
        now_s = self._hub.now()
        with self._hub.database.write() as connection:
            count = metrics.forget(connection, self._retention, now_s)
            count += events.forget(connection, now_s - self._retention.events_s)
            return count + outbox.forget(connection, now_s - DAY_S)


def _may_speak(one: Arrived, known: Mapping[str, devices.Standing]) -> bool:
    standing = known.get(one.device)
    allowed = standing is not None and standing.tenant == one.tenant and not standing.revoked
    if not allowed:
        logger.info("a message of %s is discarded: it is revoked or not enrolled here", one.device)
    return allowed


def _event(one: Arrived, now_s: float) -> events.Event:
    envelope = one.envelope
    return events.Event(
        device=one.device,
        boot=envelope.boot,
        sequence=envelope.sequence,
        tenant=one.tenant,
        message=envelope.id,
        kind=str(envelope.body.__struct_config__.tag),
        time_s=envelope.time_s,
        received_s=now_s,
        payload=one.payload,
    )


def _report(one: Arrived) -> devices.Report:
    envelope, state = one.envelope, one.envelope.body
    return devices.Report(
        online=state.online,
        boot=envelope.boot,
        sequence=envelope.sequence,
        payload=one.payload,
        running=state.running,
        head=state.head,
    )

"""The one file that touches the broker: connects, reads leased shards, hands groups to the ingest, sends what is due.

Three loops share a connection: messages go to a queue, the queue is committed in groups and acknowledged, and a clock
renews the leases and sends the outbox. A worker hears only the devices of its shards (states and enrolments of
all arrive, but only the owner of a shard takes them). When the connection breaks everything is dropped and made anew
after a pause with full jitter: devices send again what was not acknowledged.
"""

import asyncio
import contextlib
import logging
import random
import secrets
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import aiomqtt

from acclimate_hub import limits
from acclimate_hub.admission import Admission
from acclimate_hub.conductor import Conductor
from acclimate_hub.hub import Hub
from acclimate_hub.ingest import Arrived, Ingest, read
from acclimate_hub.outgoing import Outgoing
from acclimate_hub.store import leases, outbox
from acclimate_shared.errors import LinkError, MessageError
from acclimate_shared.messages.topics import Kind, Topic, parse, shard_of, subscription

logger = logging.getLogger(__name__)

PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0  # between attempts to connect: random, up to a bound that doubles
TICK_S = 1.0  # between looks at the outbox and the leases
OUTBOX_ROWS = 200  # messages sent at one look


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where the broker is and how the hub shows who it is; files are PEM."""

    host: str
    port: int
    ca: Path
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Return what a TLS connection needs.

        Raises:
            LinkError: a file cannot be used.
        """
        try:
            context = ssl.create_default_context(cafile=str(self.ca))
            context.load_cert_chain(self.certificate, self.key)
        except OSError as exc:
            remedy = "acclimate-hub broker-config writes the files"
            raise LinkError(f"the hub's certificate cannot be used: {exc}", field="broker", remedy=remedy) from exc
        return context


async def evict(link: Link, device: str) -> None:
    """Take the place of a device at the broker for a moment, which ends its connection.

    Raises:
        LinkError: the broker does not answer.
    """
    client = aiomqtt.Client(link.host, link.port, identifier=device, tls_context=link.context())
    try:
        async with client:
            return
    except (aiomqtt.MqttError, OSError) as exc:
        raise LinkError(f"a device cannot be shut out now: {exc}", field="device", value=device) from exc


class Worker:
    """Serves one tenant on one connection; ``run`` ends only when it is cancelled."""

    def __init__(self, hub: Hub, tenant: str, link: Link, ingest: Ingest, conductor: Conductor | None = None) -> None:
        """Serve a tenant of a hub; without a conductor it only listens."""
        self._hub, self._tenant, self._link, self._ingest = hub, tenant, link, ingest
        self._admission = Admission(hub)
        self._conductor = conductor
        self._queue: asyncio.Queue[Arrived] = asyncio.Queue(limits.QUEUE_EVENTS)
        self._wants: asyncio.Queue[tuple[Topic, bytes]] = asyncio.Queue(limits.QUEUE_WANTS)
        self._shards: frozenset[int] = frozenset()
        self.name = f"worker-{secrets.token_hex(8)}"
        self.discarded = 0

    async def run(self) -> None:
        """Connect, serve, and again after a pause, until cancelled; then the leases are given back."""
        try:
            await self._run()
        finally:
            with contextlib.suppress(LinkError):
                await asyncio.to_thread(self._leave)

    async def _run(self) -> None:
        pause_s = PAUSE_S
        while True:
            try:
                async with self._client() as client:
                    logger.info("connected to %s", self._link.host)
                    pause_s = PAUSE_S
                    await self._serve(client)
            except (aiomqtt.MqttError, LinkError, OSError) as exc:
                logger.warning("the broker or the database is away: %s", exc)
            except ExceptionGroup as group:
                known, others = group.split((aiomqtt.MqttError, LinkError, OSError))
                if others is not None:
                    raise others from None
                logger.warning("the broker or the database is away: %s", known)
            await asyncio.sleep(random.uniform(0, pause_s))  # noqa: S311 - only spreads the load
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _client(self) -> aiomqtt.Client:
        return aiomqtt.Client(
            self._link.host,
            self._link.port,
            identifier=self.name,
            tls_context=self._link.context(),
            max_queued_outgoing_messages=limits.QUEUE_EVENTS,
        )

    async def _serve(self, client: aiomqtt.Client) -> None:
        self._queue, self._shards = asyncio.Queue(limits.QUEUE_EVENTS), frozenset()
        self._wants = asyncio.Queue(limits.QUEUE_WANTS)
        if self._conductor:
            self._conductor.connected()
        await self._tend(client)
        await client.subscribe(subscription(self._tenant, Kind.ENROL_REQUEST), qos=1)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(client))
            tasks.create_task(self._commit(client))
            tasks.create_task(self._supply(client))
            tasks.create_task(self._tick(client))

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            try:
                await self._take(client, str(message.topic), bytes(message.payload))
            except MessageError as exc:
                self.discarded += 1
                logger.info("a message is discarded: %s", exc)

    async def _take(self, client: aiomqtt.Client, topic: str, payload: bytes) -> None:
        place = parse(topic)
        if place.kind is Kind.WANT:
            if int(place.values["shard"]) in self._shards and not self._wants.full():
                self._wants.put_nowait((place, payload))  # what finds no room is asked for again
            return
        if place.kind is Kind.ENROL_REQUEST:
            if 0 in self._shards:  # one worker answers
                await self._send(client, [await asyncio.to_thread(self._admission.answer, topic, payload)])
            return
        arrived = read(topic, payload)
        if shard_of(arrived.device) in self._shards:
            await self._queue.put(arrived)

    async def _commit(self, client: aiomqtt.Client) -> None:
        while True:
            group = [await self._queue.get()]
            await asyncio.sleep(limits.GROUP_WAIT_S)
            while len(group) < limits.GROUP_EVENTS and not self._queue.empty():
                group.append(self._queue.get_nowait())
            await self._send(client, await asyncio.to_thread(self._ingest.commit, group))

    async def _supply(self, client: aiomqtt.Client) -> None:
        """Send chunks that devices asked for, QoS 0: what is lost is asked for again."""
        while True:
            topic, payload = await self._wants.get()
            if self._conductor is None:
                continue
            try:
                for out in await asyncio.to_thread(self._conductor.wanted, topic, payload):
                    await client.publish(out.topic, out.payload, qos=0)
            except MessageError as exc:
                self.discarded += 1
                logger.info("a question for chunks is discarded: %s", exc)

    async def _tick(self, client: aiomqtt.Client) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            await self._tend(client)

    async def _tend(self, client: aiomqtt.Client) -> None:
        """Renew the leases, follow them with subscriptions, and send what is due."""
        shards = await asyncio.to_thread(self._balance)
        gone, new = self._shards - shards, shards - self._shards
        self._shards = shards
        if gone:
            await client.unsubscribe(self._filters(gone))
        if new:  # states again too: those of the new shards are retained and come once more
            filters = [*self._filters(new), subscription(self._tenant, Kind.STATE)]
            await client.subscribe([(one, 1) for one in filters])
        if 0 in shards and self._conductor:  # one worker conducts, and empties the outbox
            await self._send(client, await asyncio.to_thread(self._conductor.due))
        if 0 in shards:
            for place, out in await asyncio.to_thread(self._due):
                await self._send(client, [out])
                await asyncio.to_thread(self._sent, place)

    def _filters(self, shards: Iterable[int]) -> list[str]:
        kinds = (Kind.UP, Kind.WANT) if self._conductor else (Kind.UP,)
        return [subscription(self._tenant, kind, shard=str(shard)) for shard in sorted(shards) for kind in kinds]

    async def _send(self, client: aiomqtt.Client, outs: Iterable[Outgoing]) -> None:
        for out in outs:
            await client.publish(out.topic, out.payload, qos=1, retain=out.retained)

    def _balance(self) -> frozenset[int]:
        with self._hub.database.write() as connection:
            return leases.balance(connection, self._tenant, self.name, self._hub.now())

    def _leave(self) -> None:
        with self._hub.database.write() as connection:
            leases.leave(connection, self._tenant, self.name)

    def _due(self) -> list[tuple[int, Outgoing]]:
        with self._hub.database.read() as connection:
            rows = outbox.due(connection, self._tenant, self._hub.now(), OUTBOX_ROWS)
        return [(row.place, Outgoing(row.topic, row.payload, row.retained)) for row in rows]

    def _sent(self, place: int) -> None:
        with self._hub.database.write() as connection:
            outbox.sent(connection, [place], self._hub.now())

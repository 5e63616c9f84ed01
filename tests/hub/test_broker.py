"""The hub at a real broker: enrol, report, be acknowledged, be commanded; and the broker goes away in between."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from acclimate_hub.broker import Link, Worker
from acclimate_hub.conductor import Conductor
from acclimate_hub.identity import enrolment
from acclimate_hub.identity.broker_config import CONFIG
from acclimate_hub.ingest import Ingest
from acclimate_hub.limits import Retention
from acclimate_hub.outgoing import Sender
from acclimate_hub.store import devices, outbox
from acclimate_shared.errors import LinkError
from acclimate_shared.messages import up
from acclimate_shared.messages.down import Rebirth
from acclimate_shared.messages.envelope import decode, encode
from acclimate_shared.messages.topics import Kind, build
from acclimate_shared.messages.topics import up as up_topic
from tests.hub.identity.keys import key_pem, new_key, request
from tests.hub.mqtt import Client
from tests.hub.servers import mosquitto, wait_until
from tests.hub.site import Site, join, started
from tests.hub.test_ingest import STATE
from tests.shared.messages.samples import METRICS, wrapped


@contextmanager
def running(site: Site, conductor: Conductor | None = None) -> Iterator[Worker]:
    """Run a worker in a thread of its own."""
    ca, certificate, key = site.files("hub")
    link = Link(host="localhost", port=site.hub_port, ca=ca, certificate=certificate, key=key)
    worker = Worker(site.hub, "main", link, Ingest(site.hub, Retention()), conductor)
    loop = asyncio.new_event_loop()
    tasks: list[asyncio.Task[None]] = []

    async def main() -> None:
        tasks.append(asyncio.create_task(worker.run()))
        await tasks[0]

    def body() -> None:
        try:
            loop.run_until_complete(main())
        except asyncio.CancelledError:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    thread = threading.Thread(target=body)
    thread.start()
    try:
        yield worker
    finally:
        loop.call_soon_threadsafe(tasks[0].cancel)
        thread.join()


def send_until(client: Client, topic: str, payload: bytes, happened: Callable[[], bool]) -> None:
    """Send again and again, as a device does whose messages get lost."""

    def step() -> bool:
        client.publish(topic, payload)
        return happened()

    wait_until(step)


def test_a_device_enrols_reports_and_is_commanded_over_the_broker(tmp_path: Path) -> None:
    with started(tmp_path) as site, running(site) as worker:
        hub, key = site.hub, new_key()
        rules = enrolment.ClaimRules(cohort="default", max_uses=1, expires_s=hub.now() + 60)
        with hub.database.write() as connection:
            claim = enrolment.create_claim(connection, "main", rules, "cli", hub.now()).text
        with join(site, "claim") as client:
            client.subscribe(build("main", Kind.ENROL_RESPONSE, nonce="1" * 32))
            body = up.EnrolRequest(claim=claim, request=request(key, "new-1"))
            payload = encode(wrapped(body, sender="new-1"), Kind.ENROL_REQUEST)
            topic = build("main", Kind.ENROL_REQUEST, nonce="1" * 32)
            send_until(client, topic, payload, lambda: bool(client.got))
            answer = decode(client.got[0][1], Kind.ENROL_RESPONSE).body
        (site.folder / "new-1.crt").write_text(answer.certificate)
        (site.folder / "new-1.key").write_text(key_pem(key))
        with join(site, "new-1") as device:
            device.subscribe(build("main", Kind.ACK, device="new-1"), build("main", Kind.COMMAND, device="new-1"))
            state = encode(wrapped(STATE, sender="new-1"), Kind.STATE)
            device.client.publish(build("main", Kind.STATE, device="new-1"), state, qos=1, retain=True)
            device.publish(up_topic("main", "new-1"), b"nonsense")
            event = encode(wrapped(METRICS, sender="new-1"), Kind.UP)
            send_until(device, up_topic("main", "new-1"), event, lambda: bool(device.got))
            assert decode(device.got[0][1], Kind.ACK).body.ranges[0].last == 1
            wait_until(lambda: _online(site, "new-1"))
            wait_until(lambda: worker.discarded == 1)
            command = Sender(hub.now).pack("main", Kind.COMMAND, "new-1", Rebirth(expires_s=2e9), device="new-1")
            with hub.database.write() as connection:
                out = outbox.Outgoing(
                    tenant="main", topic=command.topic, payload=command.payload, retained=False, expires_s=2e9
                )
                outbox.put(connection, out, hub.now())
            device.wait_for(command.payload)


def _online(site: Site, device: str) -> bool:
    with site.hub.database.read() as connection:
        return bool(devices.get(connection, "main", device).online)


@pytest.mark.slow
def test_the_hub_comes_back_when_the_broker_does(tmp_path: Path) -> None:
    with started(tmp_path) as site, running(site) as worker:
        for sequence in (1, 2):
            with join(site, "gw-1") as device:
                device.subscribe(build("main", Kind.ACK, device="gw-1"))
                event = encode(wrapped(METRICS, sender="gw-1", sequence=sequence), Kind.UP)
                send_until(device, up_topic("main", "gw-1"), event, lambda d=device: bool(d.got))  # type: ignore[misc]
            if sequence == 1:
                site.process.kill()
                site.process.wait()
                again = mosquitto(site.folder / CONFIG, site.port, site.hub_port)
                again.__enter__()
        assert worker._ingest.counts["committed"] == 2
        again.__exit__(None, None, None)


def test_a_missing_certificate_is_said(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    with pytest.raises(LinkError, match="broker-config"):
        Link(host="localhost", port=1, ca=missing, certificate=missing, key=missing).context()

"""Against a real Mosquitto with TLS: every kind of topic × who writes or reads it × whose it is.

A forbidden publish is dropped without a word, so what counts is what a subscriber with all rights sees; what is allowed
goes over the same connections, so that seeing nothing is not an accident.
"""

import signal
import socket
import ssl
from collections.abc import Iterator

import pytest

from acclimate_hub.identity import enrolment
from acclimate_shared.messages.topics import Kind, build, shard_of
from tests.hub.mqtt import Client
from tests.hub.servers import wait_until
from tests.hub.site import DEVICES, Site, join, started

DIGEST, NONCE = "d" * 64, "1" * 32

#: What each may do; everything else is refused. ``own`` and ``other`` are topics of the same and of another device.
WRITES = {
    "device": {(Kind.STATE, "own"), (Kind.UP, "own"), (Kind.WANT, "all")},
    "claim": {(Kind.ENROL_REQUEST, "all")},
}
READS = {
    "device": {(Kind.ACK, "own"), (Kind.COMMAND, "own"), (Kind.REPAIR, "own"), (Kind.DESIRED, "all")}
    | {(Kind.META, "all"), (Kind.CHUNKS, "all"), (Kind.TUF, "all")},
    "claim": {(Kind.ENROL_RESPONSE, "all")},
}


def topics() -> list[tuple[Kind, str, str]]:
    """Every kind, the device that it belongs to (empty: to none), the topic."""
    values = {"digest": DIGEST, "cohort": "default", "name": "root.json", "nonce": NONCE, "shard": "7"}
    found = []
    for kind in Kind:
        for device in DEVICES if "{device}" in kind.value else ("",):
            known = values | {"device": device} | ({"shard": str(shard_of(device))} if device else {})
            wanted = {name: value for name, value in known.items() if f"{{{name}}}" in kind.value}
            found.append((kind, device, build("main", kind, **wanted)))
    return found


TOPICS = topics()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with started(tmp_path_factory.mktemp("broker")) as site:
        yield site


def whose(device: str, reader: str) -> str:
    return "all" if not device else "own" if device == reader else "other"


def role(name: str) -> str:
    return "claim" if name == "claim" else "device"


@pytest.mark.parametrize("v5", [False, True])
def test_nobody_writes_what_is_not_theirs(site: Site, v5: bool) -> None:
    with join(site, "hub") as hub:
        hub.subscribe("acclimate/v1/#", "#")
        expected = set()
        for name in (*DEVICES, "claim"):
            with join(site, name, v5=v5) as writer:
                for kind, device, topic in TOPICS:
                    payload = f"{name} {topic} {v5}".encode()
                    writer.publish(topic, payload)
                    if (kind, whose(device, name)) in WRITES[role(name)]:
                        expected.add(payload)
                for topic in (
                    "acclimate/v1/other/d/gw-1/state",
                    "$SYS/x",
                    "x",
                    f"acclimate/v1/main/d/{name}",
                    "acclimate",
                ):
                    writer.publish(topic, f"{name} stray {topic}".encode())
                end = f"{name} end {v5}".encode()
                sentinel = Kind.ENROL_REQUEST if name == "claim" else Kind.STATE
                topic = next(t for kind, device, t in TOPICS if kind is sentinel and device in {"", name})
                writer.publish(topic, end)
                hub.wait_for(end)
                expected.add(end)
        seen = {payload for payload in hub.payloads if payload.endswith(str(v5).encode()) or b"stray" in payload}
    assert seen == expected
    assert len(expected) == 2 * 3 + 1 + 3


@pytest.mark.parametrize("retained", [False, True])
def test_nobody_reads_what_is_not_for_them(site: Site, retained: bool) -> None:
    names = (*DEVICES, "claim")
    with join(site, "hub") as hub, join(site, "gw-1") as one, join(site, "gw-2") as two, join(site, "claim") as claim:
        clients: dict[str, Client] = dict(zip(names, (one, two, claim), strict=True))
        mark = b"r" if retained else b"n"

        def publish() -> None:
            for _, _, topic in TOPICS:
                hub.publish(topic, mark + topic.encode(), retain=retained)

        if retained:
            hub.subscribe("acclimate/v1/main/#")
            publish()
            wait_until(lambda: len(hub.payloads) >= len(TOPICS))
        for client in clients.values():
            client.subscribe("#", "acclimate/v1/main/d/+/cmd", *(topic for _, _, topic in TOPICS))
        if not retained:
            publish()
        for name, client in clients.items():
            last = Kind.ENROL_RESPONSE if name == "claim" else Kind.COMMAND
            topic = next(t for kind, device, t in TOPICS if kind is last and device in {"", name})
            hub.publish(topic, b"end")
            client.wait_for(b"end")
            expected = {mark + t.encode() for k, device, t in TOPICS if (k, whose(device, name)) in READS[role(name)]}
            assert client.payloads - {b"end"} == expected
            assert len(expected) == (1 if name == "claim" else 7)
        for _, _, topic in TOPICS:  # the next test has the same broker: it begins when nothing is retained any more
            hub.client.publish(topic, b"", qos=1, retain=True).wait_for_publish(10)


def test_only_a_live_certificate_of_this_tenant_opens_a_connection(site: Site) -> None:
    with join(site, "gw-1") as client:
        assert client.connected == [0]
    for name in ("alien", "expired", "broker"):
        with pytest.raises(OSError), join(site, name):  # noqa: PT011 - of several kinds, by version of TLS
            pytest.fail(f"{name} was let in")


def test_a_device_cannot_push_another_off_the_broker(site: Site) -> None:
    with join(site, "hub") as hub, join(site, "gw-1") as one, join(site, "gw-2", client_id="gw-1") as two:
        hub.subscribe("acclimate/v1/main/#")
        for name, client in (("gw-1", one), ("gw-2", two)):
            client.publish(build("main", Kind.STATE, device=name), f"still {name}".encode())
            hub.wait_for(f"still {name}".encode())
        assert one.disconnected == two.disconnected == 0


def test_a_revoked_device_is_evicted_and_stays_out(site: Site) -> None:
    with join(site, "gw-3") as device, join(site, "hub") as hub:
        hub.subscribe("acclimate/v1/main/#")
        device.publish(build("main", Kind.STATE, device="gw-3"), b"before")
        hub.wait_for(b"before")
        with site.hub.database.write() as rows:
            assert enrolment.revoke(rows, "main", "gw-3", "cli", site.hub.now()) == 1
        site.hub.write_broker(site.broker, site.folder, ["localhost"], "cli")
        site.process.send_signal(signal.SIGHUP)
        wait_until(lambda: _refused(site, "gw-3"))
        assert device.disconnected == 0
        with join(site, "hub", client_id="gw-3"):  # the hub takes its place, and so ends its connection
            wait_until(lambda: device.disconnected > 0)
        wait_until(lambda: _refused(site, "gw-3"))
        with join(site, "gw-1") as other:
            other.publish(build("main", Kind.STATE, device="gw-1"), b"others go on")
            hub.wait_for(b"others go on")


def _refused(site: Site, name: str) -> bool:
    port, files = site.port, site.files(name)
    context = ssl.create_default_context(cafile=str(files[0]))
    context.load_cert_chain(files[1], files[2])
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=0.3) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as tls,
        ):
            return tls.recv(1) == b""  # with TLS 1.3 the refusal comes after the handshake
    except TimeoutError:
        return False
    except OSError:
        return True

"""A device's own link over TLS, a real Mosquitto and a real hub: renewal, the bytes of an idle day, a large bundle."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy import func, select

from acclimate_device.store import Store
from acclimate_device.sync import identity
from acclimate_device.sync.identity import Identity
from acclimate_device.sync.limits import LinkLimits, OutboxLimits, UplinkLimits
from acclimate_device.sync.link import mqtt_link
from acclimate_device.sync.outbox import Outbox
from acclimate_device.sync.renewal import Renewal
from acclimate_device.sync.twin import Twin
from acclimate_device.sync.update import Places, receive
from acclimate_device.sync.uplink import Uplink
from acclimate_device.sync.wire import Address
from acclimate_hub.serve import Plan, conductor_of
from acclimate_hub.store import tables
from acclimate_shared.messages.up import Metrics
from tests.bundles import bundle_bytes
from tests.device.sync.proxy import proxy
from tests.device.sync.test_uplink import Idle
from tests.device.sync.wires import Clock, rows_in
from tests.hub.servers import wait_until
from tests.hub.site import Site, issue, started
from tests.hub.test_broker import running
from tests.results import FOLDER, Record, recording
from tests.trust import World

DEVICE, SCHEMA = "pump-9", "d" * 64
DAY_S, KEEPALIVE_S, IDLE_S = 86_400.0, LinkLimits().keepalive_s, UplinkLimits().idle_s
HEADERS = 20 + 32  # bytes of TCP/IP that a socket does not show, of a segment, and again of its acknowledgement
LARGE_ROWS = 1_048_000  # 8 MiB


@pytest.fixture(scope="module")
def record() -> Iterator[Record]:
    yield from recording(FOLDER / "releases.json")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "hub"
    folder.mkdir()
    with started(folder) as site:
        issue(site.hub, folder, DEVICE)
        yield site


class HasFiles(Protocol):
    """Whoever has certificates."""

    def files(self, name: str) -> tuple[Path, Path, Path]:
        """Return authority, certificate and key."""


@contextmanager
def device(site: HasFiles, folder: Path, port: int, *, renew_s: float = 9e9, keepalive_s: int = 60) -> Iterator[Uplink]:
    """Run the uplink of a device whose agent does nothing."""
    with closing(Store(folder)) as store:
        rows, clock = rows_in(store), Clock()
        ca, certificate, key = (path.read_text() for path in site.files(DEVICE))
        facts = {"host": "localhost", "port": port, "tenant": "main", "device": DEVICE, "cohort": "default"}
        who = Identity(**facts, ca=ca, certificate=certificate, key=key, renew_s=renew_s)  # type: ignore[arg-type]
        identity.save(rows, who)
        renewal = Renewal(rows, who, time.time)

        def credentials() -> identity.Context:
            now = renewal.identity
            return identity.context(now.ca, now.certificate, now.key)

        limits = LinkLimits(pause_s=0.1, longest_pause_s=0.3, turn_s=0.2, keepalive_s=keepalive_s)
        made = Uplink(
            link=mqtt_link(Address(host="localhost", port=port, client=DEVICE), credentials=credentials, limits=limits),
            outbox=Outbox(rows, DEVICE, time.time, OutboxLimits(again_s=1.0, longest_again_s=2.0)),
            twin=Twin(rows, DEVICE, "default", lambda: 1 << 28),
            renewal=renewal,
            source=store,
            meter=Idle(clock, clock.now_s),
            limits=UplinkLimits(turn_s=0.05),
        )
        made.start()
        try:
            wait_until(lambda: made.link.connected)
            yield made
        finally:
            made.close()


def window(now_s: float) -> Metrics:
    return Metrics(start_s=now_s, end_s=now_s + 1, schema=SCHEMA)


def committed(site: Site, kind: str) -> int:
    with site.hub.database.read() as rows:
        of_kind = (tables.events.c.device == DEVICE) & tables.events.c.kind.startswith(kind)
        return int(rows.execute(select(func.count()).select_from(tables.events).where(of_kind)).scalar_one())


@pytest.mark.slow
def test_a_certificate_is_renewed_and_no_event_is_lost_or_taken_twice(site: Site, tmp_path: Path) -> None:
    with running(site), proxy(site.port) as middle:
        with device(site, tmp_path / "state", middle.port, renew_s=time.time() - 1) as uplink:
            old, told = uplink._renewal.identity.certificate, 0

            def renewed() -> bool:
                nonlocal told
                uplink.send(window(1e9 + told))
                told += 1
                return uplink._renewal.identity.certificate != old and middle.accepted > 1

            wait_until(renewed)
            for _ in range(10):
                renewed()
            wait_until(lambda: uplink.outbox.size()[0] == 0)
            assert committed(site, "metrics") == told
            assert committed(site, "renew") == 1
        with closing(Store(tmp_path / "state")) as store:
            kept = identity.load(rows_in(store))
            assert kept is not None
            identity.check(kept.certificate, kept.key, DEVICE, kept.ca)
            assert (kept.certificate != old, kept.next_key) == (True, "")


@pytest.mark.slow
def test_an_idle_day_costs_less_than_50_kilobytes_at_the_socket(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What each part of an idle day costs is counted at the socket, TLS included; how often it comes is declared."""
    with (
        running(site),
        proxy(site.port) as middle,
        device(site, tmp_path / "state", middle.port, keepalive_s=1) as uplink,
    ):

        def costs(count: int) -> tuple[int, int]:
            """Return bytes and pieces of so many messages and their acknowledgements, and some signs of life."""
            before = middle.bytes, middle.pieces
            for _ in range(count):
                uplink.send(window(1e9))
                wait_until(lambda: uplink.outbox.size()[0] == 0)
            return middle.bytes - before[0], middle.pieces - before[1]

        costs(1)
        start, pieces = middle.bytes, middle.pieces
        wait_until(lambda: middle.pieces >= pieces + 4)  # nothing but signs of life: two pieces each
        ping = 2 * (middle.bytes - start) / (middle.pieces - pieces)
        message, segments = (cost / 5 for cost in costs(5))
    pings, messages = DAY_S / KEEPALIVE_S, DAY_S / IDLE_S
    day = pings * ping + messages * message
    headers = 2 * HEADERS * (2 * pings + segments * messages)
    with capsys.disabled():
        facts = {"start": start, "ping": ping, "message": message, "day": day, "with headers": day + headers}
        print("\nan idle day at the socket, bytes:", {name: round(value) for name, value in facts.items()})  # noqa: T201 - the figure itself
    assert start > 1_000  # a handshake with certificates
    assert 40 <= ping <= 100
    assert start + day < 30_000
    assert day + headers < 50_000


@pytest.mark.long
def test_eight_mib_at_80_ms_through_a_real_broker(tmp_path: Path, record: Record) -> None:
    data, folder = bundle_bytes(rows=LARGE_ROWS), tmp_path / "hub"
    folder.mkdir()
    with started(folder) as site:
        issue(site.hub, folder, DEVICE)
        releases = World(tmp_path / "world", datetime.now(UTC))
        listed = releases.hand_over(site.hub.shelf("main", tmp_path / "data"), data)
        plan = {"host": "127.0.0.1", "port": 1, "tenant": "main", "broker": "", "certificates": folder}
        conductor = conductor_of(site.hub, Plan(**plan, least_devices=1, data=tmp_path / "data"))  # type: ignore[arg-type]
        places = Places.under(tmp_path / "update")
        places.root.parent.mkdir(parents=True)
        places.root.write_bytes(releases.first_root)
        with (
            running(site, conductor),
            proxy(site.port, 0.04) as middle,
            device(site, tmp_path / "s", middle.port) as uplink,
        ):
            with closing(uplink.chunks(listed.digest)) as chunks:
                found = receive(uplink.metadata(), chunks, listed.digest, places=places, facts=None)
            assert found.path.read_bytes() == data
    record("delivery", "seconds for 8 MiB at 80 ms through Mosquitto", round(found.report.seconds, 3))
    assert found.report.seconds <= 3.0

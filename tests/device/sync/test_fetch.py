"""A signed bundle over the topics: retained metadata by name, windows of chunks, an uplink that goes on meanwhile."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from acclimate_device.store import Store
from acclimate_device.sync import fetch
from acclimate_device.sync.update import Places, receive
from acclimate_device.sync.wire import Arrived, Happening
from acclimate_shared.bundle import digest_of
from acclimate_shared.errors import LinkError
from acclimate_shared.messages import pieces
from acclimate_shared.messages.envelope import decode
from acclimate_shared.messages.topics import Kind, build, parse
from acclimate_shared.release import CHUNK_BYTES, TrustError
from tests import trust
from tests.bundles import bundle_bytes
from tests.device.sync.test_uplink import World
from tests.device.sync.wires import DEVICE, MemoryLink

DATA = bundle_bytes(rows=60_000)
DIGEST = digest_of(DATA)


@dataclass
class BrokerLink(MemoryLink):
    """A link to a broker with retained files, and a hub that answers wants; ``forge`` spoils chunks."""

    files: dict[str, bytes] = field(default_factory=dict)
    data: bytes = DATA
    some: threading.Event = field(default_factory=threading.Event)
    windows: list[int] = field(default_factory=list)

    def receive(self, timeout_s: float) -> Happening | None:
        if not self.inbox and timeout_s:
            self.some.wait(timeout_s)
        self.some.clear()
        return super().receive(timeout_s)

    def wake(self) -> None:
        super().wake()
        self.some.set()

    def arrives(self, topic: str, payload: bytes) -> None:
        self.inbox.append(Arrived(topic, payload))
        self.some.set()

    def subscribe(self, topics: Sequence[str], *, qos: int = 1) -> None:
        super().subscribe(topics, qos=qos)
        for topic in topics:
            place = parse(topic)
            if place.kind is Kind.TUF and place.values["name"] in self.files:
                self.arrives(topic, self.files[place.values["name"]])

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retained: bool = False) -> None:
        super().publish(topic, payload, qos=qos, retained=retained)
        place = parse(topic)
        if place.kind is Kind.WANT:
            chunks = decode(payload, Kind.WANT).body.chunks
            self.windows.append(len(chunks))
            for index in chunks:
                piece = self.data[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
                self.arrives(
                    build("main", Kind.REPAIR, device=DEVICE, digest=place.values["digest"]),
                    pieces.packed(index, piece),
                )


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(fetch, "NEXT_ROOT_S", 0.3)
    monkeypatch.setattr(fetch, "METADATA_S", 0.3)
    with closing(Store(tmp_path / "state")) as store:
        world = World(store, link=BrokerLink())
        world.uplink.turn(0.0)
        world.uplink.start()
        yield world
        world.uplink.close()


def files(link: MemoryLink, served: dict[str, bytes]) -> BrokerLink:
    assert isinstance(link, BrokerLink)
    link.files = served
    return link


@pytest.mark.slow
def test_a_signed_bundle_comes_over_the_topics(running: World, tmp_path: Path) -> None:
    releases = trust.World(tmp_path / "world")
    releases.release(DATA)
    link = files(running.link, dict(releases.served()))
    places = Places.under(tmp_path / "update")
    places.root.parent.mkdir(parents=True)
    places.root.write_bytes(releases.first_root)
    with closing(running.uplink.chunks(DIGEST)) as chunks:
        found = receive(running.uplink.metadata(), chunks, DIGEST, places=places, facts=None, rtc=lambda: releases.now)
    assert found.path.read_bytes() == DATA
    assert (found.report.wrong, found.report.repeats, sum(link.windows)) == (0, 0, found.listed.count)
    assert not [topic for topic in link.topics if parse(topic).kind in {Kind.TUF, Kind.REPAIR}]


def test_a_file_is_there_or_not_or_too_large(running: World) -> None:
    files(running.link, {"timestamp.json": b"x" * 100})
    source = running.uplink.metadata()
    assert source.fetch("timestamp.json", 100) == b"x" * 100
    with pytest.raises(TrustError, match="larger"):
        source.fetch("timestamp.json", 99)
    assert source.fetch("2.root.json", 100) is None


def test_without_a_connection_nothing_can_be_fetched(running: World) -> None:
    running.link.up = False
    running.link.connected = False
    for ask in (lambda: running.uplink.metadata().fetch("x.json", 9), lambda: running.uplink.chunks(DIGEST)):
        with pytest.raises(LinkError):
            ask()

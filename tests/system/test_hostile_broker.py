"""The attacks of the TUF specification 1.0 §1.5 by whoever holds hub and broker, on a device that pulls over MQTT.

The broker is a real Mosquitto with TLS, without the limits that an honest one has; the attacker is connected in the
hub's place, with the hub's certificate and, where an attack says so, its signing keys. The device is a process of its
own with its own link, its verifying step, its pull and its store. It installs what is honest before each attack and
after it; in between nothing, in bounded time and memory. What the device trusts is tested attack by attack, without a
network, in ``tests/device/sync/test_attacks.py``.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import paho.mqtt.client as paho
import pytest

from acclimate_shared.bundle import describe, digest_of
from acclimate_shared.messages import pieces
from acclimate_shared.messages.envelope import decode
from acclimate_shared.messages.topics import Kind, build, parse, subscription
from acclimate_shared.release import CHUNK_BYTES, Listed
from tests.bundles import bundle_bytes
from tests.device.sync.test_attacks import ATTACKS, EVIL, EVIL_DIGEST, arbitrary_with_the_hubs_keys, rolled_back
from tests.hub.mqtt import Client
from tests.hub.site import Site, issue, join, started
from tests.system.hostile_device import Tried, Wish
from tests.system.test_wire import DEVICE
from tests.trust import World

MOST_S, MOST_MIB = 15.0, 96.0  # of one attempt under attack; of memory above that of an honest one
MEDIUM_ROWS = 40_000  # of a bundle of five chunks
FLOOD = 64  # chunks for each that was asked for
HUGE = 64 << 20
TRICKLE_S = 0.7  # between two chunks; the whole bundle takes longer than the device's patience

Answers = Callable[[str, int], Iterable[tuple[int, bytes]]]  # a digest and the number of a chunk: what is sent


@dataclass
class HubsPlace:
    """Whoever is connected as the hub: what is retained as metadata, and how questions for chunks are answered."""

    client: Client
    answers: Answers = lambda _digest, _index: ()
    retained: dict[str, bytes] = field(default_factory=dict)
    asked: int = 0

    def __post_init__(self) -> None:
        self.client.client.on_message = self._wanted
        self.client.subscribe(subscription("main", Kind.WANT))

    def say(self, files: dict[str, bytes], answers: Answers) -> None:
        """Retain these files and no others, the timestamp last."""
        self.answers = answers
        gone = dict.fromkeys(self.retained.keys() - files.keys(), b"")
        for name, data in sorted((gone | files).items(), key=lambda one: (one[0] == "timestamp.json", one[0])):
            if self.retained.get(name) != data:
                sent = self.client.client.publish(build("main", Kind.TUF, name=name), data, qos=1, retain=True)
                sent.wait_for_publish(30.0)
                assert sent.is_published()
        self.retained = files

    def _wanted(self, client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        want, digest = decode(bytes(message.payload), Kind.WANT), parse(message.topic).values["digest"]
        to = build("main", Kind.REPAIR, device=want.sender, digest=digest)
        for wanted in want.body.chunks:
            self.asked += 1
            for index, data in self.answers(digest, wanted):
                client.publish(to, pieces.packed(index, data), qos=0)


@dataclass
class Stage:
    """An author, whoever is in the hub's place, and a device that trusts the author's root and has nothing yet."""

    world: World
    hub: HubsPlace
    process: subprocess.Popen[bytes]
    place: Path

    def honest(self, digest: str, index: int) -> Iterable[tuple[int, bytes]]:
        return [(index, self.world.bundles[digest][index * CHUNK_BYTES :][:CHUNK_BYTES])]

    def says_the_truth(self) -> None:
        self.hub.say(self.world.served(), self.honest)

    def tries(self, digest: str, *, days: float = 0.0, believe: Listed | None = None) -> Tried:
        wish = Wish(digest=digest, place=self.place.name, root=self.world.first_root, days=days, believe=believe)
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(msgspec.json.encode(wish) + b"\n")
        self.process.stdin.flush()
        return msgspec.json.decode(self.process.stdout.readline(), type=Tried)

    def kept(self) -> set[str]:
        """Return the digests of all files that the device keeps."""
        return {digest_of(file.read_bytes()) for file in self.place.rglob("*") if file.is_file()}


@contextmanager
def device_process(site: Site, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    words = ["-m", "tests.system.hostile_device", str(site.folder), str(site.port), str(folder)]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *words], env=paths, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
    watch = threading.Timer(600, process.kill)
    watch.daemon = True
    watch.start()
    try:
        yield process
    finally:
        watch.cancel()
        process.communicate(timeout=30)  # its input ends, and so does it


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HubsPlace, subprocess.Popen[bytes], Path]]:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "broker").mkdir()
    (folder / "device").mkdir()
    with started(folder / "broker", lambda text: text.replace("max_packet_size", "# max_packet_size")) as site:
        issue(site.hub, site.folder, DEVICE)
        with join(site, "hub") as client, device_process(site, folder / "device") as process:
            yield HubsPlace(client), process, folder / "device"


@pytest.fixture
def stage(wire: tuple[HubsPlace, subprocess.Popen[bytes], Path], tmp_path: Path) -> Stage:
    hub, process, folder = wire
    return Stage(World(tmp_path, datetime.now(UTC)), hub, process, folder / tmp_path.name)


# -- attacks: they make the stage hostile, and return how many days later the device tries -----------------------------


def of_metadata(attack: Callable[[World], dict[str, bytes]]) -> Callable[[Stage], float]:
    def hostile(stage: Stage) -> float:
        stage.hub.say(attack(stage.world), lambda _digest, index: [(index, EVIL[index * CHUNK_BYTES :][:CHUNK_BYTES])])
        return 0.0

    return hostile


def freeze(_: Stage) -> float:
    """Withhold everything that is new, for longer than a timestamp is good."""
    return 8.0


def wrong_software(stage: Stage) -> float:
    """Answer with chunks of another bundle, which is signed as well."""
    stage.hub.say(stage.world.served(), lambda _digest, index: [(index, EVIL[:CHUNK_BYTES])])
    return 0.0


def endless_chunks(stage: Stage) -> float:
    noise = bytes(CHUNK_BYTES)
    stage.hub.say(stage.world.served(), lambda _digest, index: ((index + at, noise) for at in range(FLOOD)))
    return 0.0


def endless_packet(stage: Stage) -> float:
    stage.hub.say(stage.world.served() | {"timestamp.json": bytes(HUGE)}, stage.honest)
    return 0.0


def withheld_chunks(stage: Stage) -> float:
    stage.hub.say(stage.world.served(), lambda digest, index: [] if index else stage.honest(digest, index))
    return 0.0


def slow_retrieval(stage: Stage) -> float:
    """Send a chunk now and then, which keeps the pull from stalling."""
    due_s = 0.0

    def answers(digest: str, index: int) -> Iterable[tuple[int, bytes]]:
        nonlocal due_s
        if time.monotonic() < due_s:
            return []
        due_s = time.monotonic() + TRICKLE_S
        return stage.honest(digest, index)

    stage.hub.say(stage.world.served(), answers)
    return 0.0


OTHERS: list[tuple[str, Callable[[Stage], float], str]] = [
    ("indefinite freeze", freeze, "ExpiredError"),
    ("wrong software", wrong_software, "LinkError"),
    ("endless data: chunks", endless_chunks, "LinkError"),
    ("endless data: one packet", endless_packet, "LinkError"),
    ("slow retrieval: nothing more", withheld_chunks, "LinkError"),
    ("slow retrieval: a trickle", slow_retrieval, "LinkError"),
]
OF_CHUNKS = [attack for name, attack, _ in OTHERS if attack not in (freeze, endless_packet)]
ENDLESS = "TrustError LinkError"  # what is too long may as well be too slow
EVERY = [
    (name, of_metadata(attack), ENDLESS if name.startswith("endless") else error.__name__)
    for name, attack, error in ATTACKS
] + OTHERS
SHORT = [
    ("arbitrary software, hub's keys stolen", of_metadata(arbitrary_with_the_hubs_keys), "TrustError"),
    ("rollback of everything", of_metadata(rolled_back), "TrustError"),
    OTHERS[2],
]


@pytest.mark.slow
@pytest.mark.parametrize(("attack", "error"), [case[1:] for case in SHORT], ids=[case[0] for case in SHORT])
def test_attacks(stage: Stage, attack: Callable[[Stage], float], error: str) -> None:
    withstand(stage, attack, error)


@pytest.mark.long
@pytest.mark.parametrize(("attack", "error"), [case[1:] for case in EVERY], ids=[case[0] for case in EVERY])
def test_attacks_at_length(stage: Stage, attack: Callable[[Stage], float], error: str) -> None:
    withstand(stage, attack, error)


def withstand(stage: Stage, attack: Callable[[Stage], float], errors: str) -> None:
    world = stage.world
    world.release(bundle_bytes(0))
    world.before = world.served()
    wanted = world.release(bundle_bytes(1)).digest
    stage.says_the_truth()
    before = stage.tries(wanted)
    assert before.installed == wanted, before
    if attack in OF_CHUNKS:
        wanted = world.release(bundle_bytes(9, MEDIUM_ROWS)).digest
    days = attack(stage)
    for digest in (wanted, EVIL_DIGEST):
        tried = stage.tries(digest, days=days)
        allowed = {*errors.split(), *(["UnlistedError"] if digest == EVIL_DIGEST else [])}
        assert (tried.installed, tried.error in allowed) == ("", True), tried
        assert tried.seconds < MOST_S
        assert tried.peak_mib - before.peak_mib < MOST_MIB
    assert EVIL_DIGEST not in stage.kept()
    world.release(bundle_bytes(3))  # twice: newer than what a thief of the hub's keys has signed
    last = world.release(bundle_bytes(4)).digest
    stage.says_the_truth()
    after = stage.tries(last)
    if attack is endless_packet and after.error == "LinkError":  # the connection has just ended
        after = stage.tries(last)
    assert after.installed == last, after


@pytest.mark.slow
def test_a_device_that_verifies_nothing_installs_what_the_attacker_sends(stage: Stage) -> None:
    """The control: the same attacker, the same way, a step that believes; so the tests above can fail."""
    stage.world.release(bundle_bytes(0))
    of_metadata(arbitrary_with_the_hubs_keys)(stage)
    fooled = stage.tries(EVIL_DIGEST, believe=describe(EVIL, "9.9"))
    assert fooled.installed == EVIL_DIGEST, fooled
    assert EVIL_DIGEST in stage.kept()

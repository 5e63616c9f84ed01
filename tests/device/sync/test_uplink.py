"""The loop between agent and hub, on a link and a clock in memory: what goes out, how much, and what comes of it."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from acclimate_device.agent import Agent
from acclimate_device.slots import Bases
from acclimate_device.store import Store
from acclimate_device.sync import identity
from acclimate_device.sync.bins import Spread
from acclimate_device.sync.gauge import Gauge
from acclimate_device.sync.identity import Identity
from acclimate_device.sync.outbox import Outbox
from acclimate_device.sync.renewal import Renewal
from acclimate_device.sync.twin import Twin
from acclimate_device.sync.uplink import Uplink
from acclimate_device.sync.wire import Arrived
from acclimate_shared.errors import LinkError, StateError, UsageError
from acclimate_shared.messages import pieces
from acclimate_shared.messages.down import Desired, Rebirth, SwitchSlot
from acclimate_shared.messages.envelope import CARRIES, decode
from acclimate_shared.messages.topics import Kind, build, parse, shard_of
from acclimate_shared.messages.up import LineageRecord, Metrics, RolloutReport
from acclimate_shared.rollout_reports import DeviceState
from acclimate_shared.waves import Action, Stage
from tests.device.sync.test_outbox import block, chain
from tests.device.sync.wires import DEVICE, Clock, MemoryHub, MemoryLink, message, rows_in, swift_store
from tests.device.test_agent import events, taught

D, E = "d" * 64, "e" * 64
PRIVATE = "canary4711"
DAY_S = 86_400.0
WHO = Identity(
    host="h", port=1, tenant="main", device=DEVICE, cohort="default", ca="", certificate="c", key="k", renew_s=9e9
)
WANTED = Desired(
    rollout="r1", number=1, revision=3, action=Action.GO, digest=D, previous=E, salt="s", attempt=1, shadow=0.0,
    serve=100.0, warmup_labels=9, probation_s=9.0, block_s=9.0,
)  # fmt: skip


@dataclass
class Idle:
    """An agent that does nothing."""

    clock: Clock
    start_s: float = 0.0

    def age_s(self) -> float:
        return self.clock.now_s - self.start_s

    def busy(self) -> bool:
        return False

    def taken(self, outbox_bytes: int) -> Metrics | None:
        del outbox_bytes
        start_s, self.start_s = self.start_s, self.clock.now_s
        return Metrics(start_s=start_s, end_s=self.clock.now_s, schema=D)


@dataclass
class World:
    store: Store
    agent: Agent | None = None
    clock: Clock = field(default_factory=Clock)
    link: MemoryLink = field(default_factory=MemoryLink)

    def __post_init__(self) -> None:
        rows = rows_in(self.store)
        meter = self._gauge(self.agent) if self.agent else Idle(self.clock, self.clock.now_s)
        self.hub = MemoryHub(self.link)
        self.uplink = Uplink(
            link=self.link,
            outbox=Outbox(rows, DEVICE, self.clock),
            twin=Twin(rows, DEVICE, "default", lambda: 1 << 28),
            renewal=Renewal(rows, WHO, self.clock),
            source=self.store,
            meter=meter,
            clock=self.clock,
            now=self.clock,
            rng=random.Random(5),  # noqa: S311 - repeatable
        )

    def _gauge(self, agent: Agent) -> Gauge:
        counted = Spread(agent, Bases(self.store.path.parent))
        return Gauge(agent, now=self.clock, features=counted.taken)

    def go(self, seconds: float, step_s: float = 5.0) -> None:
        for _ in range(int(seconds / step_s)):
            self.uplink.turn(0.0)
            self.clock.now_s += step_s

    def arrives(self, kind: Kind, body: object, **values: str) -> None:
        topic = build("main", kind, **(values or {"device": DEVICE}))
        self.link.inbox.append(Arrived(topic, message(kind, body)))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with swift_store(tmp_path / "state") as store:
        yield store


@pytest.fixture
def world(store: Store) -> World:
    return World(store)


def test_birth_records_and_messages_reach_the_hub_once(world: World, store: Store) -> None:
    lineage = chain(100)
    store.commit({}, {}, lineage.dumps().splitlines(keepends=True))
    world.uplink.send(block(1))
    world.go(60)
    assert [len(payloads) for payloads in world.hub.took.values()] == [1] * 101
    digests = [body.digest for body in world.hub.bodies if isinstance(body, LineageRecord)]
    assert digests == [record.digest for record in lineage]
    (state,) = world.link.bodies(Kind.STATE)
    assert (state.online, state.version, state.head) == (True, "1.99", lineage.head)
    assert world.link.topics[:2] == [build("main", kind, device=DEVICE) for kind in (Kind.ACK, Kind.COMMAND)]
    assert world.uplink.outbox.size()[0] == 0


def test_everything_that_leaves_is_of_the_closed_set(world: World) -> None:
    world.uplink.send(RolloutReport(rollout="r1", attempt=1, stage=Stage.SHADOW, state=DeviceState.TOLD, digest=D))
    world.go(2 * 3600)
    chunks = world.uplink.chunks(D)
    chunks.request(D, list(range(70)))
    chunks.close()
    kinds = set()
    for topic, payload, _, _ in world.link.sent:
        kind = parse(topic).kind
        assert kind in CARRIES
        assert decode(payload, kind).sender == DEVICE
        kinds.add(kind)
    assert kinds == {Kind.STATE, Kind.UP, Kind.WANT}
    envelopes = [decode(payload, parse(topic).kind) for topic, payload, _, _ in world.link.sent]
    numbers = [(one.boot, one.sequence) for one in envelopes]
    assert len(set(numbers)) == len(numbers)


def test_a_hub_that_is_away_is_asked_ever_more_seldom_and_gets_all_when_it_is_back(world: World) -> None:
    world.hub.deaf = True
    for at in range(200):
        world.uplink.send(block(at))
    world.go(7 * DAY_S, 400.0)
    asked = len([topic for topic, *_ in world.link.sent if parse(topic).kind is Kind.UP])
    assert asked < 64 + 7 * 100
    world.hub.deaf = False
    world.go(3600)
    numbers = [body.block for body in world.hub.bodies if hasattr(body, "block")]
    assert sorted(numbers) == list(range(200))
    assert world.uplink.outbox.size()[0] == 0


def test_messages_that_are_lost_now_and_then_all_come(world: World) -> None:
    rng, hears = random.Random(2), world.hub.hears  # noqa: S311
    world.link.on_publish = lambda topic, payload: hears(topic, payload) if rng.random() < 0.7 else None
    for at in range(300):
        world.uplink.send(block(at))
        world.go(5)
        if rng.random() < 0.05:
            world.link.up = False
            world.go(10)
            world.link.up = True
    world.go(3600)
    assert sorted(b.block for b in world.hub.bodies if hasattr(b, "block")) == list(range(300))
    assert all(len(set(payloads)) == 1 for payloads in world.hub.took.values())


def test_what_is_wanted_is_kept_told_and_reported(world: World, store: Store) -> None:
    heard: list[Desired] = []
    world.uplink.on_desired(heard.append)
    world.go(10)
    world.arrives(Kind.DESIRED, WANTED, cohort="default")
    world.arrives(Kind.DESIRED, WANTED, cohort="default")
    world.go(10)
    assert heard == [WANTED]
    state = world.link.bodies(Kind.STATE)[-1]
    assert (state.wanted, state.differs) == (D, "not-begun")
    world.uplink.twin.differs("signature-refused")
    world.go(10)
    assert world.link.bodies(Kind.STATE)[-1].differs == "signature-refused"
    for bad in ("value 3.7", "x" * 65):
        with pytest.raises(UsageError):
            world.uplink.twin.differs(bad)
    with pytest.raises(UsageError):
        world.uplink.twin.runs("v7")
    world.uplink.twin.runs(D, E)
    world.go(10)
    state = world.link.bodies(Kind.STATE)[-1]
    assert (state.running, state.previous, state.differs) == (D, E, "")
    again = World(store)
    again.uplink.on_desired(heard.append)
    assert heard == [WANTED, WANTED]


def faulty(command: object) -> None:
    raise ZeroDivisionError(command)


def test_commands_are_heard_unless_they_have_expired(world: World) -> None:
    heard: list[object] = []
    world.uplink.on_command(heard.append)
    world.uplink.on_command(faulty)
    world.go(10)
    births = len(world.link.bodies(Kind.STATE))
    late, now = world.clock.now_s - 1, world.clock.now_s + 99
    switch = SwitchSlot(rollout="r1", number=1, revision=4, digest=D, reason="rollout-aborted", expires_s=now)
    for command in (switch, msgspec.structs.replace(switch, expires_s=late)):
        world.arrives(Kind.COMMAND, command)
    world.go(5)
    assert heard == [switch]
    world.arrives(Kind.COMMAND, Rebirth(expires_s=now))
    world.go(10)
    assert len(world.link.bodies(Kind.STATE)) == births + 1


def test_nonsense_is_discarded(world: World) -> None:
    world.go(5)
    for topic in (build("main", Kind.ACK, device=DEVICE), build("main", Kind.META, digest=D), "no/such/topic"):
        world.link.inbox.append(Arrived(topic, b"\xff\x00nonsense"))
    world.link.inbox.append(Arrived(build("main", Kind.DESIRED, cohort="default"), b""))
    world.uplink.send(block(7))
    world.go(10)
    assert [body.block for body in world.hub.bodies] == [7]


def test_a_fault_does_not_end_the_loop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = itertools.chain([StateError("full"), ValueError("a bug"), LinkError("gone")], itertools.repeat(None))
    original, turns = world.uplink.turn, []

    def turn(wait_s: float) -> None:
        fault = next(faults)
        turns.append(fault)
        if len(turns) > 6:
            world.uplink._stop.set()
        if fault:
            raise fault
        original(wait_s)

    monkeypatch.setattr(world.uplink, "turn", turn)
    monkeypatch.setattr(world.uplink._stop, "wait", lambda _s: None)
    world.uplink.start()
    world.uplink.close()
    assert world.link.closed == 1


def test_chunks_and_metadata_come_over_the_topics(world: World) -> None:
    world.go(5)
    chunks = world.uplink.chunks(D)
    chunks.request(D, [3, 4])
    topic, payload, qos, _ = world.link.sent[-1]
    assert topic == build("main", Kind.WANT, digest=D, shard=str(shard_of(DEVICE)))
    assert (decode(payload, Kind.WANT).body.chunks, qos) == ((3, 4), 0)
    repair = build("main", Kind.REPAIR, device=DEVICE, digest=D)
    assert repair in world.link.topics
    for index in (4, 3):
        world.link.inbox.append(Arrived(repair, pieces.packed(index, b"x" * index)))
    world.link.inbox.append(Arrived(build("main", Kind.REPAIR, device=DEVICE, digest=E), pieces.packed(1, b"x")))
    world.link.inbox.append(Arrived(repair, b""))
    world.go(5)
    assert [chunks.receive(0.0), chunks.receive(0.0), chunks.receive(0.0)] == [(4, b"xxxx"), (3, b"xxx"), None]
    with pytest.raises(ValueError, match="one bundle"):
        chunks.request(E, [1])
    world.link.connected = False
    with pytest.raises(LinkError):
        chunks.receive(0.0)
    with pytest.raises(LinkError):
        chunks.request(D, [1])
    chunks.close()


def private(rows: int, seed: int) -> list[tuple[dict[str, object], str]]:
    """Events with a name of a column, a text and a class that nobody else may ever see."""
    found = events(rows, seed=seed)
    return [({**x, f"{PRIVATE}-column": f"{PRIVATE}-{i % 3}"}, f"{PRIVATE}-{y}") for i, (x, y) in enumerate(found)]


def test_an_agent_is_measured_and_its_values_stay(tmp_path: Path) -> None:
    with Agent(task="classification", learners=["softmax", "naive-bayes"], micro_batch=64, state=tmp_path) as agent:
        taught(agent, private(50, 0))
        assert agent.store is not None
        world = World(agent.store, agent)
        taught(agent, private(300, 1))
        agent.commit()
        world.clock.now_s += 301
        world.go(10)
        (window,) = [body for body in world.hub.bodies if isinstance(body, Metrics)]
        assert window.resources.predictions == 300
        assert 0.0 < window.resources.latency_p50_s <= window.resources.latency_p99_s < 10.0
        champion = window.scores[0]
        assert (champion.role, champion.measure) == ("champion", "accuracy")
        assert 200 <= champion.labels <= 350  # labels are judged many at a time
        assert 0.5 < champion.mean <= 1.0
        assert {test.challenger for test in window.tests} == set(agent.status()["tests"])
        assert {(drift.detector, drift.signal) for drift in window.drift} == {("adwin", "loss"), ("features", "inputs")}
        assert all(drift.looks >= 50 for drift in window.drift)
        world.clock.now_s += 301
        world.go(10)
        assert len([body for body in world.hub.bodies if isinstance(body, Metrics)]) == 1  # nothing happened
        state = world.link.bodies(Kind.STATE)[-1]
        assert (state.version, bool(state.schema)) == (agent.version, True)
    assert len(world.link.sent) > 3
    for _, payload, *_ in world.link.sent:
        assert PRIVATE.encode() not in payload


PING = 2 + 2  # PINGREQ, PINGRESP
TLS_RECORD = 5 + 17  # header; content type and tag of TLS 1.3
IP_TCP = 20 + 32  # headers, with timestamps


def on_the_wire(world: World, keepalive_s: float, days: float) -> dict[str, float]:
    """Return bytes a day, both ways: of MQTT, with TLS, and with TCP/IP, an acknowledgement for each segment."""

    def publish(topic: str, payload: bytes, qos: int) -> int:
        rest = 2 + len(topic) + (2 if qos else 0) + len(payload)
        return 1 + (1 if rest < 128 else 2 if rest < 16384 else 3) + rest

    sizes = [publish(topic, payload, qos) for topic, payload, qos, _ in world.link.sent]
    acks = [publish(topic, payload, 1) for topic, payload in world.hub.answers]
    mqtt = sum(sizes) + 4 * len(sizes) + sum(acks) + 4 * len(acks) + PING * days * DAY_S / keepalive_s
    records = 2 * (len(sizes) + len(acks)) + 2 * days * DAY_S / keepalive_s
    tls = mqtt + TLS_RECORD * records
    ip = tls + 2 * IP_TCP * records
    return {"mqtt": mqtt / days, "tls": tls / days, "tcp/ip": ip / days}


def test_an_idle_day_costs_less_than_50_kilobytes(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.go(60)
    world.link.sent.clear()
    world.hub.answers.clear()
    world.go(3 * DAY_S, 30.0)
    found = on_the_wire(world, 600.0, 3.0)
    with capsys.disabled():
        print("\nan idle day, bytes:", {name: round(size) for name, size in found.items()})  # noqa: T201 - the figure itself
    assert len(world.hub.bodies) >= 3 * 8 - 1
    assert found["mqtt"] < 20_000
    assert found["tcp/ip"] < 50_000


def test_identity_is_what_the_uplink_was_given(world: World, store: Store) -> None:
    assert identity.load(rows_in(store)) is None
    will = world.uplink.will()
    assert will.topic == build("main", Kind.STATE, device=DEVICE)
    assert decode(will.payload, Kind.STATE).body.online is False

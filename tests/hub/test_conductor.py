"""A rollout by messages alone: devices hear documents and commands, the hub hears reports through its ingest."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from acclimate_hub.conductor import Conductor
from acclimate_hub.hub import Hub
from acclimate_hub.ingest import Ingest, read
from acclimate_hub.limits import RETURN_AGAIN_S, Retention
from acclimate_hub.outgoing import Outgoing
from acclimate_hub.rollout import Phase
from acclimate_hub.serve import Plan, conductor_of
from acclimate_hub.store import devices, tables
from acclimate_hub.store.database import Database
from acclimate_shared.bundle import digest_of
from acclimate_shared.errors import LinkError, MessageError
from acclimate_shared.messages import pieces, up
from acclimate_shared.messages.envelope import Envelope, decode, encode, message_id
from acclimate_shared.messages.topics import Kind, build, parse, shard_of
from acclimate_shared.messages.topics import up as up_topic
from acclimate_shared.release import CHUNK_BYTES
from acclimate_shared.rollout_reports import DeviceState
from acclimate_shared.waves import Stage
from tests.bundles import bundle_bytes
from tests.hub.rollout.fleet import NEW, OLD, Device, small_plan
from tests.shared.messages.samples import wrapped
from tests.trust import World

COHORT, NAME = "default", "r1"


class Fleet:
    """Honest devices, a broker that keeps what is retained, and a hub that is another one at every step."""

    def __init__(self, database: Database, folder: Path, count: int = 6) -> None:
        self.now_s, self.folder = 1_000_000.0, folder
        self.hub = Hub(database, b"secret-of-tests", lambda: self.now_s)
        self.hub.create_tenant("main", "cli")
        self.devices = {f"d{at}": Device(f"d{at}") for at in range(count)}
        with database.write() as connection:
            for name in self.devices:
                devices.create(connection, "main", name, COHORT, self.now_s)
        self.retained: dict[str, bytes] = {}
        self.random = random.Random(3)  # noqa: S311 - repeatable
        self.again()

    def again(self) -> None:
        """Start the hub anew."""
        plan = Plan(host="", port=0, tenant="main", broker="", certificates=self.folder, least_devices=1)
        self.conductor: Conductor = conductor_of(self.hub, replace(plan, data=self.folder))
        self.ingest = Ingest(self.hub, Retention(), [self.conductor.hear])

    def says(self, device: Device, body: Any) -> tuple[str, bytes]:
        device.seq += 1
        state = isinstance(body, up.State)
        topic = build("main", Kind.STATE, device=device.name) if state else up_topic("main", device.name)
        envelope = Envelope(
            id=message_id(), time_s=self.now_s, sender=device.name, boot=f"{device.boot:08x}00000000",
            sequence=device.seq, body=body,
        )  # fmt: skip
        return topic, encode(envelope, Kind.STATE if state else Kind.UP)

    def told(self, outs: list[Outgoing]) -> None:
        for out in outs:
            topic = parse(out.topic)
            if out.retained:
                self.retained[out.topic] = out.payload
            elif topic.kind is Kind.COMMAND and self.random.random() < 0.7:  # the others are lost
                device = self.devices[topic.values["device"]]
                if device.online:
                    device.hears(decode(out.payload, Kind.COMMAND).body)

    def round(self, loss: float = 0.0) -> None:
        self.told(self.conductor.due())
        document = self.retained.get(build("main", Kind.DESIRED, cohort=COHORT))
        sent = []
        for device in self.devices.values():
            if not device.online:
                continue
            if document:
                device.hears(decode(document, Kind.DESIRED).body)
            device.step()
            report = device.report(NAME)
            facts = msgspec.structs.asdict(report)
            for name in ("device", "boot", "seq"):
                del facts[name]
            sent.append(self.says(device, up.RolloutReport(**facts)))
            block = int(self.now_s // 10) - 1
            body = up.RolloutBlock(rollout=NAME, stage=device.stage, block=block, labels=10, gain=-10 * loss, asked=10)
            sent.append(self.says(device, body))
        sent += self.random.sample(sent, len(sent) // 3)  # some come twice
        self.random.shuffle(sent)
        acked = self.ingest.commit([read(*message) for message in sent])
        assert len(acked) >= sum(device.online for device in self.devices.values())
        self.now_s += 10.0
        for device in self.devices.values():
            device.passes(10.0)
        if self.random.random() < 0.2:
            self.again()

    def until(self, phase: Phase, rounds: int = 150, loss: float = 0.0) -> None:
        for _ in range(rounds):
            if self.hub.rollouts("main").get(NAME).phase is phase:
                return
            self.round(loss)
        raise AssertionError(self.hub.rollouts("main").get(NAME).why)

    def begins(self) -> None:
        rollouts = self.hub.rollouts("main")
        waves = tuple(
            msgspec.structs.replace(wave, percent=percent)
            for wave, percent in zip(small_plan().waves, (100.0, 40.0, 100.0), strict=True)
        )
        facts: dict[str, Any] = {"digest": NEW, "previous": OLD, "salt": "s", "cohorts": (COHORT,)}
        rollouts.create(NAME, small_plan(waves=waves), author="ann", **facts)
        rollouts.approve(NAME, "bob", "looked at it")
        rollouts.start(NAME, "bob", "now")


@pytest.fixture
def fleet(empty: Database, tmp_path: Path) -> Fleet:
    return Fleet(empty, tmp_path)


@pytest.mark.slow
def test_a_good_base_goes_through_all_waves_and_back_by_messages_alone(fleet: Fleet) -> None:
    fleet.begins()
    fleet.until(Phase.DONE)
    assert all(device.longest[NEW] >= 30.0 for device in fleet.devices.values())
    fleet.devices["d0"].online = False
    topic, state = fleet.says(fleet.devices["d0"], up.State(online=False, agent="0.1.0", cohort=COHORT))
    fleet.ingest.commit([read(topic, state)])
    fleet.hub.rollouts("main").roll_back(NAME, "ann", "a complaint")
    for _ in range(12):
        fleet.round()
    assert {device.slot for device in fleet.devices.values() if device.online} == {OLD}
    assert fleet.hub.rollouts("main").returns(NAME) == []
    fleet.devices["d0"].online = True  # it was away, and finds the retained document
    fleet.round()
    fleet.round()
    assert fleet.devices["d0"].slot == OLD


@pytest.mark.slow
def test_a_base_that_is_worse_is_stopped_before_it_serves(fleet: Fleet) -> None:
    fleet.begins()
    fleet.until(Phase.ABORTED, loss=0.2)
    assert all(NEW not in device.longest for device in fleet.devices.values())


def test_a_command_is_said_again_until_the_device_has_returned(fleet: Fleet) -> None:
    fleet.begins()
    fleet.until(Phase.WAVE)
    while fleet.hub.rollouts("main").get(NAME).wave == 0:
        fleet.round()
    for _ in range(5):
        fleet.round()
    fleet.hub.rollouts("main").abort(NAME, "ann", "stop")
    first = [out for out in fleet.conductor.due() if parse(out.topic).kind is Kind.COMMAND]
    assert first
    assert [out for out in fleet.conductor.due() if not out.retained] == []
    fleet.now_s += RETURN_AGAIN_S
    again = [out for out in fleet.conductor.due() if not out.retained]
    assert [out.topic for out in again] == [out.topic for out in first]


def test_a_new_connection_is_told_everything_once(fleet: Fleet) -> None:
    fleet.begins()
    first = fleet.conductor.due()
    assert [parse(out.topic).kind for out in first] == [Kind.DESIRED]
    assert all(out.retained for out in first)
    assert fleet.conductor.due() == []
    fleet.conductor.connected()
    assert [out.topic for out in fleet.conductor.due()] == [out.topic for out in first]


def test_nonsense_about_rollouts_is_left_out_and_acknowledged(fleet: Fleet) -> None:
    device = fleet.devices["d0"]
    unknown = up.RolloutReport(rollout="r9", attempt=1, stage=Stage.SHADOW, state=DeviceState.TOLD, digest=OLD)
    fresh = up.RolloutBlock(rollout="r9", stage=Stage.SHADOW, block=5, labels=3)
    group = [read(*fleet.says(device, body)) for body in (unknown, fresh)]
    assert len(fleet.ingest.commit(group)) == 1


def test_a_database_that_is_away_keeps_reports_with_the_devices(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.begins()

    def away(*_: Any) -> Any:
        raise LinkError("the database is away")

    body = up.RolloutReport(rollout=NAME, attempt=1, stage=Stage.SHADOW, state=DeviceState.TOLD, digest=OLD)
    message = fleet.says(fleet.devices["d0"], body)
    with monkeypatch.context() as patch:
        patch.setattr("acclimate_hub.rollout.service.Rollouts.report", away)
        with pytest.raises(LinkError):
            fleet.ingest.commit([read(*message)])
    assert len(fleet.ingest.commit([read(*message)])) == 1  # repeated for the events, new for the rollout
    row = next(iter(fleet.hub.rollouts("main")._store.devices(NAME)))
    assert (row.device, row.state) == ("d0", DeviceState.TOLD)


def test_bundles_and_signed_metadata_are_served_to_devices_that_may_speak(empty: Database, tmp_path: Path) -> None:
    world, data = World(tmp_path / "world"), bundle_bytes(rows=60_000)
    fleet = Fleet(empty, tmp_path / "hub", count=2)
    shelf = fleet.hub.shelf("main", tmp_path / "hub")
    assert fleet.conductor.due() == []  # nothing was released
    fleet.now_s = world.now.timestamp()
    item = world.hand_over(shelf, data)
    assert item.digest == digest_of(data)
    sent = [parse(out.topic) for out in fleet.conductor.due()]
    assert {topic.kind for topic in sent} == {Kind.TUF}
    assert sent[-1].values["name"] == "timestamp.json"
    assert fleet.conductor.due() == []
    topic = parse(build("main", Kind.WANT, digest=item.digest, shard=str(shard_of("d0"))))
    payload = encode(wrapped(up.Want(chunks=(0, 2, 10_000)), sender="d0"), Kind.WANT)
    outs = fleet.conductor.wanted(topic, payload)
    assert [out.topic for out in outs] == [build("main", Kind.REPAIR, device="d0", digest=item.digest)] * 2
    got = [pieces.unpacked(out.payload) for out in outs]
    assert got == [(at, data[at * CHUNK_BYTES : (at + 1) * CHUNK_BYTES]) for at in (0, 2)]
    with empty.write() as connection:
        connection.execute(update(tables.devices).where(tables.devices.c.device == "d0").values(revoked_s=fleet.now_s))
    assert fleet.conductor.wanted(topic, payload) == []
    other = parse(build("main", Kind.WANT, digest="f" * 64, shard=str(shard_of("d1"))))
    with pytest.raises(MessageError, match="bundle"):
        fleet.conductor.wanted(other, encode(wrapped(up.Want(chunks=(0,)), sender="d1"), Kind.WANT))

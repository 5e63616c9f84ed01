import random
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from acclimate_hub import limits
from acclimate_hub.admission import Admission
from acclimate_hub.hub import Hub
from acclimate_hub.identity import enrolment
from acclimate_hub.ingest import Arrived, Ingest, acknowledgements, read
from acclimate_hub.limits import Retention
from acclimate_hub.projections import metric_points
from acclimate_hub.store import audit, devices, lineage, outbox, tables
from acclimate_hub.store.database import Database
from acclimate_shared.errors import ConflictError, LinkError, MessageError
from acclimate_shared.messages import up
from acclimate_shared.messages.down import Certificate, EnrolResponse
from acclimate_shared.messages.envelope import decode, encode
from acclimate_shared.messages.topics import Kind, build
from acclimate_shared.messages.topics import up as up_topic
from tests.hub.conftest import NOW
from tests.hub.identity.keys import new_key, request
from tests.shared.messages.samples import BLOCK, LINEAGE, METRICS, STATUS, D, E, wrapped

STATE = up.State(online=True, agent="0.1.0", cohort="default", running=D, version="1.1", head=D)


@pytest.fixture
def hub(empty: Database) -> Hub:
    hub = Hub(empty, b"secret", lambda: NOW)
    for tenant in ("main", "other"):
        hub.create_tenant(tenant, "cli")
    with empty.write() as connection:
        for at in range(1, 4):
            devices.create(connection, "main", f"gw-{at}", "default", NOW)
        devices.create(connection, "other", "x-1", "default", NOW)
    return hub


def arrived(
    body: Any, *, device: str = "gw-1", sequence: int = 1, boot: str = "b" * 16, tenant: str = "main"
) -> Arrived:
    kind = Kind.STATE if isinstance(body, up.State) else Kind.UP
    topic = build(tenant, kind, device=device) if kind is Kind.STATE else up_topic(tenant, device)
    return read(topic, encode(wrapped(body, sender=device, sequence=sequence, boot=boot), kind))


def count(hub: Hub, table: Any) -> int:
    with hub.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def acked(outs: Iterable[Any]) -> set[tuple[str, int]]:
    found = set()
    for out in outs:
        body = decode(out.payload, Kind.ACK).body
        device = out.topic.split("/")[4]
        found |= {(device, at) for part in body.ranges for at in range(part.first, part.last + 1)}
    return found


def test_reading_is_strict_about_who_speaks_where() -> None:
    payload = encode(wrapped(METRICS, sender="gw-1"), Kind.UP)
    assert read(up_topic("main", "gw-1"), payload).key == ("gw-1", "b" * 16, 1)
    for topic in (
        up_topic("main", "gw-2"),
        build("main", Kind.STATE, device="gw-1"),
        build("main", Kind.ACK, device="gw-1"),
        "x",
    ):
        with pytest.raises(MessageError):
            read(topic, payload)


def test_events_are_committed_once_and_acknowledged_each_time(hub: Hub) -> None:
    ingest = Ingest(hub, Retention())
    bodies = [METRICS, LINEAGE, BLOCK, STATUS, up.Thinned(thinned="b" * 16, first=1, last=2, metrics=2)]
    group = [arrived(body, sequence=at) for at, body in enumerate(bodies, 1)]
    expected = {("gw-1", at) for at in range(1, 6)}
    assert acked(ingest.commit(group)) == expected
    before = {table.name: count(hub, table) for table in tables.metadata.sorted_tables}
    with hub.database.read() as connection:
        rows = connection.execute(select(tables.metrics).order_by(*tables.metrics.primary_key.columns)).all()
    assert acked(ingest.commit(group + group)) == acked(ingest.commit(group[::-1])) == expected
    assert {table.name: count(hub, table) for table in tables.metadata.sorted_tables} == before
    with hub.database.read() as connection:
        assert connection.execute(select(tables.metrics).order_by(*tables.metrics.primary_key.columns)).all() == rows
    assert (before["events"], before["lineage_versions"]) == (5, 1)
    assert (ingest.counts["committed"], ingest.counts["repeated"], ingest.counts["refused"]) == (5, 15, 0)


def test_revoked_unknown_and_foreign_devices_are_not_heard(hub: Hub) -> None:
    with hub.database.write() as connection:
        enrolment.revoke(connection, "main", "gw-2", "cli", NOW)
    ingest = Ingest(hub, Retention())
    group = [arrived(METRICS, device=name) for name in ("gw-1", "gw-2", "gw-9", "x-1")]
    group += [arrived(STATE, device="gw-2"), arrived(METRICS, device="gw-1", tenant="other", sequence=2)]
    assert acked(ingest.commit(group)) == {("gw-1", 1)}
    assert (ingest.counts["refused"], count(hub, tables.events)) == (5, 1)


def test_a_state_becomes_the_twin_and_lineage_the_answer_to_who_runs_it(hub: Hub) -> None:
    ingest = Ingest(hub, Retention())
    with hub.database.write() as connection:
        release = lineage.Node(tenant="main", digest=E, device="", kind="release", version="7.0", model=E, time_s=NOW)
        lineage.add(connection, "main", [(release, [])])
    record = msgspec.structs.replace(LINEAGE, kind="import", parents=(), bundle=E)
    assert ingest.commit([arrived(STATE), arrived(record)])
    with hub.database.read() as connection:
        row = devices.get(connection, "main", "gw-1")
        assert (row.online, row.running, row.head) == (True, D, D)
        assert decode(row.reported, Kind.STATE).body == STATE
        assert [one.device for one in connection.execute(lineage.running("main", E))] == ["gw-1"]
    ingest.commit([arrived(msgspec.structs.replace(STATE, online=False))])
    with hub.database.read() as connection:
        assert devices.get(connection, "main", "gw-1").online is False


def test_lost_repeated_and_reordered_messages_end_in_the_same_rows(hub: Hub) -> None:
    generator, ingest = random.Random(3), Ingest(hub, Retention())  # noqa: S311 - repeatable
    sent = [
        arrived(METRICS, device=f"gw-{d}", sequence=s, boot=b * 16)
        for d in (1, 2, 3)
        for s in range(1, 40)
        for b in "ab"
    ]
    done: set[tuple[str, str, int]] = set()
    while len(done) < len(sent):
        waiting = [one for one in sent if one.key not in done]
        group = generator.choices(waiting, k=generator.randint(1, 60))
        outs = ingest.commit(group)
        for out in outs:
            if generator.random() < 0.7:  # the others get lost, and the device sends again
                body = decode(out.payload, Kind.ACK).body
                device = out.topic.split("/")[4]
                done |= {(device, body.acked, at) for part in body.ranges for at in range(part.first, part.last + 1)}
    assert count(hub, tables.events) == len(sent) == ingest.counts["committed"]
    with hub.database.read() as connection:
        weights = select(tables.metrics.c.device, tables.metrics.c.weight).where(tables.metrics.c.measure == "accuracy")
        assert set(connection.execute(weights)) == {(f"gw-{d}", 78 * 100.0) for d in (1, 2, 3)}


def test_a_message_that_breaks_the_database_does_not_hold_up_others(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = msgspec.structs.replace(METRICS, end_s=61.0)

    def points(tenant: str, device: str, body: Any) -> Any:
        if body == bad:
            raise ConflictError("no")
        return metric_points(tenant, device, body)

    monkeypatch.setattr("acclimate_hub.ingest.metric_points", points)
    ingest = Ingest(hub, Retention())
    group = [arrived(bad if at == 2 else METRICS, sequence=at) for at in (1, 2, 3)]
    assert acked(ingest.commit(group)) == {("gw-1", 1), ("gw-1", 3)}
    assert (count(hub, tables.events), ingest.counts["refused"]) == (2, 1)


def test_what_a_listener_could_not_take_is_not_acknowledged_and_is_heard_again(hub: Hub) -> None:
    heard: list[int] = []

    def listener(group: Any) -> None:
        heard.extend(one.envelope.sequence for one in group)
        if len(heard) == 2:
            raise LinkError("the database is away")

    ingest, group = Ingest(hub, Retention(), [listener]), [arrived(METRICS, sequence=at) for at in (1, 2)]
    with pytest.raises(LinkError):
        ingest.commit(group)
    assert acked(ingest.commit(group)) == {("gw-1", 1), ("gw-1", 2)}
    assert heard == [1, 2, 1, 2]
    assert count(hub, tables.events) == 2


def test_an_acknowledgement_holds_runs_and_never_too_many() -> None:
    keys = [("a", "b" * 16, at) for at in [1, 2, 3, 7, *range(100, 400, 2)]] + [("c", "b" * 16, 5)]
    random.Random(1).shuffle(keys)  # noqa: S311 - repeatable
    found = acknowledgements(keys)
    assert {(device, part.first, part.last) for device, ack in found for part in ack.ranges} == {
        ("a", 1, 3), ("a", 7, 7), ("c", 5, 5), *(("a", at, at) for at in range(100, 400, 2)),
    }  # fmt: skip
    assert [len(ack.ranges) for device, ack in found if device == "a"] == [64, 64, 24]


def test_a_device_enrols_and_renews_over_its_messages(hub: Hub) -> None:
    admission, ingest = Admission(hub), Ingest(hub, Retention())
    rules = enrolment.ClaimRules(cohort="default", max_uses=1, expires_s=NOW + 9)
    with hub.database.write() as connection:
        claim = enrolment.create_claim(connection, "main", rules, "cli", NOW).text
    topic = build("main", Kind.ENROL_REQUEST, nonce="1" * 32)

    def ask(device: str, token: str = claim) -> EnrolResponse:
        body = up.EnrolRequest(claim=token, request=request(new_key(), device))
        out = admission.answer(topic, encode(wrapped(body, sender=device), Kind.ENROL_REQUEST))
        assert out.topic == build("main", Kind.ENROL_RESPONSE, nonce="1" * 32)
        answer = decode(out.payload, Kind.ENROL_RESPONSE).body
        assert isinstance(answer, EnrolResponse)
        return answer

    assert ask("new-1").certificate.startswith("-----BEGIN CERTIFICATE")
    assert ask("new-2").refused == "claim-spent"
    ingest.commit([arrived(up.Renew(request=request(new_key(), "new-1")), device="new-1")])
    ingest.commit([arrived(up.Renew(request=request(new_key(), "gw-1")), device="new-1", sequence=2)])
    with hub.database.read() as connection:
        (due,) = outbox.due(connection, "main", NOW, 10)
        assert audit.entries(connection, "main", 0, 99)[-1].action == "device.renew"
    assert isinstance(decode(due.payload, Kind.COMMAND).body, Certificate)
    answers = [ask("new-3", claim[:-3] + "xyz").refused for _ in range(limits.CLAIM_RATE.burst)]
    assert answers[0] == "claim-unknown"
    assert answers[-1] == "too-often"
    with hub.database.read() as connection:
        refusals = [entry for entry in audit.entries(connection, "main", 0, 500) if entry.action == "device.refused"]
        assert len(refusals) == limits.REFUSED_RATE.burst
    with pytest.raises(MessageError):
        admission.answer(
            topic,
            encode(
                wrapped(up.EnrolRequest(claim=claim, request=request(new_key(), "a")), sender="_hub"),
                Kind.ENROL_REQUEST,
            ),
        )


def test_old_events_are_forgotten_by_policy(hub: Hub) -> None:
    ingest = Ingest(hub, Retention(events_s=0.0))
    ingest.commit([arrived(LINEAGE)])
    later = Ingest(Hub(hub.database, b"secret", lambda: NOW + 1), Retention(events_s=0.5))
    assert later.forget() == 1
    assert acked(later.commit([arrived(LINEAGE)])) == {("gw-1", 1)}
    assert count(hub, tables.events) == 0

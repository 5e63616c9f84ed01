import pytest
from sqlalchemy import select

from acclimate_hub import limits
from acclimate_hub.store import devices, events, idempotency, leases, outbox, paging, releases, tables, tenants
from acclimate_hub.store.database import Database
from acclimate_shared.errors import ConflictError, MissingError
from tests.hub.conftest import NOW

D, E = "d" * 64, "e" * 64


def event(sequence: int, *, device: str = "gw-1", boot: str = "b1", received_s: float = NOW) -> events.Event:
    return events.Event(
        device=device, boot=boot, sequence=sequence, tenant="main", message="m", kind="Metrics", time_s=NOW,
        received_s=received_s, payload=b"x",
    )  # fmt: skip


def state(boot: str, sequence: int, *, online: bool = True) -> devices.Report:
    return devices.Report(
        online=online, boot=boot, sequence=sequence, payload=b"x", running=D, head=f"{boot}{sequence}"
    )


@pytest.fixture
def fleet(database: Database) -> Database:
    with database.write() as connection:
        for at in range(1, 8):
            devices.create(connection, "main", f"gw-{at}", "default", NOW)
        devices.create(connection, "other", "x-1", "default", NOW)
    return database


def test_an_event_is_inserted_once_even_after_it_was_forgotten(fleet: Database) -> None:
    with fleet.write() as connection:
        assert len(events.insert(connection, [event(1), event(2, received_s=NOW - 9), event(1, boot="b2")])) == 3
        assert events.insert(connection, [event(1), event(3)]) == {("gw-1", "b1", 3)}
        assert events.forget(connection, NOW) == 1
        assert events.insert(connection, [event(1), event(2), event(3), event(4)]) == {("gw-1", "b1", 4)}
        assert events.forget(connection, NOW + 1) == 4
        assert events.insert(connection, [event(4), event(5), event(1, boot="b2"), event(2, boot="b2")]) == {
            ("gw-1", "b1", 5), ("gw-1", "b2", 2),
        }  # fmt: skip
        assert events.insert(connection, []) == set()


def test_the_newest_state_wins_and_a_late_will_of_another_boot_does_not(fleet: Database) -> None:
    steps = [
        (state("b1", 1), True, (True, "b11")),
        (state("b1", 5), True, (True, "b15")),
        (state("b1", 4), False, (True, "b15")),
        (state("b1", 1, online=False), True, (False, "b15")),
        (state("b2", 1), True, (True, "b21")),
        (state("b1", 1, online=False), False, (True, "b21")),
    ]
    for report, kept, expected in steps:
        with fleet.write() as connection:
            assert devices.report(connection, "gw-1", report, NOW) is kept
            row = devices.get(connection, "main", "gw-1")
            assert (row.online, row.head) == expected


def test_devices_belong_to_their_tenant(fleet: Database) -> None:
    with fleet.write() as connection:
        for call in (
            devices.get,
            lambda c, t, d: devices.move(c, t, d, "default"),
            lambda c, t, d: devices.set_revoked(c, t, d, NOW),
        ):
            with pytest.raises(MissingError):
                call(connection, "main", "x-1")
        with pytest.raises(MissingError):
            devices.move(connection, "main", "gw-1", "nowhere")
        devices.set_revoked(connection, "main", "gw-1", NOW)
        assert devices.standings(connection, ["gw-1", "x-1", "unknown"]) == {
            "gw-1": devices.Standing(device="gw-1", tenant="main", revoked=True),
            "x-1": devices.Standing(device="x-1", tenant="other", revoked=False),
        }
        assert devices.counts(connection, "main") == {"all": 7, "online": 0, "revoked": 1}


def test_pages_follow_each_other_without_gaps_whatever_is_added(fleet: Database) -> None:
    found, after = [], None
    with fleet.write() as connection:
        while True:
            query = devices.listed("main")
            rows, after = paging.page(connection, query, tables.devices.c.device, after, 3)
            found += [row.device for row in rows]
            if after is None:
                break
            devices.create(connection, "main", f"a-{len(found)}", "default", NOW)
    assert found == [f"gw-{at}" for at in range(1, 8)]


def test_shards_are_shared_fairly_and_taken_over_when_a_worker_dies(database: Database) -> None:
    owned: dict[str, frozenset[int]] = {}

    def turn(worker: str, now_s: float) -> None:
        with database.write() as connection:
            owned[worker] = leases.balance(connection, "main", worker, now_s)

    turn("a", NOW)
    assert owned["a"] == frozenset(range(64))
    for worker in "babcabc":  # a gives away when it asks again
        turn(worker, NOW + 1)
    assert sorted(len(shards) for shards in owned.values()) == [20, 22, 22]
    assert frozenset().union(*owned.values()) == frozenset(range(64))
    assert sum(map(len, owned.values())) == 64
    late = NOW + 2 + limits.LEASE_S
    for worker in "abab":
        turn(worker, late)
    assert owned["a"] | owned["b"] == frozenset(range(64))
    assert not owned["a"] & owned["b"]
    with database.write() as connection:
        leases.release(connection, "main", "a", owned["a"])
        assert leases.balance(connection, "other", "z", NOW) == frozenset(range(64))


def test_what_is_due_is_sent_in_order_until_it_expires(database: Database) -> None:
    with database.write() as connection:
        for at in range(4):
            message = outbox.Outgoing(tenant="main", topic=f"t{at}", payload=b"", retained=False, expires_s=NOW + at)
            outbox.put(connection, message, NOW)
        due = outbox.due(connection, "main", NOW, 10)
        assert [row.topic for row in due] == ["t1", "t2", "t3"]
        outbox.sent(connection, [due[0].place], NOW)
        assert [row.topic for row in outbox.due(connection, "main", NOW + 1, 1)] == ["t2"]
        assert outbox.due(connection, "other", NOW, 10) == []
        assert outbox.forget(connection, NOW + 2.5) == 3


def test_an_idempotency_key_remembers_one_request_for_a_day(database: Database) -> None:
    asked = idempotency.Asked(owner="t", key="k", request="r")
    answer = idempotency.Answer(status=201, body="{}")
    with database.write() as connection:
        assert idempotency.find(connection, asked) is None
        idempotency.keep(connection, asked, answer, NOW)
        assert idempotency.find(connection, asked) == answer
        with pytest.raises(ConflictError):
            idempotency.find(connection, idempotency.Asked(owner="t", key="k", request="other"))
        assert idempotency.find(connection, idempotency.Asked(owner="u", key="k", request="other")) is None
        later = idempotency.Asked(owner="t", key="k2", request="r")
        idempotency.keep(connection, later, answer, NOW + limits.IDEMPOTENCY_S + 1)
        assert idempotency.find(connection, asked) is None


def add_release(database: Database, digest: str, version: str) -> None:
    columns = {"digest": digest, "name": "base", "version": version, "manifest": b"{}"}
    with database.write() as connection:
        releases.add(connection, "main", columns, {"a": ("f" * 64, 3), "b": (digest, 4)}, NOW)


def test_an_alias_has_a_history_and_is_moved_by_compare_and_set(database: Database) -> None:
    add_release(database, D, "1.0")
    add_release(database, E, "2.0")
    for digest, version in ((D, "3.0"), ("1" * 64, "1.0")):
        with pytest.raises(ConflictError):
            add_release(database, digest, version)
    with database.write() as connection:
        for seen, release in enumerate((D, E, D)):
            assert (
                releases.point_alias(connection, "main", "stable", release, seen=seen, actor="cli", now_s=NOW)
                == seen + 1
            )
        for stale in (0, 2, 9):
            with pytest.raises(ConflictError):
                releases.point_alias(connection, "main", "stable", E, seen=stale, actor="cli", now_s=NOW)
        with pytest.raises(MissingError):
            releases.point_alias(connection, "main", "stable", "0" * 64, seen=3, actor="cli", now_s=NOW)
        assert [row.release for row in releases.alias_history(connection, "main", "stable")] == [D, E, D]
        assert len(connection.execute(select(tables.blobs)).all()) == 3


def test_cohorts_and_tenants_are_there_once(database: Database) -> None:
    with database.write() as connection:
        tenants.create_cohort(connection, "main", "shop", 1, NOW)
        with pytest.raises(ConflictError):
            tenants.create_cohort(connection, "main", "shop", 1, NOW)
        assert not tenants.has_cohort(connection, "other", "shop")
        with pytest.raises(MissingError):
            tenants.get(connection, "third")

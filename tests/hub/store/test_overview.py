from acclimate_hub.limits import Retention
from acclimate_hub.store import audit, devices, lineage, metrics, overview, releases, tenants
from acclimate_hub.store.database import Database
from acclimate_hub.store.events import Event, insert
from tests.hub.conftest import NOW

A, B, C = "a" * 64, "b" * 64, "c" * 64


def node(digest: str, *, device: str = "", kind: str = "release", time_s: float = NOW) -> lineage.Node:
    return lineage.Node(tenant="main", digest=digest, device=device, kind=kind, version="1.0", model=A, time_s=time_s)


def reported(running: str = "", head: str = "") -> devices.Report:
    return devices.Report(online=True, boot="b" * 16, sequence=1, payload=b"x", running=running, head=head)


def test_every_device_has_one_standing(database: Database) -> None:
    with database.write() as connection:
        tenants.create_cohort(connection, "main", "shop", -1, NOW)
        for at in range(5):
            devices.create(connection, "main", f"d{at}", "shop" if at == 4 else "default", NOW)
        devices.create(connection, "other", "o1", "default", NOW)
        devices.report(connection, "d0", reported(A), NOW)
        devices.seen(connection, ["d1"], NOW - 10)
        devices.seen(connection, ["d2"], NOW - 1000)
        devices.report(connection, "d4", reported(A), NOW)
        devices.set_revoked(connection, "main", "d4", NOW)
    with database.read() as connection:
        row = overview.standings(connection, "main", NOW - 100)
        assert dict(row._mapping) == {"total": 5, "revoked": 1, "online": 1, "never": 1, "silent": 1, "away": 1}
        found = [tuple(one) for one in overview.cohorts(connection, "main", NOW - 100, 9)]
        assert found == [("shop", -1, 1, 0, 0), ("default", 0, 4, 1, 1)]
        assert [tuple(one) for one in overview.running(connection, "main", 9)] == [(A, 1)]
        assert overview.standings(connection, "nobody", NOW).total == 0


def test_carriers_are_counted_once_whether_they_serve_a_base_or_what_came_of_it(database: Database) -> None:
    with database.write() as connection:
        for name in ("both", "below", "as-is", "else"):
            devices.create(connection, "main", name, "default", NOW)
        lineage.add(connection, "main", [(node(A), ()), (node(B), (A,))])
        lineage.add(connection, "main", [(node(C, device="below", kind="commit"), (B,))])
        devices.report(connection, "both", reported(B, C), NOW)
        devices.report(connection, "below", reported("", C), NOW)
        devices.report(connection, "as-is", reported(A), NOW)
    with database.read() as connection:
        assert overview.carriers(connection, "main") == {A: 3, B: 2}
        assert overview.carriers(connection, "other") == {}


def test_history_is_newest_first_and_commits_are_not_notable(database: Database) -> None:
    kinds = ("start", "commit", "promote", "commit")
    with database.write() as connection:
        nodes = [node(f"{at:064x}", device="d1", kind=kind, time_s=NOW + at) for at, kind in enumerate(kinds)]
        lineage.add(connection, "main", [(one, ()) for one in nodes])
        lineage.add(connection, "main", [(node(A, time_s=NOW + 99), (f"{0:064x}",))])
    with database.read() as connection:
        assert [row.kind for row in overview.history(connection, "main", "d1", 3)] == ["commit", "promote", "commit"]
        assert [row.kind for row in overview.notable(connection, "main", 9)] == ["promote", "start"]
        assert [row.digest for row in overview.history(connection, "main", "", 9)] == [A]
        assert overview.edges(connection, "main", [A, B]) == [(A, f"{0:064x}")]


def test_the_score_that_most_devices_report_is_shown(database: Database) -> None:
    def point(device: str, measure: str, subject: str, time_s: float = NOW) -> metrics.Point:
        return metrics.Point(
            tenant="main", device=device, measure=measure, subject=subject, time_s=time_s, weight=1.0, value=0.5
        )

    with database.write() as connection:
        for name in ("d1", "d2"):
            devices.create(connection, "main", name, "default", NOW)
        points = [point("d1", "accuracy", "rls"), point("d2", "accuracy", "rls"), point("d1", "accuracy", "mlp")]
        points += [point(name, "cpu_s", "") for name in ("d1", "d2")]
        points += [point(name, "kappa", "rls", NOW - 9e6) for name in ("d1", "d2")]
        metrics.add(connection, points, Retention())
    with database.read() as connection:
        row = overview.busiest_measure(connection, "main", NOW - 9999, 3600)
        assert row is not None
        assert tuple(row) == ("accuracy", "rls")
        assert overview.busiest_measure(connection, "other", 0.0, 3600) is None


def test_the_newest_event_of_a_kind_is_found(database: Database) -> None:
    with database.write() as connection:
        devices.create(connection, "main", "d1", "default", NOW)
        events = [
            Event(
                device="d1", boot="b" * 16, sequence=at, tenant="main", message=f"{at:032x}", kind=kind,
                time_s=NOW + at, received_s=NOW + at // 2, payload=bytes([at]),
            )
            for at, kind in enumerate(("metrics", "update", "metrics", "metrics"), 1)
        ]  # fmt: skip
        insert(connection, events)
    with database.read() as connection:
        newest = overview.newest_event(connection, "main", "d1", "metrics")
        assert newest is not None
        assert newest.payload == b"\x04"
        found = overview.newest_events(connection, "main", "d1", "metrics", 2)
        assert [row.payload for row in found] == [b"\x04", b"\x03"]
        assert overview.newest_event(connection, "main", "d1", "lineage") is None
        assert overview.newest_event(connection, "other", "d1", "metrics") is None


def test_releases_aliases_and_the_end_of_the_log(database: Database) -> None:
    with database.write() as connection:
        for at, digest in enumerate((A, B)):
            columns = {"digest": digest, "name": "m", "version": f"1.{at}", "manifest": b""}
            releases.add(connection, "main", columns, {}, NOW + at)
            releases.point_alias(connection, "main", "stable", digest, seen=at, actor="cli", now_s=NOW + at)
        for at in range(4):
            audit.record(connection, "main", audit.Act(actor="cli", action="x", object=str(at), detail={}), NOW)
    with database.read() as connection:
        assert [row.digest for row in overview.releases(connection, "main", 9)] == [B, A]
        assert [row.release for row in overview.aliases(connection, "main", 1)] == [B]
        assert [row.place for row in overview.audit_end(connection, "main", None, 2)] == [4, 3]
        assert [row.place for row in overview.audit_end(connection, "main", 3, 9)] == [2, 1]
        assert overview.token_names(connection, "main") == {}

import itertools
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acclimate_hub.store import devices, lineage, tenants
from acclimate_hub.store.database import Database
from tests.hub.conftest import NOW

Link = tuple[lineage.Node, list[str]]


def node(digest: str, *parents: str, device: str = "", tenant: str = "main") -> Link:
    kind = "commit" if device else "release"
    made = lineage.Node(tenant=tenant, digest=digest, device=device, kind=kind, version="1.0", model="m", time_s=NOW)
    return made, list(parents)


def runners(database: Database, base: str, tenant: str = "main") -> set[str]:
    with database.read() as connection:
        return {row.device for row in connection.execute(lineage.running(tenant, base))}


FLEET = [
    node("v7"), node("v8", "v7"), node("v9"),
    node("a1", device="a"), node("a2", "a1", "v7", device="a"), node("a3", "a2", device="a"),
    node("b1", "v8", device="b"), node("b2", "b1", device="b"),
    node("c1", "v9", device="c"), node("c2", "c1", "v8", device="c"), node("c3", "c1", device="c"),
    node("d1", device="d"),
]  # fmt: skip
HEADS = {"a": "a3", "b": "b2", "c": "c3", "d": "d1"}
TENANTS = itertools.count()
EXPECTED = {"v7": {"a", "b"}, "v8": {"b"}, "v9": {"c"}, "a1": set(), "v1": set()}


def enrol(database: Database, heads: dict[str, str]) -> None:
    with database.write() as connection:
        for device, head in heads.items():
            devices.create(connection, "main", device, "default", NOW)
            report = devices.Report(online=True, boot="b", sequence=1, payload=b"", running="", head=head)
            devices.report(connection, device, report, NOW)


@pytest.mark.parametrize("seed", range(6))
def test_which_devices_run_a_descendant_whatever_the_order_of_arrival(database: Database, seed: int) -> None:
    enrol(database, HEADS)
    links = FLEET * 2
    random.Random(seed).shuffle(links)  # noqa: S311 - repeatable
    for at in range(0, len(links), 1 + seed):
        with database.write() as connection:
            lineage.add(connection, "main", links[at : at + 1 + seed])
    assert {base: runners(database, base) for base in EXPECTED} == EXPECTED
    assert runners(database, "v7", "other") == set()
    with database.read() as connection:
        assert set(lineage.ancestors(connection, "main", "c2", 100)) == {"c2", "c1", "v9", "v8", "v7"}
        assert set(lineage.descendants(connection, "main", "v8", 100)) == {"v8", "b1", "b2", "c2"}
        assert len(lineage.descendants(connection, "main", "v7", 3)) == 3
        assert lineage.descendants(connection, "other", "v8", 100) == ["v8"]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_kept_bases_equal_a_walk_over_the_graph(sqlite: Database, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    name = f"t{next(TENANTS)}"
    links = []
    for at in range(count):
        parents = data.draw(st.lists(st.integers(0, at - 1), max_size=2, unique=True)) if at else []
        device = "" if data.draw(st.booleans()) else "a"
        links.append(node(f"n{at}", *(f"n{parent}" for parent in parents), device=device, tenant=name))
    with sqlite.write() as connection:
        tenants.create(connection, tenants.Tenant(tenant=name, ca_certificate="", ca_key=""), NOW)
        for link in data.draw(st.permutations(links)):
            lineage.add(connection, name, [link])
        for made, _ in links:
            above = set(lineage.ancestors(connection, name, made.digest, 100))
            releases = {other.digest for other, _ in links if other.kind == "release"}
            assert lineage._bases(connection, name, [made.digest]).get(made.digest, set()) == above & releases


def test_the_question_is_answered_from_an_index(sqlite: Database) -> None:
    with sqlite.read() as connection:
        query = lineage.running("main", "v7").compile(
            dialect=sqlite.engine.dialect, compile_kwargs={"literal_binds": True}
        )
        plan = " ".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}"))
    assert "SCAN lineage" not in plan
    assert "(tenant=? AND base=?)" in plan

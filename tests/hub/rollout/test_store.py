"""What every store of rollouts does alike: in memory, on SQLite, on PostgreSQL."""

import threading
from collections.abc import Iterator

import msgspec
import pytest

from acclimate_hub.rollout import DeviceRow, MemoryStore, Phase, Rollout, RolloutPlan, Store, Transition
from acclimate_hub.store.database import Database
from acclimate_hub.store.rollouts import SqlRollouts
from acclimate_shared.rollout_reports import BlockReport, DeviceState
from acclimate_shared.waves import Stage
from tests.hub.rollout.world import NAME, World


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which store; the fixtures of databases look at it."""
    return str(request.param)


@pytest.fixture
def stores(kind: str, request: pytest.FixtureRequest) -> Iterator[tuple[Store, Store]]:
    """The stores of two tenants."""
    if kind == "memory":
        yield MemoryStore(), MemoryStore()
        return
    database: Database = request.getfixturevalue("database")
    yield SqlRollouts(database, "main"), SqlRollouts(database, "other")


@pytest.fixture
def store(stores: tuple[Store, Store]) -> Store:
    return stores[0]


def drafted(name: str = "r1", **changes: object) -> Rollout:
    facts = {"author": "ann", "digest": "d" * 64, "previous": "c" * 64, "salt": "s", "cohorts": ("home", "work")}
    return Rollout(id=name, plan=RolloutPlan(), **{**facts, **changes})  # type: ignore[arg-type]


def following(rollout: Rollout, **changes: object) -> Rollout:
    return msgspec.structs.replace(rollout, version=rollout.version + 1, **changes)


def step(after: Rollout, action: str = "approve") -> Transition:
    return Transition(
        rollout=after.id, version=after.version, time_s=1.5, who="bob", action=action, before=Phase.DRAFT,
        after=after.phase, wave=-1, why="looked at it", numbers={"n": 3.5},
    )  # fmt: skip


def test_a_rollout_is_what_was_put(store: Store) -> None:
    assert store.rollout("r1") is None
    first = drafted(gate=b"\x00\xff", why="drafted", next_block=2**40)
    assert store.swap(first, step(first, "create"))
    assert store.rollout("r1") == first
    second = following(first, phase=Phase.APPROVED, approver="bob")
    assert store.swap(second, step(second))
    assert store.rollout("r1") == second
    assert [t.action for t in store.transitions("r1")] == ["create", "approve"]
    assert list(store.transitions("r1"))[1] == step(second)
    assert list(store.transitions("r2")) == []


def test_only_the_version_before_is_replaced(store: Store) -> None:
    first = drafted()
    assert store.swap(first, None)
    assert not store.swap(drafted(author="eve"), step(first))
    third = following(following(first))
    assert not store.swap(third, step(third))
    assert store.swap(following(first, why="one"), None)
    assert not store.swap(following(first, why="two"), None)
    found = store.rollout("r1")
    assert found is not None
    assert (found.why, found.author) == ("one", "ann")
    assert list(store.transitions("r1")) == []
    assert not store.swap(msgspec.structs.replace(drafted("r9"), version=5), None)
    assert store.rollout("r9") is None


def test_a_number_is_given_once_and_orders_them(store: Store) -> None:
    for name in ("r1", "r2", "r3"):
        assert store.swap(drafted(name), None)
    assert store.swap(following(drafted("r2"), number=1), None)
    taken = following(drafted("r1"), number=1)
    assert not store.swap(taken, step(taken))
    assert list(store.transitions("r1")) == []
    assert store.swap(following(drafted("r1"), number=2), None)
    assert [r.id for r in store.rollouts()] == ["r3", "r2", "r1"]


def test_devices(store: Store) -> None:
    assert store.swap(drafted(), None)
    row = DeviceRow(rollout="r1", device="gw-1", cohort="home", digest="e" * 64, served_s=0.25)
    assert store.device("r1", "gw-1") is None
    assert store.swap_device(row)
    assert not store.swap_device(row)
    later = msgspec.structs.replace(row, state=DeviceState.RUNNING, version=2)
    assert store.swap_device(later)
    assert not store.swap_device(msgspec.structs.replace(row, version=2))
    assert store.swap_device(DeviceRow(rollout="r1", device="gw-2"))
    assert sorted(r.device for r in store.devices("r1")) == ["gw-1", "gw-2"]
    assert store.device("r1", "gw-1") == later


def test_blocks_are_kept_once_and_dropped(store: Store) -> None:
    assert store.swap(drafted(), None)
    facts = {"device": "gw-1", "boot": 1, "seq": 7, "rollout": "r1", "stage": Stage.SHADOW}
    block = BlockReport(block=3, labels=20, gain=-0.4, **facts)  # type: ignore[arg-type]
    other = msgspec.structs.replace(block, stage=Stage.SERVE)
    assert store.add_block(block)
    assert not store.add_block(msgspec.structs.replace(block, gain=0.4))
    assert store.add_block(other)
    assert store.add_block(msgspec.structs.replace(block, block=4))
    assert sorted(r.stage for r in store.blocks("r1", 3)) == sorted([Stage.SHADOW, Stage.SERVE])
    assert block in list(store.blocks("r1", 3))
    store.drop_blocks("r1", 4)
    assert list(store.blocks("r1", 3)) == []
    assert len(list(store.blocks("r1", 4))) == 1


def test_tenants_see_nothing_of_each_other(stores: tuple[Store, Store]) -> None:
    mine, theirs = stores
    assert mine.swap(following_number(drafted()), None)
    assert theirs.rollout("r1") is None
    assert theirs.swap(following_number(drafted(author="eve")), None)
    found = mine.rollout("r1")
    assert found is not None
    assert found.author == "ann"


def following_number(rollout: Rollout) -> Rollout:
    return msgspec.structs.replace(rollout, number=1)


def test_of_many_at_once_one_wins(store: Store) -> None:
    first = drafted()
    assert store.swap(first, None)
    ready, won = threading.Barrier(8), list[str]()

    def race(who: str) -> None:
        ready.wait()
        after = following(first, why=who)
        if store.swap(after, step(after)):
            won.append(who)

    threads = [threading.Thread(target=race, args=(str(i),)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    found = store.rollout("r1")
    assert found is not None
    assert found.why == won[0]
    assert len(list(store.transitions("r1"))) == 1


def test_a_whole_rollout_on_every_store(store: Store) -> None:
    world = World(store=store).started()
    done = world.until(Phase.DONE)
    assert done.wave == len(done.plan.waves) - 1
    actions = [t.action for t in store.transitions(NAME)]
    assert actions[:3] == ["create", "approve", "start"]
    assert actions.count("advance") == len(done.plan.waves) - 1 or actions[-1] == "advance"


def test_a_bad_base_is_aborted_on_every_store(store: Store) -> None:
    world = World(devices=3, store=store).started()
    assert world.until(Phase.ABORTED, loss=0.03).why.startswith("loss")

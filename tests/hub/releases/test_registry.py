from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_hub.releases.registry import AliasLog, FileAliasLog, MemoryAliasLog, Registry
from acclimate_shared.bundle import describe
from acclimate_shared.errors import CorruptStateError, StateMismatchError, UsageError
from acclimate_shared.release import Listed
from tests.bundles import bundle_bytes
from tests.trust import START, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    for seed in range(3):
        world.release(bundle_bytes(seed))
    return world


@pytest.fixture(params=["file", "memory"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> AliasLog:
    return FileAliasLog(tmp_path / "log" / "aliases.jsonl") if request.param == "file" else MemoryAliasLog()


def registry(world: World, log: AliasLog) -> Registry:
    return Registry(world.hub.listed, log, lambda: world.now)


def test_names_of_releases(world: World, log: AliasLog) -> None:
    found = registry(world, log)
    items = found.versions("counter")
    assert [item.release.version for item in items] == ["1.0", "1.1", "1.2"]
    found.point("counter", "stable", "1.1", by="ann", why="first")
    for name in ("1.1", "stable", items[1].digest, items[1].digest[:16]):
        assert found.find("counter", name) == items[1]
    for name in ("2.0", "canary", items[1].digest[:15], ""):
        with pytest.raises(UsageError, match="no such release"):
            found.find("counter", name)
    assert found.versions("other") == []


def test_a_rollback_is_one_call_and_one_more_move(world: World, log: AliasLog) -> None:
    found = registry(world, log)
    for version in ("1.0", "1.1", "1.1", "1.2"):
        found.point("counter", "stable", version, by="ann", why="better")
    back = [found.rollback("counter", "stable", by="bob", why="worse").digest for _ in range(2)]
    assert back == [item.digest for item in found.versions("counter")[1::-1]]
    with pytest.raises(UsageError, match="nothing to go back to"):
        found.rollback("counter", "stable", by="bob", why="worse")
    moves = registry(world, log).history("counter", "stable")
    assert [move.kind for move in moves] == ["set"] * 4 + ["rollback"] * 2
    assert [move.index for move in moves] == list(range(6))
    assert (moves[-1].by, moves[-1].why, moves[-1].at) == ("bob", "worse", START)


def test_nobody_goes_back_to_what_was_withdrawn(world: World, log: AliasLog) -> None:
    found = registry(world, log)
    first = found.point("counter", "stable", "1.0", by="ann", why="first").digest
    found.point("counter", "stable", "1.1", by="ann", why="next")
    world.author.withdraw(first, world.now)
    world.sign("targets")
    world.publish()
    with pytest.raises(UsageError, match="no such release"):
        found.rollback("counter", "stable", by="ann", why="worse")
    with pytest.raises(UsageError):
        found.point("counter", "stable", first, by="ann", why="again")


def test_a_move_is_for_the_record(world: World, log: AliasLog) -> None:
    found = registry(world, log)
    for alias, by, why in (
        ("Stable", "a", "b"),
        ("../x", "a", "b"),
        ("s", "", "b"),
        ("s", "a", " "),
        ("s", "a", "x" * 1001),
    ):
        with pytest.raises(UsageError):
            found.point("counter", alias, "1.0", by=by, why=why)
    assert found.history("counter", "s") == []


def test_two_at_once(world: World, log: AliasLog) -> None:
    move = registry(world, log).point("counter", "stable", "1.0", by="ann", why="first")
    with pytest.raises(StateMismatchError):
        log.append(move)
    assert log.moves("counter", "stable") == [move]


def test_a_power_cut_in_the_middle_of_a_line(world: World, tmp_path: Path) -> None:
    path = tmp_path / "aliases.jsonl"
    found = registry(world, FileAliasLog(path))
    first = found.point("counter", "stable", "1.0", by="ann", why="first")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    assert found.history("counter", "stable") == [first]
    second = found.point("counter", "stable", "1.1", by="ann", why="next")
    assert found.history("counter", "stable") == [first, second]
    path.write_bytes(b"{}\n" + whole)
    with pytest.raises(CorruptStateError):
        found.history("counter", "stable")


def item_of(listed: Listed, version: int) -> Listed:
    release = msgspec.structs.replace(listed.release, version=f"1.{version}")
    return Listed(digest=f"{version:064x}", length=listed.length, release=release)


@given(st.lists(st.one_of(st.none(), st.integers(0, 3)), max_size=20))
def test_rollbacks_undo_advances_as_a_stack_does(acts: list[int | None]) -> None:

    items = [item_of(describe(bundle_bytes(), "1.0"), version) for version in range(4)]
    found = Registry(lambda: items, MemoryAliasLog(), lambda: START)
    stack: list[int] = []
    for act in acts:
        if act is not None:
            found.point("counter", "a", f"1.{act}", by="x", why="y")
            stack += [act] if stack[-1:] != [act] else []
        elif len(stack) > 1:
            found.rollback("counter", "a", by="x", why="y")
            stack.pop()
        if stack:
            assert found.find("counter", "a").release.version == f"1.{stack[-1]}"

"""Words for releases: what they mean, have meant, and how they go back, on both databases."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_hub.releases.aliases import Decision, history, point, release_of, roll_back, trail
from acclimate_hub.store import audit, releases
from acclimate_hub.store.database import Database
from acclimate_shared.errors import ConflictError, MissingError, UsageError

ONE, TWO, THREE = (digit * 64 for digit in "123")
TENANT = "main"


def because(why: str = "because", seen: int | None = None) -> Decision:
    return Decision(actor="ann", why=why, seen=seen, now_s=7.0)


@pytest.fixture
def fleet(database: Database) -> Database:
    with database.write() as connection:
        for at, digest in enumerate((ONE, TWO, THREE)):
            columns = {"digest": digest, "name": "pump", "version": f"1.{at}", "manifest": b"{}"}
            releases.add(connection, TENANT, columns, {}, float(at))
    return database


def means(fleet: Database, alias: str = "stable") -> list[str]:
    with fleet.read() as connection:
        return [row.release for row in history(connection, TENANT, alias)]


def test_a_release_has_a_digest_a_version_and_aliases(fleet: Database) -> None:
    with fleet.write() as connection:
        point(connection, TENANT, "stable", "pump:1.1", because())
        point(connection, TENANT, "old", ONE[:12], because())
        point(connection, TENANT, "canary", "stable", because())
        assert [release_of(connection, TENANT, w).digest for w in ("stable", "old", "canary", THREE, "pump:1.2")] == [
            TWO, ONE, TWO, THREE, THREE,
        ]  # fmt: skip
        listed = connection.execute(releases.newest_aliases(TENANT)).all()
        assert {row.name: row.release for row in listed} == {"stable": TWO, "old": ONE, "canary": TWO}
        assert connection.execute(releases.newest_aliases("other")).all() == []


@pytest.mark.parametrize("words", ["", "newest", "pump:9.9", ":1.0", "pump:", ONE[:11], "4" * 64, "1%%%%%%%%%%%"])
def test_what_names_no_release_is_refused(fleet: Database, words: str) -> None:
    with fleet.read() as connection, pytest.raises(MissingError, match="no such release"):
        release_of(connection, TENANT, words)
    with fleet.read() as connection, pytest.raises(MissingError):
        release_of(connection, "other", ONE)


@pytest.mark.parametrize("alias", ["", "Stable", "9lives", "a b", "a" * 33, "a\n", "abcdef012345"])
def test_a_word_that_is_none_is_refused(fleet: Database, alias: str) -> None:
    with fleet.write() as connection, pytest.raises(UsageError, match="not an alias"):
        point(connection, TENANT, alias, ONE, because())


def test_the_way_back_is_one_call_and_one_more_move(fleet: Database) -> None:
    with fleet.write() as connection:
        for digest in (ONE, TWO, THREE):
            point(connection, TENANT, "stable", digest, because())
        assert roll_back(connection, TENANT, "stable", because("slow")).release == TWO
        assert roll_back(connection, TENANT, "stable", because("worse")).release == ONE
        with pytest.raises(ConflictError, match="nothing to go back to"):
            roll_back(connection, TENANT, "stable", because())
        assert point(connection, TENANT, "stable", THREE, because("mended")).row_version == 6
        with pytest.raises(MissingError):
            roll_back(connection, TENANT, "unheard-of", because())
    assert means(fleet) == [THREE, ONE, TWO, THREE, TWO, ONE]
    with fleet.read() as connection:
        acts = [
            (one.actor, one.action, json.loads(one.detail)["why"]) for one in audit.entries(connection, TENANT, 0, 99)
        ]
    assert acts[-3:] == [
        ("ann", "alias.roll-back", "slow"),
        ("ann", "alias.roll-back", "worse"),
        ("ann", "alias.point", "mended"),
    ]


def test_of_two_who_decide_at_once_one_is_refused(fleet: Database) -> None:
    with fleet.write() as connection:
        point(connection, TENANT, "stable", ONE, because(seen=0))
        for seen in (0, 2):
            with pytest.raises(ConflictError, match="meanwhile"):
                point(connection, TENANT, "stable", TWO, because(seen=seen))
        point(connection, TENANT, "stable", TWO, because(seen=1))
        with pytest.raises(ConflictError, match="meanwhile"):
            roll_back(connection, TENANT, "stable", because(seen=1))
    assert means(fleet) == [TWO, ONE]


def test_nobody_goes_to_what_was_withdrawn(fleet: Database) -> None:
    with fleet.write() as connection:
        point(connection, TENANT, "stable", ONE, because())
        point(connection, TENANT, "stable", TWO, because())
        releases.withdraw(connection, TENANT, ONE, 5.0)
        with pytest.raises(ConflictError, match="withdrawn"):
            roll_back(connection, TENANT, "stable", because())
        with pytest.raises(ConflictError, match="withdrawn"):
            point(connection, TENANT, "stable", ONE, because())
    assert means(fleet) == [TWO, ONE]


@given(st.lists(st.sampled_from("abcd")))
def test_a_trail_has_no_way_back_in_it(meant: list[str]) -> None:
    found = trail(meant)
    assert found[-1:] == meant[-1:]
    assert all(one != other for one, other in pairwise(found))
    assert all(one != other for one, other in zip(found, found[2:], strict=False))

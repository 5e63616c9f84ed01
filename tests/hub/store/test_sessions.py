import pytest

from acclimate_hub import limits
from acclimate_hub.identity import api_tokens
from acclimate_hub.store import sessions
from acclimate_hub.store.database import Database
from acclimate_shared.errors import ConflictError
from tests.hub.conftest import NOW


def made(database: Database) -> str:
    with database.write() as connection:
        wish = api_tokens.Wish(name="desk", scope="viewer", expires_s=NOW + 1000)
        return api_tokens.create(connection, "main", wish, "cli", NOW).id


def add(database: Database, session: str, token: str, now_s: float = NOW, expires_s: float = NOW + 500) -> None:
    with database.write() as connection:
        sessions.add(connection, session=session, tenant="main", token=token, now_s=now_s, expires_s=expires_s)


def alive(database: Database, session: str, now_s: float = NOW) -> bool:
    with database.read() as connection:
        return sessions.live(connection, session, now_s) is not None


def test_a_session_lives_as_long_as_it_says_and_as_its_token(database: Database) -> None:
    token = made(database)
    add(database, "a", token)
    with database.read() as connection:
        row = sessions.live(connection, "a", NOW)
        assert row is not None
        assert (row.tenant, row.token, row.scope, row.name) == ("main", token, "viewer", "desk")
    assert not alive(database, "b")
    assert alive(database, "a", NOW + 499)
    assert not alive(database, "a", NOW + 500)
    add(database, "long", token, expires_s=NOW + 5000)
    assert alive(database, "long", NOW + 999)
    assert not alive(database, "long", NOW + 1000)
    with database.write() as connection:
        api_tokens.revoke(connection, "main", token, "cli", NOW)
    assert not alive(database, "long")


def test_an_end_ends_one_and_old_ones_are_cleared(database: Database) -> None:
    token = made(database)
    for session in ("a", "b"):
        add(database, session, token)
    with pytest.raises(ConflictError):
        add(database, "a", token)
    with database.write() as connection:
        sessions.end(connection, "a")
    assert not alive(database, "a")
    assert alive(database, "b")
    add(database, "a", token, now_s=NOW + 500, expires_s=NOW + 600)  # its key is free again
    assert not alive(database, "b")


def test_only_the_sessions_of_the_same_token_make_room(database: Database) -> None:
    token, other = made(database), made(database)
    add(database, "other", other)
    for at in range(limits.MAX_SESSIONS + 3):
        add(database, f"s-{at}", token, now_s=NOW + at)
    found = [alive(database, f"s-{at}", NOW + 100) for at in range(limits.MAX_SESSIONS + 3)]
    assert found == [False] * 3 + [True] * limits.MAX_SESSIONS
    assert alive(database, "other")

"""Predictions that are too many for the memory wait on the disk, and nothing that is learned differs for it."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from acclimate_device import join
from acclimate_device.agent import Agent
from acclimate_device.durability import Durability
from acclimate_device.spill import Spill
from acclimate_device.store_tables import FILE
from acclimate_device.wipe import rotate
from acclimate_shared.errors import UnknownPredictionError
from tests.device.durability.moments import OPTIONS, bits, crashed
from tests.device.test_agent import events

DELAY, ROWS = 120, 300
TIGHT = 24 * 2**10  # bytes: about twenty predictions


def late(agent: Agent, rows: range) -> None:
    """Predict events, each labelled DELAY events later."""
    stream = events(ROWS)
    for at in rows:
        agent.predict(stream[at][0], event_id=f"-{at}")
        if at >= DELAY:
            agent.feedback(f"-{at - DELAY}", stream[at - DELAY][1])


def settled(agent: Agent) -> str:
    """Return all bits of an agent, with every prediction back in memory."""
    agent._log.most_bytes = 2**30
    agent._log.bring_back()
    return bits(agent)


def complete(agent: Agent) -> None:
    """Let everyone answer, and the journal have it."""
    assert agent._arena is not None
    agent._complete(agent._arena)
    agent._keeper.acknowledge()


def on_disk(folder: Path) -> int:
    with sqlite3.connect(folder / FILE) as connection:
        return int(connection.execute("SELECT count(*) FROM waiting").fetchone()[0])


@pytest.mark.parametrize("state", [None, "journal", "thrifty"])
def test_nothing_that_is_learned_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str | None) -> None:
    with Agent(**OPTIONS) as roomy:
        late(roomy, range(ROWS))
        expected, waiting = settled(roomy), len(roomy._log)
    if state is None:
        return
    monkeypatch.setattr(join, "MOST_WAITING_BYTES", TIGHT)
    durability = Durability(profile="thrifty") if state == "thrifty" else Durability()
    with Agent(**OPTIONS, state=tmp_path, durability=durability) as agent:
        late(agent, range(ROWS))
        status = agent.status()
        assert 0 < status["waiting"] - status["waiting_on_disk"] < 40
        assert status["waiting"] == waiting
        assert settled(agent) == expected


def test_a_crash_and_a_change_of_keys_lose_none_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Agent(**OPTIONS) as roomy:
        for begin, end in ((0, 170), (170, 220), (220, ROWS)):
            late(roomy, range(begin, end))
            if end < ROWS:
                roomy.commit()  # a change of keys begins with one
        expected = settled(roomy)
    monkeypatch.setattr(join, "MOST_WAITING_BYTES", TIGHT)
    here = tmp_path / "0"
    for turn, (begin, end) in enumerate([(0, 90), (90, 170), (170, 220), (220, ROWS)]):
        agent = Agent(**OPTIONS, state=here)
        late(agent, range(begin, end))
        complete(agent)
        if turn == 1:
            agent.commit()
        if turn == 2:
            agent.close()
            assert on_disk(here)
            rotate(here)
        elif end < ROWS:
            here = crashed(agent, here, tmp_path / str(turn + 1))
    assert settled(agent) == expected
    agent.close()


def test_rows_leave_the_disk_two_checkpoints_after_their_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join, "MOST_WAITING_BYTES", TIGHT)
    with Agent(**OPTIONS, state=tmp_path) as agent:
        late(agent, range(ROWS))
        for at in range(ROWS - DELAY, ROWS):
            agent.feedback(f"-{at}", events(ROWS)[at][1])
        assert agent.status()["waiting"] == 0
        counts = []
        for _ in range(2):
            agent.commit()
            counts.append(_rows(agent))
        assert counts[0] > counts[1] == 0


def _rows(agent: Agent) -> int:
    assert agent.store is not None
    with agent.store.rows() as execute:
        return int(execute("SELECT count(*) FROM waiting").fetchone()[0])


def test_rows_that_no_checkpoint_knows_are_deleted(tmp_path: Path) -> None:
    with Agent(**OPTIONS, state=tmp_path) as agent:
        late(agent, range(40))
        complete(agent)
        assert agent.store is not None
        orphan = next(iter(agent._log.items()))
        Spill(agent.store).put([orphan])
    with Agent(**OPTIONS, state=tmp_path) as agent:
        assert _rows(agent) == 1
        for at in range(3):
            agent.feedback(f"-{at}", "a")
            agent.commit()
        assert _rows(agent) == 0


def test_without_a_place_to_wait_the_oldest_are_forgotten_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join, "MOST_WAITING_BYTES", TIGHT)
    kept: dict[str, Any] = {"state": tmp_path, "durability": Durability(retention="none")}
    for options in ({}, kept):
        with Agent(**OPTIONS, **options) as agent:
            for row, _ in events(200):
                agent.predict(row)
            complete(agent)
            status = agent.status()
            assert (status["waiting"] < 40, status["waiting_on_disk"]) == (True, 0)
            assert status["forgotten"] == 200 - status["waiting"]
            with pytest.raises(UnknownPredictionError):
                agent.feedback(f"{agent._boot}-0", "a")
    assert on_disk(tmp_path) == 0


def test_a_damaged_row_is_one_lost_prediction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join, "MOST_WAITING_BYTES", TIGHT)
    with Agent(**OPTIONS, state=tmp_path) as agent:
        late(agent, range(100))
        complete(agent)
        assert agent.store is not None
        with agent.store.rows() as execute:
            (body,) = execute("SELECT body FROM waiting WHERE sequence = 3").fetchone()
            execute("UPDATE waiting SET body = ? WHERE sequence = 3", [body[:-1] + bytes([body[-1] ^ 1])])
        agent.feedback("-2", events(ROWS)[2][1])
        with pytest.raises(UnknownPredictionError):
            agent.feedback("-3", events(ROWS)[3][1])
        assert agent.status()["forgotten"] == 1


def test_what_waits_on_the_disk_is_bounded_and_the_oldest_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join, "MOST_WAITING_BYTES", TIGHT)
    monkeypatch.setattr(join, "MOST_AWAY_BYTES", 2 * TIGHT)
    with Agent(**OPTIONS, state=tmp_path) as agent:
        for at, (features, _) in enumerate(events(ROWS)):
            agent.predict(features, event_id=f"-{at}")
        agent.flush()
        complete(agent)
        for _ in range(3):
            agent.commit()
        status = agent.status()
        assert 10 < status["waiting_on_disk"] < 80
        assert status["forgotten"] == ROWS - status["waiting"] > 100
        assert _rows(agent) == status["waiting_on_disk"]
        with pytest.raises(UnknownPredictionError):
            agent.feedback("-0", events(1)[0][1])
        agent.feedback(f"-{status['forgotten']}", events(1)[0][1])

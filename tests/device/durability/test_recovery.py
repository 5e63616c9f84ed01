"""Stopped or killed anywhere, resumed, and no bit differs from a run that nobody disturbed."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acclimate_device.agent import Agent
from acclimate_device.control import lineage_of
from acclimate_device.durability import Durability
from acclimate_device.journal import path_of
from acclimate_device.segment import SECTOR_BYTES, FileSegment
from acclimate_device.spare import COPY, MOST_ASIDE, set_aside
from acclimate_device.store import Store
from acclimate_device.store_tables import FILE
from acclimate_device.triggers import Policy
from acclimate_shared.errors import AcclimateError, DuplicateLabelError, StateError
from tests.device.durability.moments import OPTIONS, bits, crashed
from tests.device.test_agent import events, taught
from tests.device.test_pace import FakeClock

VOLUME = {"kind": "volume", "labelled": 70}
TIME = {"kind": "time", "every_s": 30.0}


@pytest.mark.parametrize("how", ["close", "crash"])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_train_2n_equals_train_n_stop_resume_train_n(tmp_path: Path, how: str, task: Any) -> None:
    options = OPTIONS | {"task": task, "learners": ["softmax", "knn"] if task == "classification" else ["rls", "knn"]}
    rows: list[tuple[dict[str, object], Any]] = [*events(140)]
    if task == "regression":
        rows = [(row, float(i % 7) + 0.25) for i, (row, _) in enumerate(rows)]
    whole = taught(Agent(**options), rows)
    folder, at = tmp_path / "state", 0
    agent = Agent(**options, state=folder)
    for stop in (5, 77, 140):
        taught(agent, rows[at:stop])
        at = stop
        if how == "close":
            agent.close()
        else:
            folder = crashed(agent, folder, tmp_path / f"after-{stop}")
        agent = Agent(**options, state=folder)
    assert bits(agent) == bits(whole)
    agent.close()
    lineage = lineage_of(folder)
    assert sum(record.window.labels for record in lineage if record.window) == 128


def test_late_labels_and_other_ways_to_learn_survive(tmp_path: Path) -> None:
    rows = events(200)

    def feed(agent: Agent, begin: int, end: int, ids: list[str]) -> None:
        for i in range(begin, end):
            ids.append(agent.predict(rows[i][0]).id)
            if i >= 20:
                agent.feedback(ids[i - 20], rows[i - 20][1], 0.5 + i % 3)
            if i % 50 == 49:
                agent.learn_many([row for row, _ in rows[:40]], [label for _, label in rows[:40]])

    whole, ids = Agent(**OPTIONS), list[str]()
    feed(whole, 0, 200, ids)
    agent, mine = Agent(**OPTIONS, state=tmp_path / "a"), list[str]()
    feed(agent, 0, 137, mine)
    folder = crashed(agent, tmp_path / "a", tmp_path / "b")
    agent = Agent(**OPTIONS, state=folder)
    feed(agent, 137, 200, mine)
    assert bits(agent) == bits(whole)
    with pytest.raises(DuplicateLabelError):
        agent.feedback(mine[3], "class1")
    agent.close()


def test_held_labels_and_sources_that_disagree_recover(tmp_path: Path) -> None:
    rows, policy = events(260), Policy.from_dict({"trigger": {"kind": "any", "of": [VOLUME, TIME]}})

    def feed(agent: Agent, clock: FakeClock, begin: int, end: int) -> None:
        for i in range(begin, end):
            clock.now_s += 1.0
            features, label = rows[i]
            answer = agent.predict(features)
            who = f"source-{i % 3}"
            agent.feedback(answer.id, "class0" if who == "source-2" and i % 4 else label, source=who)
            if i % 9 == 8:
                agent.predict(features)  # nobody will label it
                clock.now_s += 7.0
                agent.tick()
            if i % 50 == 49:
                agent.learn_many([row for row, _ in rows[:40]], [label for _, label in rows[:40]], source="file")

    clocks = [FakeClock(), FakeClock()]
    whole = Agent(**OPTIONS, triggers=policy, clock=clocks[0])
    feed(whole, clocks[0], 0, 260)
    assert whole.status()["admission"]["in_quarantine"] > 0
    folder, at = tmp_path / "0", 0
    agent = Agent(**OPTIONS, triggers=policy, clock=clocks[1], state=folder)
    for stop in (60, 137, 260):
        feed(agent, clocks[1], at, stop)
        at, folder = stop, crashed(agent, folder, tmp_path / f"after-{stop}")
        agent = Agent(**OPTIONS, triggers=policy, clock=clocks[1], state=folder)
    assert bits(agent) == bits(whole)
    agent.close()


def test_what_a_worker_learned_together_is_learned_together_again(tmp_path: Path) -> None:
    rows = events(300)
    agent = Agent(**OPTIONS, state=tmp_path / "a", background=True)
    ids = [agent.predict(row).id for row, _ in rows]
    for name, (_, label) in zip(ids, rows, strict=True):
        agent.feedback(name, label)
    agent.flush()
    agent._keeper.acknowledge()
    before = bits(agent)
    folder = crashed(agent, tmp_path / "a", tmp_path / "b")
    with Agent(**OPTIONS, state=folder) as again:
        assert bits(again) == before


def test_labels_that_wait_for_the_worker_are_part_of_a_checkpoint(tmp_path: Path) -> None:
    agent = Agent(**OPTIONS, state=tmp_path / "a")
    taught(agent, events(40))
    answer = agent.predict(events(41)[40][0])
    agent._learn = list  # type: ignore[method-assign, assignment]
    agent.feedback(answer.id, "class1")  # acknowledged; its turn has not come
    agent._save(version=False, forced=True)
    folder = crashed(agent, tmp_path / "a", tmp_path / "b")
    for _ in range(2):
        with Agent(**OPTIONS, state=folder) as again:
            assert again.status()["learned"] == 41


def test_a_label_that_cannot_be_kept_is_refused_and_may_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(**OPTIONS, state=tmp_path / "a")
    taught(agent, events(40))
    answer = agent.predict(events(41)[40][0])
    full = [True]
    write = FileSegment.write

    def refuse(self: FileSegment, offset: int, data: bytes) -> None:
        if full[0]:
            raise OSError(28, "No space left on device")
        write(self, offset, data)

    monkeypatch.setattr(FileSegment, "write", refuse)
    with pytest.raises(StateError, match="No space left"):
        agent.feedback(answer.id, "a new class")
    assert agent.status()["learned"] == 40
    full[0] = False
    agent.feedback(answer.id, "class1")
    taught(agent, [(events(1)[0][0], "another class")])
    before = bits(agent)
    folder = crashed(agent, tmp_path / "a", tmp_path / "b")
    with Agent(**OPTIONS, state=folder) as again:
        assert bits(again) == before
        assert again.status()["learned"] == 42


def test_a_full_disk_at_a_checkpoint_does_not_stop_learning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = taught(Agent(**OPTIONS, state=tmp_path / "a"), events(5))
    monkeypatch.setattr(Durability, "due", lambda *_, **__: True)
    monkeypatch.setattr(Store, "commit", _full)
    taught(agent, events(100))
    assert "disk is full" in str(agent.status()["trouble"])
    before = bits(agent)
    folder = crashed(agent, tmp_path / "a", tmp_path / "b")
    monkeypatch.undo()
    with Agent(**OPTIONS, state=folder) as again:
        assert bits(again) == before


def _full(*_: object, **__: object) -> None:
    raise StateError("the state cannot be used: database or disk is full", field="state")


def test_a_damaged_checkpoint_is_named_and_the_one_before_goes_on_with_the_journal(tmp_path: Path) -> None:
    agent = Agent(**OPTIONS, state=tmp_path / "a")
    rows = events(150)
    for begin in (0, 50, 100):
        taught(agent, rows[begin : begin + 50])
        agent.commit()
    before = bits(agent)
    agent.release()
    with closing(sqlite3.connect(tmp_path / "a" / FILE)) as database, database:
        database.execute(
            "UPDATE checkpoint SET body = zeroblob(99) WHERE generation = (SELECT max(generation) FROM checkpoint)"
        )
    agent = Agent(**OPTIONS, state=tmp_path / "a")
    assert "a record is damaged" in str(agent.status()["trouble"])
    assert agent.status()["learned"] == 150
    assert bits(agent) == before
    agent.close()
    assert lineage_of(tmp_path / "a")


@pytest.mark.parametrize("damage", ["garbage", "truncated", "header"])
def test_a_damaged_file_is_set_aside_and_the_copy_serves(tmp_path: Path, damage: str) -> None:
    with Agent(**OPTIONS, state=tmp_path) as agent:
        taught(agent, events(60))
    with closing(Store(tmp_path)) as store:
        store.copy()
    data = (tmp_path / FILE).read_bytes()
    broken = {"garbage": b"x" * len(data), "truncated": data[: len(data) // 3], "header": b"\0" * 100 + data[100:]}
    (tmp_path / FILE).write_bytes(broken[damage])
    with Agent(**OPTIONS, state=tmp_path) as agent:
        assert "set aside as acclimate.db.damaged-1" in str(agent.status()["trouble"])
        assert agent.status()["learned"] == 60
        taught(agent, events(10))
    assert (tmp_path / "acclimate.db.damaged-1").read_bytes() == broken[damage]
    (tmp_path / FILE).write_bytes(b"x" * 9000)
    (tmp_path / COPY).unlink()
    with pytest.raises(StateError, match="damaged"):
        Agent(**OPTIONS, state=tmp_path)


def test_a_disk_that_spoils_everything_is_not_filled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for at in range(MOST_ASIDE + 3):
        path = tmp_path / f"{FILE}-{at % 2}"
        path.write_text(str(at))
        set_aside(path)
    kept = sorted(int(path.read_text()) for path in tmp_path.iterdir())
    assert kept == list(range(3, MOST_ASIDE + 3))
    assert [record.args[0] for record in caplog.records if isinstance(record.args, tuple)] == [
        f"{FILE}-0.damaged-1",
        f"{FILE}-1.damaged-1",
        f"{FILE}-0.damaged-2",
    ]


def test_what_was_set_aside_is_never_overwritten(tmp_path: Path) -> None:
    for text in (b"1", b"2", b"3"):
        (tmp_path / FILE).write_bytes(text)
        set_aside(tmp_path / FILE)
    (tmp_path / (FILE + ".damaged-1")).unlink()
    (tmp_path / FILE).write_bytes(b"4")
    assert set_aside(tmp_path / FILE).name == FILE + ".damaged-4"
    assert (tmp_path / (FILE + ".damaged-3")).read_bytes() == b"3"


def test_any_torn_tail_of_the_wal_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    store = Store(tmp_path / "a")
    for i in range(3):
        store.commit({"t": np.full(3000, i)}, {"n": i})
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with store._turns.one():
        store._write({"t": np.full(3000, 3)}, {"n": 3}, [], 0)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    store.close()
    wal = (tmp_path / "b" / (FILE + "-wal")).read_bytes()
    seen = set()
    for cut in [*range(0, len(wal), 1500), len(wal)]:
        for tail in (b"", b"\xa5" * 64):
            shutil.copytree(tmp_path / "b", tmp_path / "c")
            (tmp_path / "c" / (FILE + "-wal")).write_bytes(wal[:cut] + tail)
            with closing(Store(tmp_path / "c")) as torn:
                saved = torn.load()
            assert saved is not None
            assert saved[0]["t"].tolist() == [saved[1]["n"]] * 3000
            seen.add(saved[1]["n"])
            shutil.rmtree(tmp_path / "c")
    assert seen == {2, 3}


def test_torn_journals_of_an_agent_are_told(tmp_path: Path) -> None:
    agent = Agent(**OPTIONS, state=tmp_path / "a")
    taught(agent, events(60))
    folder = crashed(agent, tmp_path / "a", tmp_path / "b")
    path = path_of(folder, 1)
    data = bytearray(path.read_bytes())
    data[10 * SECTOR_BYTES + 70] ^= 255
    path.write_bytes(data)
    try:
        again = Agent(**OPTIONS, state=folder)
    except AcclimateError as exc:  # never a traceback
        pytest.fail(str(exc))
    assert "journal is damaged" in str(again.status()["trouble"])
    assert 0 < again.status()["learned"] < 60
    taught(again, events(20))
    learned = again.status()["learned"]
    again.close()
    with Agent(**OPTIONS, state=folder) as once_more:
        assert once_more.status()["learned"] == learned


def test_a_class_that_a_checkpoint_has_heard_of_and_no_learner_yet(tmp_path: Path) -> None:
    options = OPTIONS | {"learners": ["softmax", "naive-bayes"]}
    rows = [(row, f"class{i % 2 if i < 40 else i % 5}") for i, (row, _) in enumerate(events(80))]

    def feed(agent: Agent, begin: int, end: int) -> Agent:
        for i, (row, label) in list(enumerate(rows))[begin:end]:
            source = "a" if i < 40 else f"b{i}"  # before somebody new is heard, a checkpoint is made
            agent.feedback(agent.predict(row).id, label, source=source)
        return agent

    whole = feed(Agent(**options), 0, 80)
    agent = feed(Agent(**options, state=tmp_path / "a"), 0, 43)
    folder = crashed(agent, tmp_path / "a", tmp_path / "b")
    agent = feed(Agent(**options, state=folder), 43, 80)
    assert bits(agent) == bits(whole)
    agent.close()

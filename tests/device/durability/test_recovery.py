"""Stopped or killed anywhere, resumed, and no bit differs from a run that nobody disturbed."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acclimate_device.agent import Agent
from acclimate_device.control import lineage_of, reopen
from acclimate_device.durability import Durability
from acclimate_device.journal import PREFIX, path_of
from acclimate_device.replay_file import Request, replay_file
from acclimate_device.segment import SECTOR_BYTES, FileSegment
from acclimate_device.spare import COPY
from acclimate_device.status import describe
from acclimate_device.store import FILE, Store
from acclimate_device.wipe import rewrap, rotate, wipe
from acclimate_shared.errors import AcclimateError, DuplicateLabelError, StateError, UsageError
from tests import streams
from tests.device.test_agent import events, taught

GOLDEN = Path(__file__).parent.parent / "golden"
OPTIONS: dict[str, Any] = {"task": "classification", "learners": ["softmax", "naive-bayes"], "micro_batch": 32}


def bits(agent: Agent) -> str:
    """Return everything that an agent's future depends on."""
    if agent._arena is None or agent._inputs is None:
        return ""
    agent._complete(agent._arena)
    tensors = {name: np.asarray(array).tobytes().hex() for name, array in agent._arena.tensors().items()}
    log = [[item.id.partition("-")[2], item.sequence, item.x.tolist()] for item in agent._log.items()]
    keeper = agent._keeper
    rest = [agent._arena.document(), agent._inputs.document(), log, keeper.learned, keeper.commits, keeper.since_commit]
    return json.dumps([tensors, rest], sort_keys=True, default=str)


def crashed(agent: Agent, folder: Path, to: Path) -> Path:
    """Return a copy of the folder as it is now, as if power failed at this moment; the agent is let go."""
    shutil.copytree(folder, to)
    agent.release()
    return to


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


def test_any_torn_tail_of_the_wal_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    store = Store(tmp_path / "a")
    for i in range(3):
        store.commit({"t": np.full(3000, i)}, {"n": i})
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with store._transaction():
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


# -- privacy --------------------------------------------------------------------------------------------------------


def test_nothing_readable_is_written(tmp_path: Path) -> None:
    number = 1234567.25
    with Agent(**OPTIONS, key="canary-key", state=tmp_path) as agent:
        for i in range(70):
            row = {"canary-column": number + i, "kind": f"canary-{i % 3}", "canary-key": f"canary-{i % 5}"}
            agent.feedback(agent.predict(row).id, f"canary-label-{i % 2}")
        agent.predict(row)
        agent._complete(agent._arena)  # type: ignore[arg-type]
    found = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert len(found) > 10_000
    needles = [b"canary", str(number).encode()]
    needles += [np.array(number + 69, kind).tobytes() for kind in ("<f4", "<f8", ">f8")]
    assert [needle for needle in needles if needle in found] == []
    assert b"committee" not in found.replace((lineage_bytes := lineage_of(tmp_path).dumps()), b"") or lineage_bytes


def test_no_row_is_kept_where_none_may_be(tmp_path: Path) -> None:
    none = Durability(retention="none")
    with pytest.raises(UsageError, match="knn"):
        Agent(task="classification", state=tmp_path, durability=none)
    with Agent(**OPTIONS, state=tmp_path, durability=none) as agent:
        taught(agent, events(50))
        agent.predict(events(1)[0][0])
        assert "labels of the last" in agent.status()["may_be_lost"]
    assert not list(tmp_path.glob(PREFIX + "*"))
    with closing(Store(tmp_path)) as store:
        saved = store.load()
    assert saved is not None
    assert saved[1]["waiting"] == []
    assert not [name for name in saved[0] if "waiting" in name or "queued" in name]
    with reopen(tmp_path) as agent:
        assert agent.status()["learned"] == 50
        assert "labels of the last" in agent.status()["may_be_lost"]


def test_a_thrifty_agent_makes_few_checkpoints(tmp_path: Path) -> None:
    agent = Agent(**OPTIONS, state=tmp_path, durability=Durability(profile="thrifty"))
    taught(agent, events(200))
    with closing(Store(Path(shutil.copytree(tmp_path, tmp_path / "copy")))) as store:
        saved = store.load()
    assert saved is not None
    assert saved[1]["counters"]["learned"] == 0  # the loss window of the profile, as it says
    agent.close()
    with Agent(**OPTIONS, state=tmp_path, durability=Durability(profile="thrifty")) as agent:
        assert agent.status()["learned"] == 200


def test_status_counts_wear_over_a_life(tmp_path: Path) -> None:
    seen = [0]
    for begin in (0, 40):
        with Agent(**OPTIONS, state=tmp_path) as agent:
            taught(agent, events(80)[begin : begin + 40])
            seen.append(agent.status()["bytes_written"])
        seen.append(describe(tmp_path)["bytes_written"])
    assert seen == sorted(seen)
    assert seen[2] >= 40 * SECTOR_BYTES
    assert describe(tmp_path)["bytes_written_per_1000_events"] == round(1000 * seen[-1] / 80)
    assert "no label" in describe(tmp_path)["may_be_lost"]


def test_wiping_leaves_nothing_and_proves_it(tmp_path: Path) -> None:
    with Agent(**OPTIONS, state=tmp_path) as agent:
        taught(agent, events(50))
        with pytest.raises(StateError, match="another process"):
            _quick(tmp_path)
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "notes.txt").write_text("mine")
    found = wipe(tmp_path)
    assert found["proven_shut"]
    assert found["key_forgotten"]
    assert found["left"] == []
    assert "flash" in found["not_promised"]
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    for name, data in kept.items():  # every other file from before, but the key: nothing opens
        if "key" not in name:
            (tmp_path / name).write_bytes(data)
    with pytest.raises(StateError, match="key of this state is missing"):
        Store(tmp_path)
    wipe(tmp_path)
    with pytest.raises(UsageError, match="no state"):
        wipe(tmp_path)


def _quick(folder: Path) -> None:
    from acclimate_device import store

    before, store.BUSY_S = store.BUSY_S, 0.05
    try:
        wipe(folder)
    finally:
        store.BUSY_S = before


def test_keys_change_and_nothing_is_lost(tmp_path: Path) -> None:
    agent = Agent(**OPTIONS, state=tmp_path / "a")
    taught(agent, events(50))
    waiting = agent.predict(events(51)[50][0]).id
    agent._complete(agent._arena)  # type: ignore[arg-type]
    agent._keeper.acknowledge()
    folder = crashed(agent, tmp_path / "a", tmp_path / "b")
    old = {path.name: path.read_bytes() for path in folder.iterdir()}
    rotate(folder)
    rewrap(folder)
    assert (folder / "acclimate.key").read_bytes() != old["acclimate.key"]
    with Agent(**OPTIONS, state=folder) as again:
        assert again.status()["learned"] == 50
        again.feedback(waiting, "class1")
    new = (folder / "acclimate.key").read_bytes()
    (folder / "acclimate.key").write_bytes(old["acclimate.key"])
    with pytest.raises(StateError, match="no key opens"):
        Store(folder)
    (folder / "acclimate.key").unlink()
    with pytest.raises(StateError, match="missing"):
        Store(folder)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "acclimate-key").write_bytes(b"0123456789abcdef" * 2)
    environment = {"CREDENTIALS_DIRECTORY": str(credentials)}
    (folder / "acclimate.key").write_bytes(new)
    (folder / "acclimate.key").chmod(0o600)
    assert "credential store" in rewrap(folder, environment)
    assert not (folder / "acclimate.key").exists()
    with closing(Store(folder, environment=environment)) as store:
        assert store.load() is not None
    with pytest.raises(StateError, match="missing"):
        Store(folder)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    Store(tmp_path).close()
    assert (tmp_path / "acclimate.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "acclimate.key").chmod(0o644)
    with pytest.raises(StateError, match="chmod 600"):
        Store(tmp_path)


# -- older formats --------------------------------------------------------------------------------------------------


def test_a_state_of_format_2_loads_and_is_encrypted(tmp_path: Path) -> None:
    expected = json.loads((GOLDEN / "state-2" / "agent.json").read_text())
    shutil.copytree(GOLDEN / "state-2" / "agent", tmp_path / "a")
    assert b"class1" in (tmp_path / "a" / FILE).read_bytes()
    with reopen(tmp_path / "a") as agent:
        assert agent.status()["learned"] == expected["learned"]
        assert dict(agent.predict_proba_one(events(90)[84][0])) == pytest.approx(expected["probabilities"])
        agent.feedback(expected["waiting"][0], "class1")
    left = b"".join(path.read_bytes() for path in (tmp_path / "a").iterdir())
    assert b"class1" not in left
    assert b'"columns"' not in left


def test_a_replay_of_format_2_goes_on(tmp_path: Path) -> None:
    expected = json.loads((GOLDEN / "state-2" / "replay.json").read_text())
    shutil.copytree(GOLDEN / "state-2" / "replay", tmp_path / "a")
    stream = streams.write_csv(tmp_path / "stream.csv", streams.classification(96))
    request = Request(
        path=str(stream), label="label", learners=("softmax",), micro_batch=32, delay=3, state=tmp_path / "a"
    )
    assert replay_file(request)["served"] == expected["accuracy"]


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

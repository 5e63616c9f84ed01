"""The lineage as a device writes it: the tail continues the whole, damage is found, a kill leaves no gap."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from acclimate_device.cli import main
from acclimate_device.replay_file import Request, replay_file
from acclimate_device.store import Store
from acclimate_device.store_tables import FILE
from acclimate_shared.lineage import Change, Lineage
from tests import streams

FAST = ["--label", "label", "--learners", "softmax,naive-bayes", "--micro-batch", "128"]


def run(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def change(kind: Any, graph: str, *parents: str) -> Change:
    facts: dict[str, Any] = {"model": "a" * 64, "graph": graph * 64, "schema": "c" * 64, "time_s": 0.0}
    proof: dict[str, Any] = {"reason": "said so", "who": "ada"} if kind == "override" else {}
    return Change(kind=kind, parents=tuple(parents), **facts, **proof)


def test_a_tail_goes_on_as_the_whole_would() -> None:
    whole, tail = Lineage(), Lineage()
    course = [("start", "1"), ("commit", "1"), ("override", "2"), ("commit", "2"), ("override", "1"), ("rollback", "1")]
    for kind, graph in course:
        parents = [whole.head] if whole else []
        record = whole.append(change(kind, graph, *parents))
        assert tail.append(change(kind, graph, *parents)) == record
        tail = tail.tail()
        assert len(tail) == 1
    assert [r.version for r in whole] == ["1.0", "1.1", "2.0", "2.1", "3.0", "3.1"]
    whole.verify()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = streams.write_csv(tmp_path / "stream.csv", streams.classification(1_000))
    done = run("replay", path, *FAST, "--state", tmp_path / "state", "--rows", 1_000)
    assert done.exit_code == 0, done.output
    return tmp_path / "state"


def test_a_replay_records_every_commit_and_all_its_labels(state: Path) -> None:
    found = json.loads(run("lineage", state, "--json").output)["versions"]
    assert [record["kind"] for record in found[:2]] == ["start", "commit"]
    assert sum(record["labels"] for record in found) == 1_000
    last = json.loads(run("lineage", state, found[-1]["version"], "--json").output)
    assert [window["first"] for window in last["windows"]] == [1, *(w["last"] + 1 for w in last["windows"][:-1])]
    assert last["labels"] == 1_000
    assert "commit" in run("lineage", state).output
    assert "labels in" in run("lineage", state, "1.1").output
    assert run("lineage", state, "9.9").exit_code == 2


def test_a_changed_byte_is_found(state: Path) -> None:
    with closing(sqlite3.connect(state / FILE)) as database, database:
        line = bytearray(database.execute("SELECT line FROM lineage WHERE place = 3").fetchone()[0])
        line[len(line) // 2] ^= 1
        database.execute("UPDATE lineage SET line = ? WHERE place = 3", [bytes(line)])
    done = run("lineage", state)
    assert done.exit_code == 1
    assert "row 3" in done.output
    assert "Traceback" not in done.output


def test_a_killed_and_resumed_replay_has_an_unbroken_chain(tmp_path: Path) -> None:
    path = streams.write_csv(tmp_path / "stream.csv", streams.classification(1_000))
    other = tmp_path / "state"
    request = Request(path=str(path), label="label", learners=("softmax", "naive-bayes"), micro_batch=128, state=other)

    class KilledError(Exception):
        pass

    def kill(replay: Any) -> None:
        if replay.commits >= 3 and replay._since_commit:
            raise KilledError

    with pytest.raises(KilledError):
        replay_file(request, progress=kill)
    result = replay_file(request)
    with closing(Store(other)) as store:
        lineage = Lineage.loads(store.lineage())
    assert sum(record.window.labels for record in lineage if record.window) == 1_000
    assert [*lineage][-1].version == result["contest"]["version"]

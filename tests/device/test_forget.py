"""A source is forgotten: the state is what it was before it, and what others have taught since is learned again."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from acclimate_device.agent import Agent
from acclimate_device.cli import main
from acclimate_device.control import lineage_of
from acclimate_device.forget import forget
from acclimate_device.store import Store
from acclimate_device.wipe import rotate
from acclimate_shared.errors import UsageError
from tests.device.durability.moments import OPTIONS, crashed
from tests.device.test_agent import events


def taught(agent: Agent, rows: range, source: str, *, lie: bool = False) -> None:
    """Predict events and label them in the name of a source."""
    stream = events(rows.stop)
    labels = sorted({label for _, label in stream})
    for at in rows:
        features, label = stream[at]
        name = agent.predict(features).id
        agent.feedback(name, labels[(labels.index(label) + lie) % len(labels)], source=source)


def accuracy(agent: Agent) -> float:
    fresh = events(1_000)[800:]
    return sum(agent.glance(features).label == label for features, label in fresh) / len(fresh)


def test_a_liar_is_forgotten_and_the_others_are_not(tmp_path: Path) -> None:
    with Agent(**OPTIONS, state=tmp_path) as agent:
        taught(agent, range(200), "")
        before, version = accuracy(agent), agent.version
        taught(agent, range(200, 500), "liar", lie=True)
        taught(agent, range(500, 560), "ada")
        stained = accuracy(agent)
        waiting = agent.predict(events(1)[0][0], event_id="late").id
    found = forget(tmp_path, "liar", who="eve", why="it lied", revoke=True)
    assert found["labels_forgotten"] + found["learned_again"] <= 360
    assert (found["learned_again"], found["labels_of_others_lost"], found["revoked"]) == (60, 0, True)
    assert found["back_to"].split(".")[0] == version.split(".")[0]
    with Agent(**OPTIONS, state=tmp_path) as agent:
        assert agent.version == found["version"]
        assert accuracy(agent) >= before - 0.05 > stained + 0.1
        agent.feedback(waiting, events(1)[0][1], source="ada")
        taught(agent, range(560, 570), "liar", lie=True)
        status = agent.status()
        assert status["admission"]["refused"]["revoked"] == 10
        assert status["learned"] > 500
    with closing(Store(tmp_path)) as store:
        for _, (_, documents) in store.checkpoints():
            assert "liar" not in [name for name, *_ in documents["provenance"][1]]
    (record,) = [record for record in lineage_of(tmp_path) if record.kind == "forget"]
    assert (record.who, record.reason) == ("eve", "what liar taught is forgotten; it lied")


def test_the_state_is_bit_for_bit_that_from_before(tmp_path: Path) -> None:
    def states(agent: Agent) -> dict[str, Any]:
        assert agent._arena is not None
        tensors = agent._arena.roster.tensors()
        return {name: array.tobytes() for name, array in tensors.items() if name.startswith("live")}

    with Agent(**OPTIONS, state=tmp_path) as agent:
        taught(agent, range(100), "")
        agent.commit()
        expected = states(agent)
        taught(agent, range(100, 150), "liar")
    forget(tmp_path, "liar", who="eve", why="it lied")
    with Agent(**OPTIONS, state=tmp_path) as agent:
        assert states(agent) == expected


def test_no_file_with_its_labels_stays(tmp_path: Path) -> None:
    for turn in range(3):
        with Agent(**OPTIONS, state=tmp_path) as agent:
            taught(agent, range(40 * turn, 40 * turn + 20), "liar", lie=True)
            taught(agent, range(40 * turn + 20, 40 * turn + 40), "ada")
            agent.commit()
    (tmp_path / "acclimate.db.damaged-1").write_bytes(b"an old state")
    before = {path.name for path in tmp_path.glob("acclimate.journal-*")}
    assert len(before) > 1
    assert forget(tmp_path, "liar", who="eve", why="it lied")["files_destroyed"] >= 2
    after = [path.name for path in tmp_path.glob("acclimate.*") if "journal" in path.name or "damaged" in path.name]
    assert not before & set(after)
    with Agent(**OPTIONS, state=tmp_path) as agent:
        assert agent.status()["trouble"] == []
        taught(agent, range(200, 220), "ada")


def test_it_survives_crashes_and_a_change_of_keys(tmp_path: Path) -> None:
    here = tmp_path / "0"
    agent = Agent(**OPTIONS, state=here)
    taught(agent, range(100), "")
    taught(agent, range(100, 200), "liar", lie=True)
    here = crashed(agent, here, tmp_path / "1")
    with Agent(**OPTIONS, state=here) as agent:
        taught(agent, range(200, 260), "ada")
    rotate(here)
    found = forget(here, "liar", who="eve", why="it lied")
    assert (found["back_to"] != "the beginning", found["learned_again"]) == (True, 60)


def test_who_was_there_from_the_beginning_is_forgotten_wholly(tmp_path: Path) -> None:
    with Agent(**OPTIONS, state=tmp_path) as agent:
        taught(agent, range(100), "ada")
        taught(agent, range(100, 120), "bob")
    with closing(Store(tmp_path)) as store:  # as if the first state had been crowded out
        store.drop([generation for generation, _ in store.checkpoints()][2:])
    found = forget(tmp_path, "ada", who="eve", why="asked to")
    assert (found["back_to"], found["learned_again"]) == ("the beginning", 20)
    with Agent(**OPTIONS, state=tmp_path) as agent:
        taught(agent, range(120, 200), "bob")
        assert agent.status()["learned"] >= 100


def test_what_cannot_be_forgotten_is_said(tmp_path: Path) -> None:
    with Agent(**OPTIONS, state=tmp_path) as agent:
        taught(agent, range(40), "ada")
    with pytest.raises(UsageError, match="use one of ada"):
        forget(tmp_path, "nobody", who="eve", why="asked to")
    with pytest.raises(UsageError, match="reason"):
        forget(tmp_path, "ada", who="eve", why=" ")
    done = CliRunner().invoke(main, ["forget", str(tmp_path), "--source", "ada", "--why", "asked to", "--json"])
    assert (done.exit_code, '"labels_forgotten": 40' in done.output) == (0, True), done.output

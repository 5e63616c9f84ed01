"""What a person may do to a model at rest: recorded, refused where it makes no sense, and kept."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from acclimate_device.agent import Agent
from acclimate_device.cli import main
from acclimate_device.store import Store
from acclimate_shared.lineage import Lineage
from tests import streams
from tests.device.test_agent import events


def run(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    with Agent(task="classification", learners=["softmax", "naive-bayes"], micro_batch=128, state=folder) as agent:
        rows = events(640)
        agent.learn_many([row for row, _ in rows], [label for _, label in rows])
    return folder


def told(*args: object) -> Any:
    done = run(*args, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def test_looking_changes_nothing(state: Path) -> None:
    before = {path: path.read_bytes() for path in state.iterdir() if path.suffix == ".db"}
    assert told("contest", state)["champion"] == "committee"
    assert {path: path.read_bytes() for path in before} == before
    assert "champion  committee" in run("contest", state).output


def test_an_override_serves_is_recorded_and_survives(state: Path) -> None:
    found = told("promote", "naive-bayes", state, "--who", "ada", "--why", "it explains itself")
    assert (found["champion"], found["version"].split(".")[0]) == ("naive-bayes", "2")
    again = told("contest", state)
    reasons = {event["event"]: event["reason"] for event in again["transitions"]}
    assert reasons["override"] == "ada: it explains itself"
    assert told("status", state)["version"] == again["version"]


def test_a_rollback_serves_the_anchor(state: Path) -> None:
    found = told("rollback", state, "--who", "ada", "--why", "a sensor was replaced")
    assert "rollback" in [event["event"] for event in found["transitions"]]
    twice = run("rollback", state, "--why", "again")
    assert twice.exit_code == 2
    assert "nothing to roll back to" in twice.output


def test_nonsense_is_refused(state: Path, tmp_path: Path) -> None:
    for args, words in (
        (("promote", "nobody", state, "--why", "x"), "naive-bayes"),
        (("promote", "softmax", state, "--why", " "), "reason"),
        (("rollback", state, "--why", ""), "reason"),
        (("contest", tmp_path), "no state here"),
    ):
        done = run(*args)
        assert done.exit_code == 2, done.output
        assert words in done.output
        assert "Traceback" not in done.output


def test_every_version_has_its_record(state: Path) -> None:
    told("promote", "naive-bayes", state, "--who", "ada", "--why", "it explains itself")
    told("rollback", state, "--who", "ada", "--why", "a sensor was replaced")
    with closing(Store(state)) as store:
        lineage = Lineage.loads(store.lineage())
    kinds = [record.kind for record in lineage]
    assert kinds[:2] == ["start", "commit"]
    assert kinds[-3:] == ["override", "commit", "rollback"]
    last = [*lineage][-1]
    assert last.version == told("status", state)["version"]
    assert sum(record.window.labels for record in lineage if record.window) == 640
    override = lineage["2.0"]
    assert (override.who, override.reason) == ("ada", "it explains itself")
    assert override.graph != lineage["1.1"].graph
    assert override.schema == lineage["1.1"].schema


def test_the_state_of_a_replay_is_told_apart(tmp_path: Path) -> None:
    streams.write_csv(tmp_path / "stream.csv", streams.classification(100))
    found = run(
        "replay", tmp_path / "stream.csv", "--label", "label", "--learners", "softmax", "--state", tmp_path / "kept"
    )
    assert found.exit_code == 0
    asked = run("contest", tmp_path / "kept")
    assert asked.exit_code == 2
    assert "this is the state of a replay" in asked.output
    assert "acclimate lineage" in asked.output

"""An agent takes up another input: it answers as before, learns from the new one, and a record says so."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from acclimate_device.agent import Agent
from acclimate_device.cli import main
from acclimate_device.control import add_inputs, lineage_of
from acclimate_device.inputs import Inputs
from acclimate_device.operate import added, column_of, entries
from acclimate_device.procedures import Task
from acclimate_device.schema import Column
from acclimate_shared.errors import UsageError

TASKS = pytest.mark.parametrize("task", ["classification", "regression"])
OLD = (
    Column(name="x", kind="number", flag_missing=True),
    Column(name="room", kind="category", slots=4),
    Column(name="z", kind="number", slots=4),
)
NEW = (Column(name="wind", kind="number"), Column(name="sky", kind="category", slots=4))


def events(count: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {"x": float(rng.standard_normal()), "room": "abc"[int(rng.integers(3))], "z": int(rng.integers(3))}
        for _ in range(count)
    ]


def label(event: dict[str, Any], task: Task) -> Any:
    score = event["x"] + event["z"] + event.get("wind", 0.0) * 5
    return ("up" if score > 1 else "down") if task == "classification" else score


def taught(task: Task, state: Path | None = None) -> Agent:
    agent = Agent(task=task, columns=OLD, learners=["rls", "knn"], state=state)
    seen = events(700)
    agent.learn_many(seen, [label(event, task) for event in seen])
    return agent


def said(agent: Agent, event: dict[str, Any]) -> Any:
    found = agent.glance(event)
    return found.value if agent.task == "regression" else [found.probabilities[name] for name in ("up", "down")]


def errors_of(agent: Agent, asked: list[dict[str, Any]]) -> float:
    if agent.task == "classification":
        return float(np.mean([agent.glance(e).label != label(e, "classification") for e in asked]))
    return float(np.mean([abs((agent.glance(e).value or 0.0) - label(e, "regression")) for e in asked]))


@TASKS
def test_an_agent_that_took_up_inputs_answers_as_before_and_learns_from_them(task: Task) -> None:
    agent = taught(task)
    late = [(agent.predict(event).id, event) for event in events(20, seed=5)]  # their labels come afterwards
    asked = events(30, seed=1)
    before = [said(agent, event) for event in asked]
    agent.add_inputs(NEW, why="a sensor was added")
    assert agent.version == "2.1"  # the surgery, and the commit that makes it durable
    for extra in ({}, {"wind": 50.0, "sky": "grey"}):
        after = [said(agent, {**event, **extra}) for event in asked]
        np.testing.assert_allclose(after, before, rtol=1e-6, atol=1e-6)
    for name, event in late:
        agent.feedback(name, label(event, task))
    rng = np.random.default_rng(2)
    fresh = [event | {"wind": float(rng.standard_normal()), "sky": "blue"} for event in events(1_600, seed=3)]
    seen, unseen = fresh[:1_500], fresh[1_500:]
    at_first = errors_of(agent, unseen)
    agent.learn_many(seen, [label(event, task) for event in seen])
    assert errors_of(agent, unseen) < 0.6 * at_first
    assert not [e for e in (agent.contest() or {})["transitions"] if e["event"] == "quality"]  # nothing odd about it


@TASKS
def test_the_operated_state_goes_on_and_its_lineage_tells(task: Task, tmp_path: Path) -> None:
    taught(task, tmp_path).close()
    add_inputs(tmp_path, ["wind"], who="ada", why="a sensor was added")
    with Agent(task=task, columns=[*OLD, NEW[0]], learners=["rls", "knn"], state=tmp_path) as agent:
        assert agent.version == "2.1"
        event = {**events(1, seed=9)[0], "wind": 1.0}
        agent.feedback(agent.predict(event).id, label(event, task))
    records = [record for record in lineage_of(tmp_path) if record.kind == "surgery"]
    assert [(r.version, r.who, r.reason) for r in records] == [("2.0", "ada", "inputs added: wind; a sensor was added")]


def test_an_agent_opened_with_more_columns_takes_them_up(tmp_path: Path) -> None:
    taught("classification", tmp_path).close()
    with Agent(task="classification", columns=[*OLD, *NEW], learners=["rls", "knn"], state=tmp_path) as agent:
        assert agent.version == "2.1"
    with Agent(task="classification", columns=[*OLD, *NEW], learners=["rls", "knn"], state=tmp_path) as agent:
        assert agent.version.startswith("2.")


def test_columns_that_are_gone_or_changed_are_refused(tmp_path: Path) -> None:
    for new, word in ((OLD[1:], "gone"), ((Column(name="x", kind="number"), *OLD[1:]), "changed")):
        with pytest.raises(UsageError, match=word):
            added(OLD, new)
    taught("regression", tmp_path).close()
    with pytest.raises(UsageError, match="renamed"):
        Agent(task="regression", columns=OLD[1:], learners=["rls", "knn"], state=tmp_path)
    with pytest.raises(UsageError, match="already"):
        add_inputs(tmp_path, ["x"], who="ada", why="again")
    with pytest.raises(UsageError, match="reason"):
        add_inputs(tmp_path, ["y"], who="ada", why=" ")
    with pytest.raises(UsageError, match="nothing has been predicted"):
        Agent(task="regression").add_inputs(NEW)


def test_the_command(tmp_path: Path) -> None:
    taught("classification", tmp_path).close()
    args = ["surgery", str(tmp_path), "--add-input", "wind", "--add-input", "sky:category", "--why", "new station"]
    done = CliRunner().invoke(main, args)
    assert done.exit_code == 0, done.output
    assert "surgery, inputs added: wind, sky; new station" in done.output
    again = CliRunner().invoke(main, args)
    assert again.exit_code == 2
    assert "already" in again.output


def test_a_column_is_described_in_words() -> None:
    assert column_of("a") == column_of("a:number") == Column(name="a", kind="number")
    assert column_of("a:category").slots > 1
    for text in ("", ":number", "a:colour"):
        with pytest.raises(UsageError, match="not a column"):
            column_of(text)


@TASKS
def test_every_entry_of_the_vector_has_a_name(task: Task) -> None:
    names = entries(task, OLD + NEW)
    assert len(names) == len(set(names)) == Inputs(task, OLD + NEW).layout().width

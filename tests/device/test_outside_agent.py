"""Agents with candidates from outside: whatever their process does, no answer changes and none waits."""

import itertools
import os
import signal
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from acclimate_device.agent import Agent
from acclimate_device.outside import Visitors
from acclimate_device.replay_file import Request, replay_file
from acclimate_device.rules import NONE, Rules
from acclimate_device.sandbox import Confinement
from acclimate_shared.errors import StateMismatchError
from acclimate_shared.learner import save_package
from tests.device.test_agent import LEARNERS, events
from tests.device.test_outside import NAME, STANDARD, crossed, faulty
from tests.graphs import counter


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a package that never wins."""
    folder = tmp_path_factory.mktemp("visitor") / "counter"
    save_package(counter(), folder)
    return folder


def answers(rows: int, visitors: Visitors | None, watch: Any = None) -> tuple[list[Any], Any]:
    """Return what an agent answers to events whose labels come eight events later, and what came of its visitor."""
    rules = Rules(challengers=(NAME,), visitors=visitors) if visitors else Rules(challengers=NONE)
    out, waiting = [], []
    with Agent(task="classification", learners=LEARNERS, rules=rules, micro_batch=256) as agent:
        for at, (features, label) in enumerate(events(rows)):
            answer = agent.predict(features)
            out.append((answer.label, answer.probabilities))
            waiting.append((answer.id, label))
            if len(waiting) > 8:
                agent.feedback(*waiting.pop(0))
            if watch is not None:
                watch(agent, at)
        return out, agent


def outsider_of(agent: Any) -> Any:
    return agent._arena.roster.outside.all[0]


MODES = ("hang", "crash", "kill", "memory", "garbage")


@lru_cache(maxsize=4)
def undisturbed(rows: int) -> list[Any]:
    return answers(rows, None)[0]


def changed(package: Path, mode: str, rows: int) -> tuple[int, int]:
    """Return how many answers differ from an undisturbed run, and the incidents that a fault made."""

    def let_it_happen(agent: Agent, at: int) -> None:
        if at in {rows // 3, rows // 2}:
            outsider_of(agent)._jobs.join()

    visitors = Visitors(folders=(package,), confinement=faulty(mode, deadline_s=0.05))
    disturbed, agent = answers(rows, visitors, let_it_happen)
    return sum(a != b for a, b in zip(undisturbed(rows), disturbed, strict=True)), outsider_of(agent).incidents


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_no_fault_changes_an_answer(package: Path, mode: str) -> None:
    assert changed(package, mode, 1_000) == (0, 4)  # one fault, and one after each restart


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
def test_no_fault_changes_one_of_ten_thousand_answers(package: Path, mode: str) -> None:
    assert changed(package, mode, 10_000) == (0, 4)


@pytest.mark.slow
def test_nothing_waits_for_a_process_that_hangs(package: Path) -> None:
    """Its deadlines are hours; the run, its commits and its end are not."""
    visitors = Visitors(folders=(package,), confinement=faulty("hang", 0, deadline_s=36_000.0, start_s=36_000.0))
    out, agent = answers(600, visitors)
    assert len(out) == 600
    assert outsider_of(agent).incidents == 0  # it was still waited for, elsewhere


@pytest.mark.slow
def test_a_process_may_be_killed_from_without(package: Path) -> None:
    pids: list[int] = []

    def kill(agent: Agent, _: int) -> None:
        sandbox = outsider_of(agent)._sandbox
        if sandbox is not None and sandbox.pid not in pids and len(pids) < 2:
            pids.append(sandbox.pid)
            os.kill(sandbox.pid, signal.SIGKILL)

    visitors = Visitors(folders=(package,), confinement=Confinement(back_off_s=0.0))
    assert answers(1_000, visitors, kill)[0] == undisturbed(1_000)
    assert pids


@pytest.mark.slow
def test_an_agent_with_visitors_resumes_with_the_same_ones_only(package: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"task": "classification", "learners": LEARNERS, "state": tmp_path / "state"}
    with Agent(**options, outside=[package]) as agent:
        for features, label in itertools.islice(events(100), 100):
            agent.feedback(agent.predict(features).id, label)
    with Agent(**options, outside=[package]) as agent:
        assert agent.status()["learned"] == 100
    with pytest.raises(StateMismatchError):
        Agent(**options)


@pytest.mark.slow
@pytest.mark.parametrize("background", [False, True])
def test_in_a_live_agent_a_winner_is_let_in_too(background: bool) -> None:
    x, y = crossed(3_072)
    confinement = Confinement(patience_s=5.0, start_s=60.0, deadline_s=60.0)  # busy machines are slow
    visitors = Visitors(folders=(STANDARD / "mlp-classification",), probation=1, confinement=confinement)
    options: dict[str, Any] = {"learners": ["naive-bayes"], "micro_batch": 128, "background": background}
    with Agent(task="classification", rules=Rules(visitors=visitors), **options) as agent:
        for row, label in zip(x[:, :3].tolist(), y.tolist(), strict=True):
            answer = agent.predict(dict(zip("abc", row, strict=True)))
            agent.feedback(answer.id, "yes" if label else "no")
            agent.flush()
            if agent.status()["champion"] == "outside-mlp":
                break
        assert agent.status()["champion"] == "outside-mlp"
        assert agent.version.startswith("2.")
        agent.predict({"a": 0.0, "b": 0.0, "c": 0.0})
        begun = time.monotonic()
        outsider_of(agent).catch_up()
        assert time.monotonic() - begun < confinement.patience_s  # nobody waits for a process that is gone


@pytest.mark.slow
def test_a_replay_takes_packages_and_is_the_same_every_time(tmp_path: Path) -> None:
    x, y = crossed(1_500)
    lines = ["a,b,c,label", *(f"{a:.6f},{b:.6f},{c:.6f},c{label}" for (a, b, c, _, _), label in zip(x, y, strict=True))]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    request = Request(
        path=str(tmp_path / "rows.csv"), label="label", learners=("naive-bayes",), delay=5,
        outside=(STANDARD / "mlp-classification",),
    )  # fmt: skip
    found = [replay_file(request) for _ in range(2)]
    assert found[0]["contest"] == found[1]["contest"]
    assert found[0]["candidates"] == found[1]["candidates"]
    visitor = found[0]["candidates"][-1]
    assert (visitor["id"], visitor["learner"]) == ("outside-mlp", "outside")
    assert visitor["accuracy"] > found[0]["candidates"][0]["accuracy"]

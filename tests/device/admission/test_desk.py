"""Admission in an agent: sources are recorded, what is held survives, and a person settles it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from acclimate_device.admission import OFF, Policy, SourceRule
from acclimate_device.admission.quarantine import MOST_HELD, Held, Quarantine
from acclimate_device.agent import Agent
from acclimate_device.cli import main
from acclimate_shared.errors import InputError, StateMismatchError
from tests.device.test_agent import events
from tests.device.test_pace import FakeClock

OPTIONS: dict[str, Any] = {"task": "classification", "learners": ["softmax", "naive-bayes"], "micro_batch": 64}
LIAR = "liar"


def run(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def told(*args: object) -> Any:
    done = run(*args, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def attacked(agent: Agent, start: int, stop: int) -> Agent:
    """Let four honest sources and, from the 200th event on, a liar label events."""
    for i, (features, label) in list(enumerate(events(512)))[start:stop]:
        source = [*(f"s{k}" for k in range(4)), LIAR][i % 5]
        wrong = "class0" if label != "class0" else "class2"
        agent.feedback(agent.predict(features).id, wrong if source == LIAR and i >= 200 else label, source=source)
    return agent


def test_kill_and_resume_give_the_same_bits(tmp_path: Path) -> None:
    whole = attacked(Agent(**OPTIONS), 0, 512)
    killed = attacked(Agent(**OPTIONS, state=tmp_path), 0, 320)  # 320 labels: five commits
    killed.release()
    with Agent(**OPTIONS, state=tmp_path) as agent:
        attacked(agent, 320, 512)
        assert agent.status()["admission"] == whole.status()["admission"]
        assert agent.status()["admission"]["held"] > 20
        probe = events(5, seed=3)[4][0]
        assert agent.predict_proba_one(probe) == whole.predict_proba_one(probe)


def test_held_and_refused_labels_are_neither_learned_nor_history() -> None:
    agent = Agent(**OPTIONS, admission=Policy(sources={"gone": SourceRule(weight=0.0)}))
    attacked(agent, 0, 100)
    before = {name: array.copy() for name, array in agent._arena.tensors().items()}  # type: ignore[union-attr]
    learned = agent.status()["learned"]
    history = agent._inputs.history.document()  # type: ignore[union-attr]
    agent.feedback(agent.predict(events(101)[100][0]).id, "class0", source="gone")
    agent.learn_many([row for row, _ in events(5)], ["class1"] * 5, source="gone")
    for name, array in agent._arena.tensors().items():  # type: ignore[union-attr]
        np.testing.assert_array_equal(array, before[name], err_msg=name)
    assert agent._inputs.history.document() == history  # type: ignore[union-attr]
    assert agent.status()["learned"] == learned
    assert agent.status()["admission"]["refused"] == {"revoked": 6}


def test_where_nobody_names_a_source_nothing_changes() -> None:
    guarded, off = Agent(**OPTIONS), Agent(**OPTIONS, admission=OFF)
    for agent in (guarded, off):
        for features, label in events(300):
            agent.feedback(agent.predict(features).id, label)
        agent.learn_many([row for row, _ in events(64)], [label for _, label in events(64)])
    for name, array in guarded._arena.tensors().items():  # type: ignore[union-attr]
        np.testing.assert_array_equal(array, off._arena.tensors()[name], err_msg=name)  # type: ignore[union-attr]
    assert guarded.status()["admission"]["admitted"] == 364


def test_odd_labels_are_learned_but_later_predictions_are_not_told(tmp_path: Path) -> None:
    def noisy(agent: Agent, start: int, stop: int) -> Agent:
        """Let four sources label events whose classes last for a while; each is wrong now and then."""
        rng = np.random.default_rng(0)
        wrong = rng.random(400) < 0.2
        for i in range(stop):
            phase, noise = i // 12 % 3, rng.standard_normal(2)
            if i >= start:
                row = {"a": 4.0 * (phase == 1) + 0.3 * noise[0], "b": 4.0 * (phase == 2) + 0.3 * noise[1]}
                label = f"class{(phase + 1 + i % 2) % 3 if wrong[i] else phase}"
                agent.feedback(agent.predict(row).id, label, source=f"s{i % 4}")
        return agent

    whole = noisy(Agent(**OPTIONS), 0, 400)
    assert whole.status()["admission"]["kept_back"] > 10
    assert whole.status()["learned"] == whole.status()["admission"]["admitted"]
    killed = noisy(Agent(**OPTIONS, state=tmp_path), 0, 350)
    killed.release()
    with Agent(**OPTIONS, state=tmp_path) as agent:
        noisy(agent, 350, 400)
        assert agent.status()["admission"] == whole.status()["admission"]
        history = agent._inputs.history.document()  # type: ignore[union-attr]
        assert history == whole._inputs.history.document()  # type: ignore[union-attr]


def test_rates_use_the_injected_clock() -> None:
    clock = FakeClock()
    policy = Policy(default=SourceRule(per_minute=10))
    agent = Agent(**OPTIONS, admission=policy, clock=clock)
    rows = [row for row, _ in events(15)]
    agent.learn_many(rows, ["a"] * 15, source="bot")
    assert agent.status()["learned"] == 10
    clock.now_s += 61.0
    agent.learn_many(rows[:5], ["a"] * 5, source="bot")
    assert agent.status()["learned"] == 15
    with pytest.raises(InputError, match="source"):
        agent.learn_many(rows, ["a"] * 15, source="x" * 1000)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    with Agent(**OPTIONS, state=tmp_path / "state") as agent:
        attacked(agent, 0, 512)
    return tmp_path / "state"


def test_a_person_looks_releases_and_discards(state: Path) -> None:
    held = told("quarantine", "list", state)["held"]
    assert len(held) > 20
    assert {item["source"] for item in held} >= {LIAR}
    assert "liar: 'class0'" in run("quarantine", "list", state).output
    learned = told("status", state)["learned"]
    one = held[0]["number"]
    assert told("quarantine", "release", state, "--number", one, "--why", "it was right") == {"released": 1}
    rest = sum(item["source"] == LIAR for item in held[1:])
    done = told("quarantine", "discard", state, "--source", LIAR, "--who", "ada", "--why", "lies")
    assert done == {"discarded": rest}
    status = told("status", state)
    assert status["learned"] == learned  # by arrival; what was released is counted as that
    assert status["labels"]["released"] == 1
    assert status["labels"]["given"] == 512
    reasons = [event["reason"] for event in told("contest", state)["transitions"] if event["event"] == "discarded"]
    assert reasons == [f"{rest} held labels, ada: lies"]


def test_nonsense_is_refused(state: Path) -> None:
    for args, words in (
        (("release", state, "--number", 999_999, "--why", "x"), "no such label"),
        (("discard", state, "--why", "x"), "nothing is chosen"),
        (("discard", state, "--source", LIAR, "--why", " "), "reason"),
    ):
        done = run("quarantine", *args)
        assert done.exit_code == 2, done.output
        assert words in done.output


def test_the_policy_stays_with_the_state_until_another_is_declared(tmp_path: Path) -> None:
    with Agent(**OPTIONS, state=tmp_path, admission=Policy(default=SourceRule(share=0.2))) as agent:
        attacked(agent, 0, 20)
    with Agent(**OPTIONS, state=tmp_path) as agent:
        assert agent.desk.admission.policy.default.share == 0.2
    with Agent(**OPTIONS, state=tmp_path, admission=Policy(sources={"s1": SourceRule(weight=0.0)})) as agent:
        attacked(agent, 20, 40)
        assert agent.status()["admission"]["refused"] == {"revoked": 4}
    with pytest.raises(StateMismatchError):
        Agent(**{**OPTIONS, "seed": 1}, state=tmp_path)


def test_quarantine_is_bounded_and_the_loudest_gives_way() -> None:
    quarantine = Quarantine()

    def held(source: str) -> Held:
        return Held(
            number=quarantine.next_number, source=source, target=0.0, answer=1.0, loss=1.0, weight=1.0, time_s=0.0,
            reason="", texts=[], x=np.zeros(2),
        )  # fmt: skip

    quarantine.add(held("quiet"))
    for _ in range(MOST_HELD + 10):
        quarantine.add(held("loud"))
    assert len(quarantine) == MOST_HELD
    assert quarantine.counts["crowded_out"] == 11
    assert quarantine.items()[0].source == "quiet"

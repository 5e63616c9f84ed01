"""The agent's promises: predict is pure, labels join once, state survives, background learning loses nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acclimate_device.adapters import SklearnAdapter
from acclimate_device.agent import MOST_SHADOWS, Agent
from acclimate_device.rules import Rules
from acclimate_shared.errors import (
    DuplicateLabelError,
    InputError,
    StateMismatchError,
    UnknownPredictionError,
    UsageError,
)
from tests import streams

LEARNERS = ["softmax", "naive-bayes"]


def events(rows: int, seed: int = 0) -> list[tuple[dict[str, object], str]]:
    header, table = streams.classification(rows, seed=seed)
    return [
        ({n: float(v) if n != "kind" and v else v for n, v in zip(header, row[:-1], strict=False)}, row[-1])
        for row in table
    ]


def taught(agent: Agent, rows: list[tuple[dict[str, object], str]]) -> Agent:
    for features, label in rows:
        agent.feedback(agent.predict(features).id, label)
    return agent


def test_it_learns_through_predict_and_feedback() -> None:
    agent = taught(Agent(task="classification"), events(400))
    right = 0
    for features, label in events(500)[400:]:
        answer = agent.predict(features)
        right += answer.label == label
        agent.feedback(answer.id, label)
    assert right > 60


def test_predict_is_pure() -> None:
    plain = taught(Agent(task="classification", learners=LEARNERS), events(40))
    nosy = Agent(task="classification", learners=LEARNERS)
    for i, (features, label) in enumerate(events(40)):
        answer = nosy.predict(features)
        for other, _ in events(5, seed=i + 1):
            nosy.predict_one(other)
            nosy.predict_proba_one({**other, "kind": "never seen"})
        nosy.feedback(answer.id, label)
    probe = events(41)[40][0]
    assert nosy.predict(probe).probabilities == plain.predict(probe).probabilities
    assert plain.predict(probe).probabilities == plain.predict(probe).probabilities


def test_log_and_wait_learns_what_the_prediction_saw() -> None:
    first, second = (Agent(task="classification", learners=LEARNERS) for _ in range(2))
    for agent in (first, second):
        taught(agent, events(30))
    features: dict[str, object] = dict(events(31)[30][0])
    a, b = first.predict(features), second.predict(features)
    features["x0"] = 1e9  # the caller's dict changes after the prediction
    first.feedback(a.id, "class1")
    second.feedback(b.id, "class1")
    probe = events(32)[31][0]
    assert first.predict(probe).probabilities == second.predict(probe).probabilities


def test_labels_join_once() -> None:
    agent = taught(Agent(task="classification", learners=LEARNERS), events(3))
    answer = agent.predict(events(1)[0][0])
    agent.feedback(answer.id, "class0")
    with pytest.raises(DuplicateLabelError):
        agent.feedback(answer.id, "class0")
    with pytest.raises(UnknownPredictionError):
        agent.feedback("nonsense", "class0")


def test_the_log_is_bounded() -> None:
    agent = Agent(task="classification", learners=LEARNERS)
    agent._log.max_waiting = 10
    ids = [agent.predict(features).id for features, _ in events(15)]
    assert agent.status()["forgotten"] == 5
    with pytest.raises(UnknownPredictionError):
        agent.feedback(ids[0], "class0")
    agent.feedback(ids[14], "class0")


@pytest.mark.parametrize("label", [None, "", "nan"])
def test_a_bad_label_is_refused_and_the_prediction_waits_on(label: object) -> None:
    agent = Agent(task="classification", learners=LEARNERS)
    answer = agent.predict({"x": 1.0})
    with pytest.raises(InputError):
        agent.feedback(answer.id, label)
    agent.feedback(answer.id, "fine")
    assert agent.status()["learned"] == 1


@pytest.mark.parametrize(("features", "field"), [({"x": "abc"}, "x"), ({"x": float("inf")}, "x"), ({"x": 1e31}, "x")])
def test_bad_features_are_refused_by_name(features: dict[str, object], field: str) -> None:
    agent = Agent(task="classification", learners=LEARNERS)
    agent.predict({"x": 1.0})
    with pytest.raises(InputError, match=field):
        agent.predict(features)
    with pytest.raises(InputError):
        agent.feedback(agent.predict({"x": 1.0}).id, "a", weight=float("nan"))


def test_missing_and_unknown_features_are_fine() -> None:
    agent = taught(Agent(task="classification", learners=LEARNERS), events(20))
    assert agent.predict({}).label
    assert agent.predict({"x0": None, "new": 5}).label


def test_new_classes_appear_without_moving_old_answers() -> None:
    agent = taught(Agent(task="classification"), [({"x": float(i % 2)}, f"c{i % 2}") for i in range(40)])
    before = agent.predict_proba_one({"x": 1.0})
    agent._inputs.index("c2")  # type: ignore[union-attr]
    agent._arena.grow(agent._inputs.capacity)  # type: ignore[union-attr]
    after = agent.predict_proba_one({"x": 1.0})
    assert after.pop("c2") == 0.0
    assert after == pytest.approx(before, abs=1e-6)
    taught(agent, [({"x": 9.0}, "c2")] * 30)
    assert agent.predict({"x": 9.0}).label == "c2"


def test_weight_zero_teaches_nothing() -> None:
    agent = taught(Agent(task="classification", learners=["softmax"]), events(30))
    before = {name: array.copy() for name, array in agent._arena.tensors().items()}  # type: ignore[union-attr]
    agent.feedback(agent.predict(events(31)[30][0]).id, "class0", weight=0.0)
    for name, array in agent._arena.tensors().items():  # type: ignore[union-attr]
        np.testing.assert_array_equal(array, before[name], err_msg=name)


@pytest.mark.parametrize("background", [False, True])
def test_state_survives_closing(tmp_path: Path, background: bool) -> None:
    rows = events(60)
    whole = taught(Agent(task="classification"), rows)
    options: dict[str, Any] = {"task": "classification", "state": tmp_path, "background": background}
    with Agent(**options) as agent:
        taught(agent, rows[:30]) if not background else agent.learn_many(*map(list, zip(*rows[:30], strict=True)))
        waiting = agent.predict(rows[30][0]).id
    with Agent(**options) as agent:
        assert agent.status()["learned"] == 30
        agent.feedback(waiting, rows[30][1])
        agent.flush()
        if not background:
            taught(agent, rows[31:])
            assert agent.predict_proba_one(rows[5][0]) == whole.predict_proba_one(rows[5][0])
    with pytest.raises(StateMismatchError, match="seed"):
        Agent(**{**options, "seed": 3})


def test_background_learning_loses_no_label() -> None:
    with Agent(task="classification", learners=LEARNERS, background=True) as agent:
        taught(agent, events(300))
        agent.flush()
        assert agent.status()["learned"] == 300
        assert agent.status()["waiting"] == 0


def test_an_error_in_the_worker_reaches_the_caller() -> None:
    agent = Agent(task="classification", learners=LEARNERS, background=True)
    answer = agent.predict({"x": 1.0})

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no more memory")

    agent._arena.learn = broken  # type: ignore[union-attr, method-assign]
    agent.feedback(answer.id, "a")
    with pytest.raises(RuntimeError, match="no more memory"):
        agent.flush()


def test_regression_and_versions() -> None:
    agent = Agent(task="regression", learners=["rls"], micro_batch=50)
    for i in range(120):
        x = float(i * 7 % 13)
        agent.feedback(agent.predict({"x": x}).id, 3.0 * x + 1.0)
    assert agent.predict({"x": 5.0}).value == pytest.approx(16.0, abs=2.0)
    assert agent.version == "1.2"


def test_scikit_learn_words() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 2))
    y = (x[:, 0] > 0).astype(int)
    model = SklearnAdapter(Agent(task="classification", learners=["rls", "knn"])).partial_fit(x, y, classes=[0, 1])
    assert (model.predict(x[:100]) == y[:100].astype(str)).mean() > 0.8


def test_wrong_use() -> None:
    with pytest.raises(UsageError, match="nope"):
        Agent(task="classification", learners=["nope"])
    with pytest.raises(ValueError, match="as many"):
        Agent(task="classification").learn_many([{"x": 1.0}], [])
    with pytest.raises(InputError, match="no features"):
        Agent(task="classification").predict({})


def test_shadows_answer_with_the_states_of_the_moment_of_the_prediction() -> None:
    agent = taught(Agent(task="classification", learners=["softmax", "naive-bayes"], micro_batch=64), events(128))
    arena = agent._arena
    assert arena is not None
    early = agent.predict(events(200)[199][0])
    moment = arena.roster.moment
    agent.learn_many([row for row, _ in events(32)], [label for _, label in events(32)])
    logged = agent._log.take(early.id, "class1", 0.0)
    assert arena.roster.moment is not moment
    expected = arena.roster.complete(moment, logged.x[None], None)[0]
    np.testing.assert_array_equal(logged.memo, expected)
    assert logged.occupants == moment.occupants


def test_many_predictions_without_labels_are_completed_in_bounded_memory() -> None:
    agent = taught(Agent(task="classification", learners=["softmax", "naive-bayes"], micro_batch=64), events(64))
    for row, _ in events(MOST_SHADOWS + 5):
        agent.predict(row)
    assert len(agent._shadows) == 5


def test_the_contest_is_told_and_kept(tmp_path: Path) -> None:
    rules = Rules(challengers=("naive-bayes",))
    with Agent(task="classification", micro_batch=64, state=tmp_path / "s", rules=rules) as agent:
        agent.learn_many([row for row, _ in events(1_024)], [label for _, label in events(1_024)])
        told = agent.contest()
        assert told is not None
        assert told["tests_started"] == 1
        assert agent.status()["champion"] == "committee"
    with Agent(task="classification", micro_batch=64, state=tmp_path / "s", rules=rules) as agent:
        again = agent.contest()
        assert again is not None
        assert again["transitions"] == told["transitions"]
    with pytest.raises(StateMismatchError, match="challengers"):
        Agent(task="classification", micro_batch=64, state=tmp_path / "s")

"""The committee: honest weights, from what its members said at the time."""

from typing import Any

import numpy as np
import pytest

from acclimate_device.committee import POOL, Committee, Layout
from acclimate_device.procedures import POOLS, names, select, standard_learner
from acclimate_device.roster import Roster
from acclimate_shared.errors import UsageError

LAYOUT = Layout(features=3, width=5, classes=2)


def committee(*learners: str, task: Any = "classification") -> Committee:
    return Committee(task, select(task, learners or None), LAYOUT)


def data(rows: int, seed: int = 0) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 5))
    return x, (x[:, 0] > 0).astype(np.int64), np.ones(rows, np.float32)


@pytest.mark.parametrize("delay", [0.0, 99.0])
def test_weights_are_exponential_in_the_faded_gains(delay: float) -> None:
    pool = standard_learner(POOL, "classification")
    rng = np.random.default_rng(1)
    x, y = rng.dirichlet(np.ones(3), (40, 4)), rng.integers(0, 3, 40)
    state: Any = pool.init_state({"members": 4}, 0)
    hyper = pool.hyper(delay=delay, forgetting=0.99, rate=0.7)
    floored = np.maximum(x, 0.02 / 3)
    floored /= floored.sum(2, keepdims=True)
    log_weights = np.zeros(4)
    for at in range(0, 40, 8):
        expected = []
        for i in range(at, at + 8):
            weight = np.exp(log_weights - log_weights.max())
            expected.append((weight / weight.sum()) @ x[i])
            gain = -0.5 * ((floored[i] - np.eye(3)[y[i]]) ** 2).sum(1)
            log_weights = np.float32(0.99) * log_weights + np.float32(0.7) / np.sqrt(1 + delay) * gain
        part = slice(at, at + 8)
        state, before, _ = pool.update(state, x[part], y[part], np.ones(8, np.float32), hyper)
        np.testing.assert_allclose(before, np.array(expected), atol=1e-6)
    np.testing.assert_allclose(state["log_weights"], log_weights - log_weights.max(), atol=1e-6)


def test_late_labels_judge_what_was_said_then() -> None:
    both = committee("softmax", "naive-bayes")
    x, y, w = data(64)
    start = both.start(0)
    logged = both.predict(start, x[:16])
    taught = start
    for at in range(16, 64, 16):
        part = slice(at, at + 16)
        taught, _ = both.learn(taught, x[part], y[part], w[part], memo=None, delay=0.0)
    name = POOLS[0].name
    reset = {**taught, name: start[name]}  # members know more by now, the weights are the first ones
    from_taught, _ = both.learn(reset, x[:16], y[:16], w[:16], memo=logged, delay=48.0)
    from_start, _ = both.learn(start, x[:16], y[:16], w[:16], memo=logged, delay=48.0)
    np.testing.assert_array_equal(from_taught[name]["log_weights"], from_start[name]["log_weights"])


def test_one_member_alone_is_that_learner() -> None:
    alone = committee("naive-bayes")
    x, y, w = data(32)
    states, before = alone.learn(alone.start(0), x, y, w, memo=None, delay=0.0)
    learner = standard_learner("naive-bayes", "classification")
    state = learner.init_state({"features": 5, "classes": 2}, 0)
    seen = x.copy()
    seen[:, 3:] = np.nan  # it looks at the features alone
    state, expected, _ = learner.update(state, seen, y, w, learner.hyper())
    np.testing.assert_array_equal(before[:, 0], expected)
    np.testing.assert_array_equal(alone.predict(states, x)[:, 0], learner.predict(state, seen))
    assert alone.pools == ()


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_state_goes_through_tensors_and_back(task: Any) -> None:
    whole = committee(task=task)
    x, y, w = data(16)
    roster = Roster(whole, whole.start(3), slots=2)
    target = y if task == "classification" else y.astype(float)
    roster.freeze(1, 0)
    roster.learn(x, target, w, logged=None, delay=0.0)
    other = Roster(whole, whole.start(9), slots=2)
    other.restore(roster.tensors(), roster.document())
    np.testing.assert_array_equal(other.answer(x)[1], roster.answer(x)[1])
    assert roster.weights().sum() == pytest.approx(1.0)


def test_a_regression_committee_can_fall_back_on_the_last_value() -> None:
    whole = committee(task="regression")
    rng = np.random.default_rng(0)
    level = np.cumsum(rng.standard_normal(801)) * 100
    states: Any = whole.start(0)
    errors = []
    for i in range(0, 800, 16):
        x = rng.standard_normal((16, 5))
        x[:, 3] = level[i : i + 16]  # the last target, the first column of the history
        y = level[i + 1 : i + 17]
        states, before = whole.learn(states, x, y, np.ones(len(y), np.float32), memo=None, delay=0.0)
        errors.append(np.abs(before[:, len(whole.names)] - y).mean())
    assert np.mean(errors[10:]) < 1.15 * np.abs(np.diff(level)).mean()


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="rls"):
        select("classification", ["nope"])
    with pytest.raises(UsageError):
        standard_learner("softmax", "regression")
    assert "rls" in names("regression")

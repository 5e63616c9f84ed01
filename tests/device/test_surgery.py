"""Surgery: no answer changes, nothing that was learned is lost, and what is new is learned from then on."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate_device.committee import POOL
from acclimate_device.procedures import DEFAULT_DIMS, Task, names, standard_learner
from acclimate_device.states import dims_of
from acclimate_device.surgery import add_classes, add_inputs, gaps, inserted
from acclimate_shared.errors import ShapeError

TASKS: tuple[Task, ...] = ("classification", "regression")
EVERY = [(name, task) for task in TASKS for name in names(task) if name != POOL]
ROWS = 24


def learned(name: str, task: Task, features: int, seed: int) -> tuple[Any, Any, Any]:
    """Return a learner, a state that has learned, and a generator."""
    rng = np.random.default_rng(seed)
    learner = standard_learner(name, task)
    dims = {**DEFAULT_DIMS, "features": features, "classes": 3, "fourier": 8, "slots": 48, "hidden": 6}
    state = learner.init_state({**dims, "phi": 1 + features + 8}, seed)
    for _ in range(6):
        x = rng.standard_normal((ROWS, features)) * 3 + 1
        y = rng.integers(0, 3, ROWS) if task == "classification" else x[:, 0] * 10 + rng.standard_normal(ROWS)
        state, _, _ = learner.update(state, x, y, np.ones(ROWS, np.float32), learner.hyper())
    return learner, state, rng


@pytest.mark.parametrize(("name", "task"), EVERY)
@given(
    features=st.integers(1, 5),
    chosen=st.lists(st.integers(0, 7), min_size=1, max_size=3, unique=True),
    known=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=6)
def test_an_added_input_changes_no_answer_whatever_it_holds(
    name: str, task: Task, features: int, chosen: list[int], known: bool, seed: int
) -> None:
    learner, state, rng = learned(name, task, features, seed)
    at = sorted({min(place, features + i) for i, place in enumerate(sorted(chosen))})
    x = rng.standard_normal((16, features)) * 3 + 1
    new = rng.standard_normal((16, len(at))) * 100 if known else np.full((16, len(at)), np.nan)
    wide = inserted(x, 1, at, 0.0)
    wide[:, at] = new
    grown = add_inputs(learner.manifest, state, at)
    before, after = learner.predict(state, x), learner.predict(grown, wide)
    assert np.abs(after - before).max() <= 1e-6 * max(1.0, float(np.abs(before).max()))
    kept = np.setdiff1d(np.arange(features + len(at)), at)
    for spec in learner.manifest.state:  # optimiser, normaliser and window are carried as they were
        old, now = state[spec.name], grown[spec.name]
        for axis, dim in enumerate(spec.shape):
            if dim == "features":
                now = np.take(now, kept, axis)
            elif dim == "phi":
                now = np.take(now, np.r_[0, 1 + kept, np.arange(1 + features + len(at), now.shape[axis])], axis)
        np.testing.assert_array_equal(now, old, err_msg=spec.name)
    y = rng.integers(0, 3, 16) if task == "classification" else rng.standard_normal(16)
    following, _, _ = learner.update(grown, wide, y, np.ones(16, np.float32), learner.hyper())
    assert dims_of(learner.manifest, following)["features"] == features + len(at)
    assert np.isfinite(learner.predict(following, wide)).all()


@pytest.mark.parametrize(("name", "task"), [pair for pair in EVERY if pair[1] == "classification"])
@given(more=st.integers(1, 5), seed=st.integers(0, 99))
@settings(max_examples=5)
def test_an_added_class_changes_no_answer_about_known_ones(name: str, task: Task, more: int, seed: int) -> None:
    learner, state, rng = learned(name, task, 4, seed)
    x = rng.standard_normal((16, 4)) * 3 + 1
    grown = add_classes(learner.manifest, state, 3 + more)
    before, after = learner.predict(state, x), learner.predict(grown, x)
    assert np.abs(after[:, :3] - before).max() <= 1e-6
    for spec in learner.manifest.state:
        part = grown[spec.name][tuple(slice(size) for size in state[spec.name].shape)]
        np.testing.assert_array_equal(part, state[spec.name], err_msg=spec.name)
    y = np.full(16, 2 + more)
    following, _, _ = learner.update(grown, x, y, np.ones(16, np.float32), learner.hyper())
    assert learner.predict(following, x)[:, -1].max() > 0.0


@pytest.mark.parametrize(("name", "task"), [pair for pair in EVERY if pair[0] in {"rls", "mlp", "softmax"}])
def test_what_was_added_is_learned_from(name: str, task: Task) -> None:
    learner, state, rng = learned(name, task, 2, 1)
    state = add_inputs(learner.manifest, state, [2])
    errors, hyper = [], learner.hyper(**({"rate": 0.01} if name == "mlp" else {}))
    for _ in range(300):
        x = rng.standard_normal((ROWS, 3))
        y = (x[:, 2] > 0).astype(np.int64) if task == "classification" else 50 * x[:, 2]
        state, before, _ = learner.update(state, x, y, np.ones(ROWS, np.float32), hyper)
        wrong = before.argmax(1) != y if task == "classification" else np.abs(before - y) / 50
        errors.append(float(wrong.mean()))
    assert np.mean(errors[-10:]) < 0.6 * np.mean(errors[:5])


def test_places_that_make_no_sense_are_refused() -> None:
    learner, state, _ = learned("rls", "regression", 3, 0)
    for at in ([4, 3], [0, 0], [-1], [9]):
        with pytest.raises(ValueError, match="positions"):
            add_inputs(learner.manifest, state, at)
    odd = learner.init_state({**DEFAULT_DIMS, "features": 3, "fourier": 8, "phi": 40}, 0)
    with pytest.raises(ShapeError, match="told apart"):
        add_inputs(learner.manifest, odd, [1])
    assert add_inputs(learner.manifest, state, []) is state


def test_only_additions_have_gaps() -> None:
    assert gaps(["a", "c"], ["a", "b", "c", "d"]) == [1, 3]
    for new in (["a"], ["c", "a"], ["a", "x"]):
        with pytest.raises(ValueError, match="removed, renamed or moved"):
            gaps(["a", "c"], new)

"""Beginning anew: made from the retained rows alone, merged in common units, and judged like everybody else."""

from typing import Any

import msgspec
import numpy as np
import pytest

from acclimate_device.arena import Arena
from acclimate_device.committee import Committee, Layout
from acclimate_device.merge import merged
from acclimate_device.procedures import DEFAULT_DIMS, Task, select, standard_learner
from acclimate_device.rules import MADE, Rules
from acclimate_device.scratch import WINDOW_BYTES, WINDOW_ROWS, Scratch
from tests.device.test_arena import drive

LAYOUT = Layout(features=4, width=6, classes=2)


def arena(learner: str = "rls-linear", *, scratch: int = 4, seed: int = 0, policy: Any = "continual") -> Arena:
    committee = Committee("classification", select("classification", (learner,)), LAYOUT)
    return Arena(committee, Rules(challengers=MADE, scratch=scratch, policy=policy, rehearse=0), seed)


def turned(before: int, after: int, seed: int = 0) -> tuple[Any, Any]:
    """Return a stream whose classes change places."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((before + after, 6))
    y = (x[:, 0] + 0.5 * rng.standard_normal(before + after) > 0).astype(np.int64)
    y[before:] = 1 - y[before:]
    return x, y


def test_what_began_anew_takes_over_when_the_old_one_holds_on_to_the_past() -> None:
    x, y = turned(4_096, 6_144)
    this, alone = arena(), arena(scratch=0)
    errors, without = ((drive(a, x, y).argmax(1) != y).astype(float) for a in (this, alone))
    told = [(t.candidate, t.event) for t in this.contest.log if t.candidate in MADE]
    assert ("scratch", "start") in told
    assert ("merged", "start") in told
    assert {("scratch", "promote"), ("merged", "promote")} & set(told)
    won = next(t.row for t in this.contest.log if t.event == "promote" and t.candidate in MADE)
    after = slice(won, won + 512)
    assert errors[after].mean() < without[after].mean() - 0.02


def test_what_promises_nothing_is_left_out_at_no_level() -> None:
    x, y = turned(4_096, 0)
    this = arena()
    drive(this, x, y)
    assert this.contest.account.started == 0
    assert {t.event for t in this.contest.log} == {"left out"}
    this._guests._scratch._parts = [(x[:2_048], 1 - y[:2_048])]  # rows that are wrong
    losses = this._guests._scratch.make(0, "zero_one")[2]
    assert losses.mean() < 0.5  # it learns even these


@pytest.mark.parametrize("policy", ["continual", "superiority"])
@pytest.mark.parametrize("cut", [2_048, 2_112])
def test_a_saved_arena_goes_on_bit_for_bit(policy: Any, cut: int) -> None:
    x, y = turned(1_024, 3_072, seed=4)
    whole, second = arena("softmax", policy=policy), arena("softmax", policy=policy)
    drive(whole, x[:cut], y[:cut], commit=64)
    second.restore(whole.tensors(), msgspec.json.decode(msgspec.json.encode(whole.document())))
    rest = slice(cut, 4_096)
    np.testing.assert_array_equal(drive(whole, x[rest], y[rest], commit=64), drive(second, x[rest], y[rest], commit=64))
    assert msgspec.json.encode(whole.document()) == msgspec.json.encode(second.document())
    for name, array in whole.tensors().items():
        np.testing.assert_array_equal(array, second.tensors()[name], err_msg=name)


@pytest.mark.parametrize("width", [6, 4_096])
def test_the_window_is_bounded(width: int) -> None:
    scratch = Scratch(arena().roster, every=2, seed=0)
    for _ in range(60):
        scratch.keep(np.zeros((128, width)), np.zeros(128, np.int64))
    rows = sum(len(part[1]) for part in scratch._parts)
    assert rows == scratch._rows
    most = min(WINDOW_ROWS, WINDOW_BYTES // (8 * width))
    assert most <= rows < most + 128
    assert [scratch.due for _ in range(4)] == [False, rows >= 1_024, False, rows >= 1_024]
    never = Scratch(arena().roster, every=0, seed=0)
    never.keep(np.zeros((8, 2)), np.zeros(8))
    assert never.tensors() == {}
    assert not never.due


def pair(name: str, task: Task) -> tuple[Any, Any, Any, Any]:
    """Return a learner, two states of the same start that saw inputs of another scale, and rows."""
    rng = np.random.default_rng(0)
    learner = standard_learner(name, task)
    dims = {**DEFAULT_DIMS, "features": 3, "classes": 3, "hidden": 8, "fourier": 4, "slots": 40, "phi": 8}
    states = []
    for scale, centre in ((1.0, 0.0), (1.3, 0.4)):
        state = learner.init_state(dims, 1)
        for _ in range(40):
            x = rng.standard_normal((32, 3)) * scale + centre
            y = rng.integers(0, 3, 32) if task == "classification" else 5 * scale * x[:, 0] + centre
            state, _, _ = learner.update(state, x, y, np.ones(32, np.float32), learner.hyper())
        states.append(state)
    return learner, states[0], states[1], rng.standard_normal((50, 3)) * 0.8


@pytest.mark.parametrize(
    ("name", "task"), [("softmax", "classification"), ("mlp", "classification"), ("mlp", "regression")]
)
def test_all_of_either_side_answers_as_that_side(name: str, task: Task) -> None:
    learner, old, new, x = pair(name, task)
    np.testing.assert_allclose(learner.predict(merged(name, old, new, 0.0), x), learner.predict(old, x), atol=1e-6)
    found, wanted = learner.predict(merged(name, old, new, 1.0), x), learner.predict(new, x)
    np.testing.assert_allclose(found, wanted, atol=1e-4 * max(1.0, float(np.abs(wanted).max())))
    half = merged(name, old, new, 0.5)
    assert np.isfinite(learner.predict(half, x)).all()
    learner.dims(half)  # still a state of this learner
    for key in old:
        if key.startswith(("norm_", "m_", "v_", "target_", "step")):
            np.testing.assert_array_equal(half[key], old[key])


def test_moments_merge_as_of_one_sample() -> None:
    learner, old, new, _ = pair("naive-bayes", "classification")
    half = merged("naive-bayes", old, new, 0.5)
    total = 0.5 * old["class_count"] + 0.5 * new["class_count"]
    mean = (0.5 * old["class_count"] * old["class_mean"] + 0.5 * new["class_count"] * new["class_mean"]) / total
    np.testing.assert_allclose(half["class_mean"], mean, rtol=1e-9)
    second = sum(0.5 * (s["class_m2"] + s["class_count"] * s["class_mean"] ** 2) for s in (old, new))
    np.testing.assert_allclose(half["class_m2"], second - total * mean**2, rtol=1e-6)
    learner.dims(half)


@pytest.mark.parametrize("name", ["rls", "knn"])
def test_where_it_makes_no_sense_the_old_one_stays(name: str) -> None:
    _, old, new, _ = pair(name, "classification")
    assert merged(name, old, new, 0.5) is old
    with pytest.raises(ValueError, match="share"):
        merged(name, old, new, 1.5)

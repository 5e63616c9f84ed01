"""The shipped learners: equal to their source, to independent oracles, and lawful on any input."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from sklearn.naive_bayes import GaussianNB

import acclimate_device
from acclimate_device.executor import Learner
from acclimate_device.procedures import ANSWERED_ROWS
from acclimate_shared.learner import load_package
from acclimate_shared.normaliser import NormaliserState
from acclimate_tools.author.package import package_of
from acclimate_tools.author.source import Source
from acclimate_tools.learners.catalogue import DOUBT, SOURCES
from tests.tools.learners.harness import POOLS, batch, close, eager, eager_predict, learner_of, sizes, source_of

FOLDER = Path(acclimate_device.__file__).parent / "learners"
EVERY = pytest.mark.parametrize("source", SOURCES, ids=lambda s: f"{s.name}-{s.task}")
CLASSIFIERS = pytest.mark.parametrize(
    "source", [s for s in SOURCES if s.task == "classification" and s.name not in POOLS], ids=lambda s: s.name
)
REGRESSORS = pytest.mark.parametrize(
    "source", [s for s in SOURCES if s.task == "regression" and s.name not in POOLS], ids=lambda s: s.name
)
ONES = np.ones(16, np.float32)


def test_together_they_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= 400_000


@EVERY
def test_the_shipped_package_is_what_the_source_gives(source: Source) -> None:
    shipped = load_package(FOLDER / f"{source.name}-{source.task}")
    assert package_of(source).digest == shipped.digest, "run: python -m acclimate_tools.learners.build"


@EVERY
@pytest.mark.parametrize("rows", [1, 2, 5, 16])
def test_the_graph_equals_torch(source: Source, rows: int) -> None:
    rng = np.random.default_rng(rows)
    learner = learner_of(source)
    # one feature alone makes near-ties among neighbours, which float32 may order either way
    for features, classes in ((6, 3), (9, 5)) if source.name == "knn" else ((1, 2), (6, 3), (9, 5)):
        state = learner.init_state(sizes(features, classes), seed=rows)
        hyper = learner.hyper()
        for _ in range(4):
            x, y, w = batch(source, rows, features, classes, rng)
            assert close(learner.predict(state, x), eager_predict(source, state, x))
            expected, before, loss = eager(source, state, x, y, w, hyper)
            state, got_before, got_loss = learner.update(state, x, y, w, hyper)
            for name, array in expected.items():
                assert close(state[name], array), name
            assert close(got_before[w > 0], before[w > 0])
            assert got_loss == pytest.approx(loss, rel=1e-4, abs=1e-5)


@EVERY
def test_an_independent_evaluator_agrees(source: Source) -> None:
    rng = np.random.default_rng(3)
    learner = learner_of(source)
    state = learner.init_state(sizes(4, 3), seed=0)
    x, y, w = batch(source, 5, 4, 3, rng)
    reference = ReferenceEvaluator(onnx.load_from_string(learner.package.update))
    feed = {**state, "x": x, "y": y, "w": w, "hyper": learner.hyper()}
    if source.lanes:
        feed = {name: array if name == "w" else array[None] for name, array in feed.items()}
    with np.errstate(divide="ignore", invalid="ignore"):  # its log_softmax takes the log of the 0 of an unseen class
        found = reference.run(None, {name: feed[name] for name in reference.input_names})
    after, before, _ = learner.update(state, x, y, w, learner.hyper())
    by_name = {n: a[0] if source.lanes else a for n, a in zip(reference.output_names, found, strict=True)}
    assert close(before, by_name["before"])
    for name, array in after.items():
        assert close(array, by_name[name + "__next"]), name


@EVERY
@pytest.mark.parametrize("rows", [3, 40])
def test_lanes_learn_as_each_would_alone(source: Source, rows: int) -> None:
    rng = np.random.default_rng(4)
    learner = learner_of(source)
    alone = [learner.init_state(sizes(4, 3), seed=seed) for seed in range(3)]
    together = list(alone)
    hyper = np.stack([learner.hyper(**{h.name: h.low + 0.9 * (h.default - h.low)}) for h in learner.manifest.hyper[:1]])
    hyper = np.concatenate([hyper, hyper, learner.hyper()[None]])
    for order in ([0, 1, 2], [0, 1, 2], [2, 0, 1]):  # the same lanes again, and others
        batches = [batch(source, rows, 4, 3, rng) for _ in alone]
        x, y, w = np.stack([b[0] for b in batches]), np.stack([b[1] for b in batches]), batches[0][2]
        together = [together[i] for i in order]
        alone = [alone[i] for i in order]
        together, before, loss = learner.update_lanes(together, x, y, w, hyper)
        for lane, state in enumerate(alone):
            after, own_before, own_loss = learner.update(state, x[lane], y[lane], w, hyper[lane])
            alone[lane] = after
            assert close(before[lane], own_before)
            assert loss[lane] == pytest.approx(own_loss, rel=1e-4, abs=1e-6)
            for name, array in after.items():
                assert close(together[lane][name], array), name


def test_pools_that_learn_together_have_the_bits_of_each_alone() -> None:
    rng = np.random.default_rng(6)
    alone, together = (learner_of(source_of(name, "classification")) for name in ("pool", "pools"))
    hyper = np.stack([alone.hyper(forgetting=f, rate=r, delay=d) for f, r, d in ((1.0, 0.1, 0), (0.99, 1.0, 512))])
    assert np.array_equal(hyper[1], together.hyper(forgetting=0.99, rate=1.0, delay=512))
    for classes in (2, 4, 8):
        for members in (2, 5, 9):
            one = [alone.init_state({"members": members}, 0)] * 2
            both = list(one)
            for rows in (1, 3, 32, 32):
                x, y = rng.dirichlet(np.ones(classes) / 5, (rows, members)), rng.integers(0, classes, rows)
                w = rng.choice([0.0, 0.5, 1.0], rows).astype(np.float32)
                both, before, _ = together.update_lanes(both, np.stack([x, x]), np.stack([y, y]), w, hyper)
                for lane in range(2):
                    one[lane], own, _ = alone.update(one[lane], x, y, w, hyper[lane])
                    assert np.array_equal(own, before[lane])
                    assert np.array_equal(one[lane]["log_weights"], both[lane]["log_weights"])


@EVERY
def test_many_rows_are_answered_as_a_few(source: Source) -> None:
    rng = np.random.default_rng(7)
    whole, parts = learner_of(source), Learner(learner_of(source).package)
    state = whole.init_state(sizes(4, 4), seed=0)
    for _ in range(3):
        state, _, _ = whole.update(state, *batch(source, 32, 4, 4, rng), whole.hyper())
    x = batch(source, ANSWERED_ROWS, 4, 4, rng)[0]
    few = np.concatenate([parts.predict(state, x[at : at + 32]) for at in range(0, len(x), 32)])
    assert np.array_equal(whole.predict(state, x), few)


@EVERY
def test_before_is_what_predict_would_have_said(source: Source) -> None:
    rng = np.random.default_rng(5)
    learner = learner_of(source)
    state = learner.init_state(sizes(4, 3), seed=0)
    for _ in range(10):
        x, y, _ = batch(source, 6, 4, 3, rng)
        answer = learner.predict(state, x)
        following, before, _ = learner.update(state, x, y, ONES[:6], learner.hyper())
        assert close(before[:1], answer[:1])
        state = following


@EVERY
def test_states_are_never_changed_in_place(source: Source) -> None:
    rng = np.random.default_rng(6)
    learner = learner_of(source)
    state = learner.init_state(sizes(4, 3), seed=0)
    x, y, w = batch(source, 6, 4, 3, rng)
    copy = {name: array.copy() for name, array in state.items()}
    learner.update(state, x, y, w, learner.hyper())
    for name, array in state.items():
        np.testing.assert_array_equal(array, copy[name], err_msg=name)


def naive_rls(phi: Any, targets: Any, forgetting: float) -> tuple[Any, Any, Any]:
    """Row by row, in the textbook's order."""
    p, b, before = np.eye(phi.shape[1]), np.zeros((phi.shape[1], targets.shape[1])), []
    for f, t in zip(phi, targets, strict=True):
        before.append(f @ b)
        gain = p @ f / (forgetting + f @ p @ f)
        b = b + np.outer(gain, t - f @ b)
        p = (p - np.outer(gain, p @ f)) / forgetting
    return p, b, np.array(before)


def test_a_block_of_rls_is_the_sequential_algorithm() -> None:
    learner = learner_of(source_of("rls", "classification"))
    rng = np.random.default_rng(0)
    state = dict(learner.init_state(sizes(3, 2), seed=1))
    state |= {"norm_count": np.full(3, 10.0), "norm_m2": np.full(3, 10.0), "class_seen": np.ones(2, np.float32)}
    x, y = rng.standard_normal((16, 3)), rng.integers(0, 2, 16)
    after, before, _ = learner.update(state, x, y, ONES, learner.hyper(forgetting=0.9))
    z = np.clip(x, -5, 5).astype(np.float32).astype(float)
    waves = np.sqrt(2 / 6) * np.cos(z @ state["frequencies"] + state["phase"])
    p, b, scores = naive_rls(np.concatenate([np.ones((16, 1)), z, waves], 1), np.eye(2)[y], float(np.float32(0.9)))
    np.testing.assert_allclose(after["coefficients"], b, atol=1e-9)
    np.testing.assert_allclose(after["covariance"], p, atol=1e-8)
    shares = np.clip(scores, 0, 1) + 1e-3
    np.testing.assert_allclose(before, shares / shares.sum(1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize(("label", "noise"), [(1, 1.0), (0, DOUBT.default)])
def test_least_squares_doubt_a_label_where_they_were_sure_of_another(label: int, noise: float) -> None:
    learner = learner_of(source_of("rls", "classification"))
    rng = np.random.default_rng(3)
    state: Any = learner.init_state(sizes(3, 2), seed=1)
    for _ in range(20):
        x = rng.standard_normal((16, 3))
        state, _, _ = learner.update(state, x, (x[:, 0] > 0).astype(np.int64), ONES, learner.hyper(forgetting=1.0))
    row = np.array([[2.0, 0.0, 0.0]])
    assert learner.predict(state, row)[0, 1] > 0.9
    after, _, _ = learner.update(state, row, np.array([label]), ONES[:1], learner.hyper(forgetting=1.0))
    z = np.clip((row - state["norm_mean"]) / np.sqrt(state["norm_m2"] / state["norm_count"]), -5, 5)
    phi = np.concatenate([[1.0], z[0], np.sqrt(2 / 6) * np.cos(z[0] @ state["frequencies"] + state["phase"])])
    gain = state["covariance"] @ phi / (noise + phi @ state["covariance"] @ phi)
    expected = state["coefficients"] + np.outer(gain, np.eye(2)[label] - phi @ state["coefficients"])
    np.testing.assert_allclose(after["coefficients"], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["rls", "softmax", "knn"])
def test_one_call_of_many_rows_is_many_calls_of_one_row(name: str) -> None:
    """The sequential learners answer in order; the normaliser waits for the end of the call, as doubt does: none is."""
    learner = learner_of(source_of(name, "classification"))
    hyper = learner.hyper(**({"doubt": 1.0} if name == "rls" else {}))
    rng = np.random.default_rng(2)
    start = dict(learner.init_state(sizes(3, 2), seed=1))
    frozen = {"norm_count": np.full(3, 1e12), "norm_mean": np.zeros(3), "norm_m2": np.full(3, 1e12)}
    state: Any = start | frozen
    x, y = rng.standard_normal((16, 3)), rng.integers(0, 2, 16)
    _, together, _ = learner.update(state, x, y, ONES, hyper)
    for i in range(16):
        state, alone, _ = learner.update(dict(state) | frozen, x[i : i + 1], y[i : i + 1], ONES[:1], hyper)
        np.testing.assert_allclose(alone[0], together[i], atol=2e-5, err_msg=str(i))


def test_masked_rows_teach_nothing() -> None:
    rng = np.random.default_rng(4)
    for source in SOURCES:
        if source.name in {"knn", *POOLS}:
            continue  # a masked row takes a slot of the window; the pool has no rows to mask
        learner = learner_of(source)
        state = learner.init_state(sizes(3, 2), seed=0)
        x, y, _ = batch(source, 8, 3, 2, rng)
        mask = np.array([1, 0, 1, 0, 1, 1, 0, 1], np.float32)
        with_mask, _, _ = learner.update(state, x, y, mask, learner.hyper())
        without, _, _ = learner.update(state, x[mask > 0], y[mask > 0], ONES[:5], learner.hyper())
        for name in state:
            assert close(with_mask[name], without[name]), f"{source.name} {name}"


def test_the_normaliser_is_the_shared_one() -> None:
    learner = learner_of(source_of("softmax", "classification"))
    rng = np.random.default_rng(8)
    state, twin = learner.init_state(sizes(4, 2), seed=0), NormaliserState.zeros(4)
    for rows in (1, 3, 16, 7):
        x = rng.standard_normal((rows, 4)) * np.array([1e-20, 1.0, 1e10, 1e29])
        x[rng.random(x.shape) < 0.2] = np.nan
        state, _, _ = learner.update(state, x, np.zeros(rows, np.int64), ONES[:rows], learner.hyper())
        twin = twin.advance(x)
    for name, expected in twin.tensors().items():
        np.testing.assert_allclose(state[name], expected, rtol=1e-12, err_msg=name)


def test_naive_bayes_knows_the_means_of_scikit_learn() -> None:
    learner = learner_of(source_of("naive-bayes", "classification"))
    rng = np.random.default_rng(9)
    y = rng.integers(0, 3, 320)
    x = rng.standard_normal((320, 4)) + y[:, None]
    state = learner.init_state(sizes(4, 3), seed=0)
    for at in range(0, 320, 16):
        state, _, _ = learner.update(state, x[at : at + 16], y[at : at + 16], ONES, learner.hyper(forgetting=1.0))
    oracle = GaussianNB().fit(x, y)
    np.testing.assert_allclose(state["class_mean"], oracle.theta_, rtol=1e-9)
    np.testing.assert_allclose(state["class_m2"] / state["class_count"], oracle.var_, rtol=1e-6)
    assert (learner.predict(state, x).argmax(1) == oracle.predict(x)).mean() > 0.97


def test_neighbours_are_the_nearest() -> None:
    learner = learner_of(source_of("knn", "regression"))
    rng = np.random.default_rng(10)
    x, y = rng.standard_normal((32, 3)), rng.standard_normal(32)
    state = learner.init_state({**sizes(3, 2), "slots": 40}, seed=0)
    for at in (0, 16):
        state, _, _ = learner.update(state, x[at : at + 16], y[at : at + 16], ONES, learner.hyper())
    z = (x - x.mean(0)) / x.std(0)
    query = rng.standard_normal((5, 3))
    for q, answer in zip((query - x.mean(0)) / x.std(0), learner.predict(state, query), strict=True):
        distance = np.linalg.norm(z - q, axis=1)
        near = np.argsort(distance)[:5]
        vote = 1 / (distance[near] + 0.01 * np.sqrt(3))
        assert answer == pytest.approx((vote * y[near]).sum() / vote.sum(), rel=1e-3)


@CLASSIFIERS
def test_growing_classes_moves_no_answer_and_learning_goes_on(source: Source) -> None:
    rng = np.random.default_rng(11)
    learner = learner_of(source)
    state = learner.init_state(sizes(3, 2), seed=0)
    for _ in range(10):
        x, y, w = batch(source, 16, 3, 2, rng)
        state, _, _ = learner.update(state, x, y, w, learner.hyper())
    x, _, _ = batch(source, 16, 3, 2, rng)
    old = learner.predict(state, x)
    grown = learner.grow(state, "classes", 4)
    new = learner.predict(grown, x)
    np.testing.assert_allclose(new[:, :2], old, atol=1e-6)
    assert not new[:, 2:].any()
    far = np.full((16, 3), 1e6)
    for _ in range(20):
        grown, _, _ = learner.update(grown, far, np.full(16, 3), ONES, learner.hyper())
    assert (learner.predict(grown, far).argmax(1) == 3).all()


@EVERY
def test_extreme_inputs_give_no_nan(source: Source) -> None:
    learner = learner_of(source)
    if source.name in POOLS:
        return
    rng = np.random.default_rng(12)
    state = learner.init_state(sizes(4, 3), seed=0)
    for scale in (1e30, 1.0, 1e-30, 0.0, 1e30):
        x = np.sign(rng.standard_normal((16, 4))) * scale
        x[:, 3] = np.nan
        y = (
            rng.integers(0, 3, 16)
            if source.task == "classification"
            else rng.standard_normal(16) * (1e9 if scale else 1.0)
        )
        state, before, _ = learner.update(state, x, y, ONES, learner.hyper())
        out = learner.predict(state, x)
        assert np.isfinite(out).all()
        assert np.isfinite(before).all()
        if source.task == "classification":
            np.testing.assert_allclose(out.sum(1), 1.0, atol=1e-5)
            assert (out >= 0).all()


@REGRESSORS
def test_predictions_stay_near_the_targets_that_occurred(source: Source) -> None:
    rng = np.random.default_rng(13)
    learner = learner_of(source)
    state = learner.init_state(sizes(3, 2), seed=0)
    targets = []
    for i in range(30):
        x = rng.standard_normal((16, 3)) * (1.0 if i % 5 else 1e6)
        y = rng.standard_normal(16) + (1e6 if i > 20 else 0.0)
        targets.append(y)
        state, _, _ = learner.update(state, x, y, ONES, learner.hyper())
        seen = np.concatenate(targets)
        slack = 0.1 * (seen.max() - seen.min()) + 1e-6
        out = learner.predict(state, rng.standard_normal((16, 3)) * 1e9)
        assert (out >= seen.min() - slack).all()
        assert (out <= seen.max() + slack).all()


def score(source: Source, seed: int, **hyper: float) -> tuple[float, float]:
    """Return the score on the last third of a task, and that of the trivial answer."""
    rng = np.random.default_rng(seed)
    learner = learner_of(source)
    dims = {**sizes(4, 3), "fourier": 40, "hidden": 32, "slots": 400, "phi": 45}
    state = learner.init_state(dims, seed=seed)
    x = rng.standard_normal((1600, 4))
    value = np.sin(x[:, 0]) + 0.5 * x[:, 1]
    y = np.digitize(value, [-0.4, 0.4]) if source.task == "classification" else value * 10 + 100
    errors = []
    for at in range(0, 1600, 16):
        part = slice(at, at + 16)
        state, before, _ = learner.update(state, x[part], y[part], ONES, learner.hyper(**hyper))
        wrong = before.argmax(1) != y[part] if source.task == "classification" else np.abs(before - y[part])
        errors.append(wrong.mean())
    last = slice(1066, None)
    trivial = (
        1 - np.bincount(y[last]).max() / len(y[last])
        if source.task == "classification"
        else np.abs(y[last] - y[last].mean()).mean()
    )
    return float(np.mean(errors[66:])), float(trivial)


LEARNING = [s for s in SOURCES if s.name not in POOLS]


@pytest.mark.parametrize("source", LEARNING, ids=lambda s: f"{s.name}-{s.task}")
@pytest.mark.parametrize("seed", [101, 102])
def test_every_learner_learns_a_task(source: Source, seed: int) -> None:
    hyper = {"rate": 0.01} if source.name == "mlp" else {"rate": 0.2} if source.name == "softmax" else {}
    error, trivial = score(source, seed, **hyper)
    assert error < (trivial - 0.1 if source.task == "classification" else 0.5 * trivial)


@pytest.mark.parametrize(
    "source", [s for s in LEARNING if s.name in {"mlp", "softmax"}], ids=lambda s: f"{s.name}-{s.task}"
)
def test_with_rate_0_the_same_check_fails(source: Source) -> None:
    error, trivial = score(source, 101, rate=0.0)
    assert not error < (trivial - 0.1 if source.task == "classification" else 0.5 * trivial)

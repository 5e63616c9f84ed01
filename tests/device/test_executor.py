import threading
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as foreign

from acclimate_device import executor
from acclimate_device.executor import Learner
from acclimate_device.states import freeze
from acclimate_shared.errors import (
    ExecutionError,
    GraphError,
    ManifestError,
    PackageError,
    ShapeError,
    UnsupportedOpError,
    UsageError,
)
from acclimate_shared.learner import load_package, save_package
from tests.graphs import MANIFEST, PREDICT, UPDATE, counter

DIMS = {"features": 3, "classes": 2}


def rows(n: int, *, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)), rng.integers(0, 2, n), np.ones(n, np.float32)


@pytest.fixture(scope="module")
def learner() -> Learner:
    return Learner(counter())


def test_predicts_and_learns_as_the_graphs_say(learner: Learner) -> None:
    state = learner.init_state(DIMS, seed=0)
    x, y, w = rows(8)
    w[5] = 0
    np.testing.assert_array_equal(learner.predict(state, x), np.full((8, 2), 0.5, np.float32))
    after, before, loss = learner.update(state, x, y, w, learner.hyper(rate=2.0))
    np.testing.assert_array_equal(before, learner.predict(state, x))
    np.testing.assert_allclose(after["count"], 2 * np.bincount(y, w, minlength=2))
    np.testing.assert_allclose(after["total"], x.sum(axis=0))
    assert loss == pytest.approx(7 / 8)
    assert learner.dims(after) == DIMS
    assert not state["count"].any()


def test_states_are_read_only_and_the_same_input_gives_the_same_bits(learner: Learner) -> None:
    x, y, w = rows(50)
    first, again = (learner.update(learner.init_state(DIMS, 0), x, y, w, learner.hyper())[0] for _ in range(2))
    for name, array in first.items():
        assert array.tobytes() == again[name].tobytes()
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_more_rows_than_a_call_takes_go_in_order() -> None:
    whole, split = Learner(counter()), Learner(counter(max_rows=7))
    state = whole.init_state(DIMS, 0)
    x, y, w = rows(30)
    w[:3] = 0.5
    expected, _, loss = whole.update(state, x, y, w, whole.hyper())
    after, before, part_loss = split.update(state, x, y, w, split.hyper())
    np.testing.assert_allclose(after["total"], expected["total"])
    np.testing.assert_allclose(after["count"], expected["count"])
    step = state
    for at in range(0, 30, 7):
        part = slice(at, at + 7)
        np.testing.assert_array_equal(before[part], split.predict(step, x[part]))
        step, _, _ = whole.update(step, x[part], y[part], w[part], whole.hyper())
    assert part_loss == pytest.approx(np.average(w, weights=w), rel=0.1)
    assert loss == pytest.approx(w.mean())
    assert split.predict(state, x).shape == (30, 2)
    nothing = np.zeros(30, np.float32)
    assert split.update(state, x, y, nothing, split.hyper())[2] == 0.0


def test_grows_a_class(learner: Learner) -> None:
    state = learner.grow(learner.init_state(DIMS, 0), "classes", 3)
    assert learner.predict(state, rows(2)[0]).shape == (2, 3)


def test_hyper_parameters_have_defaults_and_ranges(learner: Learner) -> None:
    np.testing.assert_array_equal(learner.hyper(), np.array([1.0], np.float32))
    for bad in ({"rate": 11.0}, {"rate": float("nan")}, {"speed": 1.0}):
        with pytest.raises(UsageError, match="hyper-parameter"):
            learner.hyper(**bad)


@pytest.mark.parametrize(
    "x", [np.zeros((2, 3), np.float32), np.zeros(3), np.zeros((0, 3)), np.zeros((1, 1, 3)), np.zeros((2, 4))]
)
def test_rows_that_do_not_fit_are_refused(learner: Learner, x: NDArray[np.float64]) -> None:
    state = learner.init_state(DIMS, 0)
    y, w = np.zeros(len(x), np.int64), np.ones(len(x), np.float32)
    with pytest.raises((ShapeError, ExecutionError)):
        learner.update(state, x, y, w, learner.hyper())
    if x.shape != (2, 4):  # this learner does not look at x when it predicts
        with pytest.raises(ShapeError):
            learner.predict(state, x)


def test_labels_weights_and_states_that_do_not_fit_are_refused(learner: Learner) -> None:
    state, hyper = learner.init_state(DIMS, 0), learner.hyper()
    x, y, w = rows(4)
    with pytest.raises(ShapeError, match="y ="):
        learner.update(state, x, y.astype(np.int32), w, hyper)
    with pytest.raises(ShapeError, match="y ="):
        learner.update(state, x, y[:3], w, hyper)
    with pytest.raises(ShapeError, match="w ="):
        learner.update(state, x, y, w[:3], hyper)
    with pytest.raises(ShapeError):
        learner.update(state, x, y, w, np.ones(2, np.float32))
    with pytest.raises(ShapeError):
        learner.update({"count": state["count"]}, x, y, w, hyper)
    with pytest.raises(ShapeError):
        learner.predict({}, x)


BROKEN = {
    "output with another name": ({"predict": PREDICT.replace("out", "answer")}, ManifestError),
    "undeclared input": (
        {"predict": PREDICT.replace("(float[classes] count", "(float[1] k, float[classes] count")},
        ManifestError,
    ),
    "state tensor not returned": (
        {"update": UPDATE.replace("double[features] total__next, ", "")},
        ManifestError,
    ),
    "another dtype of the output": (
        {
            "predict": PREDICT.replace("float[rows, classes] out", "double[rows, classes] out").replace(
                "out = Expand(share, shape)", "wide = Expand(share, shape) out = Cast<to = 11>(wide)"
            )
        },
        ShapeError,
    ),
    "another rank": ({"predict": PREDICT.replace("double[features] total", "double[features, 1] total")}, ShapeError),
    "a size that the manifest leaves open": (
        {"predict": PREDICT.replace("double[rows, features] x", "double[rows, 3] x")},
        ShapeError,
    ),
    "types that do not fit": ({"predict": PREDICT.replace("Div(smoothed, sum)", "Div(smoothed, x)")}, GraphError),
    "name used before it is made": (
        {"predict": PREDICT.replace("Div(smoothed, sum)", "Div(smoothed, later)")},
        GraphError,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_graphs_that_disagree_with_the_manifest_are_refused(name: str) -> None:
    texts, error = BROKEN[name]
    with pytest.raises(PackageError) as caught:
        Learner(counter(**texts))
    assert type(caught.value) is error, caught.value


def test_an_update_that_changes_a_shape_is_refused() -> None:
    text = UPDATE.replace("total__next = Add(total, sums)", "total__next = Concat<axis = 0>(total, sums)")
    doubling = Learner(counter(update=text))
    state = doubling.init_state(DIMS, 0)
    with pytest.raises(ShapeError, match="changed the shape"):
        doubling.update(state, *rows(4), doubling.hyper())


def test_a_graph_may_leave_out_what_it_does_not_use() -> None:
    text = PREDICT.replace("double[features] total, ", "")
    lean = Learner(
        counter(predict=text, update=UPDATE.replace(", float[1] hyper", "").replace("Mul(added, hyper)", "Neg(added)"))
    )
    state = lean.init_state(DIMS, 0)
    x, y, w = rows(4)
    after, _, _ = lean.update(state, x, y, w, lean.hyper())
    np.testing.assert_allclose(after["count"], -np.bincount(y, minlength=2))
    assert lean.predict(after, x).shape == (4, 2)


def test_every_error_of_the_runtime_becomes_ours() -> None:
    errors = [kind for kind in vars(foreign).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(errors) > 10
    for kind in [*errors, RuntimeError, ValueError, TypeError]:
        for otherwise in (GraphError, ExecutionError):
            translated = executor._translated(kind("first\nsecond"), "counter cannot learn", otherwise)
            assert isinstance(translated, PackageError)
            assert "first second" in str(translated)
    assert isinstance(executor._translated(foreign.NotImplemented("x"), "", GraphError), UnsupportedOpError)
    assert isinstance(executor._translated(foreign.InvalidArgument("x"), "", ExecutionError), ShapeError)


def test_one_learner_serves_threads(learner: Learner) -> None:
    x, y, w = rows(20)
    expected = learner.update(learner.init_state(DIMS, 0), x, y, w, learner.hyper())[0]["total"]
    results: list[NDArray[np.float64]] = []

    def work() -> None:
        for _ in range(50):
            learner.predict(learner.init_state(DIMS, 0), x)
            results.append(learner.update(learner.init_state(DIMS, 0), x, y, w, learner.hyper())[0]["total"])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 200
    assert all(result.tobytes() == expected.tobytes() for result in results)


def test_runs_a_package_from_disk_that_outlives_its_files(tmp_path: Path) -> None:
    save_package(counter(), tmp_path / "p")
    learner = Learner(load_package(tmp_path / "p"))
    assert learner.digest == counter().digest
    assert learner.manifest.files.keys() > {"predict.onnx"}
    assert learner.predict(learner.init_state(DIMS, 0), rows(1)[0]).shape == (1, 2)


def test_a_diverged_state_predicts_nan_and_the_caller_judges(learner: Learner) -> None:
    state = freeze({"count": np.array([np.nan, 1], np.float32), "total": np.zeros(3)})
    assert np.isnan(learner.predict(state, rows(1)[0])).all()


def test_the_runtime_knows_the_opset_that_learners_may_use() -> None:
    assert tuple(int(part) for part in onnxruntime.__version__.split(".")[:2]) >= (1, 23)
    assert MANIFEST.opset <= 23


def test_the_layout_of_an_array_does_not_matter(learner: Learner) -> None:
    state, (x, y, w) = learner.init_state(DIMS, 0), rows(20)
    expected = learner.update(state, x, y, w, learner.hyper())[0]["total"]
    wide = np.zeros((40, 6))
    wide[::2, ::2] = x
    wide[::2, 1::2] = 7.0
    for same in (np.asfortranarray(x), wide[::2, ::2]):
        assert learner.update(state, same, y, w, learner.hyper())[0]["total"].tobytes() == expected.tobytes()

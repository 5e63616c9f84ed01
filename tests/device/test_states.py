import numpy as np
import pytest

from acclimate_device.states import MAX_STATE_BYTES, dims_of, grow, init_state
from acclimate_shared.errors import ShapeError
from acclimate_shared.learner import LearnerPackage
from acclimate_shared.manifest import Init, Manifest, TensorSpec
from tests.graphs import MANIFEST

KINDS = Manifest(
    name="kinds",
    task="classification",
    opset=20,
    x=MANIFEST.x,
    state=(
        TensorSpec(name="head", dtype="float32", shape=("features", "classes"), init=Init(kind="normal", value=2.0)),
        TensorSpec(name="fan", dtype="float64", shape=("features", 500), init=Init(kind="normal", fan="features")),
        TensorSpec(name="phase", dtype="float32", shape=(500,), init=Init(kind="uniform", value=6.25)),
        TensorSpec(name="p", dtype="float64", shape=(2, "classes", "classes"), init=Init(kind="eye", value=3.0)),
        TensorSpec(name="fill", dtype="float32", shape=("classes",), init=Init(value=0.5)),
        TensorSpec(name="step", dtype="int64", shape=(), init=Init(value=7)),
    ),
)
DIMS = {"features": 4, "classes": 2}


def package(**state: np.ndarray) -> LearnerPackage:
    return LearnerPackage(manifest=KINDS, predict=b"", update=b"", state=state)


def test_starts_as_declared_and_the_same_for_the_same_seed() -> None:
    state, again, other = (init_state(package(), DIMS, seed) for seed in (1, 1, 2))
    for spec in KINDS.state:
        np.testing.assert_array_equal(state[spec.name], again[spec.name])
        assert state[spec.name].dtype == spec.dtype
        assert not state[spec.name].flags.writeable
    assert (state["phase"] != other["phase"]).any()
    assert (state["phase"] >= 0).all()
    assert (state["phase"] < 6.25).all()
    np.testing.assert_array_equal(state["p"], [3 * np.eye(2)] * 2)
    assert state["step"] == 7
    assert dims_of(KINDS, state) == DIMS


def test_fan_divides_the_variance() -> None:
    spec = TensorSpec(name="a", dtype="float64", shape=(10_000,), init=Init(kind="normal", value=3.0, fan="features"))
    manifest = Manifest(name="m", task="regression", opset=20, x=MANIFEST.x, state=(spec,))
    state = init_state(LearnerPackage(manifest=manifest, predict=b"", update=b""), {"features": 9}, 0)
    assert abs(state["a"].std() - 1.0) < 0.03


def test_the_tensors_of_the_package_come_first() -> None:
    fill = np.array([8.0, 9.0], np.float32)
    assert init_state(package(fill=fill), DIMS, 0)["fill"] is fill
    with pytest.raises(ShapeError, match="grow"):
        init_state(package(fill=fill), {"features": 4, "classes": 3}, 0)


@pytest.mark.parametrize("dims", [{}, {"features": 4}, {"features": 4, "classes": 0}, {"features": -1, "classes": 2}])
def test_every_size_is_needed(dims: dict[str, int]) -> None:
    with pytest.raises(ShapeError):
        init_state(package(), dims, 0)


def test_a_state_beyond_the_limit_is_refused_before_it_is_made() -> None:
    with pytest.raises(ShapeError, match="too large"):
        init_state(package(), {"features": 4, "classes": MAX_STATE_BYTES}, 0)


def test_growing_fills_what_is_new_and_keeps_what_is_old() -> None:
    state = init_state(package(), DIMS, 1)
    grown = grow(KINDS, state, "classes", 4)
    np.testing.assert_array_equal(grown["head"][:, :2], state["head"])
    assert not grown["head"][:, 2:].any()
    np.testing.assert_array_equal(grown["p"], [3 * np.eye(4)] * 2)
    np.testing.assert_array_equal(grown["fill"], [0.5] * 4)
    assert grown["fan"] is state["fan"]
    assert not grown["fill"].flags.writeable
    assert dims_of(KINDS, grown) == {"features": 4, "classes": 4}
    assert grow(KINDS, grown, "classes", 4)["p"] is grown["p"]


def test_only_known_dims_grow_and_none_shrinks() -> None:
    state = init_state(package(), DIMS, 1)
    for dim, size in (("classes", 1), ("colours", 3)):
        with pytest.raises(ValueError, match="cannot grow"):
            grow(KINDS, state, dim, size)
    with pytest.raises(ShapeError, match="too large"):
        grow(KINDS, state, "classes", 1 << 30)


def test_a_state_of_another_learner_is_refused() -> None:
    state = dict(init_state(package(), DIMS, 1))
    for bad in (
        {name: state[name] for name in state if name != "fill"},
        state | {"extra": np.zeros(1)},
        state | {"fill": np.zeros(3, np.float32)},
        state | {"fill": np.zeros(2)},
        state | {"step": np.zeros(1, np.int64)},
    ):
        with pytest.raises(ShapeError):
            dims_of(KINDS, bad)

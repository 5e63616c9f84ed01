"""A new base with what was learned from the old one here: what it is, where it makes no sense, what it brings."""

from typing import Any

import msgspec
import numpy as np
import pytest

from acclimate_device.executor import Learner
from acclimate_device.rebase import fits, rebased, weights_of
from acclimate_device.states import State, init_state
from acclimate_shared.errors import ManifestError
from acclimate_shared.learner import LearnerPackage, load_package, make_package
from acclimate_shared.manifest import check
from tests.device.test_outside import STANDARD
from tests.graphs import counter

DIMS = {"features": 4, "classes": 2}
SOFTMAX = load_package(STANDARD / "softmax-classification")


def trained(state: State) -> LearnerPackage:
    return make_package(SOFTMAX.manifest, predict=SOFTMAX.predict, update=SOFTMAX.update, state=state)


class Life:
    """A learner that learns what one rule says, row after row, and counts its errors on others."""

    def __init__(self) -> None:
        self.learner, self.rng = Learner(SOFTMAX), np.random.default_rng(1)

    def rows(self, count: int, rule: Any) -> tuple[Any, Any]:
        x = self.rng.standard_normal((count, 4))
        return x, (x @ rule + 0.3 * self.rng.standard_normal(count) > 0).astype(np.int64)

    def taught(self, state: State, count: int, rule: Any) -> State:
        for _ in range(count // 32):
            x, y = self.rows(32, rule)
            state, _, _ = self.learner.update(state, x, y, np.ones(32, np.float32), self.learner.hyper())
        return state

    def errors(self, state: State, rule: Any) -> float:
        x, y = self.rows(4_000, rule)
        return float((self.learner.predict(state, x).argmax(1) != y).mean())


def test_what_was_learned_here_is_worth_something_on_a_better_base() -> None:
    life, everywhere, here = Life(), np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.2, 0.0])
    moved = np.array([1.0, -1.0, 0.0, 0.0])  # what has become of the world everywhere
    old = life.taught(init_state(SOFTMAX, DIMS, 0), 3_200, everywhere)
    local = life.taught(old, 3_200, everywhere + here)
    new = life.taught(old, 6_400, moved)
    both = rebased(SOFTMAX.manifest, new, old, local)
    assert both is not None
    errors = {
        name: life.errors(state, moved + here) for name, state in (("local", local), ("new", new), ("both", both))
    }
    assert errors["both"] < errors["new"] - 0.05
    assert errors["both"] < errors["local"] - 0.05
    for name in SOFTMAX.manifest.state:
        weight = name.name in weights_of(SOFTMAX.manifest)
        expected = new[name.name] + (local[name.name] - old[name.name]) if weight else new[name.name]
        assert np.allclose(both[name.name], expected, atol=1e-6)
        assert both[name.name].dtype == name.dtype


def test_only_one_architecture_with_known_weights_is_rebased() -> None:
    first = init_state(SOFTMAX, DIMS, 0)
    moved = {name: array + 1 if array.dtype == np.float32 else array for name, array in first.items()}
    one, other = trained(first), trained(moved)
    assert one.digest != other.digest
    assert fits(other, one)
    assert not fits(load_package(STANDARD / "mlp-classification"), one)
    assert not fits(counter(), counter())  # nothing says what its weights are
    declared = msgspec.structs.replace(counter().manifest, weights=("total",))
    both = make_package(declared, predict=counter().predict, update=counter().update)
    assert fits(both, both)
    assert not fits(both, counter())
    with pytest.raises(ManifestError, match="wrong"):
        check(msgspec.structs.replace(counter().manifest, weights=("nothing",)))


def test_sizes_that_differ_and_numbers_that_are_none_are_refused() -> None:
    first, more = init_state(SOFTMAX, DIMS, 0), init_state(SOFTMAX, DIMS | {"classes": 3}, 0)
    assert rebased(SOFTMAX.manifest, first, first, more) is None
    broken = {**first, "bias": np.full_like(first["bias"], np.inf)}
    assert rebased(SOFTMAX.manifest, first, first, broken) is None

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from acclimate_shared.errors import InputError
from acclimate_shared.evidence import LOSSES, paired_difference

Floats = NDArray[np.float64]
RAW = hnp.arrays(np.float64, st.tuples(st.integers(1, 20), st.integers(2, 5)), elements=st.floats(0, 1))
CLASSIFICATION = [name for name, loss in LOSSES.items() if loss.task == "classification"]
REGRESSION = [name for name, loss in LOSSES.items() if loss.task == "regression"]


@pytest.mark.parametrize("name", CLASSIFICATION)
@given(raw=RAW, seed=st.integers(0, 99))
def test_losses_of_classes_are_bounded(name: str, raw: Floats, seed: int) -> None:
    p = (raw + 1e-9) / (raw + 1e-9).sum(axis=1, keepdims=True)
    y = np.random.default_rng(seed).integers(0, p.shape[1], len(p))
    found = LOSSES[name](p, y)
    assert found.shape == (len(p),)
    assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_certain_and_right_is_best_and_certain_and_wrong_is_worst(name: str) -> None:
    p = np.eye(3)[[0, 0]].astype(np.float32)
    best, worst = LOSSES[name](p, np.array([0, 1]))
    assert best == pytest.approx(0.0, abs=2e-3)  # smoothing leaves a little
    assert worst == pytest.approx(1.0)


@pytest.mark.parametrize("name", REGRESSION)
@given(
    p=hnp.arrays(np.float64, 5, elements=st.floats(-1e6, 1e6)),
    y=hnp.arrays(np.float64, 5, elements=st.floats(-1e6, 1e6)),
    cap=st.floats(1e-3, 1e6),
)
def test_losses_of_numbers_are_bounded(name: str, p: Floats, y: Floats, cap: float) -> None:
    found = LOSSES[name](p, y, cap)
    assert ((found >= 0) & (found <= 1)).all()
    assert (found[np.abs(p - y) >= cap] == 1).all()


def test_by_hand() -> None:
    p, y = np.array([[0.2, 0.3, 0.5]]), np.array([2])
    assert LOSSES["brier"](p, y)[0] == pytest.approx((0.04 + 0.09 + 0.25) / 2)
    assert LOSSES["zero_one"](p, np.array([1]))[0] == 1
    assert LOSSES["log_loss"](p, y)[0] == pytest.approx(-np.log(0.99 * 0.5 + 0.01 / 3) / np.log(300))
    assert LOSSES["absolute"](np.array([3.0]), np.array([1.0]), 4.0)[0] == 0.5
    assert LOSSES["squared"](np.array([3.0]), np.array([1.0]), 4.0)[0] == 0.25
    np.testing.assert_allclose(paired_difference(np.array([1.0]), np.array([0.25]), 0.05), [0.7])


@pytest.mark.parametrize(
    ("p", "y", "message"),
    [
        ([[0.5, 0.5], [0.5, 0.6]], [0, 0], "row 2: not a distribution"),
        ([[float("nan"), 0.5]], [0], "row 1: not a distribution"),
        ([[1.5, -0.5]], [0], "row 1: not a distribution"),
        ([[0.5, 0.5]], [2], "no such class"),
        ([[0.5, 0.5]], [-1], "no such class"),
    ],
)
@pytest.mark.parametrize("name", CLASSIFICATION)
def test_what_is_no_prediction_is_refused(name: str, p: Any, y: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LOSSES[name](np.array(p), np.array(y))


@pytest.mark.parametrize("name", REGRESSION)
def test_regression_needs_finite_numbers_and_a_cap(name: str) -> None:
    with pytest.raises(InputError, match="row 2: prediction or target is not finite"):
        LOSSES[name](np.array([0.0, np.inf]), np.zeros(2), 1.0)
    for cap in (None, 0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="needs a cap"):
            LOSSES[name](np.zeros(1), np.zeros(1), cap)

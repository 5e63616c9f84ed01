import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from acclimate_shared.errors import InputError
from acclimate_shared.normaliser import MAX_ABS, NormaliserState, check_rows, merge

Floats = NDArray[np.float64]
FEATURES = 2
ANY = st.floats(-MAX_ABS, MAX_ABS) | st.just(float("nan"))
ROWS = hnp.arrays(np.float64, st.tuples(st.integers(1, 30), st.just(FEATURES)), elements=ANY)


def of(x: Floats) -> NormaliserState:
    return NormaliserState.zeros(x.shape[1]).advance(x)


def split(x: Floats, cuts: list[int]) -> list[NormaliserState]:
    return [of(part) for part in np.split(x, sorted(min(cut, len(x)) for cut in cuts))]


def scale(x: Floats) -> Floats:
    return np.asarray(np.nanmax(np.abs(np.vstack([x, np.zeros((1, x.shape[1]))])), axis=0))


@given(ROWS, st.lists(st.integers(0, 30), max_size=4))
@settings(max_examples=200)
def test_merged_parts_equal_the_whole(x: Floats, cuts: list[int]) -> None:
    whole, parts = of(x), merge(*split(x, cuts))
    np.testing.assert_array_equal(parts.count, whole.count)
    assert np.isfinite([*parts.mean, *parts.m2]).all()
    # The condition of the problem: a mean is known to the size of the values, m2 to their squares.
    assert (np.abs(parts.mean - whole.mean) <= 1e-12 * scale(x)).all()
    assert (np.abs(parts.m2 - whole.m2) <= 1e-12 * whole.count * np.square(scale(x))).all()
    assert (parts.m2 >= 0).all()


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e15, 1e29])
def test_merging_is_relative_to_1e_12_on_ordinary_data(size: float) -> None:
    rng = np.random.default_rng(3)
    x = size * (rng.normal(size=(5000, 3)) + 2.0)
    whole = of(x)
    for cuts in ([1], [17, 4000], list(range(10, 5000, 10))):
        parts = merge(*split(x, cuts))
        np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-12)
        np.testing.assert_allclose(parts.m2, whole.m2, rtol=1e-12)
    state = NormaliserState.zeros(3)
    for row in x[:2000]:
        state = state.advance(row[None])
    np.testing.assert_allclose(state.m2, of(x[:2000]).m2, rtol=1e-12)


@given(ROWS)
def test_an_empty_state_changes_no_bit_and_order_hardly_matters(x: Floats) -> None:
    whole, empty = of(x), NormaliserState.zeros(FEATURES)
    for merged in (merge(whole, empty), merge(empty, whole), merge(whole)):
        for name, value in whole.tensors().items():
            np.testing.assert_array_equal(merged.tensors()[name], value)


def test_equals_numpy_moments_and_leaves_out_missing_and_masked_rows() -> None:
    x = np.random.default_rng(0).normal(5.0, 2.0, size=(50, 2))
    x[3, 0] = np.nan
    w = np.ones(50, np.float32)
    w[10:20] = 0
    state = NormaliserState.zeros(2).advance(x, w)
    kept = x[w != 0]
    np.testing.assert_array_equal(state.count, [39, 40])
    np.testing.assert_allclose(state.mean, np.nanmean(kept, axis=0), rtol=1e-13)
    np.testing.assert_allclose(state.m2 / state.count, np.nanvar(kept, axis=0), rtol=1e-13)
    assert NormaliserState.of(state.tensors()).m2 is state.m2


def test_a_feature_never_seen_stays_at_zero() -> None:
    state = of(np.full((4, 1), np.nan))
    assert not any(value.any() for value in state.tensors().values())


def test_the_largest_values_do_not_overflow() -> None:
    state = of(np.array([[MAX_ABS], [-MAX_ABS]] * 500))
    assert state.mean == 0
    np.testing.assert_allclose(state.m2, 1000 * MAX_ABS**2)


@pytest.mark.parametrize("value", [1.1e30, -1e31, np.inf, -np.inf])
def test_larger_values_are_refused_with_their_place(value: float) -> None:
    x = np.zeros((3, 2))
    x[1, 1] = value
    with pytest.raises(InputError, match=r"row 2: value too large \[feature 1"):
        check_rows(x)
    with pytest.raises(InputError):
        of(x)


def test_forgetting_discounts_the_past_once_a_row() -> None:
    first, second = np.array([[0.0], [2.0]]), np.array([[10.0], [np.nan], [10.0]])
    state = of(first).advance(second, forgetting=0.5)
    np.testing.assert_allclose(state.count, [2.5])  # 2 * 0.5^2 of the past, and 2 rows
    np.testing.assert_allclose(state.mean, [(0.5 * 1.0 + 2 * 10.0) / 2.5])


def test_merge_needs_a_state() -> None:
    with pytest.raises(ValueError, match="at least one"):
        merge()

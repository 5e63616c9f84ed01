import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from acclimate_shared.errors import CorruptStateError, InputError, StateMismatchError
from acclimate_shared.evidence import Bets, MixBet, lower_bound
from acclimate_shared.evidence.sequence import Account

Floats = NDArray[np.float64]
MARGIN = 0.02
DESIGNS = [Bets.of(effect=0.05, variance=0.1, margin=MARGIN), Bets.flat(MARGIN)]
D = hnp.arrays(np.float64, st.integers(0, 200), elements=st.floats(-1 - MARGIN, 1 - MARGIN))
design = pytest.mark.parametrize("bets", DESIGNS, ids=["designed", "flat"])


def after(bets: Bets, d: Floats) -> MixBet:
    state = MixBet.new(bets)
    for value in d.tolist():
        state.update(value)
    return state


def test_by_hand() -> None:
    state = MixBet.new(Bets((0.5, 0.25), (0.5, 0.5)))
    assert state.log_e == 0
    state.update(1.0)
    assert math.exp(state.update(-0.5)) == pytest.approx((1.5 * 0.75 + 1.25 * 0.875) / 2)
    assert (state.n, state.total, state.squares) == (2, 0.5, 1.25)


@design
@given(d=D, cuts=st.lists(st.integers(0, 200), max_size=5))
def test_any_partition_merges_to_the_same_evidence(bets: Bets, d: Floats, cuts: list[int]) -> None:
    parts = [after(bets, part) for part in np.split(d, sorted(min(cut, len(d)) for cut in cuts))]
    whole = after(bets, d)
    merged = parts[0].merge(*parts[1:])
    assert abs(merged.log_e - whole.log_e) <= 1e-9
    assert merged.n == whole.n
    np.testing.assert_allclose([merged.total, merged.squares], [whole.total, whole.squares], atol=1e-10)
    assert parts[-1].merge(*parts[:-1]) == merged  # in any order, bit for bit


@design
@given(d=D, cut=st.integers(0, 200))
def test_vectorised_equals_one_by_one(bets: Bets, d: Floats, cut: int) -> None:
    one, many = MixBet.new(bets), MixBet.new(bets)
    logs = [one.update(value) for value in d.tolist()]
    found = np.concatenate([many.update_many(d[:cut]), many.update_many(d[cut:])])
    np.testing.assert_allclose(found, logs, rtol=0, atol=1e-9)
    np.testing.assert_allclose(many.wealth, one.wealth, rtol=0, atol=1e-9)
    assert (many.n, many.total, many.squares) == (one.n, one.total, one.squares)


@design
@given(d=D, cut=st.integers(0, 200))
def test_a_loaded_state_continues_bit_for_bit(bets: Bets, d: Floats, cut: int) -> None:
    state = after(bets, d[:cut])
    data = state.to_bytes()
    loaded = MixBet.from_bytes(data)
    assert len(data) <= 400
    assert (loaded, loaded.to_bytes()) == (state, data)
    for value in d[cut:].tolist():
        assert loaded.update(value) == state.update(value)
    assert loaded.update_many(d).tobytes() == state.update_many(d).tobytes()
    assert loaded.to_bytes() == state.to_bytes()


@pytest.mark.parametrize("value", [-1.03, math.inf, -math.inf, math.nan])
def test_a_difference_out_of_bounds_leaves_the_state_as_it_is(value: float) -> None:
    state = after(DESIGNS[0], np.array([0.1]))
    before = state.to_bytes()
    with pytest.raises(InputError, match="difference out of bounds"):
        state.update(value)
    with pytest.raises(InputError, match="row 2"):
        state.update_many(np.array([0.0, value, 0.0]))
    assert state.to_bytes() == before


def test_only_states_of_one_design_merge() -> None:
    with pytest.raises(StateMismatchError, match="different designs"):
        MixBet.new(DESIGNS[0]).merge(MixBet.new(DESIGNS[1]))


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_changed_bit_is_found(at: int, bit: int) -> None:
    data = bytearray(after(DESIGNS[0], np.array([0.5, -0.25])).to_bytes())
    data[at % len(data)] ^= 1 << bit
    with pytest.raises(CorruptStateError):
        MixBet.from_bytes(bytes(data))


def test_cut_and_foreign_bytes_are_refused() -> None:
    data = MixBet.new(DESIGNS[0]).to_bytes()
    for size in range(len(data)):
        with pytest.raises(CorruptStateError):
            MixBet.from_bytes(data[:size])
    with pytest.raises(StateMismatchError, match="another kind"):
        MixBet.from_bytes(Account(0.05).to_bytes())


def test_the_lower_bound_covers_the_mean_at_every_moment() -> None:
    # The closed form at the true mean crosses 1 / alpha exactly when the bound is above it.
    runs, steps, mean, alpha = 1_000, 2_000, 0.03, 0.05
    bets = Bets.of(effect=0.05, variance=1 / 12)
    d = np.random.default_rng(0).uniform(mean - 0.5, mean + 0.5, (runs, steps))
    total, squares, n = d.cumsum(axis=1), np.square(d).cumsum(axis=1), np.arange(1, steps + 1)
    logs = [
        math.log(weight) + bet * (total - n * mean) + (math.log1p(-bet) + bet) * squares
        for bet, weight in zip(bets.lambdas, bets.weights, strict=True)
    ]
    above = np.logaddexp.reduce(logs, axis=0) >= math.log(1 / alpha)
    assert above.any(axis=1).mean() <= 0.071
    for run in (int(above.any(axis=1).argmax()), int((~above.any(axis=1)).argmax())):
        state = MixBet.new(bets)
        state.update_many(d[run])
        assert (lower_bound(state, alpha) >= mean) == above[run, -1]


def test_the_lower_bound_nears_the_mean() -> None:
    state = MixBet.new(Bets.of(effect=0.02, variance=1 / 12, margin=0.1))
    assert lower_bound(state, 0.05) == -1.1
    rng = np.random.default_rng(1)
    bounds = []
    for _ in range(4):
        state.update_many(rng.uniform(-0.4, 0.6, 5_000))
        bounds.append(lower_bound(state, 0.05))
    assert 0.05 < bounds[0] < bounds[-1] < 0.1
    state.update(-1.1)
    assert -1.1 <= lower_bound(state, 1e-300) < state.total / state.n

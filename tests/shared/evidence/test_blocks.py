import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from acclimate_shared.errors import CorruptStateError
from acclimate_shared.evidence import Blocks, alpha_factor, backtest_length, block_length
from acclimate_shared.evidence._seal import pack_counts, pack_floats, sealed
from tests.shared.evidence.series import ar

Floats = NDArray[np.float64]
D = hnp.arrays(np.float64, st.integers(0, 60), elements=st.floats(-1, 1))


@given(d=D, length=st.integers(1, 9), cuts=st.lists(st.integers(0, 60), max_size=4))
def test_in_any_pieces_the_state_is_the_same_bit_for_bit(d: Floats, length: int, cuts: list[int]) -> None:
    one, many = Blocks(length), Blocks(length)
    means = [mean for value in d.tolist() if (mean := one.update(value)) is not None]
    found: list[float] = []
    for part in np.split(d, sorted(min(cut, len(d)) for cut in cuts)):
        many = Blocks.from_bytes(many.to_bytes())
        found += many.update_many(part).tolist()
    assert (found, many) == (means, one)
    assert len(means) == len(d) // length


@given(hnp.arrays(np.float64, st.integers(3, 80), elements=st.floats(-1, 1).map(lambda x: round(x, 3))))
def test_the_running_autocorrelation_is_that_of_the_series(d: Floats) -> None:
    blocks = Blocks(1)
    blocks.update_many(d)
    x = d - d.mean()
    expected = float(x[1:] @ x[:-1]) / float(x @ x) if x @ x > 1e-9 else blocks.autocorrelation
    assert blocks.autocorrelation == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("rho", "length"), [(-0.5, 1), (0.0, 1), (0.3, 10), (0.6, 20), (0.9, 95), (0.1, 7)])
def test_the_rule_of_ar_1(rho: float, length: int) -> None:
    assert block_length(rho) == length
    assert alpha_factor(length) == (1.0 if length == 1 else 0.7)
    with pytest.raises(ValueError, match="below 1"):
        block_length(1.0)


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.3, 0.6, 0.9])
def test_the_backtest_asks_for_blocks_that_are_long_enough_and_not_much_longer(rho: float) -> None:
    lengths = np.array([backtest_length(d) for d in ar(np.random.default_rng(0), 200, 3_000, rho)])
    assert (lengths >= 0.9 * block_length(rho)).mean() >= 0.9
    assert np.median(lengths) <= 1.5 * block_length(rho)


def test_a_backtest_without_autocorrelation_needs_no_blocks() -> None:
    rng = np.random.default_rng(0)
    lengths = np.array([backtest_length(d) for d in rng.uniform(-1, 1, (200, 1_000))])
    assert (lengths == 1).mean() >= 0.85
    assert lengths.max() <= 15
    assert backtest_length(np.full(500, 0.25)) == 1
    with pytest.raises(ValueError, match="at least 100"):
        backtest_length(np.zeros(99))


@pytest.mark.parametrize("share", [0.002, 0.01, 0.03])
def test_rare_differences_that_happen_to_be_neighbours_need_no_blocks(share: float) -> None:
    rng = np.random.default_rng(0)
    assert np.mean([backtest_length((rng.random(512) < share).astype(float)) > 1 for _ in range(300)]) <= 0.08
    pairs = np.zeros(2_048)
    pairs[100::200] = pairs[101::200] = 1.0  # never alone: no chance
    assert backtest_length(pairs) > 5


def test_what_is_not_ar_1_is_seen_beyond_lag_1() -> None:
    rng = np.random.default_rng(0)
    moving = np.convolve(rng.normal(size=6_000), np.ones(10) / 10, mode="valid")  # lag k: 1 - k / 10, then 0
    assert backtest_length(moving) >= 45  # 5 (1 + 2 * 4.5) = 50 less noise
    late = rng.normal(size=6_000)
    late[4:] += late[:-4]  # nothing at lag 1, a half at lag 4
    assert backtest_length(late) > 5


def test_blocks_too_short_are_noticed_and_chance_is_not() -> None:
    rng = np.random.default_rng(0)
    short, right, few = Blocks(1), Blocks(20), Blocks(1)
    series = ar(rng, 1, 4_000, 0.6)[0]
    short.update_many(series)
    right.update_many(series)
    few.update_many(np.array([0.1, 0.2, 0.3, 0.4]))
    assert (short.too_short, right.too_short, few.too_short, Blocks(1).too_short) == (True, False, False, False)
    false = 0
    for d in rng.uniform(-1, 1, (300, 500)):
        blocks = Blocks(1)
        blocks.update_many(d)
        false += blocks.too_short
    assert false <= 9


@pytest.mark.parametrize("length", [0, -1, 100_001])
def test_a_length_out_of_range_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="block length"):
        Blocks(length)


@pytest.mark.parametrize("counts", [(0, 0, 0), (3, 3, 0), (10**9, 0, 0)])
def test_impossible_states_are_refused(counts: tuple[int, ...]) -> None:
    with pytest.raises(CorruptStateError, match="no such block"):
        Blocks.from_bytes(sealed(b"BLKS", pack_counts(*counts) + pack_floats(*[0.0] * 6)))

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from acclimate_shared.errors import CorruptStateError, InputError
from acclimate_shared.evidence import Bets, MixBet, Watch, detector_paths, mix
from acclimate_shared.evidence._seal import pack_counts, pack_part, sealed

Floats = NDArray[np.float64]
BETS = Bets.of(effect=0.1, variance=0.09)
D = hnp.arrays(np.float64, st.integers(0, 80), elements=st.floats(-1, 1))


def test_by_hand() -> None:
    watch = Watch.new(Bets((0.5,), (1.0,)), run_length=100)
    m = 0.0
    for d in (0.5, -1.0, 1.0, 0.25):
        watch.update(d)
        m = (m + 1) * (1 + 0.5 * d)
        assert math.exp(watch.log_m) == pytest.approx(m)


@given(d=D, block=st.integers(1, 4), cut=st.integers(0, 80))
def test_in_pieces_vectorised_and_reloaded_it_is_the_same(d: Floats, block: int, cut: int) -> None:
    one, many = (Watch.new(BETS, run_length=50, block=block) for _ in range(2))
    for value in d.tolist():
        one.update(value)
    many.update_many(d[:cut])
    data = many.to_bytes()
    loaded = Watch.from_bytes(data)
    assert (loaded, loaded.to_bytes()) == (many, data)
    assert many.update_many(d[cut:]) == loaded.update_many(d[cut:]) == one.alarm
    assert loaded.to_bytes() == many.to_bytes()
    assert (many.n, many.blocks) == (one.n, one.blocks)
    np.testing.assert_allclose(many.logs, one.logs, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_stated() -> None:
    length, steps = 200.0, 5_000
    d = np.random.default_rng(0).uniform(-0.5, 0.5, (400, steps))
    crossed = mix(BETS, detector_paths(BETS, d)) >= math.log(length)
    runs = np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, steps)
    assert runs.mean() >= length
    assert Watch.new(BETS, run_length=length, block=7).average_run_length == 7 * length


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "most"), [(0.3, 80), (0.1, 250)])
def test_a_recent_harm_is_found_however_long_all_was_well(shift: float, most: int) -> None:
    rng = np.random.default_rng(1)
    delays = []
    for _ in range(100):
        d = np.clip(0.3 * rng.standard_normal(4_000), -1, 1)
        d[2_000:] = np.clip(d[2_000:] + shift, -1, 1)
        watch = Watch.new(BETS, run_length=20_000)
        assert watch.update_many(d)
        delays.append(watch.n - 2_000)
    assert 0 < np.median(delays) <= most


def test_an_alarm_stays_and_nothing_overflows() -> None:
    watch = Watch.new(BETS, run_length=1e300)
    assert watch.update_many(np.ones(5_000))
    n = watch.n
    assert watch.update(-1.0)
    assert watch.update_many(-np.ones(100))
    assert (watch.n, watch.alarm) == (n, True)
    assert math.isfinite(mix(BETS, detector_paths(BETS, np.ones(20_000)))[-1])


def test_what_cannot_be_is_refused() -> None:
    watch = Watch.new(BETS, run_length=50)
    for bad in (-1.1, math.nan, math.inf):
        with pytest.raises(InputError):
            watch.update(bad)
        with pytest.raises(InputError):
            watch.update_many(np.array([0.0, bad]))
    assert watch.n == 0
    for length in (1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="run_length"):
            Watch.new(BETS, run_length=length)
    parts = pack_part(MixBet.new(BETS).to_bytes()) + pack_part(watch.blocks.to_bytes())
    with pytest.raises(CorruptStateError, match="no such watch"):
        Watch.from_bytes(sealed(b"WTCH", pack_counts(0, 0) + parts))

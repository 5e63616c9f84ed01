import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_shared.errors import InputError
from acclimate_shared.evidence import Bets, mix, wealth_paths
from acclimate_shared.evidence.bets import mix_one


def test_the_design_is_the_published_one() -> None:
    bets = Bets.of(effect=0.03, variance=0.1, margin=0.2)
    np.testing.assert_allclose(bets.lambdas, [0.075, 0.15, 0.3, 0.6, 0.75])  # the last is capped at .9 / 1.2
    assert bets.weights == (0.1, 0.2, 0.4, 0.2, 0.1)
    assert Bets.flat().lambdas == tuple(0.5 * 2.0**-k for k in range(11))
    assert sum(Bets.flat(0.9).weights) == pytest.approx(1)
    np.testing.assert_allclose(Bets.spread(0.02).lambdas, np.geomspace(0.9, 0.01, 7))
    np.testing.assert_allclose(Bets.spread(0.9, margin=1.0).lambdas, np.geomspace(0.45, 0.225, 7))  # never the same


@given(st.floats(1e-6, 1), st.floats(1e-9, 1), st.floats(-0.99, 2))
def test_no_bet_can_lose_everything(effect: float, variance: float, margin: float) -> None:
    for bets in (
        Bets.of(effect=effect, variance=variance, margin=margin),
        Bets.spread(effect, margin),
        Bets.flat(margin),
    ):
        assert all(1 - bet * (1 + margin) >= 0.1 - 1e-12 for bet in bets.lambdas)


@pytest.mark.parametrize(
    ("lambdas", "weights", "margin"),
    [
        ((1.0,), (1.0,), 0.0),
        ((0.9,), (1.0,), 0.2),
        ((0.0,), (1.0,), 0.0),
        ((0.5,), (0.9,), 0.0),
        ((0.5, 0.4), (1.0,), 0.0),
        ((), (), 0.0),
        ((0.5,), (1.0,), -1.0),
        ((0.5,), (1.0,), math.nan),
        ((math.nan,), (1.0,), 0.0),
    ],
)
def test_other_designs_are_refused(lambdas: tuple[float, ...], weights: tuple[float, ...], margin: float) -> None:
    with pytest.raises(ValueError, match=r"margin|bet|weight"):
        Bets(lambdas, weights, margin)


@pytest.mark.parametrize(("effect", "variance"), [(0.0, 0.1), (-0.1, 0.1), (0.1, 0.0), (math.nan, 0.1)])
def test_effect_and_variance_are_positive(effect: float, variance: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        Bets.of(effect=effect, variance=variance)


@pytest.mark.parametrize("value", [-1.11, -math.inf, math.inf, math.nan])
def test_a_difference_out_of_bounds_is_refused_with_its_row(value: float) -> None:
    bets = Bets.of(effect=0.05, variance=0.1, margin=0.1)
    bets.check(np.array([-1.1, 0.9]))
    with pytest.raises(InputError, match="row 2: difference out of bounds"):
        bets.check(np.array([0.0, value]))


def test_nothing_overflows() -> None:
    bets = Bets.of(effect=0.9, variance=1.0)
    paths = wealth_paths(bets, np.ones((2, 20_000)))
    log = mix(bets, paths)
    assert paths.shape == (5, 2, 20_000)
    assert np.isfinite(log).all()
    assert log[0, -1] > 10_000  # exp of which is no float64
    assert mix_one(bets, paths[:, 0, -1].tolist()) == pytest.approx(log[0, -1], abs=1e-9)

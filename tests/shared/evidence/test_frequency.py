"""How often the tests are wrong, and how soon they are right, over seeded runs looked at after every observation.

The short form runs in the gate; the long form has 10,000 runs a cell and writes docs/results/evidence.json. The limit
is .05 plus three standard errors of the count of runs.
"""

import math
import timeit
from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from acclimate_shared.evidence import Bets, Design, MixBet, Test, block_length
from tests.shared.evidence import runs as many
from tests.shared.evidence.conftest import Record
from tests.shared.evidence.series import NULLS, SCALE, Draw, ar, gauss, sign, uniform, unripe

SHORT, LONG = 1_000, 10_000
SEEDS = {name: seed for seed, name in enumerate(NULLS)}


def limit(runs: int) -> float:
    return 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def steps_of(name: str, steps: int) -> int:
    """Return more labels for series that are judged by blocks, so that there are enough observations."""
    return steps if NULLS[name].rho == 0 else round(2.4 * steps)


@pytest.mark.slow
@pytest.mark.parametrize("name", NULLS)
def test_false_promotions(name: str) -> None:
    assert many.false_promotions(NULLS[name], SHORT, steps_of(name, 2_000), SEEDS[name]) <= limit(SHORT)


@pytest.mark.long
@pytest.mark.parametrize("name", NULLS)
def test_false_promotions_of_10_000_runs(name: str, record: Record) -> None:
    found = many.false_promotions(NULLS[name], LONG, steps_of(name, 5_000), 100 + SEEDS[name])
    record("false promotions", name, found)
    assert found <= limit(LONG)


@pytest.mark.slow
@pytest.mark.parametrize("better", [0, 4])
def test_eight_challengers_in_turn(better: int) -> None:
    assert many.sequence_of(SHORT, 2_000, better=better, seed=3) <= limit(SHORT)


@pytest.mark.long
@pytest.mark.parametrize("better", [0, 4])
def test_eight_challengers_in_turn_of_10_000_runs(better: int, record: Record) -> None:
    found = many.sequence_of(LONG, 5_000, better=better, seed=4)
    record("false promotions", f"8 challengers under e-LOND, {better} better: share of promotions", round(found, 4))
    assert found <= limit(LONG)


def outcomes(draw: Draw, design: Design, runs: int, steps: int) -> Counter[str]:
    """Return how often the three-way test, its guard against autocorrelation included, ends in which way."""
    series = draw(np.random.default_rng(10), runs, steps)
    return Counter(Test.new(design).update_many(d).value for d in series)


@pytest.mark.long
def test_the_guard_against_autocorrelation(record: Record) -> None:
    runs = LONG // 5
    design = Design(alpha=0.05, effect=0.03, variance=0.0625, equivalence=0.03, bad=0.2, n_max=5_000)
    for rho in (0.3, 0.6, 0.9):
        found = outcomes(partial(ar, rho=rho), design, runs, 5_000)
        record("the guard, no blocks", f"AR({rho}): promoted", found["promote"] / runs)
        assert found["promote"] / runs <= limit(runs)
    found = outcomes(partial(ar, rho=0.0, mean=0.04), design, runs, 5_000)
    record("the guard, no blocks", "no autocorrelation, better: promoted", found["promote"] / runs)
    record("the guard, no blocks", "no autocorrelation, better: restarted without cause", found["restart"] / runs)
    assert found["promote"] / runs >= 0.95
    assert found["restart"] / runs <= 0.02


CONTROLS: dict[str, tuple[Callable[[int, int, int], float], float]] = {
    "t-test looked at after every label": (many.peeked_t, 0.3),
    "adaptive bets on drift": (many.adaptive_on_drift, 0.9),
    "AR(.6) without blocks": (many.unblocked, 0.2),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTROLS)
def test_what_is_forbidden_fails(name: str) -> None:
    control, least = CONTROLS[name]
    assert control(300, 4_000, 5) > least


@pytest.mark.long
@pytest.mark.parametrize("name", CONTROLS)
def test_what_is_forbidden_fails_in_10_000_runs(name: str, record: Record) -> None:
    control, least = CONTROLS[name]
    found = control(LONG, 5_000, 6)
    record("negative controls", name, found)
    assert found > least


@pytest.mark.slow
def test_labels_judged_before_they_are_ripe_promote_the_useless() -> None:
    bets = Bets.of(effect=0.03, variance=0.066)
    assert (many.stopping_times(unripe, bets, 200, 2_000, seed=1) > 0).mean() > 0.9


# Draw, variance, effect: those of a contest that is due.
DUE: dict[str, tuple[Draw, float, float]] = {
    "uniform": (partial(uniform, mean=0.0277), 1 / 12, 0.0277),
    "0/1": (partial(sign, disagree=0.1, mean=0.02), 0.1 - 0.02**2, 0.02),
    "Gauss": (partial(gauss, mean=0.02), 0.04, 0.02),
}


def sample_size(name: str, factor: float, runs: int, seed: int) -> dict[str, float]:
    """Return mean labels and power, over the fixed-horizon n of 80 % power; runs not promoted count as 8 n."""
    draw, variance, effect = DUE[name]
    fixed = 6.18 * variance / effect**2
    steps = math.ceil(8 * fixed)
    found = many.stopping_times(draw, Bets.of(effect=factor * effect, variance=variance), runs, steps, seed=seed)
    power = {f"power at {k} n": round(float(((found > 0) & (found <= k * fixed)).mean()), 4) for k in (1, 2, 4)}
    labels = np.where(found > 0, found, steps)
    sizes = {"fixed n": round(fixed), "mean": float(labels.mean()), "median": float(np.median(labels))}
    return sizes | {"mean over n": round(float(labels.mean()) / fixed, 4)} | power


@pytest.mark.slow
@pytest.mark.parametrize("name", DUE)
def test_sample_size(name: str) -> None:
    found = sample_size(name, 1.0, SHORT, 7)
    assert found["mean over n"] <= 1.15 + 0.06  # two standard errors
    assert found["power at 2 n"] >= 0.85 - 0.03
    assert found["power at 4 n"] >= 0.98 - 0.01


@pytest.mark.long
@pytest.mark.parametrize("name", DUE)
@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_sample_size_of_10_000_runs(name: str, factor: float, record: Record) -> None:
    found = sample_size(name, factor, LONG, 8)
    record("sample size", f"{name}, designed for {factor:g} times the effect", found)
    assert found["mean over n"] <= (1.15 if factor == 1 else 1.30)
    if factor == 1:
        assert found["power at 2 n"] >= 0.85
        assert found["power at 4 n"] >= 0.98


def blocked_size(rho: float, effect: float, runs: int) -> float:
    """Return mean labels over the fixed-horizon n that allows for the autocorrelation."""
    length = block_length(rho)
    bets = Bets.of(effect=effect, variance=many.block_variance(SCALE**2, rho, length))
    fixed = 6.18 * SCALE**2 * (1 + rho) / (1 - rho) / effect**2
    steps = math.ceil(6 * fixed)
    found = many.stopping_times(partial(ar, rho=rho, mean=effect), bets, runs, steps, seed=9, length=length)
    return float(np.where(found > 0, found, steps).mean() / fixed)


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.3, 0.6])
def test_sample_size_in_blocks(rho: float) -> None:
    assert blocked_size(rho, 0.03, 300) <= 2.3


@pytest.mark.long
@pytest.mark.parametrize("rho", [0.3, 0.6, 0.9])
def test_sample_size_in_blocks_of_10_000_runs(rho: float, record: Record) -> None:
    # At .9 each run is eight thousand labels and more; a tenth of the runs is as telling.
    runs = LONG if rho < 0.9 else LONG // 10
    found = blocked_size(rho, 0.03, runs)
    record("sample size in blocks, over the adjusted n", f"AR({rho})", round(found, 4))
    # Where an effect is so large that few blocks would do, the largest bet binds: the price is known, not promised.
    bound = blocked_size(rho, 0.05, LONG // 10)
    record("sample size in blocks, over the adjusted n", f"AR({rho}), largest bet binds", round(bound, 4))
    assert found <= 2.3


@pytest.mark.long
def test_microseconds_a_label(record: Record) -> None:
    d = np.random.default_rng(0).uniform(-0.5, 0.5, 100_000)
    design = Design(alpha=1e-9, effect=0.02, variance=0.08, equivalence=1e-6, n_max=10**9)
    one, bets, values = Test.new(design), Bets.of(effect=0.02, variance=0.08), d[:10_000].tolist()
    single = MixBet.new(bets)
    found = {
        "e-process, one by one": timeit.timeit(lambda: [single.update(x) for x in values], number=1) * 100,
        "e-process, array": timeit.timeit(lambda: MixBet.new(bets).update_many(d), number=1) * 10,
        "three-way test, one by one": timeit.timeit(lambda: [one.update(x) for x in values], number=1) * 100,
        "three-way test, array": timeit.timeit(lambda: Test.new(design).update_many(d), number=1) * 10,
    }
    for name, value in found.items():
        record("microseconds a label", name, round(value, 3))
        print(f"{name}: {value:.2f} us")  # noqa: T201
        assert value <= (2 if "array" in name else 20) * 3  # machines differ

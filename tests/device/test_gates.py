"""Gates: limits are limits, and the sanity set tells one bit, a bounded number of times, along a ladder."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_device.gates import Ladder, Limits, Verdict, backtest, cost, finite, latency, size
from acclimate_shared.evidence import Gate

LIMITS = Limits(state_bytes=100, operations=10, latency_s=0.001)
LOSSES = st.floats(0.0, 1.0)


@pytest.mark.parametrize(
    ("verdict", "passed"),
    [
        (finite([np.zeros(3), np.arange(2)]), True),
        (finite([np.zeros(3), np.array([1.0, np.nan])]), False),
        (finite([np.array([np.inf], np.float32)]), False),
        (size(100, LIMITS), True),
        (size(101, LIMITS), False),
        (cost(10, LIMITS), True),
        (cost(11, LIMITS), False),
        (latency(0.001, LIMITS), True),
        (latency(0.0011, LIMITS), False),
    ],
)
def test_whoever_breaks_a_limit_is_out(verdict: Verdict, *, passed: bool) -> None:
    assert verdict.passed is passed
    assert verdict.limit
    assert verdict.numbers


def test_a_backtest_needs_labels_and_a_lead_and_is_no_limit() -> None:
    gate = Gate(name="backtest", min_labels=100, worse_by=0.01)
    assert backtest(gate, -0.01, 100).passed
    assert not backtest(gate, 0.5, 99).passed
    assert not backtest(gate, -0.02, 100).passed
    assert not backtest(gate, -0.02, 100).limit


def test_nobody_is_held_to_more_than_the_bar() -> None:
    ladder = Ladder(100, 50)
    assert ladder.consult(0.30, 0.30, 0.0)
    assert ladder.best == pytest.approx(0.3)
    assert ladder.consult(0.25, 0.30, 0.0)  # not better by a whole step: the bar stays
    assert ladder.best == pytest.approx(0.3)
    assert not ladder.consult(0.31, 0.1, 0.0)
    assert ladder.consult(0.31, 0.1, 0.02)
    assert ladder.consult(0.55, 0.58, 0.0)  # what serves has become worse: the world has changed
    assert ladder.consult(0.04, 0.58, 0.0)
    assert ladder.best == pytest.approx(0.1)


@given(st.lists(st.tuples(LOSSES, LOSSES), min_size=1, max_size=40), st.floats(0.0, 0.2))
def test_the_bar_only_falls_and_in_whole_steps(asked: list[tuple[float, float]], worse_by: float) -> None:
    ladder, before = Ladder(64, 40), math.inf
    for candidate, serving in asked:
        bar = max(ladder.best or 0.0, math.ceil(serving * 8 - 1e-9) / 8)
        assert ladder.consult(candidate, serving, worse_by) is (candidate <= bar + worse_by)
        if ladder.best is not None:
            assert ladder.best <= before
            assert ladder.best * 8 == pytest.approx(round(ladder.best * 8))
            before = ladder.best
    assert Ladder.restored(ladder.document()).document() == ladder.document()


def test_consultations_are_counted_and_end() -> None:
    ladder = Ladder(64, 3)
    for left in (2, 1, 0):
        verdict = ladder.verdict(passed=ladder.consult(0.5, 0.5, 0.0))
        assert verdict.numbers == {"rows": 64.0, "consulted": 3.0 - left, "left": left}  # and no loss
    assert ladder.worn
    with pytest.raises(RuntimeError, match="worn"):
        ladder.consult(0.5, 0.5, 0.0)


def test_the_ladder_is_not_climbed_by_asking() -> None:
    """Blum & Hardt's attack: keep random answers that pass against a tightening bar; a plain leader board is fooled."""
    rng = np.random.default_rng(0)
    rows, queries = 256, 200
    y = rng.integers(0, 2, rows)
    ladder = Ladder(rows, queries + 1)
    ladder.consult(0.5, 0.5, 0.0)
    by_ladder, by_loss = np.zeros(rows), np.zeros(rows)
    for _ in range(queries):
        guess = rng.integers(0, 2, rows)
        loss, before = float((guess != y).mean()), ladder.best
        ladder.consult(loss, 0.5, 0.0)
        by_ladder += (2 * guess - 1) * (ladder.best != before)
        by_loss += (2 * guess - 1) * (1 if loss < 0.5 else -1)
    assert ((by_loss > 0) != y).mean() < 0.3  # told the exact loss, random guesses win on the set
    assert ((by_ladder > 0) != y).mean() > 0.4
    assert ladder.best is not None
    assert ladder.best >= 0.4375

"""Tests back off where they come to nothing, and lose no time where something has changed."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_device.contest import Contest
from acclimate_device.cool_down import FREE_TESTS, MOST_DOUBLINGS, ROWS, CoolDown
from acclimate_device.plans import CLASSIFICATION

STEP = 512


def test_a_candidate_waits_twice_as_long_after_each_failure_and_not_for_ever() -> None:
    this, waits = CoolDown(), []
    for _ in range(MOST_DOUBLINGS + 3):
        this.fail(0, 0)
        waits.append(next(wait for wait in (ROWS << k for k in range(20)) if this.rested(0, wait)))
        assert not this.rested(0, waits[-1] - 1)
    assert waits == [ROWS << min(k, MOST_DOUBLINGS) for k in range(len(waits))]


def test_after_a_few_failures_all_pause_and_then_are_tested_one_at_a_time() -> None:
    this = CoolDown()
    for column in range(FREE_TESTS):
        assert this.room(3, 2, 100) == 3
        this.fail(column, 100)
    assert (this.room(3, 0, 100 + ROWS - 1), this.room(3, 0, 100 + ROWS), this.room(3, 1, 10**9)) == (0, 1, 0)
    this.hope()
    assert this.room(3, 2, 100) == 3


def test_hope_ends_the_doubling_but_not_the_first_rest() -> None:
    this = CoolDown()
    for _ in range(5):
        this.fail(1, 50)
    this.hope()
    assert (this.rested(1, 50 + ROWS - 1), this.rested(1, 50 + ROWS)) == (False, True)


def test_a_snapshots_failure_is_its_sources_and_counts_once() -> None:
    this = CoolDown()
    this.fail(7, 100)
    this.move(7, 2, 130)
    assert this.rested(7, 100)
    assert (this.rested(2, 100 + ROWS - 1), this.rested(2, 100 + ROWS)) == (False, True)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 10**6))), st.integers(0, 5), st.integers(0, 10**7))
def test_it_resumes_exactly(fails: list[tuple[int, int]], column: int, labels: int) -> None:
    this, other = CoolDown(), CoolDown()
    for failed, at in fails:
        this.fail(failed, at)
    other.restore(msgspec.json.decode(msgspec.json.encode(this.document())))
    assert other.document() == this.document()
    assert other.rested(column, labels) == this.rested(column, labels)
    assert other.room(3, 0, labels) == this.room(3, 0, labels)


def drive(this: Contest, raw: np.ndarray) -> int | None:
    """Feed losses; return the labels after which somebody was promoted."""
    for at in range(0, len(raw), STEP):
        for promotion in this.observe(raw[at : at + STEP]):
            this.promoted(promotion.column, promotion.column)
            return this.labels
        for column in this.candidates():
            this.start(column)
    return None


def equals(rng: np.random.Generator, rows: int, columns: int, better: float = 0.0) -> np.ndarray:
    """Return 0/1 losses of candidates that disagree at random on 4 %; the last is better by ``better``."""
    base = (rng.random(rows) < 0.2)[:, None]
    flip = rng.random((rows, columns)) < 0.02
    out = base ^ flip
    out[:, -1] &= rng.random(rows) >= better / 0.2
    return out.astype(float)


def test_equals_are_tested_less_and_less() -> None:
    started = []
    for patient in (True, False):
        rng = np.random.default_rng(0)
        this = Contest(CLASSIFICATION, list("abcdefgh"), champion=0, challengers=range(8))
        for _ in range(40):
            drive(this, equals(rng, 10_240, 8))
            if not patient:
                this.cool_down.hope()
        started.append(this.account.started)
    assert started[0] <= 15 < started[1]  # the second is what the waiting saves


@pytest.mark.parametrize("seed", range(8))
def test_a_planted_challenger_is_promoted_in_time_among_useless_ones(seed: int) -> None:
    rng = np.random.default_rng(seed)
    this = Contest(CLASSIFICATION, list("abcdefgh"), champion=0, challengers=range(8))
    assert drive(this, equals(rng, 20_480, 8, better=0.02)) is not None
    assert this.champion == 7


def test_a_large_lead_or_a_drift_ends_the_pause() -> None:
    for way in ("lead", "drift", "neither"):
        rng = np.random.default_rng(3)
        this = Contest(CLASSIFICATION, list("abcdefgh"), champion=0, challengers=range(8))
        for _ in range(30):
            drive(this, equals(rng, 10_240, 8))
        begun, tests = this.labels, this.account.started
        if way == "drift":
            this.cool_down.hope()
        found = drive(this, equals(rng, 20_480, 8, better={"lead": 0.08, "drift": 0.02, "neither": 0.0}[way]))
        assert (found is None) == (way == "neither")
        assert found is None or found - begun <= 12_000
        assert way != "neither" or this.account.started - tests <= 1

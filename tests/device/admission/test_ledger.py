"""Rates and shares: no schedule of labels gets a source past its limits, and a silent one is forgotten."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from acclimate_device.admission.ledger import MOST_SOURCES, QUOTA, WINDOW, Ledger
from acclimate_device.admission.policy import SourceRule

LABELS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.floats(0, 40, allow_nan=False), st.integers(1, 80)), min_size=1, max_size=30
)


@given(LABELS, st.floats(0.05, 0.9))
def test_no_schedule_gets_a_source_past_its_share(schedule: list[tuple[str, float, int]], share: float) -> None:
    ledger, rule = Ledger(), SourceRule(share=share)
    for known in "abcd":
        ledger.slot(known)
    window: list[tuple[str, float]] = []
    for source, weight, times in schedule:
        for _ in range(times):
            got = ledger.capped(ledger.slot(source), rule, weight)
            assert 0.0 <= got <= weight
            window = [*window, (source, got)][-WINDOW:]
            own = sum(w for who, w in window if who == source)
            others = sum(w for who, w in window if who != source)
            if got:
                assert own <= max(QUOTA, share * (own + others)) + 1e-6


def test_a_source_alone_is_not_capped_and_a_flood_is() -> None:
    ledger, rule = Ledger(), SourceRule(share=0.5)
    assert sum(ledger.capped(ledger.slot("a"), rule, 1.0) for _ in range(200)) == 200.0
    flood = sum(ledger.capped(ledger.slot("b"), rule, 1.0) for _ in range(5_000))
    assert flood < 1_000  # 200 beside the old source, then the quota of each window
    unlimited = Ledger()
    unlimited.slot("a")
    assert sum(unlimited.capped(unlimited.slot("b"), SourceRule(share=1.0), 1.0) for _ in range(5_000)) == 5_000


@given(st.lists(st.floats(0, 300, allow_nan=False), min_size=1, max_size=200), st.integers(1, 20))
def test_never_more_than_the_limit_in_any_minute(times: list[float], limit: int) -> None:
    ledger, passed = Ledger(), []
    for now in sorted(times):
        if ledger.in_time("a", limit, now):
            passed.append(now)
        assert sum(now - 60.0 < t <= now for t in passed) <= limit
    assert ledger.in_time("a", 0, 0.0)


def test_a_clock_that_jumps_back_silences_nobody() -> None:
    ledger = Ledger()
    assert ledger.in_time("a", 1, 1e6)
    assert not ledger.in_time("a", 1, 1e6 + 59)
    assert ledger.in_time("a", 1, 5.0)
    assert ledger.in_time("a", 1, 65.0)


def test_the_longest_silent_source_makes_room() -> None:
    ledger = Ledger()
    slots = {ledger.slot(str(i)) for i in range(MOST_SOURCES)}
    ledger.slot("0")
    assert ledger.slot("new") in slots
    assert "1" not in ledger
    assert "0" in ledger
    assert len(ledger) == MOST_SOURCES


def test_the_state_survives() -> None:
    ledger, rule = Ledger(), SourceRule(share=0.3)
    rng = np.random.default_rng(0)

    def go(of: Ledger, rng: np.random.Generator) -> list[float]:
        return [
            of.capped(of.slot("ab"[int(rng.integers(2))]), rule, float(rng.random())) * of.in_time("a", 9, float(i))
            for i in range(700)
        ]

    go(ledger, rng)
    again = Ledger()
    again.restore(ledger.tensors(), json.loads(json.dumps(ledger.document())))
    assert go(again, np.random.default_rng(1)) == go(ledger, np.random.default_rng(1))
    assert again.shares() == ledger.shares()

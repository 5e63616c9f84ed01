import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_shared.errors import CorruptStateError
from acclimate_shared.evidence import Ratio
from acclimate_shared.evidence._seal import pack_counts, pack_floats, sealed


def alarms(share: float, runs: int, *, batches: int, size: int) -> list[int]:
    """Return the events at the first alarm of each run, 0: none."""
    found = []
    for arm in np.random.default_rng(0).binomial(size, share, (runs, batches)):
        ratio = Ratio.new((0.5, 0.5))
        at = next((k for k, n in enumerate(arm.tolist(), 1) if ratio.update(n, size - n)), 0)
        found.append(at * size)
    return found


@pytest.mark.slow
def test_the_planned_split_hardly_ever_alarms() -> None:
    assert np.mean(np.array(alarms(0.5, 1_000, batches=100, size=100)) > 0) <= 0.01 + 3 * math.sqrt(0.01 * 0.99 / 1_000)


@pytest.mark.slow
def test_another_split_is_found() -> None:
    found = np.array(alarms(0.52, 200, batches=400, size=100))
    assert (found > 0).all()
    assert 5_000 < np.median(found) < 10_000


def test_by_hand() -> None:
    ratio = Ratio.new((0.25, 0.75))
    assert ratio.log_e == pytest.approx(0)
    ratio.update(1, 0)
    assert ratio.log_e == pytest.approx(0)  # the first event is predicted as planned
    ratio.update(1, 0)
    assert math.exp(ratio.log_e) == pytest.approx(51 / 201 / 0.25)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)), max_size=20))
def test_bytes_are_exact_and_the_alarm_stays(batches: list[tuple[int, int, int]]) -> None:
    ratio, alarm = Ratio.new((0.2, 0.3, 0.5)), False
    for batch in batches:
        ratio = Ratio.from_bytes(ratio.to_bytes())
        assert ratio.update(*batch) >= alarm
        alarm = ratio.alarm
    assert Ratio.from_bytes(ratio.to_bytes()) == ratio


def test_what_cannot_be_is_refused() -> None:
    for shares in ((1.0,), (0.5, 0.6), (1.0, 0.0), (math.nan, 0.5)):
        with pytest.raises(ValueError, match=r"arms|shares"):
            Ratio.new(shares)
    for counts in ((1,), (1, -1), (1, 2, 3)):
        with pytest.raises(ValueError, match="counts"):
            Ratio.new((0.5, 0.5)).update(*counts)
    with pytest.raises(CorruptStateError, match="no such test"):
        Ratio.from_bytes(sealed(b"RATI", pack_counts(1000, 0)))
    with pytest.raises(CorruptStateError, match="sum 1"):
        Ratio.from_bytes(sealed(b"RATI", pack_counts(2, 0, 1, 1) + pack_floats(0.5, 0.6)))

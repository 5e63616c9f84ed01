"""What challengers cost the answers: the comparison tells a difference from none, and every agent is measured."""

import numpy as np
import pytest
from rich.console import Console

from acclimate_tools.bench import answers
from acclimate_tools.bench.answers import Array, _quantile, compared, measure, ratio, verdict


def test_a_difference_is_told_from_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "RESAMPLES", 200)
    rng = np.random.default_rng(1)
    first, same = (list(rng.lognormal(0.0, 0.3, (200, 100))) for _ in range(2))
    slower = [block * 1.1 for block in rng.lognormal(0.0, 0.3, (200, 100))]
    found = compared({"none": first, "same": same, "slower": slower}, rng)
    assert found["same"]["p99"]["low"] < 1.0 < found["same"]["p99"]["high"]
    assert found["slower"]["p99"]["low"] < 1.1 < found["slower"]["p99"]["high"]
    assert found["itself"]["p99"]["low"] < 1.0 < found["itself"]["p99"]["high"]
    assert verdict(found["slower"]["p99"]) == "does not hold"
    assert verdict({"ratio": 1.0, "low": 0.99, "high": 1.01}) == "holds"
    assert verdict({"ratio": 1.0, "low": 0.9, "high": 1.1}) == "cannot be told"


def test_at_full_size_two_per_cent_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "RESAMPLES", 60)
    rng = np.random.default_rng(2)

    def served(slower: float) -> list[Array]:
        """Answers of 2,500 rounds on a machine that is busier in some than in others."""
        return list(slower * busy[:, None] * rng.lognormal(0.0, 0.3, (2500, 80)))

    busy = rng.lognormal(0.0, 0.1, 2500)
    base = served(1.0)
    same, worse = (ratio(base, served(by), 99.0, rng) for by in (1.0, 1.05))
    assert verdict(same) == "holds"
    assert verdict(worse) == "does not hold"
    assert worse["high"] - worse["low"] < 0.04


def test_a_quantile_is_that_of_the_rounds_that_count() -> None:
    blocks = np.random.default_rng(3).random((30, 20))
    times = np.random.default_rng(4).integers(0, 3, 30)
    counted = np.repeat(blocks, times, axis=0)
    for share in (0.5, 0.99):
        assert _quantile(blocks, share)(times) == np.quantile(counted, share, method="inverted_cdf")


def test_agents_are_measured_beside_each_other() -> None:
    found = measure(4, 20, 0.0, Console(quiet=True), ("none", "three"))
    assert found["tests_running"] == {"none": 0, "three": 3}
    assert set(found["p99_us"]) == {"none", "three"}
    assert set(found["against_none"]) == {"three", "itself"}
    assert found["switch_ms"]["promotion_median"] > 0.0

"""Natural labels equal what a batch over the whole log says, and are given when they are known, not before."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate_device import natural
from acclimate_device.natural import NaturalLabels, Rule, from_toml, read_rule
from acclimate_shared.errors import UsageError

LEVELS = ((0.3, "low"), (0.6, "middle"))
RULES = (
    Rule(kind="value", column="v", span_s=5.0),
    Rule(kind="value", column="v", span_s=5.0, tolerance_s=2.0, levels=LEVELS, highest="high"),
    Rule(kind="mean", column="v", span_s=5.0, levels=LEVELS, highest="high"),
    Rule(kind="mean", column="v", span_s=5.0),
    Rule(kind="within", column="v", span_s=5.0, threshold=0.8),
    Rule(kind="crossing", column="v", span_s=5.0, threshold=0.7),
    Rule(kind="mean", column="v", span_s=5.0, tolerance_s=0.5),
)


def batch(rule: Rule, times: list[float], values: list[float]) -> dict[int, Any]:
    """Return the label of each event from the whole log of one key."""
    out: dict[int, Any] = {}
    for i, born in enumerate(times):
        later = [(t - born, v) for t, v in zip(times[i + 1 :], values[i + 1 :], strict=True)]
        inside = [v for age, v in later if 0 < age <= rule.span_s and not math.isnan(v)]
        if rule.kind == "value":
            found = [
                v for age, v in later if rule.span_s <= age <= rule.span_s + rule.tolerance_s and not math.isnan(v)
            ]
            if found:
                out[i] = rule.told(found[0])
        elif rule.kind == "mean":
            end = next((at for at, (age, _) in enumerate(later) if age >= rule.span_s), None)
            until = [] if end is None else later[: end + 1]
            inside = [v for age, v in until if 0 < age <= rule.span_s and not math.isnan(v)]
            if inside and later[len(until) - 1][0] <= rule.span_s + rule.tolerance_s:
                out[i] = rule.told(sum(inside) / len(inside))
        else:
            path = [values[i], *inside]
            threshold = rule.threshold or 0.0
            hit = [v >= threshold and (rule.kind == "within" or u < threshold) for u, v in itertools.pairwise(path)]
            if any(hit):
                out[i] = "yes"
            elif any(age > rule.span_s for age, _ in later):
                out[i] = "no"
    return out


@settings(max_examples=300)
@given(st.integers(0, 2**32 - 1), st.sampled_from(RULES))
def test_a_stream_says_what_a_batch_says(seed: int, rule: Rule) -> None:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.choice([0.0, 0.5, 1.0, 2.5, 7.0], 25)).tolist()
    values = [math.nan if rng.random() < 0.1 else float(rng.random()) for _ in times]
    labels, got = NaturalLabels(rule), dict[int, Any]()
    for i, (time_s, value) in enumerate(zip(times, values, strict=True)):
        for name, label in labels.see(str(i), "", time_s, {"v": None if math.isnan(value) else value}):
            assert int(name) < i
            got[int(name)] = label
    expected = batch(rule, times, values)
    assert got.keys() == expected.keys()
    for i, label in got.items():
        assert label == (pytest.approx(expected[i]) if isinstance(label, float) else expected[i])
    assert len(labels) + labels.dropped + len(got) == len(times)


def test_keys_tell_nothing_about_each_other() -> None:
    labels = NaturalLabels(RULES[4])
    labels.see("a", "one", 0.0, {"v": 0.0})
    assert labels.see("b", "two", 1.0, {"v": 1.0}) == []
    assert labels.see("c", "one", 2.0, {"v": 1.0}) == [("a", "yes")]


def test_memory_is_bounded_and_what_comes_out_of_order_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(natural, "MOST_WAITING", 10)
    labels = NaturalLabels(RULES[0])
    for i in range(30):
        labels.see(str(i), str(i % 2), float(i) / 100, {"v": 1.0})
    assert (len(labels), labels.dropped) == (10, 20)
    labels.see("late", "0", -5.0, {"v": 1.0})
    assert labels.dropped == 21


@pytest.mark.parametrize(
    "text",
    [
        "kind = 3",
        'kind = "value"\ncolumn = "v"\nspan_s = 0',
        'kind = "value"\ncolumn = "v"\nspan_s = 5\nthreshold = 1',
        'kind = "within"\ncolumn = "v"\nspan_s = 5',
        'kind = "within"\ncolumn = "v"\nspan_s = 5\nthreshold = 1\nlevels = [[1, "a"]]\nhighest = "b"',
        'kind = "mean"\ncolumn = "v"\nspan_s = 5\nlevels = [[2, "a"], [1, "b"]]\nhighest = "c"',
        'kind = "mean"\ncolumn = "v"\nspan_s = 5\nlevels = [[2, "a"]]',
        'kind = "mean"\ncolumn = "v"\nspan_s = 5\nspeed = 3',
    ],
)
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        from_toml(text)


def test_a_file_is_read_or_named(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('kind = "mean"\ncolumn = "v"\nspan_s = 5\n')
    assert read_rule(tmp_path / "r.toml") == RULES[3]
    with pytest.raises(UsageError, match="nowhere"):
        read_rule(tmp_path / "nowhere.toml")

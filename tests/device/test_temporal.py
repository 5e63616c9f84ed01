"""History: only labels that were learned, per key, bounded, restored exactly."""

import json

import numpy as np
import pytest

from acclimate_device.temporal import LABEL_SLOTS, LAGS, MAX_KEYS, ClassHistory, ValueHistory


def test_the_last_label_of_a_key() -> None:
    history = ClassHistory()
    x = np.zeros(2)
    assert not history.features("a", x).any()
    history.learn("a", x, 3)
    history.learn("b", x, LABEL_SLOTS + 1)
    assert history.features("a", x).argmax() == 3
    assert history.features("b", x).argmax() == 1


def test_lags_mean_and_movement() -> None:
    history = ValueHistory(1)
    assert np.isnan(history.features("a", np.array([5.0, 9.0]))).all()
    for i in range(10):
        history.learn("a", np.array([float(i), 9.0]), 100.0 + i)
    found = history.features("a", np.array([12.0, 9.0]))
    assert found.shape == (history.width,)
    assert list(found[:8]) == [109.0 - i for i in range(8)]
    assert np.isnan(found[LAGS.index(12)])
    assert found[len(LAGS)] == pytest.approx(np.mean([102 + i for i in range(8)]))
    assert found[-1] == 3.0
    assert np.isnan(history.features("b", np.array([1.0, 1.0]))).all()


@pytest.mark.parametrize("kind", ["class", "value"])
def test_reading_changes_nothing_and_restoring_gives_the_same(kind: str) -> None:
    history = ClassHistory() if kind == "class" else ValueHistory(2)
    rng = np.random.default_rng(0)
    for i in range(300):
        history.learn(f"k{i % 7}", np.array([rng.standard_normal(), np.nan]), float(i % 3))
    before = json.dumps(history.document())
    x = np.array([1.0, 2.0])
    first = [history.features(f"k{i}", x) for i in range(8)]
    assert json.dumps(history.document()) == before
    fresh = ClassHistory() if kind == "class" else ValueHistory(2)
    fresh.restore(json.loads(before))
    for i in range(8):
        np.testing.assert_array_equal(fresh.features(f"k{i}", x), first[i])


def test_keys_are_bounded() -> None:
    history = ClassHistory()
    for i in range(MAX_KEYS + 50):
        history.learn(f"k{i}", np.zeros(1), 1)
    assert len(history.document()) == MAX_KEYS
    assert not history.features("k0", np.zeros(1)).any()

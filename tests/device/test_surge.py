"""A sudden rise is noticed within a few labels, dated, and seldom seen where there is none."""

import json
from typing import Any

import numpy as np
import pytest

from acclimate_device.surge import ALARM, FIRST, LASTS, Surge


def usual(rng: np.random.Generator, rows: int, share: float = 0.15) -> Any:
    return (rng.random(rows) < share).astype(float)


def told(surge: Surge, losses: Any) -> int:
    """Return after how many losses there is an alarm, taken one by one; all if there is none."""
    for at, loss in enumerate(losses):
        if surge.update(losses[at : at + 1]):
            return at + 1
        assert loss >= 0.0
    return len(losses)


def test_a_rise_is_noticed_within_a_few_labels_and_dated() -> None:
    taken, since = [], []
    for seed in range(50):
        rng, surge = np.random.default_rng(seed), Surge(regression=False)
        while surge.update(usual(rng, 2_000)):
            surge.calm()
        taken.append(told(surge, usual(rng, 64, 0.85)))
        since.append(surge.since - taken[-1])
    assert max(taken) <= 32
    assert np.median(taken) <= 12
    assert np.median(np.abs(since)) <= 2  # labels between the rise and when it is said to have begun


@pytest.mark.parametrize("share", [0.02, 0.15, 0.4])
def test_a_false_alarm_is_as_rare_as_promised(share: float) -> None:
    rng, surge, alarms = np.random.default_rng(1), Surge(regression=False), 0
    rows = 200_000
    for losses in usual(rng, rows, share).reshape(-1, 50):
        alarms += surge.update(losses)
        surge.calm()
    assert alarms <= 2 * rows / np.exp(ALARM)


def test_errors_in_any_unit_are_compared_with_the_usual_ones() -> None:
    rng = np.random.default_rng(2)
    errors = np.abs(rng.standard_normal(4_000))
    found = []
    for unit in (1e-3, 1.0, 1e6):
        surge = Surge(regression=True)
        assert not surge.update(unit * errors)
        found.append(told(surge, 20 * unit * errors[:64]))
        assert surge.usual(unit * errors[:32])
        assert not surge.usual(20 * unit * errors[:32])
    assert found[0] == found[1] == found[2] <= 32


def test_an_alarm_stands_for_a_while() -> None:
    surge = Surge(regression=False)
    surge.update(usual(np.random.default_rng(3), 1_000))
    taken = told(surge, np.ones(32))
    assert surge.update(np.ones(LASTS - 1))
    assert surge.since >= taken + LASTS - 1
    surge.update(np.zeros(1))
    assert surge.since == 0


def test_an_alarm_that_has_ended_leaves_nothing_behind() -> None:
    surge = Surge(regression=False)
    surge.update(usual(np.random.default_rng(3), 1_000))
    told(surge, np.ones(32))
    assert not surge.update(np.zeros(LASTS))
    taken = told(surge, np.ones(64))
    assert surge.since == taken  # of this rise alone


def test_an_alarm_stands_at_the_end_of_the_step_that_brings_it_however_long() -> None:
    surge = Surge(regression=False)
    surge.update(usual(np.random.default_rng(3), 1_000))
    assert surge.update(np.ones(4 * LASTS))
    assert surge.since >= 4 * LASTS
    assert not surge.update(np.ones(LASTS))


def test_the_usual_error_does_not_depend_on_how_labels_come_together() -> None:
    errors = np.abs(np.random.default_rng(6).standard_normal(64))
    one, many = Surge(regression=True), Surge(regression=True)
    one.update(errors)
    for at in range(64):
        many.update(errors[at : at + 1])
    assert one.document()[2] == pytest.approx(many.document()[2]) == pytest.approx(errors.mean())


def test_nothing_is_noticed_before_it_is_known_what_is_usual_or_while_nobody_asks() -> None:
    surge = Surge(regression=False)
    assert not surge.update(np.ones(FIRST))
    unasked = Surge(regression=False)
    unasked.update(usual(np.random.default_rng(4), 1_000))
    assert not unasked.update(np.ones(32), armed=False)
    assert not unasked.update(np.empty(0))


@pytest.mark.parametrize("regression", [False, True])
def test_a_saved_one_goes_on_bit_for_bit(regression: bool) -> None:
    rng = np.random.default_rng(5)
    losses = np.concatenate([usual(rng, 700), usual(rng, 100, 0.9)]) + (0.5 if regression else 0.0)
    whole, first, second = (Surge(regression=regression) for _ in range(3))
    for at in range(0, 800, 20):
        whole.update(losses[at : at + 20])
        if at == 720:
            second.restore(json.loads(json.dumps(first.document())))
        (first if at < 720 else second).update(losses[at : at + 20])
    assert second.document() == whole.document()
    second.restore(None)  # the state of a release that had none
    assert second.document() == whole.document()

"""The judge against direct formulas and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from acclimate_tools.bench.peers.scores import Judge, balanced_accuracy, kappa_temporal


@pytest.mark.parametrize("delay", [0, 5])
def test_scores_of_classes(delay: int) -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 4, 400)
    answers = np.where(rng.random(400) < 0.6, y, rng.integers(0, 4, 400)).astype(float)
    found = Judge("classification", y, delay)(answers, 300)
    first = 1 + delay
    said, true = answers[first:300], y[first:300]
    last = y[: 300 - first]  # row t knows the labels up to t - 1 - delay
    accuracy, no_change = np.mean(said == true), np.mean(last == true)
    assert found["accuracy"] == pytest.approx(accuracy)
    assert found["kappa_temporal"] == pytest.approx((accuracy - no_change) / (1 - no_change))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(true, said))


def test_balanced_accuracy_is_that_of_scikit_learn_where_a_class_is_rare() -> None:
    rng = np.random.default_rng(2)
    y = np.where(rng.random(500) < 0.02, 7, rng.integers(0, 2, 500))
    said = np.where(rng.random(500) < 0.7, y, 0)
    assert balanced_accuracy(y, said) == pytest.approx(balanced_accuracy_score(y, said))


def test_kappa_temporal_is_undefined_where_the_last_label_is_always_right() -> None:
    assert kappa_temporal(0.5, 1.0) is None
    assert kappa_temporal(0.75, 0.5) == 0.5


def test_the_usual_label_stands_in_for_no_answer() -> None:
    y = np.array([1, 1, 0, 1, 1, 1])
    judge = Judge("classification", y, 0)
    assert judge(np.full(6, np.nan), 6)["accuracy"] == pytest.approx(np.mean(y[1:] == 1))
    values = Judge("regression", np.array([2.0, 4.0, 9.0]), 0)
    assert values(np.full(3, np.nan), 3)["mae"] == pytest.approx((2.0 + 6.0) / 2)  # means 2 and 3


def test_nothing_is_scored_before_the_first_label_has_arrived() -> None:
    judge = Judge("classification", np.array([0, 1, 0]), 5)
    assert judge(np.zeros(3), 3)["accuracy"] is None


def test_a_mean_absolute_error_beside_that_of_the_last_value() -> None:
    rng = np.random.default_rng(3)
    y, answers = rng.standard_normal(50), rng.standard_normal(50)
    found = Judge("regression", y, 4)(answers, 50)
    assert found["mae"] == pytest.approx(np.abs(answers[5:] - y[5:]).mean())
    assert found["mae_last"] == pytest.approx(np.abs(y[:45] - y[5:]).mean())

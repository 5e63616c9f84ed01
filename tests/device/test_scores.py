"""Scores against scikit-learn, and exact resumption."""

import itertools
import json
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from acclimate_device.scores import Baselines, ClassScores, ValueScores, Windows


def chunks(n: int) -> list[slice]:
    cuts = [0, 1, 2, 5, 40, 41, n]
    return [slice(a, b) for a, b in itertools.pairwise(cuts)]


def class_data() -> tuple[Any, Any, Any, Any]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 300)
    out = rng.dirichlet(np.ones(4), 300).astype(np.float32)
    return y, out, np.stack([out, out[:, ::-1]], 1), np.stack([np.roll(y, 1), np.zeros(300)], 1).astype(float)


def test_class_scores_equal_scikit_learn() -> None:
    y, out, members, base = class_data()
    scores = ClassScores(2)
    for part in chunks(300):
        scores.add(y[part], out[part], members[part], base[part], np.ones(len(y[part]), bool))
    served, predicted = scores.served(), out.argmax(1)
    assert served["accuracy"] == pytest.approx(metrics.accuracy_score(y, predicted))
    assert served["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(y, predicted))
    assert served["kappa"] == pytest.approx(metrics.cohen_kappa_score(y, predicted))
    assert served["log_loss"] == pytest.approx(-np.log(out[np.arange(300), y]).mean(), rel=1e-5)
    repeat = metrics.accuracy_score(y, np.roll(y, 1))
    accuracy = metrics.accuracy_score(y, predicted)
    assert served["kappa_temporal"] == pytest.approx((accuracy - repeat) / (1 - repeat))
    assert scores.of_members()[1]["accuracy"] == pytest.approx(metrics.accuracy_score(y, out[:, ::-1].argmax(1)))
    assert scores.of_baselines()["no_change"]["accuracy"] == pytest.approx(repeat)


def test_unscored_rows_count_only_as_wrong_in_all_rows() -> None:
    y, out, members, base = class_data()
    scores = ClassScores(2)
    scored = np.arange(300) >= 100
    scores.add(y, out, members, base, scored)
    hits = (out.argmax(1) == y)[100:].sum()
    assert scores.served()["accuracy"] == pytest.approx(hits / 200)
    assert scores.served()["accuracy_all_rows"] == pytest.approx(hits / 300)


def test_value_scores_equal_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    y = rng.standard_normal(200) * 50 + 1e6
    out = y + rng.standard_normal(200)
    scores = ValueScores(1)
    for part in chunks(200):
        scores.add(y[part], out[part], out[part, None], np.stack([y, y], 1)[part], np.ones(len(y[part]), bool))
    served = scores.served()
    assert served["mae"] == pytest.approx(metrics.mean_absolute_error(y, out))
    assert served["rmse"] == pytest.approx(metrics.root_mean_squared_error(y, out))
    assert served["r2"] == pytest.approx(metrics.r2_score(y, out))


def test_a_document_restores_the_same_bits() -> None:
    y, out, members, base = class_data()
    whole, cut = ClassScores(2), ClassScores(2)
    windows, windows_cut = Windows(["a", "b"], ["x", "y"]), Windows(["a", "b"], ["x", "y"])
    for i, part in enumerate(chunks(300)):
        rows = list(range(300))[part]
        for scores, kept in ((whole, windows), (cut, windows_cut)):
            served, of_members, of_base = scores.add(
                y[part], out[part], members[part], base[part], np.ones(len(rows), bool)
            )
            kept.add(rows, served, of_members, of_base, np.array([0.5, 0.5]))
        if i == 3:
            fresh, fresh_windows = ClassScores(2), Windows(["a", "b"], ["x", "y"])
            fresh.restore(json.loads(json.dumps(cut.document())))
            fresh_windows.restore(json.loads(json.dumps(windows_cut.document())))
            cut, windows_cut = fresh, fresh_windows
    assert cut.served() == whole.served()
    assert windows_cut.result() == windows.result()


def test_windows_stay_few_and_lose_no_row() -> None:
    windows = Windows(["a"], ["x", "y"])
    total = 40_000
    for at in range(0, total, 16):
        rows = list(range(at + 1, at + 17))
        windows.add(rows, np.ones(16), np.ones((16, 1)), np.zeros((16, 2)), np.ones(1))
    found = windows.result()
    assert len(found) <= Windows.MOST + 1
    assert found[0]["first_row"] == 1
    assert found[-1]["last_row"] == total
    assert all(a["last_row"] + 1 == b["first_row"] for a, b in itertools.pairwise(found))
    assert all(window["served"] == 1.0 and window["baselines"]["x"] == 0.0 for window in found)


def test_baselines() -> None:
    classes = Baselines("classification")
    assert all(np.isnan(classes.answers()))
    for label in (1, 0, 0, 2):
        classes.arrived(label)
    assert classes.answers() == (2.0, 0.0)
    values = Baselines("regression")
    for value in (1.0, 2.0, 6.0):
        values.arrived(value)
    assert list(values.answers()) == pytest.approx([6.0, 3.0])
    fresh = Baselines("regression")
    fresh.restore(json.loads(json.dumps(values.document())))
    assert fresh.answers() == values.answers()


def test_nothing_scored_is_none_and_not_nan() -> None:
    assert set(ClassScores(1).served().values()) == {None}
    assert set(ValueScores(1).served().values()) == {None}

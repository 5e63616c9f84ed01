"""Drift without labels: what shifts is found and named, what does not is left alone."""

import csv
import gzip
from importlib.resources import files

import numpy as np
import pytest

from acclimate_device.drift import DETECTORS, FeatureDrift
from tests.device.drift.nulls import alarms

SHIFT = 5000


def table(features: int = 5, rows: int = 8000, seed: int = 0) -> np.ndarray:
    """Return (rows, features) independent normal values."""
    return np.random.default_rng(seed).standard_normal((rows, features))


def first(detector: FeatureDrift, x: np.ndarray) -> tuple[int, dict[str, float]]:
    """Return row and detail of the first drift; -1 if there is none."""
    for i, row in enumerate(x):
        detector.update(row)
        if detector.drift_detected:
            return i, detector.detail()
    return -1, detector.detail()


def test_it_names_the_feature_that_shifted() -> None:
    x = table()
    x[SHIFT:, 3] += 1.0
    at, detail = first(FeatureDrift(), x)
    assert SHIFT <= at < SHIFT + 1000
    assert detail["feature"] == 3
    assert detail["psi"] > detail["threshold"] >= 0.1


def test_a_change_of_spread_is_found_though_the_mean_stays() -> None:
    x = table()
    x[SHIFT:, 1] *= 2.0
    assert SHIFT <= first(FeatureDrift(), x)[0] < SHIFT + 1000


def test_values_that_go_missing_are_a_drift() -> None:
    x = table()
    x[SHIFT:, 2][::3] = np.nan
    at, detail = first(FeatureDrift(), x)
    assert SHIFT <= at < SHIFT + 1000
    assert detail["feature"] == 2


def test_constant_and_binary_and_missing_features_are_not() -> None:
    x = table(4)
    x[:, 0], x[:, 1], x[:, 2] = 7.0, x[:, 1] > 1.0, np.nan
    assert first(FeatureDrift(), x)[0] == -1


@pytest.mark.parametrize("to", [6.9, 7.1])
def test_a_constant_that_moves_is_a_drift(to: float) -> None:
    x = np.full((8000, 1), 7.0)
    x[SHIFT:] = to
    assert SHIFT <= first(FeatureDrift(), x)[0] < SHIFT + 1000


def test_declared_edges_are_used() -> None:
    x = table(2)
    x[SHIFT:] += np.where(x[SHIFT:] > 0, 1.0, -1.0)  # moves nothing over the edge at 0
    assert first(FeatureDrift(edges=[[0.0], [0.0]]), x)[0] == -1
    assert first(FeatureDrift(edges=[[0.0], []]), x)[1]["feature"] == 1


def test_after_a_drift_the_new_is_usual() -> None:
    x = table(3, 20_000)
    x[SHIFT:, 0] += 2.0
    assert len(alarms(FeatureDrift(), x)) == 1


def test_more_features_raise_the_threshold() -> None:
    thresholds = []
    for features in (1, 10, 100):
        detector = FeatureDrift(least=0.0)
        alarms(detector, table(features, 2500))
        thresholds.append(detector.threshold[0])
    assert thresholds == sorted(set(thresholds))


def test_features_of_a_real_stream() -> None:
    """Rows of the recording in random order, so that only the shift is a drift; the delay is at most two windows."""
    source = files("acclimate_device").joinpath("recordings", "host_telemetry.csv.gz")
    with source.open("rb") as raw, gzip.open(raw, "rt") as text:
        rows = list(csv.DictReader(text))
    names = ["cpu_user", "cpu_system", "load1", "interrupts_ps", "context_switches_ps"]
    x = np.array([[float(row[name]) for name in names] for row in rows])
    x = np.random.default_rng(0).permutation(x)
    assert alarms(DETECTORS["features"](), x) == []
    x[SHIFT:, 3] *= 1.5
    assert SHIFT <= alarms(DETECTORS["features"](), x)[0] < SHIFT + 1000

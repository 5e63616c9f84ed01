"""Detectors beside one that fires blindly, on real rows with drifts at known places.

The rows of a real stream in random order have no drift of their own, so that every firing is either the answer to an
injected one or a false alarm. Abrupt drift of the concept: labels swap, and a logistic learner restarts at each firing;
it learns from every row or, as where learning is triggered, from the first 500 rows after a start. Abrupt drift of the
inputs: one feature moves by one standard deviation. The table goes to ``docs/results/drift.json``.
"""

import csv
import gzip
import json
import platform
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acclimate_device.drift import DETECTORS, Adwin, Detector, Dummy, PageHinkley
from tests.recordings import recordings

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "docs" / "results" / "drift.json"
STREAMS = {
    "elec2": ("UP", ["nswprice", "nswdemand", "vicprice", "vicdemand", "transfer", "period"]),
    "occupancy": ("1", ["Temperature", "Humidity", "Light", "CO2", "HumidityRatio"]),
}  # positive label and inputs
DENSITIES = (1000, 2500, 10_000)  # rows from one drift to the next
OF_INPUTS = (3700, 10_300)  # the same where an input moves: not in step with the windows
STEP = 0.1  # of the logistic learner
LEARNED = {"every row": 10**9, "500 rows a start": 500}

Floats = np.ndarray[Any, np.dtype[np.float64]]
Maker = Callable[[], Detector]


def load(name: str) -> tuple[Floats, Floats]:
    """Return (rows, inputs) standardised inputs and (rows,) labels of -1 or 1, in random order."""
    positive, inputs = STREAMS[name]
    with gzip.open(recordings() / f"{name}.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    x = np.array([[float(row[column]) for column in inputs] for row in rows])
    y = np.array([1.0 if row["label"] == positive else -1.0 for row in rows])
    order = np.random.default_rng(0).permutation(len(rows))
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return np.column_stack([x, np.ones(len(rows))])[order], y[order]


def restarted(x: Floats, y: Floats, detector: Detector, learned: int) -> tuple[float, list[int]]:
    """Return the accuracy of a learner that restarts when the detector fires on its loss, and where it did."""
    weights = np.zeros(x.shape[1])
    right, since = 0, 0
    found: list[int] = []
    for i in range(len(y)):
        score = float(weights @ x[i]) * y[i]
        right += score > 0
        if since < learned:
            weights = weights + STEP * y[i] / (1.0 + np.exp(min(score, 50.0))) * x[i]
        since += 1
        detector.update(float(score <= 0))
        if detector.drift_detected:
            found.append(i)
            weights, since = np.zeros(x.shape[1]), 0
    return right / len(y), found


def fired(x: Floats, detector: Detector) -> list[int]:
    """Return where a detector of the inputs fires."""
    found = []
    for i, row in enumerate(x):
        detector.update(row)
        if detector.drift_detected:
            found.append(i)
    return found


def scores(found: list[int], every: int, rows: int) -> dict[str, Any]:
    """Return delays, misses and false alarms: the first firing after a drift is its answer, all others are false."""
    drifts = list(range(every, rows, every))
    answers = [next((i for i in found if drift <= i < drift + every), None) for drift in drifts]
    delays = [i - drift for i, drift in zip(answers, drifts, strict=True) if i is not None]
    false = len(found) - len(delays)
    return {
        "drifts": len(drifts),
        "missed": len(drifts) - len(delays),
        "delay_median": float(np.median(delays)) if delays else None,
        "delay_p95": round(float(np.quantile(delays, 0.95)), 1) if delays else None,
        "firings": len(found),
        "false_per_million": round(1e6 * false / rows),
    }


def of_concept(name: str, every: int, learned: str) -> list[dict[str, Any]]:
    """Compare detectors of the loss where labels swap every so many rows."""
    x, y = load(name)
    y = y * np.where(np.arange(len(y)) // every % 2, -1.0, 1.0)
    makers: dict[str, Maker] = {
        "adwin": DETECTORS["adwin"],
        "page-hinkley": DETECTORS["page-hinkley"],
        "adwin (River's defaults)": Adwin,
        "page-hinkley (River's defaults)": PageHinkley,
        "never": lambda: Dummy(every=len(y) + 1),
    }
    out = []
    for label, make in makers.items():
        accuracy, found = restarted(x, y, make(), LEARNED[learned])
        out.append({"detector": label, "accuracy": round(accuracy, 4), **scores(found, every, len(y))})
    # As many blind firings as the first detector had, not in step with the drifts.
    for label, period in (("dummy, as often as adwin", len(y) // max(out[0]["firings"], 1)), ("dummy, 330", 330)):
        accuracy, found = restarted(x, y, Dummy(every=max(period, 1)), LEARNED[learned])
        out.append({"detector": label, "accuracy": round(accuracy, 4), **scores(found, every, len(y))})
    return [{"stream": name, "drift": "labels swap", "learned": learned, "every": every, **row} for row in out]


def of_inputs(name: str, every: int) -> list[dict[str, Any]]:
    """Compare the detector of the inputs with blind firing where one input moves there and back."""
    x = load(name)[0][:, :-1]
    x[np.arange(len(x)) // every % 2 == 1, 0] += 1.0
    found = fired(x, DETECTORS["features"]())
    blind = fired(x, Dummy(every=max(len(x) // max(len(found), 1), 1)))
    rows = [("features", found), ("dummy, as often", blind)]
    scored = [{"detector": label, "accuracy": None, **scores(at, every, len(x))} for label, at in rows]
    return [{"stream": name, "drift": "one input moves", "learned": "", "every": every, **row} for row in scored]


def show(table: list[dict[str, Any]]) -> None:
    """Print the table; ``-s`` lets it through."""
    for row in table:
        print("  ".join(str(value) for value in row.values()))  # noqa: T201


@pytest.mark.long
def test_detectors_beside_blind_firing() -> None:
    table = [
        row for n in STREAMS for learned in LEARNED for every in DENSITIES for row in of_concept(n, every, learned)
    ]
    table += [row for name in STREAMS for every in OF_INPUTS for row in of_inputs(name, every)]
    show(table)
    git = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False, cwd=ROOT)
    facts: dict[str, Any] = {"commit": commit.stdout.strip(), "date": datetime.now(UTC).date().isoformat()}
    facts |= {"machine": platform.machine(), "python": platform.python_version(), "comparison": table}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(facts, indent=2) + "\n")
    for stream in STREAMS:
        sparse = [row for row in table if row["every"] >= DENSITIES[-1] and row["stream"] == stream]
        triggered = {row["detector"]: row for row in sparse if row["learned"] != "every row"}
        for name in ("adwin", "page-hinkley"):
            assert triggered[name]["missed"] == 0
            assert triggered[name]["firings"] <= triggered[name]["drifts"] + 1
            assert triggered[name]["delay_p95"] < 200
            assert triggered[name]["accuracy"] > triggered["dummy, as often as adwin"]["accuracy"] + 0.02
        assert triggered["features"]["missed"] == 0

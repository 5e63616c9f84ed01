"""The measurement of a returning concept: it measures what it says, and in the seeded short form it shows the gain."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from acclimate_tools.bench.recurring import WINDOW, labels_to, recovery
from acclimate_tools.bench.replay import machine
from tests.recordings import recordings

RESULTS = Path(__file__).parents[3] / "docs" / "results" / "recurring.json"
LONG = (
    ("hapt_har", 3_500, None),
    ("hapt_har", 3_500, ("mlp",)),
    ("weather_noaa", 5_000, None),
    ("weather_noaa", 5_000, ("mlp",)),
    ("gas_drift", 2_200, None),
)


def test_recovered_is_the_first_window_that_is_good_enough() -> None:
    errors = np.r_[np.ones(300), np.zeros(2 * WINDOW)]
    assert labels_to(errors, 0.5) == 300 - WINDOW // 2
    assert labels_to(errors, 0.0) == 300
    assert labels_to(np.ones(1_000), 0.5) == 1_000  # never


def test_a_network_gets_its_concept_back_five_times_faster(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((12_000, 6))
    label = ((x[:, 0] + x[:, 1] > 0) ^ (rng.random(12_000) < 0.2)).astype(int)
    with gzip.open(tmp_path / "waves.csv.gz", "wt") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"x{i}" for i in range(6)), "label"])
        writer.writerows([*(f"{v:.4f}" for v in row), f"c{c}"] for row, c in zip(x, label, strict=True))
    found = recovery(tmp_path / "waves.csv.gz", 4_000, learners=("mlp",), seeds=range(2))
    assert found["over_retrained"] >= 5.0, found
    assert found["over_continued"] >= 5.0, found


@pytest.mark.long
def test_real_streams() -> None:
    folder = recordings()
    found = [recovery(folder / f"{name}.csv.gz", rows, learners=learners) for name, rows, learners in LONG]
    RESULTS.write_text(json.dumps({**machine(), "runs": found}, indent=2) + "\n")
    assert all(row["reached"] for row in found if row["learners"])
    assert all(row["over_retrained"] >= 4.0 for row in found)

"""Streams without drift, seeded, and the count of false alarms on them."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from acclimate_device.drift import Detector

AR = 0.3


def nulls(rows: int, seed: int) -> dict[str, list[float]]:
    """Return uniform, Bernoulli (0.1, 0.003), normal, autoregressive (0.3) and t values (3 degrees of freedom)."""
    rng = np.random.default_rng([rows, seed])
    steps = (rng.standard_normal(rows) * np.sqrt(1 - AR**2)).tolist()
    chain, last = [], 0.0
    for step in steps:
        last = AR * last + step
        chain.append(last)
    return {
        "uniform": rng.random(rows).tolist(),
        "bernoulli": (rng.random(rows) < 0.1).astype(float).tolist(),
        "rare": (rng.random(rows) < 0.003).astype(float).tolist(),
        "normal": rng.standard_normal(rows).tolist(),
        "ar0.3": chain,
        "t3": rng.standard_t(3, rows).tolist(),
    }


def alarms(detector: Detector, values: Iterable[Any]) -> list[int]:
    """Return the indices at which a detector fires."""
    found = []
    for i, value in enumerate(values):
        detector.update(value)
        if detector.drift_detected:
            found.append(i)
    return found

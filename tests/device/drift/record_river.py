"""Record what River answers; run it with an interpreter that has river 0.26.1: ``python record_river.py``.

Writes ``river.json`` beside this file: for each stream and set of options the indices of detections and, for ADWIN, the
width of the window at each of them and after every 1000th value. ``streams`` is also what the tests feed our detectors.
"""

import json
import random
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).with_name("river.json")
ROWS = 20_000

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "adwin": [
        {},
        {"delta": 0.05, "clock": 1},
        {"delta": 1e-4, "clock": 32, "max_buckets": 5, "min_window_length": 10, "grace_period": 30},
        {"delta": 0.2, "clock": 7, "max_buckets": 2, "min_window_length": 1, "grace_period": 0},
        {"delta": 0.002, "clock": 100, "max_buckets": 17, "min_window_length": 50},
    ],
    "page-hinkley": [
        {},
        {"threshold": 5.0, "delta": 0.05},
        {"threshold": 10.0, "alpha": 0.99, "mode": "up"},
        {"min_instances": 1, "threshold": 3.0, "delta": 0.0, "alpha": 1.0, "mode": "down"},
    ],
}


def streams() -> dict[str, list[float]]:
    """Return streams that only need the Mersenne twister, so that every machine makes the same ones."""
    rng = random.Random(12)  # noqa: S311 - no secret
    rates = [0.1, 0.4, 0.35, 0.05, 0.5]
    block = ROWS // len(rates)
    bits = [float(rng.random() < rates[i // block]) for i in range(ROWS)]
    ramp = [round(rng.random() * 0.5 + min(max(i - 8000, 0), 4000) / 8000, 6) for i in range(ROWS)]
    null = [round(rng.random(), 6) for _ in range(ROWS)]
    bells = [round(sum(rng.random() for _ in range(12)) - 6 + 2 * (i // 3000 % 2), 6) for i in range(ROWS)]
    level = [7.0 * (i // 5000) for i in range(ROWS)]
    return {"bits": bits, "ramp": ramp, "null": null, "bells": bells, "constant": level}


def record() -> dict[str, Any]:
    """Return what River answers.

    Returns:
        {detector: {stream: [{"options": ..., "found": [index, ...], "widths": [width, ...]}, ...]}}
    """
    from river import drift

    kinds = {"adwin": drift.ADWIN, "page-hinkley": drift.PageHinkley}
    out: dict[str, Any] = {}
    for kind, sets in OPTIONS.items():
        out[kind] = {}
        for name, values in streams().items():
            out[kind][name] = []
            for options in sets:
                detector: Any = kinds[kind](**options)
                found, widths = [], []
                for i, value in enumerate(values):
                    detector.update(value)
                    if detector.drift_detected:
                        found.append(i)
                    if kind == "adwin" and (detector.drift_detected or (i + 1) % 1000 == 0):
                        widths.append(int(detector.width))
                out[kind][name].append({"options": options, "found": found, "widths": widths})
    return out


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(record(), separators=(",", ":")) + "\n")

"""River's side of the benchmark, run by an interpreter of its own that has river and nothing of ours.

    python river_peer.py FILE LABEL ROWS IGNORED,COLUMNS

prints one JSON object: test-then-train accuracy and speed of ARF(10), and the median time of ``predict_one``.
"""

import csv
import gzip
import json
import statistics
import sys
import time
from typing import Any


def main(path: str, label: str, rows: int, ignored: set[str]) -> dict[str, Any]:
    """Run ARF(10) over the first ``rows`` rows; only predict and learn are timed."""
    from river import forest

    with gzip.open(path, "rt") as file:
        table = [row for row, _ in zip(csv.DictReader(file), range(rows), strict=False)]
    events = [({k: number(v) for k, v in row.items() if k != label and k not in ignored}, row[label]) for row in table]
    model = forest.ARFClassifier(n_models=10, seed=42)
    hits, answers = 0, []
    begun = time.perf_counter()
    for x, y in events:
        asked = time.perf_counter()
        answer = model.predict_one(x)
        answers.append(time.perf_counter() - asked)
        hits += answer == y
        model.learn_one(x, y)
    seconds = time.perf_counter() - begun
    return {
        "rows": len(events),
        "accuracy": hits / len(events),
        "events_per_s": len(events) / seconds,
        "predict_one_us": statistics.median(answers) * 1e6,
    }


def number(text: str) -> Any:  # noqa: ANN401 (a number or a category)
    """Return a float, 0 for a gap, or the text of a category."""
    try:
        return float(text)
    except ValueError:
        return text or 0.0


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), set(sys.argv[4].split(",")))))

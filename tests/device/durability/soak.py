"""A long life in one process: predictions, labels at once and late, lessons, categories, keys and sources that change.

Run as ``python -m tests.device.durability.soak FOLDER EVENTS WARM``; prints the resident memory over time as JSON. A
fake clock lets 10 events pass in a second, so that checkpoints, copies and journals turn as often as on a device.
"""

import gc
import json
import sys
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from acclimate_device.admission.policy import Policy
from acclimate_device.agent import Agent
from acclimate_device.join import Window

PER_S = 10
LESSON = 496  # events that are learned together
ASKED = 16  # events after each lesson that are predicted, and labelled LATE events later
LATE = 32
SAMPLES = 40
FEATURES = 10


def resident_mib() -> float:
    """Return the resident memory of this process, MiB."""
    gc.collect()
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def rows(rng: np.random.Generator, count: int, number: int) -> tuple[list[dict[str, object]], list[str]]:
    """Return events with their labels; the rule drifts, and categories and keys never seen before keep coming."""
    x = rng.standard_normal((count, FEATURES))
    turn = number / 2e6
    score = np.cos(turn) * x[:, 0] + np.sin(turn) * x[:, 1] + 0.3 * rng.standard_normal(count)
    made: list[dict[str, object]] = [
        {
            **{f"sensor-{j}": float(value) for j, value in enumerate(row)},
            "part": f"part-{(number + i) // 50}" if i % 50 == 0 else "usual",
            "line": f"line-{(number + i) % 7 if i % 100 else number + i}",
        }
        for i, row in enumerate(x)
    ]
    return made, ["high" if value > 0 else "low" for value in score]


def live(folder: Path, events: int, warm: int) -> dict[str, Any]:
    """Live for so many events; return what the memory did after the first ``warm`` of them."""
    now, rng, done, samples = [0.0], np.random.default_rng(0), 0, list[float]()
    window = Window(most_s=600.0)
    admission = Policy(hold=False)  # looking for contradictions takes half of the time, over a window that is full soon
    agent = Agent(
        task="classification", learners=["softmax", "naive-bayes"], state=folder, key="line", window=window,
        admission=admission,
    )  # fmt: skip
    agent._keeper._clock = lambda: now[0]
    agent._keeper._since = 0.0
    waiting: deque[tuple[str, str]] = deque()
    every = (events - warm) // SAMPLES
    while done < events:
        taught, labels = rows(rng, LESSON, done)
        agent.learn_many(taught, labels)
        asked, truth = rows(rng, ASKED, done + LESSON)
        for at, (row, label) in enumerate(zip(asked, truth, strict=True)):
            answer = agent.predict(row, time_s=(done + LESSON + at) / PER_S)
            waiting.append((answer.id, label))
            if len(waiting) > LATE:
                agent.feedback(
                    *waiting.popleft(), source=f"line-{done // 100_000}", time_s=(done + LESSON + at) / PER_S
                )
        done += LESSON + ASKED
        now[0] = done / PER_S
        if done >= warm + every * len(samples):
            samples.append(resident_mib())
            sys.stderr.write(f"{done:,} events: {samples[-1]:.2f} MiB\n")
    status = agent.status()
    agent.close()
    # Ids that were answered are forgotten half by half, every million events: a quarter of the samples is longer.
    first, last = samples[: SAMPLES // 4], samples[-SAMPLES // 4 :]
    return {
        "events": done,
        "warm": warm,
        "learned": status["learned"],
        "resident_mib": [round(value, 2) for value in samples],
        "grown_mib": round(float(np.median(last) - np.median(first)), 2),
        "state_mib": round(status["state_bytes_on_disk"] / 2**20, 2),
    }


if __name__ == "__main__":
    where, most, begin = sys.argv[1:]
    sys.stdout.write(json.dumps(live(Path(where), int(most), int(begin))) + "\n")

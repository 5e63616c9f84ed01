"""What a day costs the disk: 10 events a second with 10 features, each labelled, the default committee."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acclimate_device.agent import Agent
from acclimate_device.durability import DAY_S, LEAST_S, MB, MOST_S, Durability
from acclimate_device.journal import path_of
from tests.device.durability.conftest import Record

PER_S = 10
LIMIT_MB = {"default": 500, "thrifty": 50}
WARM = 300  # events before the first one that is counted


def run(folder: Path, profile: Any, events: int, learners: list[str] | None = None) -> dict[str, float]:
    """Learn events, PER_S in a second of a fake clock; return megabytes a day, as counted and as the kernel says."""
    now, rng = [0.0], np.random.default_rng(0)
    for number in (1, 2, 3):  # as after some days, when journals are written over older ones
        path_of(folder, number).write_bytes(bytes(events * 1024))
    agent = Agent(task="classification", learners=learners, state=folder, durability=Durability(profile=profile))
    agent._keeper._clock = lambda: now[0]
    agent._keeper._since = 0.0
    counted = kernel = 0
    for i in range(WARM + events):
        if i == WARM:
            counted, kernel = agent.status()["bytes_written"], written()
        x = rng.standard_normal(10)
        row = {f"sensor-{j}": float(value) for j, value in enumerate(x)}
        agent.feedback(agent.predict(row).id, "high" if x[0] + x[1] > 0 else "low")
        now[0] += 1 / PER_S
    status, share = agent.status(), DAY_S * PER_S / events / MB
    found = {"counted": (status["bytes_written"] - counted) * share, "kernel": (written() - kernel) * share}
    cost, spacing = agent._keeper._cost, agent._keeper.durability.spacing_s(agent._keeper._cost)
    agent.close()
    return {
        **found,
        "checkpoint_mb": cost / MB,
        "spacing_s": spacing,
        "counted_checkpoints": cost * DAY_S / spacing / MB,
    }


def written() -> int:
    lines = Path("/proc/thread-self/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["default", "thrifty"])
def test_a_small_day(tmp_path: Path, profile: str) -> None:
    found = run(tmp_path, profile, 400, ["softmax", "naive-bayes"])
    assert found["counted_checkpoints"] + found["counted"] <= LIMIT_MB[profile]
    assert (found["counted"] > 100) == (profile == "default")  # a label costs a sector
    assert found["kernel"] <= 1.5 * found["counted"] + 1  # what is counted is what is written


@pytest.mark.long
@pytest.mark.parametrize("profile", ["default", "thrifty"])
def test_a_day(tmp_path: Path, profile: str, record: Record) -> None:
    events = {"default": 29_500, "thrifty": 36_000}[profile]  # between two checkpoints: one is among them
    found = run(tmp_path, profile, events)
    assert found["spacing_s"] <= events / PER_S <= 1.1 * found["spacing_s"]  # or it counts for too little, or too much
    record(f"megabytes a day: {profile}", {name: round(value, 3) for name, value in found.items()})
    assert found["counted"] <= LIMIT_MB[profile]
    assert found["kernel"] <= 1.2 * LIMIT_MB[profile]


def test_spacing_keeps_the_budget() -> None:
    for durability in (Durability(), Durability(profile="thrifty"), Durability(retention="none")):
        for cost in (0, 1_000, 1_000_000, 10**8, 10**11):
            spacing = durability.spacing_s(cost)
            assert LEAST_S <= spacing <= MOST_S
            assert spacing == MOST_S or cost * DAY_S / spacing <= durability.budget_bytes + 1
            assert durability.due(since_s=spacing, cost_bytes=cost, journal_bytes=0)
            assert not durability.due(since_s=spacing - 1, cost_bytes=cost, journal_bytes=0)
        assert durability.due(since_s=0, cost_bytes=0, journal_bytes=10**9)


def soak(folder: Path, events: int, warm: int) -> dict[str, Any]:
    """Run ``soak`` in a process of its own."""
    words = [sys.executable, "-m", "tests.device.durability.soak", str(folder), str(events), str(warm)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_a_short_life_is_bounded(tmp_path: Path) -> None:
    found = soak(tmp_path, 12_288, 6_144)
    assert found["learned"] > 12_000
    assert found["grown_mib"] < 6


@pytest.mark.long
def test_memory_after_ten_million_events(tmp_path: Path, record: Record) -> None:
    found = soak(tmp_path, 10_000_000, 4_000_000)
    record("soak", found)
    assert found["learned"] > 9_900_000
    assert found["grown_mib"] <= 2.0
    assert found["state_mib"] < 200

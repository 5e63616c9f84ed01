"""Fleets of simulated devices against real brokers and hubs, calm and in every kind of trouble."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub.servers import free_port, program
from tests.results import FOLDER, Record, recording

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
MOST_MIB = 250.0


@pytest.fixture(scope="module")
def record() -> Iterator[Record]:
    yield from recording(FOLDER / "fleet.json")


def simulated(devices: int, folder: Path, within_s: float) -> dict[str, Any]:
    program("mosquitto")
    ports = ["--port", str(free_port()), "--broker-port", str(free_port())]
    words = ["simulate", "--devices", str(devices), "--folder", str(folder), "--json", *ports]
    command = [sys.executable, "-m", "acclimate_hub.cli", *words]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=within_s)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def all_is_well(found: dict[str, Any]) -> None:
    assert found["running"] == found["returned"] == found["devices"]
    assert (found["lost"], found["twice"]) == (0, 0)
    assert found["told"] > 10 * found["devices"]
    assert 0.0 < found["hub_peak_mib"] <= MOST_MIB
    assert found["returned_s"] <= 60.0


@pytest.mark.slow
def test_three_hundred_devices_join_follow_a_rollout_and_its_rollback(tmp_path: Path) -> None:
    all_is_well(simulated(300, tmp_path / "site", 600))


@pytest.mark.long
def test_two_thousand_devices_join_follow_a_rollout_and_its_rollback(tmp_path: Path, record: Record) -> None:
    found = simulated(2_000, tmp_path / "site", 3_000)
    record("simulate", "2000 devices", found)
    all_is_well(found)

"""The demonstration: everything on one machine, from nothing to a base that serves on every device, and back."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from acclimate_device.slots import Bases
from tests.hub.servers import free_port, wait_until

MINUTES = 6.0


@pytest.mark.long
def test_a_second_base_goes_out_to_five_devices_and_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-u", "-m", "acclimate_hub.cli"]
    ports = ["--port", str(free_port()), "--broker-port", str(free_port())]
    words = [*command, "demo", "--folder", str(folder), *ports]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: _phase(command, folder, environment) == "done", MINUTES * 60)
            bases = [Bases(folder / "devices" / f"machine-{at}").read() for at in range(1, 6)]
            assert all(slots.usable for slots in bases)
            back = [*command, "--data", str(folder), "rollout", "roll-back", "second-base", "--why", "seen enough"]
            subprocess.run(back, env=environment, check=True, capture_output=True)
            wait_until(
                lambda: not any(Bases(folder / "devices" / f"machine-{at}").read().usable for at in range(1, 6)), 60
            )
        finally:
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=60)
    assert "a demonstration, not a fleet" in said
    assert "Done: every wave has passed" in said


def _phase(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    words = [*command, "--data", str(folder), "rollout", "list", "--json"]
    done = subprocess.run(words, env=environment, capture_output=True, check=False)
    found = json.loads(done.stdout) if done.returncode == 0 and done.stdout else []
    return str(found[0]["phase"]) if found else ""


def test_the_demonstration_refuses_a_folder_in_use(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    words = [sys.executable, "-m", "acclimate_hub.cli", "demo", "--folder", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "not empty" in done.stderr

"""The systemd unit, judged by systemd's own tools, and the back-off between two starts."""

import os
import subprocess
from pathlib import Path

import pytest

from acclimate_tools.packaging.recipe import DEBIAN
from tests.tools.packaging.programs import needs

UNIT, SOCKET = DEBIAN / "acclimate.service", DEBIAN / "acclimate.socket"
THRESHOLD = 15  # tenths: an exposure of 1.5


def security(unit: Path) -> subprocess.CompletedProcess[str]:
    words = ["systemd-analyze", "security", "--offline=true", f"--threshold={THRESHOLD}", "--no-pager", str(unit)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_exposure_is_low() -> None:
    needs("systemd-analyze")
    found = security(UNIT)
    assert found.returncode == 0, found.stdout[-300:]


@pytest.mark.slow
def test_the_judge_is_awake(tmp_path: Path) -> None:
    needs("systemd-analyze")
    lax = tmp_path / "acclimate.service"
    lax.write_text(UNIT.read_text().replace("SystemCallFilter=", "#").replace("ProtectSystem=", "#"))
    assert security(lax).returncode != 0


@pytest.mark.slow
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    needs("systemd-analyze")
    here = tmp_path / "acclimate.service"
    here.write_text(
        UNIT.read_text().replace("/usr/bin/acclimate", "/bin/true").replace("/usr/lib/acclimate/back-off", "/bin/true")
    )
    (tmp_path / SOCKET.name).write_text(SOCKET.read_text())
    words = ["systemd-analyze", "verify", "--man=no", str(here), str(tmp_path / SOCKET.name)]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "acclimate." not in found.stderr, found.stderr


def test_the_unit_says_what_the_agent_needs() -> None:
    lines = UNIT.read_text().splitlines()
    for line in ("Type=notify", "DynamicUser=yes", "StateDirectory=acclimate", "Restart=on-failure"):
        assert line in lines
    assert "LoadCredential=acclimate-key:/etc/acclimate/acclimate.key" in lines
    allowed = [line for line in lines if line.startswith("SystemCallFilter=")][-1]
    assert {"setpriority", "sched_setscheduler"} <= set(allowed.split("=")[1].split())  # learners that stand back
    named = {line.split("=")[0] for line in lines if "=" in line}
    assert {"WatchdogSec", "MemoryMax", "CPUQuota"} <= named


class Service:
    """The back-off script with a clock and a sleep of its own."""

    def __init__(self, folder: Path) -> None:
        self.now, self.folder = 1_000_000, folder / "run"
        self.folder.mkdir()
        self.boot = folder / "boot_id"
        self.boot.write_text("one\n")
        self.programs = folder / "programs"
        self.programs.mkdir()
        (self.programs / "sleep").write_text('#!/bin/sh\necho "$1" >>"$CACHE_DIRECTORY/slept"\n')
        (self.programs / "date").write_text('#!/bin/sh\necho "$NOW"\n')
        for program in self.programs.iterdir():
            program.chmod(0o755)

    def call(self, what: str, result: str = "") -> str:
        path = f"{self.programs}:{os.environ['PATH']}"
        environment = {"PATH": path, "CACHE_DIRECTORY": str(self.folder), "NOW": str(self.now)}
        environment["BOOT_ID"] = str(self.boot)
        environment["SERVICE_RESULT"] = result
        words = ["sh", str(DEBIAN / "back-off"), what]
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stderr

    def run(self, lasted_s: int, result: str) -> int:
        """Start, run and end; return for how many seconds the start waited."""
        slept = self.folder / "slept"
        slept.unlink(missing_ok=True)
        said = self.call("wait")
        waited = int(slept.read_text()) if slept.exists() else 0
        assert (f'"seconds": {waited}' in said) == (waited > 0)
        self.now += lasted_s
        self.call("note", result)
        return waited


def test_each_failure_waits_longer_up_to_five_minutes(tmp_path: Path) -> None:
    service = Service(tmp_path)
    assert [service.run(1, "exit-code") for _ in range(11)] == [0, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_a_long_run_and_a_clean_end_forget(tmp_path: Path) -> None:
    service = Service(tmp_path)
    for _ in range(5):
        service.run(1, "watchdog")
    assert service.run(700, "signal") == 32
    assert service.run(1, "success") == 2
    assert service.run(1, "success") == 0


def test_a_start_of_the_machine_forgets(tmp_path: Path) -> None:
    service = Service(tmp_path)
    for _ in range(5):
        service.run(1, "watchdog")
    service.boot.write_text("two\n")
    assert [service.run(1, "watchdog") for _ in range(3)] == [0, 2, 4]


@pytest.mark.parametrize("text", ["", "many", "-3", "9999999999"])
def test_a_damaged_count_does_no_harm(tmp_path: Path, text: str) -> None:
    service = Service(tmp_path)
    service.run(1, "watchdog")
    (service.folder / "failures").write_text(text)
    assert service.run(1, "success") in {0, 300}

"""Settings of every test run."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings

# Before any test module imports onnxruntime, whose usage telemetry is on otherwise.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# Shared machines are slow at times: a deadline of milliseconds would make tests flicker.
settings.register_profile("acclimate", deadline=None)
settings.load_profile("acclimate")


RESULTS = Path(__file__).parent.parent / "docs" / "results" / "long.json"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Record what the long tests found, each with its commit; what did not run now is kept from before."""
    if config.getoption("-m") != "long":
        return
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607
    tests = {
        report.nodeid: {"outcome": outcome, "seconds": round(report.duration, 2)}
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if report.when == "call"
    }
    now = {"commit": commit.stdout.strip(), "date": datetime.now(UTC).date().isoformat()}
    kept = json.loads(RESULTS.read_text())["tests"] if RESULTS.exists() else {}
    kept |= {name: found | now for name, found in tests.items()}
    facts: dict[str, object] = {"machine": platform.machine(), "python": platform.python_version()}
    facts |= {"cores": os.cpu_count(), "tests": dict(sorted(kept.items()))}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(facts, indent=2) + "\n")

"""A device, a real Mosquitto with TLS and a real hub: joined, killed, cut off, and nothing is lost or taken twice."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from acclimate_device.cli import main
from acclimate_device.control import lineage_of
from acclimate_hub.identity import enrolment
from acclimate_hub.identity.broker_config import CONFIG
from acclimate_hub.store import devices, tables
from acclimate_shared.messages.envelope import decode
from acclimate_shared.messages.topics import Kind
from acclimate_shared.messages.up import LineageRecord, Metrics
from tests.hub.servers import mosquitto, wait_until
from tests.hub.site import Site, started
from tests.hub.test_broker import running

DEVICE = "pump-7"


def joined(site: Site, state: Path) -> None:
    """Enrol by the command line, as a person does."""
    hub, rules = site.hub, enrolment.ClaimRules(cohort="default", max_uses=1, expires_s=site.hub.now() + 60)
    with hub.database.write() as rows:
        token = enrolment.create_claim(rows, "main", rules, "cli", hub.now()).text
    parts = [(site.folder / name).read_text() for name in ("ca.crt", "claim.crt", "claim.key")]
    claim = site.folder / "claim.txt"
    claim.write_text("\n".join([*parts, token]))
    words = ["enrol", "--hub", f"localhost:{site.port}", "--token-file", str(claim), "--state", str(state), "--json"]
    done = CliRunner().invoke(main, [*words, "--device", DEVICE])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["cohort"] == "default"


@contextmanager
def device(state: Path, rows: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    words = [sys.executable, "-m", "tests.system.device_process", str(state), str(rows)]
    with subprocess.Popen(words, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def told(site: Site) -> list[object]:
    """Return what the hub has committed of the device."""
    with site.hub.database.read() as rows:
        found = rows.execute(select(tables.events.c.payload).where(tables.events.c.device == DEVICE)).scalars()
        return [decode(payload, Kind.UP).body for payload in found]


@pytest.mark.slow
def test_kills_and_restarts_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    folder = tmp_path / "hub"
    folder.mkdir()
    with started(folder) as site, running(site):
        joined(site, state)
        for turn in range(2):
            known = len(told(site))
            with device(state, 40) as process:
                wait_until(lambda least=known + 20: len(told(site)) >= least)  # type: ignore[misc]
                if turn == 1:
                    site.process.kill()
                    site.process.wait()
                    again = mosquitto(site.folder / CONFIG, site.port, site.hub_port)
                    again.__enter__()
                    before = len(told(site))
                    wait_until(lambda least=before + 20: len(told(site)) >= least)  # type: ignore[misc]
                process.kill()
        with device(state, 0) as process:
            assert process.wait(30) == 0
        bodies = told(site)
        again.__exit__(None, None, None)
    records = Counter(body.digest for body in bodies if isinstance(body, LineageRecord))
    assert records == Counter(record.digest for record in lineage_of(state))
    assert any(isinstance(body, Metrics) and body.resources.predictions for body in bodies)


@pytest.mark.slow
def test_run_keeps_in_touch_by_itself_and_says_goodbye(tmp_path: Path) -> None:
    state, folder = tmp_path / "state", tmp_path / "hub"
    folder.mkdir()
    with started(folder) as site, running(site):
        joined(site, state)
        words = ["run", "--state", str(state), "--period", "0.2", "--events", "12", "--json", "--learners", "softmax"]
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
        wait_until(lambda: reported(site) is not None)
        wait_until(lambda: not online(site))


def reported(site: Site) -> bytes | None:
    with site.hub.database.read() as rows:
        found: bytes | None = devices.get(rows, "main", DEVICE).reported
        return found


def online(site: Site) -> bool:
    with site.hub.database.read() as rows:
        return bool(devices.get(rows, "main", DEVICE).online)
